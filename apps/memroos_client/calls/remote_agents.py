"""Remote agents. `agent` is always an id or a name."""

import msgspec

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.pages import Page
from memroos_contracts.registry import (
    AgentView,
    CardVersionView,
    Health,
    NewRemoteAgent,
    RemoteAgentChange,
    RemoteAgentView,
)

LONGEST_LOOK_S = 35.0
"""How long the kernel may take to fetch a card."""


def listing(
    *, health: Health | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[RemoteAgentView]]:
    """List the remote agents of the workspace."""
    wanted = query(health=health, limit=limit, cursor=cursor)
    return Call(method="GET", path=path("remote-agents"), query=wanted, returns=Page[RemoteAgentView])


def get(agent: str) -> Call[RemoteAgentView]:
    """Get one remote agent."""
    return Call(method="GET", path=path("remote-agents", agent), returns=RemoteAgentView)


def add(new: NewRemoteAgent, *, idempotency_key: str | None = None) -> Call[RemoteAgentView]:
    """Register an agent from its card."""
    return Call(
        method="POST",
        path=path("remote-agents"),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        wait_s=LONGEST_LOOK_S,
        returns=RemoteAgentView,
    )


def update(agent: str, change: RemoteAgentChange, *, version: int | None = None) -> Call[RemoteAgentView]:
    """Change how an agent is reached or has to sign; with `version`, only if the agent still is what that was."""
    return Call(
        method="PATCH",
        path=path("remote-agents", agent),
        body=change,
        headers={"If-Match": "*" if version is None else f'"{version}"'},
        wait_s=LONGEST_LOOK_S,
        returns=RemoteAgentView,
    )


def refresh(agent: str) -> Call[RemoteAgentView]:
    """Have its card looked at now."""
    return Call(
        method="POST", path=path("remote-agents", agent, "refresh"), wait_s=LONGEST_LOOK_S, returns=RemoteAgentView
    )


def remove(agent: str) -> Call[AgentView]:
    """Retire it."""
    return Call(method="DELETE", path=path("remote-agents", agent), returns=AgentView)


def cards(agent: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[CardVersionView]]:
    """List the versions of its own card, the newest first."""
    wanted = query(limit=limit, cursor=cursor)
    return Call(method="GET", path=path("remote-agents", agent, "cards"), query=wanted, returns=Page[CardVersionView])


def card(agent: str, version: int) -> Call[msgspec.Raw]:
    """Get one version of its own card as its owner wrote it."""
    return Call(method="GET", path=path("remote-agents", agent, "cards", str(version)), returns=msgspec.Raw)

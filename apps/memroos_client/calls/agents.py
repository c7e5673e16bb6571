"""Agents. `agent` is always an id or a name."""

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.pages import Page
from memroos_contracts.registry import (
    AgentChange,
    AgentKind,
    AgentState,
    AgentView,
    Heartbeat,
    HeartbeatView,
    NewAgent,
    PeerView,
    StateChange,
    WhoAmIView,
)


def listing(
    *,
    state: AgentState | None = None,
    kind: AgentKind | None = None,
    skill: str | None = None,
    tag: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[AgentView]]:
    """List the agents of the workspace."""
    wanted = query(agent_state=state, kind=kind, skill=skill, tag=tag, limit=limit, cursor=cursor)
    return Call(method="GET", path=path("agents"), query=wanted, returns=Page[AgentView])


def get(agent: str) -> Call[AgentView]:
    """Get one agent."""
    return Call(method="GET", path=path("agents", agent), returns=AgentView)


def create(new: NewAgent, *, idempotency_key: str | None = None) -> Call[AgentView]:
    """Register an agent."""
    return Call(
        method="POST", path=path("agents"), body=new, idempotency_key=idempotency_key or new_key(), returns=AgentView
    )


def update(agent: str, change: AgentChange, *, version: int) -> Call[AgentView]:
    """Change an agent, if it still is what `version` was."""
    return Call(
        method="PATCH",
        path=path("agents", agent),
        body=change,
        headers={"If-Match": f'"{version}"'},
        returns=AgentView,
    )


def activate(agent: str, *, reason: str = "") -> Call[AgentView]:
    """Let an agent take part."""
    return _move(agent, "activate", reason)


def quarantine(agent: str, *, reason: str = "") -> Call[AgentView]:
    """Shut an agent out until it is activated again; its streams end."""
    return _move(agent, "quarantine", reason)


def retire(agent: str, *, reason: str = "") -> Call[AgentView]:
    """Shut an agent out for good."""
    return _move(agent, "retire", reason)


def _move(agent: str, verb: str, reason: str) -> Call[AgentView]:
    return Call(method="POST", path=path("agents", agent, verb), body=StateChange(reason), returns=AgentView)


def peers(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[PeerView]]:
    """List the agents that the caller may address."""
    return Call(method="GET", path=path("agent-peers"), query=query(limit=limit, cursor=cursor), returns=Page[PeerView])


def beat(heartbeat: Heartbeat) -> Call[HeartbeatView]:
    """Say that the calling agent is alive."""
    return Call(method="POST", path=path("heartbeat"), body=heartbeat, returns=HeartbeatView)


def who_am_i() -> Call[WhoAmIView]:
    """Say who the kernel takes the caller for."""
    return Call(method="GET", path=path("whoami"), returns=WhoAmIView)

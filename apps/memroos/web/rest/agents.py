"""Agents over REST: who exists, what they can do, who may take part."""

import re
from typing import Annotated

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from memroos import registry
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.identity import Actor, Role
from memroos_contracts.pages import Page
from memroos_contracts.registry import (
    AgentChange,
    AgentFilter,
    AgentKind,
    AgentState,
    AgentView,
    KeyView,
    NewAgent,
    NewAgentKey,
    NewKey,
    NewKeyView,
    PeerView,
    StateChange,
    WhoAmIView,
)
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once, once_keeping

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Once = NamedDependency[Idempotency | None]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]

_ETAG = re.compile(r'"([1-9][0-9]{0,17})"')


class AgentController(Controller):
    """Agents, as their operators see them."""

    path = "/api/agents"
    tags = ("agents",)

    @get("/", operation_id="listAgents")
    async def list_agents(
        self,
        db: Db,
        actor: Caller,
        agent_state: FromQuery[AgentState | None] = None,
        kind: FromQuery[AgentKind | None] = None,
        skill: FromQuery[str | None] = None,
        tag: FromQuery[str | None] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[AgentView]:
        """List agents, newest first."""
        which = AgentFilter(state=agent_state, kind=kind, skill=skill, tag=tag)
        return await db.read(actor, registry.list_agents, which, limit=limit, cursor=cursor)

    @post("/", operation_id="createAgent")
    async def create_agent(
        self, data: JSONBody[NewAgent], db: Db, actor: Caller, idempotency: Once
    ) -> Response[AgentView]:
        """Register an agent, as a draft or active."""
        return tagged(await db.write(actor, once, idempotency, AgentView, registry.create_agent, data))

    @get("/{agent:str}", operation_id="getAgent")
    async def get_agent(self, agent: FromPath[str], db: Db, actor: Caller) -> Response[AgentView]:
        """Return an agent, by id or name; `ETag` is its version."""
        return tagged(db.read_inline(actor, registry.read_agent, agent))

    @patch("/{agent:str}", operation_id="updateAgent")
    async def update_agent(
        self,
        agent: FromPath[str],
        data: JSONBody[AgentChange],
        db: Db,
        actor: Caller,
        if_match: Annotated[str, HeaderParameter(name="If-Match", description="The `ETag` you saw, or `*`.")],
    ) -> Response[AgentView]:
        """Change what is stated of an agent, if it still is the version you saw."""
        version = version_in(if_match)
        return tagged(await db.write(actor, registry.update_agent, agent, data, version=version))

    @post("/{agent:str}/activate", operation_id="activateAgent", status_code=200)
    async def activate_agent(
        self, agent: FromPath[str], data: JSONBody[StateChange], db: Db, actor: Caller
    ) -> Response[AgentView]:
        """Let an agent take part."""
        return tagged(await db.write(actor, registry.activate_agent, agent, reason=data.reason))

    @post("/{agent:str}/quarantine", operation_id="quarantineAgent", status_code=200)
    async def quarantine_agent(
        self, agent: FromPath[str], data: JSONBody[StateChange], db: Db, actor: Caller
    ) -> Response[AgentView]:
        """Shut an agent out until it is activated again; its streams end."""
        return tagged(await db.write(actor, registry.quarantine_agent, agent, reason=data.reason))

    @post("/{agent:str}/retire", operation_id="retireAgent", status_code=200)
    async def retire_agent(
        self, agent: FromPath[str], data: JSONBody[StateChange], db: Db, actor: Caller
    ) -> Response[AgentView]:
        """Shut an agent out for good; its keys are revoked."""
        return tagged(await db.write(actor, registry.retire_agent, agent, reason=data.reason))

    @get("/{agent:str}/keys", operation_id="listAgentKeys")
    async def list_agent_keys(
        self, agent: FromPath[str], db: Db, actor: Caller, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[KeyView]:
        """List an agent's keys, without their secrets."""
        return await db.read(actor, registry.list_keys, agent=agent, limit=limit, cursor=cursor)

    @post("/{agent:str}/keys", operation_id="createAgentKey")
    async def create_agent_key(
        self, agent: FromPath[str], data: JSONBody[NewAgentKey], db: Db, actor: Caller, idempotency: Once
    ) -> NewKeyView:
        """Make a key for an agent. Its secret is shown this one time."""
        new = NewKey(role=Role.AGENT, agent=agent, name=data.name, scopes=data.scopes, expires_in_s=data.expires_in_s)
        keep = registry.without_secret
        return await db.write(actor, once_keeping, idempotency, NewKeyView, keep, registry.create_key, new)


class CallerController(Controller):
    """What a caller may know of itself and of others like it."""

    path = "/api"
    tags = ("agents",)

    @get("/agent-peers", operation_id="listAgentPeers")
    async def list_peers(self, db: Db, actor: Caller, limit: Limit = 50, cursor: Cursor = None) -> Page[PeerView]:
        """List the other active agents: what they can do and whether they are there."""
        return await db.read(actor, registry.list_peers, limit=limit, cursor=cursor)

    @get("/whoami", operation_id="whoAmI")
    async def whoami(self, db: Db, actor: Caller) -> WhoAmIView:
        """Say who the kernel takes you for."""
        return db.read_inline(actor, registry.whoami)


def tagged(agent: AgentView) -> Response[AgentView]:
    """Answer with an agent, tagged with its version."""
    return Response(agent, headers={"ETag": f'"{agent.version}"'})


def version_in(if_match: str) -> int | None:
    """Return the version that `If-Match` demands, None for any (RFC 9110, 13.1.1).

    Raises:
        InvalidRequest: it is no version of an agent.
    """
    if if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise InvalidRequest('If-Match: an agent\'s ETag such as "3", or *.', fields={"If-Match": 'such as "3", or *'})
    return int(match[1])

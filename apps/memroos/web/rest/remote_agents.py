"""Remote agents over REST: where they are, how they are, what their own cards say."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from memroos import registry
from memroos.web.rest.agents import tagged, version_in
from memroos_contracts.identity import Actor
from memroos_contracts.pages import Page
from memroos_contracts.registry import (
    AgentView,
    CardVersionView,
    Health,
    NewRemoteAgent,
    RemoteAgentChange,
    RemoteAgentView,
)
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Remotes = NamedDependency[registry.RemoteAgents]
Once = NamedDependency[Idempotency | None]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]


class RemoteAgentController(Controller):
    """Agents that are reached by A2A, as their operators see them."""

    path = "/api/remote-agents"
    tags = ("remote agents",)

    @get("/", operation_id="listRemoteAgents")
    async def list_remote_agents(
        self, db: Db, actor: Caller, health: FromQuery[Health | None] = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[RemoteAgentView]:
        """List remote agents, newest first."""
        return await db.read(actor, registry.list_remote_agents, health=health, limit=limit, cursor=cursor)

    @post("/", operation_id="addRemoteAgent")
    async def add_remote_agent(
        self, data: JSONBody[NewRemoteAgent], remote_agents: Remotes, actor: Caller, idempotency: Once
    ) -> Response[RemoteAgentView]:
        """Fetch an agent's card and register the agent from it."""
        return _tagged(await remote_agents.add(actor, data, idempotency))

    @get("/{agent:str}", operation_id="getRemoteAgent")
    async def get_remote_agent(self, agent: FromPath[str], db: Db, actor: Caller) -> Response[RemoteAgentView]:
        """Return a remote agent, by id or name; `ETag` is the agent's version."""
        return _tagged(await db.read(actor, registry.read_remote_agent, agent))

    @patch("/{agent:str}", operation_id="updateRemoteAgent")
    async def update_remote_agent(
        self,
        agent: FromPath[str],
        data: JSONBody[RemoteAgentChange],
        remote_agents: Remotes,
        actor: Caller,
        if_match: Annotated[str, HeaderParameter(name="If-Match", description="The `ETag` you saw, or `*`.")],
    ) -> Response[RemoteAgentView]:
        """Change where its card is, how often it is looked at, what is shown to it, or how it has to sign."""
        return _tagged(await remote_agents.change(actor, agent, data, version=version_in(if_match)))

    @delete("/{agent:str}", operation_id="removeRemoteAgent", status_code=200)
    async def remove_remote_agent(self, agent: FromPath[str], db: Db, actor: Caller) -> Response[AgentView]:
        """Retire it: no contact any more, its credential is forgotten, its name stays taken."""
        return tagged(await db.write(actor, registry.retire_remote_agent, agent))

    @post("/{agent:str}/refresh", operation_id="refreshRemoteAgent", status_code=200)
    async def refresh_remote_agent(
        self, agent: FromPath[str], remote_agents: Remotes, actor: Caller
    ) -> Response[RemoteAgentView]:
        """Look at its card now; how that went is in the answer."""
        return _tagged(await remote_agents.refresh(actor, agent))

    @get("/{agent:str}/cards", operation_id="listAgentCards")
    async def list_cards(
        self, agent: FromPath[str], db: Db, actor: Caller, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[CardVersionView]:
        """List the versions of its own card, newest first; refused ones are there too, marked invalid."""
        return await db.read(actor, registry.list_card_versions, agent, limit=limit, cursor=cursor)

    @get("/{agent:str}/cards/{version:int}", operation_id="getAgentCard")
    async def get_card(self, agent: FromPath[str], version: FromPath[int], db: Db, actor: Caller) -> Response[bytes]:
        """Return one version of its own card, byte for byte as it was fetched."""
        body, digest = await db.read(actor, registry.read_card, agent, version)
        return Response(body, media_type="application/json", headers={"ETag": f'"{digest}"'})


def _tagged(remote: RemoteAgentView) -> Response[RemoteAgentView]:
    return Response(remote, headers={"ETag": f'"{remote.agent.version}"'})

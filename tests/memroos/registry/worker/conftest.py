"""An operator of remote agents, and an agent's server."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR
from tests.card_server import CardServer
from tests.signing import Owner

from memroos import registry
from memroos.registry import RemoteAgents, queries
from memroos_contracts.registry import (
    NewRemoteAgent,
    RemoteAgentChange,
    RemoteAgentView,
    SignatureState,
)
from memroos_kit.db import Database
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer

Rows = Callable[[], list[tuple[Any, ...]]]
SEALER = Sealer(bytes(32))
SECRET = "hunter2-hunter2"
OWNER = Owner()


def run(story: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(story(), 20))


@pytest.fixture
def server() -> Iterator[CardServer]:
    with CardServer() as serving:
        yield serving


@pytest.fixture
def remotes(db: Database) -> RemoteAgents:
    return RemoteAgents(db, Guard(allow=["127.0.0.1"]), SEALER)


class Operator:
    """An operator who does one thing after the other."""

    def __init__(self, remotes: RemoteAgents, server: CardServer, db: Database) -> None:
        self.remotes, self.server, self.db = remotes, server, db

    def add(self, **fields: Any) -> RemoteAgentView:
        new = NewRemoteAgent(card_url=fields.pop("card_url", self.server.url), **fields)
        return run(lambda: self.remotes.add(OPERATOR, new))  # type: ignore[no-any-return]

    def change(self, agent: str, **fields: Any) -> RemoteAgentView:
        return run(lambda: self.remotes.change(OPERATOR, agent, RemoteAgentChange(**fields)))  # type: ignore[no-any-return]

    def refresh(self, agent: str) -> RemoteAgentView:
        return run(lambda: self.remotes.refresh(OPERATOR, agent))  # type: ignore[no-any-return]

    def poll(self) -> list[str]:
        """Look at every card that is due; return the ids of the agents."""

        async def step() -> list[str]:
            due = await self.db.read(KERNEL, queries.find_due, most=100)
            await asyncio.gather(*map(self.remotes.step, due))
            return [one.agent_id for one in due]

        return run(step)  # type: ignore[no-any-return]

    def look(self, agent: str) -> RemoteAgentView:
        return self.db.read_now(OPERATOR, registry.read_remote_agent, agent)

    def remote(self, agent: str) -> registry.Remote:
        return self.db.read_now(OPERATOR, registry.get_remote, agent)

    def cards(self, agent: str) -> list[tuple[int, SignatureState]]:
        page = self.db.read_now(OPERATOR, registry.list_card_versions, agent)
        return [(card.version, card.signature) for card in page.items]


@pytest.fixture
def operator(remotes: RemoteAgents, server: CardServer, db: Database) -> Operator:
    return Operator(remotes, server, db)

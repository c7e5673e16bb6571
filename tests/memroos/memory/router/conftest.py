"""The routers over a database and a memory service in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from tests.memroos.memory.service_twin import ServiceTwin

from memroos import memory
from memroos_kit.db import Database

T = TypeVar("T")


class House:
    """What a test has in hand."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.twin = ServiceTwin()
        self.handover: memory.HandOver

    def run(self, work: Callable[["Routers"], Awaitable[T]], *, hand_over: bool = True) -> T:
        """Run something with routers; what was written before is handed over first."""

        async def within() -> T:
            store = self.twin.store()
            handover = memory.HandOver(self.db, store, memory.Bell())
            routers = Routers(memory.Service(self.db, store, handover), handover)
            try:
                while hand_over and self.twin.away is None and await handover.step():
                    pass
                return await work(routers)
            finally:
                await store.close()

        return asyncio.run(within())


class Routers:
    """All of them, over one service."""

    def __init__(self, service: memory.Service, handover: memory.HandOver) -> None:
        self.handover = handover
        self.recalls = memory.Recalls(service)
        self.items = memory.Items(service)
        self.upkeep = memory.Upkeep(service)
        self.recollection = memory.Recollection(service, self.recalls)


@pytest.fixture
def house(db: Database) -> House:
    """A kernel database and a memory service."""
    return House(db)

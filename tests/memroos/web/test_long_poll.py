"""A request that waits takes what comes, and nothing any more once its client has gone."""

import asyncio
from typing import Any

import pytest
from tests.actors import AGENT

from memroos import events
from memroos.web.long_poll import LongPolls
from memroos.web.streams import Streams
from memroos_contracts.errors import TooManyRequests
from memroos_kit.db import Database
from memroos_kit.limits import StreamSlots
from memroos_kit.stopping import Stopping


class Connection:
    """A client that stays until it goes."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
def polls(db: Database, notifier: events.Notifier) -> LongPolls:
    return LongPolls(db, notifier, Streams(StreamSlots(per_key=1), Stopping()), wait_max_s=5)


def test_a_client_that_has_gone_is_given_nothing_more(
    db: Database, notifier: events.Notifier, polls: LongPolls
) -> None:
    looks = 0

    async def take() -> str:
        nonlocal looks
        looks += 1
        return ""

    async def story() -> str:
        connection = Connection()
        waiting = asyncio.ensure_future(polls.of(connection.receive).take(AGENT, 5, take))
        await asyncio.sleep(0.05)
        connection.gone.set()
        return await asyncio.wait_for(waiting, 4)

    assert asyncio.run(story()) == ""
    assert looks == 2  # at once, and when the doorbell was there


def test_what_is_there_is_taken_without_waiting(polls: LongPolls) -> None:
    async def take() -> str:
        return "work"

    async def story() -> str:
        return await polls.of(Connection().receive).take(AGENT, 5, take)

    assert asyncio.run(story()) == "work"


def test_one_key_does_not_wait_more_often_than_it_may(polls: LongPolls) -> None:
    async def take() -> str:
        return ""

    async def story() -> None:
        first = asyncio.ensure_future(polls.of(Connection().receive).take(AGENT, 5, take))
        await asyncio.sleep(0.05)
        try:
            await polls.of(Connection().receive).take(AGENT, 5, take)
        finally:
            first.cancel()

    with pytest.raises(TooManyRequests):
        asyncio.run(story())

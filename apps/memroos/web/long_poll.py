"""Waiting at an agent's inbox on behalf of one request, without polling a table."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from memroos import bus, events
from memroos.web.streams import Streams
from memroos_contracts.identity import Actor, AgentId
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

T = TypeVar("T")

SHORTEST_WAIT_S = 0.05
"""What is due is looked for again after this time at the earliest."""

Receive = Callable[[], Awaitable[Any]]


class LongPolls:
    """Lets requests wait for something to take.

    Args:
        wait_max_s: the longest that a request may wait, in seconds.
    """

    def __init__(self, db: Database, notifier: events.Notifier, streams: Streams, *, wait_max_s: float) -> None:
        self._db = db
        self._notifier = notifier
        self._streams = streams
        self._wait_max_s = wait_max_s

    def of(self, receive: Receive) -> "LongPoll":
        """Return the long poll of one request, which ends when its client goes away."""
        return LongPoll(self, receive)

    async def take(self, actor: Actor, receive: Receive, wait_s: float, take: Callable[[], Awaitable[T]]) -> T:
        """Take as soon as something comes; see `LongPoll.take`."""
        taken = await take()
        if taken or wait_s <= 0:
            return taken
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait_s, self._wait_max_s)
        inbox = AgentId(actor.agent or "")
        with self._streams.open(actor) as ended, self._notifier.listen(bus.subject(inbox)) as doorbell:
            async with _set_when_gone(ended, receive):
                with ended.calling(doorbell.wake):
                    # What came before the doorbell was there is found by the first look; a client that has gone
                    # must not be given what somebody else could work on.
                    while not ended.is_set():
                        taken = await take()
                        left = deadline - loop.time()
                        if taken or left <= 0 or doorbell.closed:
                            break
                        await doorbell.next(min(left, self._until_due(actor, inbox, left)))
        return taken

    def _until_due(self, actor: Actor, inbox: AgentId, otherwise: float) -> float:
        """Return in how many seconds something becomes ready by itself: a lease ends, a delay is over."""
        due = self._db.read_inline(actor, bus.next_due, inbox)
        return otherwise if due is None else max((due - self._db.clock.now()).total_seconds(), SHORTEST_WAIT_S)


class LongPoll:
    """One request that may wait."""

    def __init__(self, polls: LongPolls, receive: Receive) -> None:
        self._polls = polls
        self._receive = receive

    async def take(self, actor: Actor, wait_s: float, take: Callable[[], Awaitable[T]]) -> T:
        """Take as soon as something comes: the doorbell rings, a lease ends, a delay is over, or the time is up.

        Args:
            actor: an agent, at whose inbox it waits.
            wait_s: how long to wait at the most, in seconds; 0 looks once.
            take: takes what is there; something false when there is nothing.

        Raises:
            TooManyRequests: the key has as many requests waiting as it may.
        """
        return await self._polls.take(actor, self._receive, wait_s, take)


@asynccontextmanager
async def _set_when_gone(ended: Stopping, receive: Receive) -> AsyncIterator[None]:
    """Set a signal when the client closes its connection while the block runs."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()

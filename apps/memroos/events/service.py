"""Publishing: what verbs announce, the log that numbers it before the COMMIT, the notifier that passes it on after."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import msgspec
from sqlalchemy import bindparam, delete, select

from memroos.events.models import event
from memroos.events.queries import LAST_OFFSET
from memroos.events.rules import Filter, Row, frame, view
from memroos_contracts.events import EventView
from memroos_kit.clock import to_micros
from memroos_kit.db import Cursor, Hot, Tx, insert_by_position

_encode = msgspec.json.Encoder().encode
_INSERT = insert_by_position(event)
_OLDEST = Hot(select(event.c.offset, event.c.at).order_by(event.c.offset).limit(bindparam("limit")))
_DELETE = Hot(delete(event).where(event.c.offset <= bindparam("last")))


def publish(
    tx: Tx,
    type: str,  # noqa: A002 - the word for it
    *,
    subject: str,
    data: dict[str, Any],
    owner: str = "",
    agent: str = "",
) -> None:
    """Append an event to the log, in the same transaction as the change.

    Args:
        tx: the unit of work.
        type: what happened, `noun.past`.
        subject: what it is about, such as a task's id.
        data: what readers need to react, JSON types only; never a secret or a message's body.
        owner: the principal that owns the subject: an agent sees only events that are its own or about it.
        agent: the agent it concerns, where there is one.
    """
    row = (
        tx.new_id("evt"), to_micros(tx.now), tx.actor.workspace, type, subject, _encode(data).decode(), owner, agent,
    )  # fmt: skip
    tx.journal(Log.name).append(row)


# -- the notifier --------------------------------------------------------------------------------------------------

_Key = tuple[str, ...]
"""Under which a feed is found: by subject, by owner, by agent, or as one that sees a whole workspace."""


class _Waiter:
    """Something on the event loop that waits for events; one wake-up for however many came."""

    __slots__ = ("_future", "closed")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self.closed = False

    def wake(self) -> None:
        """End the present wait."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout_s: float | None) -> None:
        """Wait for `wake`, or until the time is over."""
        loop = asyncio.get_running_loop()
        self._future = loop.create_future()
        timer = None if timeout_s is None else loop.call_later(timeout_s, self.wake)
        try:
            await self._future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()


class Listener(_Waiter):
    """Rings for one subject: use it as a context manager, look at the state, then wait for the next event.

    It is a doorbell, not a log: when more events come than it holds, the oldest are dropped and `lagged` is set, so a
    caller acts on the state it reads after the ring and not on the events alone.
    """

    __slots__ = ("_listeners", "_queue", "_subject", "lagged")

    def __init__(self, listeners: "dict[str, set[Listener]]", subject: str, queue_size: int) -> None:
        super().__init__()
        self._listeners = listeners
        self._subject = subject
        self._queue: deque[Row] = deque(maxlen=queue_size)
        self.lagged = False

    def __enter__(self) -> Self:
        self._listeners.setdefault(self._subject, set()).add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        others = self._listeners.get(self._subject, set())
        others.discard(self)
        if not others:
            self._listeners.pop(self._subject, None)

    def put(self, row: Row) -> None:
        """Take an event; called by the notifier."""
        if len(self._queue) == self._queue.maxlen:
            self.lagged = True
        self._queue.append(row)
        self.wake()

    async def next(self, timeout_s: float | None = None) -> EventView | None:
        """Return the next event; None when none came in time or the kernel is stopping."""
        if not self._queue and not self.closed:
            await self.wait(timeout_s)
        return view(self._queue.popleft()) if self._queue else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventView:
        event_view = await self.next()
        if event_view is None:
            raise StopAsyncIteration
        return event_view


class Feed(_Waiter):
    """The live tail for one reader, already in the form it is sent in; a context manager.

    A reader that falls behind by more than `queue_size` events is cut off: `closed` and `overflowed` are set, and it
    comes back with its last event id.
    """

    __slots__ = ("_feeds", "_keys", "_last", "_queue", "_queue_size", "filter", "overflowed")

    def __init__(self, feeds: "dict[_Key, dict[Filter, set[Feed]]]", filter: Filter, queue_size: int) -> None:  # noqa: A002
        super().__init__()
        self.filter = filter
        self.overflowed = False
        self._feeds = feeds
        self._keys = _keys_of(filter)
        self._queue: deque[tuple[int, bytes]] = deque()
        self._queue_size = queue_size
        self._last = 0

    def __enter__(self) -> Self:
        for key in self._keys:
            self._feeds.setdefault(key, {}).setdefault(self.filter, set()).add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        for key in self._keys:
            group = self._feeds.get(key, {})
            feeds = group.get(self.filter, set())
            feeds.discard(self)
            if not feeds:
                group.pop(self.filter, None)
            if not group:
                self._feeds.pop(key, None)

    def put(self, offset: int, sent: bytes) -> None:
        """Take an event; called by the notifier."""
        if offset == self._last or self.closed:
            return  # found under two keys: as the owner's and as the agent's
        self._last = offset
        if len(self._queue) >= self._queue_size:
            self.overflowed = True
            self._queue.clear()
            self.close()
            return
        self._queue.append((offset, sent))
        self.wake()

    def close(self) -> None:
        """End the feed; its reader gets what is queued and then the end."""
        self.closed = True
        self.wake()

    async def next(self, timeout_s: float | None = None, *, after: int = 0) -> tuple[int, bytes] | None:
        """Return everything that waits as one piece with the offset of its last event; None at the end of the feed.

        Args:
            timeout_s: after this time without an event the piece is empty and its offset 0.
            after: events up to this offset were read from the log and are left out.
        """
        if not self._queue and not self.closed:
            await self.wait(timeout_s)
        if not self._queue:
            return None if self.closed else (0, b"")
        last = self._queue[-1][0]
        piece = b"".join([sent for offset, sent in self._queue if offset > after])
        self._queue.clear()
        return last, piece


class Notifier:
    """Passes events on to whoever waits on the event loop: one call to the loop per batch, one encoding per event.

    Everything but `publish` belongs to the loop's thread. An event reaches those who registered before its COMMIT was
    announced; whoever registers first and reads the log or the state afterwards misses nothing.

    Args:
        queue_size: how many events one slow reader may have waiting.

    Attributes:
        delivered: how many events were handed to feeds.
        position: the offset up to which every open feed has been offered everything.
    """

    def __init__(self, *, queue_size: int = 1024) -> None:
        self.delivered = 0
        self.position = 0
        self._queue_size = queue_size
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: dict[str, set[Listener]] = {}
        self._feeds: dict[_Key, dict[Filter, set[Feed]]] = {}
        self._taps: list[Callable[[str, str], None]] = []
        self._closed = False

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Name the event loop on which events are delivered; without one nobody waits."""
        self._loop = loop

    def publish(self, rows: list[Row]) -> None:
        """Deliver a committed batch; called in the writer's thread."""
        loop = self._loop
        # Nobody registered: whoever registers from here on reads what these rows changed.
        if loop is None or loop.is_closed() or not (self._listeners or self._feeds or self._taps):
            return
        loop.call_soon_threadsafe(self.deliver, rows)

    def deliver(self, rows: list[Row]) -> None:
        """Hand a batch's events to those who wait for them; on the loop."""
        for row in rows:
            for tap in self._taps:
                tap(row[4], row[5])
            for listener in self._listeners.get(row[5], ()):
                listener.put(row)
            if self._feeds:
                self._feed(row)
        self.position = rows[-1][0]

    def _feed(self, row: Row) -> None:
        sent: bytes | None = None
        for key in _keys_for(row):
            for filter_, feeds in self._feeds.get(key, {}).items():
                if filter_.matches(row):
                    sent = sent or frame(row)
                    for feed in feeds:
                        feed.put(row[0], sent)
                    self.delivered += len(feeds)

    def tap(self, tap: Callable[[str, str], None]) -> None:
        """Call a function of this process with the type and subject of every event; it must not fail nor wait."""
        self._taps.append(tap)

    def listen(self, subject: str) -> Listener:
        """Return a doorbell for one subject; enter it before looking at the state."""
        listener = Listener(self._listeners, subject, min(256, self._queue_size))
        listener.closed = self._closed
        return listener

    def feed(self, filter: Filter) -> Feed:  # noqa: A002 - the word for it
        """Return the live tail for a reader; enter it before reading the log."""
        feed = Feed(self._feeds, filter, self._queue_size)
        feed.closed = self._closed
        return feed

    @property
    def feeds(self) -> int:
        """How many feeds are open."""
        return len({feed for group in self._feeds.values() for feeds in group.values() for feed in feeds})

    def close(self) -> None:
        """End every wait and every feed, so that the process can stop."""
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.closed = True
                listener.wake()
        for group in self._feeds.values():
            for feeds in group.values():
                for feed in feeds:
                    feed.close()


def _keys_of(filter_: Filter) -> tuple[_Key, ...]:
    """Return where a feed is registered; each event it may see has at least one of these keys."""
    workspace = filter_.workspace
    if filter_.subject:
        return (("subject", workspace, filter_.subject),)
    if filter_.owner is None:
        return (("all", workspace),)
    agents = () if filter_.agent is None else (("agent", workspace, filter_.agent),)
    return (("owner", workspace, filter_.owner), *agents)


def _keys_for(row: Row) -> Iterator[_Key]:
    workspace = row[3]
    yield ("all", workspace)
    yield ("subject", workspace, row[5])
    yield ("owner", workspace, row[7])
    yield ("agent", workspace, row[8])


# -- the log -------------------------------------------------------------------------------------------------------


class Log:
    """The journal that gives events their offsets; a batch that fails uses none up."""

    name = "events"

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._newest: int | None = None

    def write(self, cursor: Cursor, entries: list[Any]) -> list[Row]:
        """Number and store a batch's events."""
        newest = self._newest
        if newest is None:
            known = cursor.execute(LAST_OFFSET.sql, LAST_OFFSET.bind({})).fetchone()
            newest = known[0] if known else 0
        rows: list[Row] = [(offset, *entry) for offset, entry in enumerate(entries, newest + 1)]
        cursor.executemany(_INSERT, rows)
        return rows

    def publish(self, pending: list[Row]) -> None:
        """Pass a committed batch's events on."""
        self._newest = pending[-1][0]
        self._notifier.publish(pending)


def expire(tx: Tx, *, older_than: timedelta, limit: int = 500) -> int:
    """Delete events from the front of the log and return how many; less than `limit` means that none is left to delete.

    Only from the front: what is kept is always one unbroken piece, so that one offset says where it begins.
    """
    cutoff = to_micros(tx.now - older_than)
    oldest = tx.execute(_OLDEST, limit=limit).fetchall()
    last = count = 0
    for offset, at in oldest:
        if at >= cutoff:
            break
        last, count = offset, count + 1
    if count:
        tx.execute(_DELETE, last=last)
    return count

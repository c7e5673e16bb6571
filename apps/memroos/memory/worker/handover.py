"""Brings the log of events, and what was removed of it, to the memory service: in order, at least once.

The kernel's table is the queue; a cursor says how far it was taken over, and moves after the service has answered. What
is sent twice after a crash is known to the service by its id. While the service is away the log grows, and nothing else
happens.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from memroos.memory.bell import Bell
from memroos.memory.queries import handover as queries
from memroos.memory.queries.handover import Batch, Place, RemovalRow
from memroos.memory.rules import ids
from memroos.memory.service import handover as verbs
from memroos_contracts.errors import ErrorKind, MemroosError, NotFound
from memroos_contracts.identity import WorkspaceId, service_actor
from memroos_contracts.memory import IngestEvent, IngestReport, Removal
from memroos_contracts.memory_errors import ItemGone
from memroos_contracts.memory_items import Viewer
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

BATCH_EVENTS = 200
BATCH_BYTES = 2_000_000
"""Both bound what one request holds, and so what is sent again after a crash."""

PAUSE_S = 0.1
PAUSE_MAX_S = 2.0
"""Longest pause while the service is away: so late, at the most, it gets what it missed."""

REPLAYED_AT_ONCE = 10
"""Events that were refused, read at once: each may be as long as an event gets."""

BREAKS_MAX = 8
"""Failures in a row at one place after which an event is looked for that breaks the service."""

BREAKING_MOST = 3
"""Events in a row that may break it; more, and it is the service that is broken, and they wait."""

IDLE_S = 5.0
"""Time after which the log is looked at without the bell; it rings for everything, so this finds nothing."""

_REFUSALS = frozenset((ErrorKind.INVALID, ErrorKind.MALFORMED, ErrorKind.TOO_LARGE))
_BROKE = 500
_KERNEL = service_actor("kernel")
_log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """What the hand-over needs of the memory service."""

    async def ingest(self, events: list[IngestEvent]) -> IngestReport:
        """Take over events."""
        ...

    async def remove(self, removals: list[Removal]) -> None:
        """Take over that events may not be found."""
        ...

    async def delete_item(self, viewer: Viewer, item_id: str, reason: str, operation: str) -> None:
        """Delete something that was derived."""
        ...

    async def position(self) -> int:
        """Say how far the log was taken over."""
        ...


class HandOverStanding(msgspec.Struct, frozen=True):
    """How the hand-over stands since the process began."""

    connected: bool
    """Whether the last contact succeeded."""
    failures: int
    """In a row."""
    error: str
    since: datetime | None
    """Since when the service is away."""


class HandOver:
    """The one worker that hands over.

    Args:
        receiver: the memory service.
        dice: numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self, db: Database, receiver: Receiver, bell: Bell, *, dice: Callable[[], float] = random.random
    ) -> None:
        self._db = db
        self._receiver = receiver
        self._bell = bell
        self._dice = dice
        self._rung = asyncio.Event()
        self._moved = asyncio.Event()
        self._greeted = False
        self._failures = 0
        self._breaking = 0
        self._error = ""
        self._since: datetime | None = None

    @property
    def standing(self) -> HandOverStanding:
        """How it stands."""
        return HandOverStanding(self._greeted, self._failures, self._error, self._since)

    async def run(self, stop: Stopping) -> None:
        """Hand over until the process ends."""
        loop = asyncio.get_running_loop()
        self._bell.listen(lambda: _call(loop, self._rung.set))
        try:
            while not stop.is_set():
                self._rung.clear()
                try:
                    moved = await stop.first(self.step())  # a service that hangs keeps nobody from stopping
                except MemroosError as error:  # the service is away, or our own disk is full: later
                    self._failed(error.detail)
                except Exception:  # noqa: BLE001 - the loop: whatever broke, the log must reach the service one day
                    _log.exception("memories not handed over")
                    self._failed("something broke; the log says what")
                else:
                    if not moved:
                        await stop.first(self._rung.wait(), timeout_s=IDLE_S)
                    continue
                await stop.first(stop.wait(), timeout_s=self._pause_s())
        finally:
            self._bell.listen(None)

    async def step(self) -> bool:
        """Hand over one batch; return whether there was one. May be repeated at any time.

        Raises:
            MemroosError: the service is away; nothing moved.
        """
        if not self._greeted:
            await self._greet()
        batch = await self._db.read(_KERNEL, queries.next_batch, most=BATCH_EVENTS, most_bytes=BATCH_BYTES)
        if batch.place == batch.start:
            self._succeeded()
            return False
        if batch.events:
            await self._hand_over(batch.events, batch.place)
        else:
            await self._remove(batch)
            await self._db.write(_KERNEL, verbs.move, batch.place)
        self._succeeded()
        return True

    async def caught_up(self, timeout_s: float) -> bool:
        """Wait until everything is handed over that was in the log at the beginning; return whether it is."""
        target = await self._db.read(_KERNEL, queries.get_last)
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while True:
            moved = self._moved
            place = await self._db.read(_KERNEL, queries.get_place)
            if place.event_seq >= target.event_seq and place.removal_seq >= target.removal_seq:
                return True
            left = until - loop.time()
            if left <= 0:
                return False
            try:
                async with asyncio.timeout(left):
                    await moved.wait()
            except TimeoutError:
                return False

    async def replay(self, workspace: WorkspaceId) -> int:
        """Hand over again what the service refused; return how much it took this time."""
        taken = after = 0
        while events := await self._db.read(
            _KERNEL, queries.list_aside_events, workspace, after=after, most=REPLAYED_AT_ONCE
        ):
            for event in events:
                after = event.position
                try:
                    await self._receiver.ingest([event])
                except MemroosError as error:
                    if error.kind not in _REFUSALS:
                        raise
                    continue
                await self._db.write(_KERNEL, verbs.take_back, after)
                taken += 1
        return taken

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _greet(self) -> None:
        """Ask how far the service is: with an older database it gets again what it no longer has."""
        position = await self._receiver.position()
        place = await self._db.read(_KERNEL, queries.get_place)
        if position < place.event_seq:
            _log.warning("the memory service knows less than it did", position=position, handed_over=place.event_seq)
            await self._db.write(_KERNEL, verbs.go_back, position)

    async def _hand_over(self, events: list[IngestEvent], place: Place) -> None:
        try:
            await self._receiver.ingest(events)
        except MemroosError as error:
            if error.kind not in _REFUSALS and not self._breaks_on_it(error):
                raise
            await self._hand_over_in_parts(events, place, error)
        else:
            self._breaking = 0
            await self._db.write(_KERNEL, verbs.move, place)

    def _breaks_on_it(self, error: MemroosError) -> bool:
        """Whether the service has failed so often at this place that it is the events and not the service."""
        often = self._failures >= BREAKS_MAX and self._breaking < BREAKING_MOST
        return often and error.facts.get("answered") == _BROKE

    async def _hand_over_in_parts(self, events: list[IngestEvent], place: Place, error: MemroosError) -> None:
        """Find the event that the service refuses, so that the others do not wait for it."""
        if len(events) == 1:
            _log.error("the memory service refused an event", event_id=events[0].event.id, problem=error.slug())
            self._breaking += error.kind not in _REFUSALS
            workspace = events[0].event.workspace_id
            await self._db.write(
                _KERNEL, verbs.put_aside, events[0].position, workspace, f"{error.slug()}: {error.detail}", place
            )
            return
        half = len(events) // 2
        first, rest = events[:half], events[half:]
        await self._hand_over(first, Place(first[-1].position, place.removal_seq))
        await self._hand_over(rest, place)

    async def _remove(self, batch: Batch) -> None:
        events = [_removal(row) for row in batch.removals if not _is_item(row)]
        if events:
            await self._settled(self._receiver.remove(events))
        for row in filter(_is_item, batch.removals):
            viewer = Viewer(WorkspaceId(row.workspace_id), row.reader, row.actor)
            await self._settled(self._receiver.delete_item(viewer, row.target_id, row.reason, row.id))

    async def _settled(self, removal: Awaitable[None]) -> None:
        """Bring a removal; one that the service refuses holds nothing up: the kernel hides what it was about."""
        try:
            await removal
        except (NotFound, ItemGone):  # it was brought before, or is gone with what it rested on
            return
        except MemroosError as error:
            if error.kind not in _REFUSALS:
                raise
            _log.error("the memory service refused a removal", problem=error.slug(), detail=error.detail)

    def _succeeded(self) -> None:
        if self._since is not None:
            _log.info("the memory service is back", failures=self._failures)
        self._greeted = True
        self._failures = 0
        self._error = ""
        self._since = None
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _failed(self, reason: str) -> None:
        if self._since is None:
            self._since = self._db.clock.now()
            _log.warning("memories wait for the memory service", reason=reason)
        self._greeted = False
        self._failures += 1
        self._error = reason

    def _pause_s(self) -> float:
        most: float = min(PAUSE_MAX_S, PAUSE_S * 2 ** min(self._failures - 1, 16))
        return most * (0.5 + self._dice() / 2)


def _is_item(row: RemovalRow) -> bool:
    return not ids.is_event(row.target_id)


def _removal(row: RemovalRow) -> Removal:
    return Removal(row.target_id, WorkspaceId(row.workspace_id), row.actor, row.after_seq, row.reason, row.id)


def _call(loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
    """Call on the loop from the writer's thread; a loop that has ended needs no waking."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(wake)

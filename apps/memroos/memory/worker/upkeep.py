"""Tidies up: finds out what became of changes that a crash interrupted, and forgets old traces."""

from datetime import timedelta
from typing import Protocol

import structlog

from memroos.memory.service import effects, traces
from memroos.memory.service.effects import Effect
from memroos.memory.service.writing import Event
from memroos_contracts.audit import Outcome
from memroos_contracts.errors import MemroosError, NotFound
from memroos_contracts.identity import service_actor
from memroos_contracts.memory_errors import ItemGone
from memroos_contracts.memory_items import VersionView, Viewer
from memroos_kit.clock import to_micros
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

EVERY_S = 60.0
LEFT_AFTER = timedelta(minutes=5)
"""Longer than any change takes to be answered: what has no outcome by then was interrupted."""

GIVEN_UP_AFTER = timedelta(days=1)

_TELLING = frozenset((Event.UPDATED.value, Event.SUPERSEDED.value))
"""Changes that leave their operation in the history of the item."""

_KERNEL = service_actor("kernel")
_log = structlog.get_logger(__name__)


class Histories(Protocol):
    """What is asked of the memory service."""

    async def get_history(self, viewer: Viewer, item_id: str) -> list[VersionView]:
        """Return an item's versions."""
        ...


async def reconcile(db: Database, store: Histories, *, left_after: timedelta = LEFT_AFTER) -> int:
    """Put an outcome on record for each change that has none; return for how many. May be repeated.

    Where the memory service tells that it made a change, that is the outcome; where it shows that it did not, the
    change failed; where nothing can be told, it stays unknown.

    Raises:
        MemroosError: the service is away; the next round asks again, for a day.
    """
    now = db.clock.now()
    given_up = await db.read(_KERNEL, effects.list_left, to_micros(now - GIVEN_UP_AFTER))
    for effect in given_up:
        await db.write(effect.actor, effects.settle, effect, Outcome.UNKNOWN, {"reconciled": True})
    left = await db.read(_KERNEL, effects.list_left, to_micros(now - left_after))
    for effect in left:
        outcome = await _outcome(store, effect)
        await db.write(effect.actor, effects.settle, effect, outcome, {"reconciled": True})
    return len(given_up) + len(left)


async def run(db: Database, store: Histories | None, stopping: Stopping, *, trace_days: float) -> None:
    """Tidy up every minute until the process ends."""
    while not stopping.is_set():
        try:
            if store is not None:
                await stopping.first(reconcile(db, store))
            while await db.write(_KERNEL, traces.forget_traces, db.clock.now() - timedelta(days=trace_days)):
                pass
        except MemroosError as error:  # the service is away, the disk full: the next minute tries again
            _log.debug("memory not tidied up", problem=error.slug())
        await stopping.first(stopping.wait(), timeout_s=EVERY_S)


async def _outcome(store: Histories, effect: Effect) -> Outcome:
    if effect.event not in _TELLING:
        return Outcome.UNKNOWN
    viewer = Viewer(effect.actor.workspace, effect.reader, effect.actor.principal)
    try:
        versions = await store.get_history(viewer, effect.asset.id)
    except (NotFound, ItemGone):
        return Outcome.UNKNOWN
    return Outcome.OK if any(version.operation == effect.id for version in versions) else Outcome.FAILED

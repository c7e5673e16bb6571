"""Keeps the event log at its length: what is older than the retention goes, a little at a time."""

from datetime import timedelta

import structlog

from memroos.events.service import expire
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import service_actor
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

CHUNK = 500
"""Events that one transaction deletes: a few milliseconds of the writer's time."""

EVERY_S = 60.0

_KERNEL = service_actor("kernel")
_log = structlog.get_logger(__name__)


async def step(db: Database, retention: timedelta) -> int:
    """Delete everything that is old enough, and return how much; may be repeated at any time."""
    deleted = 0
    while (count := await db.write(_KERNEL, expire, older_than=retention, limit=CHUNK)) == CHUNK:
        deleted += count
    return deleted + count


async def run(db: Database, stopping: Stopping, *, retention: timedelta, every_s: float = EVERY_S) -> None:
    """Delete old events every minute until the process ends."""
    while not stopping.is_set():
        try:
            if deleted := await step(db, retention):
                _log.info("old events deleted", events=deleted)
        except MemroosError as error:  # a full disk or a full queue: the next minute tries again
            _log.warning("old events not deleted", error=error.slug())
        await stopping.first(stopping.wait(), timeout_s=every_s)

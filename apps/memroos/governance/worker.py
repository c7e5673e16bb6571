"""Ends approvals that nobody answered in time, so that who waits for them goes on."""

from datetime import datetime, timedelta

import structlog

from memroos.governance import queries, service
from memroos.governance.gate import Gate
from memroos_contracts.identity import Actor, ApprovalId, service_actor
from memroos_kit.db import Database, Read
from memroos_kit.stopping import Stopping

KERNEL = service_actor("kernel")
EXPIRE_AT_ONCE = 100
LONGEST_PAUSE_S = 60.0
SHORTEST_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


async def expire_due(db: Database, gate: Gate, actor: Actor) -> int:
    """End the approvals whose time is over, each in a transaction of its own; return how many.

    May be repeated. One that cannot be ended is logged and tried again in the next step; it does not stop the others.
    """
    ended = 0
    for workspace, approval_id in await db.read(actor, queries.list_due, limit=EXPIRE_AT_ONCE):
        ended += await _expire(db, gate, service_actor(actor.id, workspace), approval_id)
    return ended


async def run(db: Database, gate: Gate, stop: Stopping) -> None:
    """Expire approvals when they are due, until the process ends."""
    while not stop.is_set():
        try:
            await expire_due(db, gate, KERNEL)
            next_due, now = await db.read(KERNEL, _next_due)
            pause = pause_s(next_due, now, gate.terms.approval_ttl)
        except Exception:  # noqa: BLE001 - the loop outlives a full disk or an overload; the next step tries again
            _log.exception("approvals not looked at")
            pause = SHORTEST_PAUSE_S
        await stop.first(stop.wait(), timeout_s=pause)


def pause_s(next_due: datetime | None, now: datetime, approval_ttl: timedelta) -> float:
    """Return how long the loop may sleep: until the next one is due, and never longer than a new one could live."""
    longest = min(LONGEST_PAUSE_S, approval_ttl.total_seconds())
    wanted = longest if next_due is None else (next_due - now).total_seconds()
    return max(SHORTEST_PAUSE_S, min(longest, wanted))


async def _expire(db: Database, gate: Gate, actor: Actor, approval_id: ApprovalId) -> int:
    try:
        return int(await db.write(actor, service.expire, approval_id, gate=gate))
    except Exception:  # noqa: BLE001 - the worker's loop: a resumer that fails must not keep the others waiting
        _log.exception("approval could not be ended", approval=approval_id)
        return 0


def _next_due(tx: Read) -> tuple[datetime | None, datetime]:
    return queries.find_next_due(tx), tx.now

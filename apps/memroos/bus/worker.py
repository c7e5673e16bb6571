"""Gives back what dead receivers held, also while nobody asks for it."""

from datetime import timedelta

import structlog

from memroos.bus import queries, rules, service
from memroos_contracts.identity import service_actor
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

LONGEST_REST = timedelta(seconds=5)
"""A lease that begins while the worker rests may end this much late; a receiver that asks sees it at once anyway."""

KEEP_SETTLED = timedelta(days=7)
"""How long settled messages stay, for their read receipts and for sends that are repeated."""

_KERNEL = service_actor("kernel")
_log = structlog.get_logger(__name__)


async def recover(db: Database) -> timedelta:
    """Do what is due in every workspace; return how long there is nothing to do."""
    for workspace in await db.read(_KERNEL, queries.due_workspaces):
        await db.write(service_actor("kernel", workspace), service.recover_expired)
    due = await db.read(_KERNEL, queries.next_due)
    return rules.rest_until(due, now=db.clock.now(), longest=LONGEST_REST)


async def recover_forever(db: Database, stopping: Stopping) -> None:
    """Recover until told to stop; forget old messages on the way."""
    while not stopping.is_set():
        try:
            rest = await recover(db)
            await db.write(_KERNEL, service.forget_settled, db.clock.now() - KEEP_SETTLED)
        except Exception:  # noqa: BLE001 - the loop outlives a full disk; what is due stays due
            _log.exception("recovering inboxes failed")
            rest = LONGEST_REST
        await stopping.first(stopping.wait(), timeout_s=rest.total_seconds())

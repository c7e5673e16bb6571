"""Signs what no head covers yet, so that nothing stays unsigned for long on a quiet system."""

import structlog

from memroos.audit.service import Ledger, seal
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import service_actor
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

_KERNEL = service_actor("kernel")
_log = structlog.get_logger(__name__)


async def step(db: Database, ledger: Ledger) -> bool:
    """Sign a head if there are events without one; return whether it tried. May be repeated at any time."""
    if not ledger.unsealed:
        return False
    await db.write(_KERNEL, seal)
    return True


async def run(db: Database, ledger: Ledger, stopping: Stopping, *, every_s: float = 1.0) -> None:
    """Sign at least once in a while as long as there is something to sign, and a last time at the end."""
    while True:
        last = stopping.is_set()
        try:
            await step(db, ledger)
        except MemroosError as error:  # a full disk or a full queue: the next time tries again
            _log.warning("ledger not sealed", error=error.slug())
        if last:
            return
        await stopping.first(stopping.wait(), timeout_s=every_s)

"""Waiting until nothing is in line."""

import asyncio

from memroos_contracts.memory_items import Viewer
from memroos_contracts.memory_work import JobCounts, WaitReport, WaitRequest
from memroos_kit.db import Database, Read
from memroos_kit.stopping import Stopping
from memroos_memory import items, jobs
from memroos_memory.actor import SERVICE

LONGEST_PAUSE_S = 1.0
"""Without a ring of the bell it is looked at again after this."""

SHORTEST_PAUSE_S = 0.02


async def wait_idle(
    db: Database, bell: jobs.Bell, viewer: Viewer, request: WaitRequest, *, stopping: Stopping
) -> WaitReport:
    """Wait until no job of what the viewer may see waits or runs; also for those that rest before they are tried again.

    Raises:
        NotFound: the viewer may not see the scope.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + request.wait_s
    rung = asyncio.Event()
    with bell.calling(lambda: loop.call_soon_threadsafe(rung.set)):
        while True:
            rung.clear()
            found = await db.read(SERVICE, _counts, viewer, request.scope_id)
            left = until - loop.time()
            if not (found.waiting or found.running) or left <= 0 or stopping.is_set():
                return WaitReport(idle=not (found.waiting or found.running), jobs=found)
            await stopping.first(stopping.wait(), timeout_s=min(left, SHORTEST_PAUSE_S))
            await stopping.first(rung.wait(), timeout_s=max(0.0, min(until - loop.time(), LONGEST_PAUSE_S)))


def _counts(tx: Read, viewer: Viewer, scope_id: str | None) -> JobCounts:
    if scope_id is None:
        return jobs.counts_of(tx, viewer)
    return jobs.counts(tx, [items.scope_seq_of(tx, viewer, scope_id)])

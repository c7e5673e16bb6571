"""What time, dead letters and the retirement of an agent do to tasks."""

from collections.abc import Awaitable

import structlog

from memroos.broker import queries, service
from memroos.broker.worker.waiting import wait_any
from memroos_contracts.identity import TaskId, service_actor
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

_log = structlog.get_logger(__name__)

SWEEP_MOST = 1_000

SWEEP_S = 5.0
"""How often deadlines are looked at, in seconds."""


async def sweep(db: Database, stop: Stopping) -> None:
    """Fail what is overdue and what the inbox has given up, until told to stop."""
    while not stop.is_set():
        try:
            await sweep_step(db)
        except Exception:  # noqa: BLE001 - the loop outlives a full disk; what is due stays due
            _log.exception("sweeping tasks failed")
        await wait_any(stop, timeout_s=SWEEP_S)


async def sweep_step(db: Database) -> int:
    """Look once at deadlines, dead letters and retired agents in all workspaces; returns how many tasks were due."""
    kernel = service_actor("kernel")
    overdue = await db.read(kernel, queries.list_overdue, most=SWEEP_MOST)
    for workspace, task_id in overdue:
        await _end(task_id, db.write(service_actor("kernel", workspace), service.fail_overdue, task_id))
    dead = await db.read(kernel, queries.list_dead_open_tasks, most=SWEEP_MOST)
    for letter in dead:
        actor = service_actor("kernel", letter.workspace_id)
        await _end(letter.task_id, db.write(actor, service.fail_dead_letter, letter.task_id, letter.reason))
    return len(overdue) + len(dead) + await _end_left_behind(db)


async def _end_left_behind(db: Database) -> int:
    """Fail what agents that were retired will never finish."""
    ended = 0
    for workspace, agent_id in await db.read(service_actor("kernel"), queries.list_loaded_agents):
        actor = service_actor("kernel", workspace)
        for task_id in db.read_inline(actor, queries.list_left_behind, agent_id, most=SWEEP_MOST):
            ended += 1
            await _end(task_id, db.write(actor, service.fail_left_behind, task_id))
    return ended


async def _end(task_id: TaskId, ending: Awaitable[None]) -> None:
    """Wait for one task's end; one that cannot be ended now keeps no other from ending."""
    try:
        await ending
    except Exception:  # noqa: BLE001 - it stays due, and the log says why
        _log.exception("task not ended", task=task_id)

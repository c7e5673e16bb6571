"""Looks back at each task that ended: did what its agent was reminded of come back in what it said?"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Protocol

import structlog

from memroos.memory.queries.traces import list_reminded, list_workspaces_of
from memroos_contracts.identity import WorkspaceId, service_actor
from memroos_kit.clock import to_micros
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

ENDED = frozenset(("task.completed", "task.failed", "task.canceled", "task.rejected"))
WAITING_MAX = 10_000
"""More than this are looked at after the next start."""
AFTER_START = timedelta(days=1)
"""How old a reminder may be that is looked at again after a start, which may have cut a look short."""

_KERNEL = service_actor("kernel")
_log = structlog.get_logger(__name__)


class LooksBack(Protocol):
    """What is called for each task."""

    def look_back(self, workspace: WorkspaceId, task_id: str) -> Awaitable[int]:
        """Note which reminders were used."""
        ...


class LookingBack:
    """The loop; `heard` is told every event."""

    def __init__(self, db: Database, reminders: LooksBack) -> None:
        self._db = db
        self._reminders = reminders
        self._waiting: dict[str, None] = {}
        self._rung = asyncio.Event()

    def heard(self, event: str, subject: str) -> None:
        """Remember a task that has ended."""
        if event in ENDED and len(self._waiting) < WAITING_MAX:
            self._waiting[subject] = None
            self._rung.set()

    async def run(self, stop: Stopping) -> None:
        """Look back until the process ends."""
        await self._guarded(self._load())
        while not stop.is_set():
            self._rung.clear()
            await stop.first(self._guarded(self.step()))
            await stop.first(self._rung.wait())

    async def step(self) -> None:
        """Look back at every task that waits."""
        while self._waiting:
            task_id = next(iter(self._waiting))
            del self._waiting[task_id]
            for workspace in await self._db.read(_KERNEL, list_workspaces_of, task_id):
                await self._reminders.look_back(workspace, task_id)

    async def _load(self) -> None:
        since = to_micros(self._db.clock.now() - AFTER_START)
        for task_id in await self._db.read(_KERNEL, list_reminded, since):
            self._waiting[task_id] = None

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - the loop: that a reminder was used is nothing a process ends for
            _log.exception("reminders not looked back at")

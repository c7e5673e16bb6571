"""Deliveries to remote A2A agents: which message goes next, and that everything open is followed to its end.

At least once towards an agent: what was on its way when the kernel stopped is looked for there before it is sent again.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from memroos import events
from memroos.broker import queries
from memroos.broker.queries import Outgoing, RemoteEnd
from memroos.broker.tails import Tasks
from memroos.broker.worker.errand import Errand
from memroos.broker.worker.line import Line, Office, Remind, Terms
from memroos.broker.worker.waiting import wait_any
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import AgentId, DeliveryId, TaskId, WorkspaceId, service_actor
from memroos_kit.db import Database
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer
from memroos_kit.stopping import Stopping

_log = structlog.get_logger(__name__)

KERNEL = service_actor("kernel")
SWEEP_S = 10.0
"""How often what waits is looked for without a word of it, in seconds."""
PAGE = 1_000

_NEWS = frozenset({"task.submitted", "task.message_added"})
_ENDS = frozenset({"task.canceled", "task.failed", "task.rejected", "task.completed"})


class RemoteDeliveries:
    """Brings tasks to remote agents and what they say back into the tasks' logs.

    An agent runs as many tasks at a time as it is registered for; those that wait for somebody do not count. The
    others wait in order.

    Args:
        guard: decides where connections may lead.
        sealer: opens the agents' credentials.
        terms: how long, how often, how much.
        remind: says what an agent is reminded of when it gets a task.
    """

    def __init__(  # noqa: PLR0913 - what it reads, where it sends, and how
        self,
        db: Database,
        tasks: Tasks,
        notifier: events.Notifier,
        guard: Guard,
        sealer: Sealer,
        *,
        terms: Terms,
        remind: Remind | None = None,
    ) -> None:
        self._db = db
        self._notifier = notifier
        self._office = Office(db, tasks, guard, sealer, Stopping(), terms, remind)
        self._lines: dict[AgentId, Line] = {}
        self._errands: dict[TaskId, Errand] = {}
        self._queued: set[DeliveryId] = set()
        self._news: set[TaskId] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    async def run(self, stop: Stopping) -> None:
        """Work until told to stop; what is open then goes on at the next start."""
        self._office.stopping = stop
        self._notifier.tap(self._heard)
        async with asyncio.TaskGroup() as group:
            doubt, next_sweep = True, 0.0
            while not stop.is_set():
                self._wake.clear()
                now = asyncio.get_running_loop().time()
                try:
                    if now >= next_sweep:
                        await self._sweep(group, doubt=doubt)
                        doubt, next_sweep = False, now + SWEEP_S
                    self._step(group)
                except Exception:  # noqa: BLE001 - the loop outlives a failing disk; what waits is found again
                    _log.exception("looking for remote deliveries failed")
                    next_sweep = now + 1.0
                await wait_any(self._wake, stop, timeout_s=max(0.05, next_sweep - now))
            for running in self._running:
                running.cancel()
        for line in self._lines.values():
            await line.close()

    def _heard(self, event: str, subject: str) -> None:
        if event in _NEWS:
            task = self._office.tasks.peek(TaskId(subject))
            # What is not a remote agent's counts as accepted from the start.
            if task is None or event == "task.message_added" or not task.accepted_generation:
                self._tell(TaskId(subject))
        elif event in _ENDS:
            errand = self._errands.get(TaskId(subject))
            if errand is not None:
                errand.ended()
            elif event != "task.completed":
                self._tell(TaskId(subject))
        elif subject in self._lines:
            self._lines[AgentId(subject)].forget()

    def _tell(self, task_id: TaskId) -> None:
        self._news.add(task_id)
        self._wake.set()

    async def _sweep(self, group: asyncio.TaskGroup, *, doubt: bool) -> None:
        """Find everything that waits or is open, of all workspaces."""
        after = ""
        while rows := await self._db.read(KERNEL, queries.list_remote_ends, after=after, most=PAGE):
            for end in rows:
                self._resume(group, end, doubt=doubt)
            after = rows[-1].task_id
        after = ""
        while items := await self._db.read(KERNEL, queries.list_outgoing, after=after, most=PAGE):
            for item in items:
                self._enqueue(group, item, doubt=doubt)
            after = items[-1].id

    def _step(self, group: asyncio.TaskGroup) -> None:
        """Look at what is new, and start what there is room for."""
        news, self._news = self._news, set()
        for task_id in news:
            for item in self._db.read_inline(KERNEL, queries.list_outgoing_of, task_id):
                self._enqueue(group, item, doubt=False)
            if task_id not in self._errands:
                end = self._db.read_inline(KERNEL, queries.find_remote_end, task_id)
                if end is not None and end.state == "canceling":
                    self._resume(group, end, doubt=False)
        for line in self._lines.values():
            self._start(group, line)

    def _resume(self, group: asyncio.TaskGroup, end: RemoteEnd, *, doubt: bool) -> None:
        """Follow, or cancel, what an agent has in its hands."""
        if end.task_id in self._errands:
            return
        line = self._line(end.agent_id, end.workspace_id)
        if end.state == "following":
            line.running.add(end.task_id)
        self._begin(group, line, end.task_id, end.workspace_id, doubt=doubt)

    def _enqueue(self, group: asyncio.TaskGroup, item: Outgoing, *, doubt: bool) -> None:
        if item.id in self._queued:
            return
        self._queued.add(item.id)
        line = self._line(item.agent_id, item.workspace_id)
        errand = self._errands.get(item.task_id)
        if errand is not None and errand.streaming and item.task_id in line.running:
            self._spawn(group, self._beside(errand, item))
        elif errand is not None and item.task_id in line.running:
            errand.grant(item, doubt=doubt)
        else:
            if doubt:
                line.doubtful.add(item.id)
            line.queue.append(item)

    def _start(self, group: asyncio.TaskGroup, line: Line) -> None:
        """Let the next messages out, as far as their agent has room."""
        if not line.queue:
            return
        try:
            room = line.room()
        except MemroosError:
            room = len(line.queue)  # the agent is gone: each of its tasks finds that out, and ends
        while room > 0 and line.queue:
            item = line.queue.popleft()
            room -= item.task_id not in line.running
            line.running.add(item.task_id)
            errand = self._errands.get(item.task_id)
            if errand is None:
                fresh = item.generation == 1 and item.id not in line.doubtful
                errand = self._begin(group, line, item.task_id, item.workspace_id, doubt=False)
                errand.fresh = fresh
            if errand.streaming:  # a task that waits for authorization gave its place away and kept its stream
                self._spawn(group, self._beside(errand, item))
            else:
                errand.grant(item, doubt=item.id in line.doubtful)
            line.doubtful.discard(item.id)

    def _begin(
        self,
        group: asyncio.TaskGroup,
        line: Line,
        task_id: TaskId,
        workspace: WorkspaceId,
        *,
        doubt: bool,
    ) -> Errand:
        errand = Errand(self._office, line, workspace, task_id, doubt=doubt, free=self._wake.set)
        self._errands[task_id] = errand
        self._spawn(group, self._run(errand, line))
        return errand

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        running = group.create_task(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _run(self, errand: Errand, line: Line) -> None:
        try:
            await errand.run()
        except Exception:  # noqa: BLE001 - whatever broke, the rows are still there; the next sweep goes on with it
            _log.exception("remote task postponed", task=errand.task_id)
        finally:
            del self._errands[errand.task_id]
            line.running.discard(errand.task_id)
            self._queued -= errand.granted
            self._wake.set()  # there is room again, perhaps for the next message of the same task

    async def _beside(self, errand: Errand, item: Outgoing) -> None:
        errand.granted.add(item.id)  # it is remembered as on its way until the errand ends, and no longer
        try:
            await errand.beside(item)
        except Exception:  # noqa: BLE001 - the row is still there; the next sweep goes on with it
            _log.exception("message postponed", task=item.task_id)
            self._queued.discard(item.id)

    def _line(self, agent_id: AgentId, workspace: WorkspaceId) -> Line:
        if agent_id not in self._lines:
            self._lines[agent_id] = Line(self._office, agent_id, service_actor("kernel", workspace))
        return self._lines[agent_id]

"""The loops of the broker: deliveries to agents inside the process, and what time and dead letters do to tasks.

At least once: a delivery stays in the table until its agent has reached a final or interrupted state, so a crash runs
it again; reports to a task that has ended are dropped.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import structlog

from memroos import events
from memroos.broker import queries, rules, service
from memroos.broker.queries import WaitingDelivery
from memroos_contracts.broker import LocalAgent, Part, Report, TaskState, Work
from memroos_contracts.errors import MemroosError
from memroos_contracts.events import EventView
from memroos_contracts.identity import TaskId, WorkspaceId, service_actor
from memroos_kit.db import Database

_log = structlog.get_logger(__name__)

ATTEMPTS = 3
"""A local agent that takes the process down with it is not run for ever."""

SWEEP_S = 5.0
"""How often deadlines are looked at, in seconds."""


class LocalDeliveries:
    """Runs agents inside the process on what waits for them.

    Args:
        agents: by name; a message to a name that is not here fails its task.
        concurrency: how many run at once.
    """

    def __init__(
        self,
        db: Database,
        notifier: events.Notifier,
        agents: Mapping[str, LocalAgent],
        *,
        concurrency: int = 256,
    ) -> None:
        self._db = db
        self._notifier = notifier
        self._agents = agents
        self._concurrency = concurrency
        self._running: dict[TaskId, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; what runs then is run again at the next start."""
        await self._db.write(service_actor("kernel"), service.count_restart)
        self._notifier.watch(("task.",), self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                while not stop.is_set():
                    self._wake.clear()
                    self.step(group)
                    await wait_any(self._wake, stop, timeout_s=SWEEP_S)
                for running in self._running.values():
                    running.cancel()
        finally:
            self._notifier.unwatch(self._heard)

    def step(self, group: asyncio.TaskGroup) -> None:
        """Start what is due and not running, as far as there is room."""
        room = self._concurrency - len(self._running)
        if room <= 0:
            return
        for item in self._db.read_inline(service_actor("kernel"), queries.list_waiting, most=2 * self._concurrency):
            if room > 0 and item.task_id not in self._running:
                room -= 1
                self._running[item.task_id] = group.create_task(self._deliver(item), name=f"deliver {item.id}")

    def _heard(self, event: EventView) -> None:
        running = self._running.get(TaskId(event.subject))
        if running is None:
            self._wake.set()
        elif event.type in {"task.canceled", "task.failed", "task.rejected"}:
            running.cancel()

    async def _deliver(self, item: WaitingDelivery) -> None:
        actor = service_actor("kernel", item.workspace_id)
        try:
            work = self._db.read_inline(actor, queries.find_work, item)
            await self._report(item, self._run(item, work) if work is not None else _nothing())
        except MemroosError as error:
            # The row is still there; it comes up again with the next sweep.
            _log.warning("local delivery postponed", delivery=item.id, task=item.task_id, problem=error.slug())
        finally:
            del self._running[item.task_id]
            self._wake.set()

    async def _run(self, item: WaitingDelivery, work: Work) -> AsyncIterator[Report]:
        """Yield what the agent says, and a failure where it leaves its task without a result."""
        agent = self._agents.get(work.task.agent)
        if agent is None:
            yield _failure(f"No agent named {work.task.agent} runs in this kernel.")
            return
        if item.attempts >= ATTEMPTS:
            yield _failure(f"Given up: the kernel stopped {item.attempts} times while {work.task.agent} worked on it.")
            return
        try:
            async for report in agent.run(work):
                yield report
                if report.state is not None and rules.waits_for_caller(report.state):
                    return
        except Exception:  # noqa: BLE001 - whatever an agent does wrong ends its task, not the kernel
            _log.exception("local agent failed", agent=work.task.agent, task=item.task_id)
        yield _failure(f"{work.task.agent} ended without a result.")

    async def _report(self, item: WaitingDelivery, reports: AsyncIterator[Report]) -> None:
        """Write reports as they come; those that come while others are being written go together."""
        actor = service_actor("kernel", item.workspace_id)
        waiting: list[Report] = []

        async def write() -> None:
            while waiting:
                batch = waiting[:]
                waiting.clear()
                await self._db.write(actor, service.report_local, item.id, item.task_id, batch)

        async with asyncio.TaskGroup() as group:
            writing: asyncio.Task[None] | None = None
            async for report in reports:
                waiting.append(report)
                if writing is None or writing.done():
                    # It starts when this loop next waits, so an agent that answers at once is written in one piece.
                    writing = group.create_task(write())
        if writing is None:
            await self._db.write(actor, service.drop_local, item.id)


async def sweep(db: Database, stop: asyncio.Event, workspaces: Callable[[], Sequence[WorkspaceId]]) -> None:
    """Fail what is overdue and what the inbox has given up, until told to stop."""
    while not stop.is_set():
        for workspace in workspaces():
            await sweep_step(db, workspace)
        await wait_any(stop, timeout_s=SWEEP_S)


async def sweep_step(db: Database, workspace: WorkspaceId) -> int:
    """Look once at deadlines and dead letters of a workspace; returns how many tasks failed."""
    actor = service_actor("kernel", workspace)
    overdue = await db.write(actor, service.fail_overdue)
    return overdue + await db.write(actor, service.fail_dead_letters)


async def wait_any(*signals: asyncio.Event, timeout_s: float) -> None:
    """Wait until one of the signals is set, or the time is over."""
    waiters = [asyncio.ensure_future(signal.wait()) for signal in signals]
    try:
        await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()


async def _nothing() -> AsyncIterator[Report]:
    for report in ():
        yield report


def _failure(words: str) -> Report:
    return Report(state=TaskState.FAILED, parts=[Part(text=words)])

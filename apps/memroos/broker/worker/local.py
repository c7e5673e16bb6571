"""Deliveries to agents inside the process.

At least once: a delivery stays in the table until its agent has reached a final or interrupted state, so a crash runs
it again; reports to a task that has ended are dropped.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import structlog

from memroos import events, registry
from memroos.broker import queries, rules, service
from memroos.broker.queries import WaitingDelivery
from memroos.broker.tails import Tasks
from memroos.broker.worker.waiting import wait_any
from memroos_contracts.broker import LocalAgent, Part, Report, TaskState, Work
from memroos_contracts.errors import ErrorKind, MemroosError
from memroos_contracts.identity import AgentId, TaskId, service_actor
from memroos_contracts.registry import AgentState
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

_log = structlog.get_logger(__name__)

ATTEMPTS = 10
"""A local agent that takes the process down with it is not run for ever."""

REPORTS_AT_ONCE = 64
"""How many reports may wait to be written; an agent that is faster waits for the writer."""

SWEEP_S = 5.0
"""How often what waits is looked for without a word of it, in seconds."""

LOOK_AHEAD = 8
"""How many pages of waiting work are looked through for an agent that has room."""

_PASSING = frozenset({ErrorKind.LIMITED, ErrorKind.UNAVAILABLE, ErrorKind.STORAGE_FULL})
"""Errors after which the same report may succeed."""


class LocalDeliveries:
    """Runs agents inside the process on what waits for them, each on as much as it is registered for.

    An agent that is quarantined is given nothing until it is active again.

    Args:
        agents: by name; a message to a name that is not here fails its task.
        concurrency: how many run at once, of all agents together.
    """

    def __init__(
        self,
        db: Database,
        tasks: Tasks,
        notifier: events.Notifier,
        agents: Mapping[str, LocalAgent],
        *,
        concurrency: int = 256,
    ) -> None:
        self._db = db
        self._tasks = tasks
        self._notifier = notifier
        self._agents = agents
        self._concurrency = concurrency
        self._running: dict[TaskId, asyncio.Task[None]] = {}
        self._busy: Counter[AgentId] = Counter()
        self._places: dict[AgentId, int] = {}
        self._wake = asyncio.Event()

    async def run(self, stop: Stopping) -> None:
        """Work until told to stop; what runs then is run again at the next start."""
        try:
            await self._db.write(service_actor("kernel"), service.count_restart)
        except MemroosError as error:  # a full disk does not keep the kernel from starting
            _log.warning("restart not counted", problem=error.slug())
        self._notifier.tap(self._heard)
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                self._wake.clear()
                try:
                    self.step(group)
                except Exception:  # noqa: BLE001 - the loop outlives a failing disk; what waits is found again
                    _log.exception("looking for local deliveries failed")
                await wait_any(self._wake, stop, timeout_s=SWEEP_S)
            for running in self._running.values():
                running.cancel()

    def step(self, group: asyncio.TaskGroup) -> None:
        """Start what is due and not running, as far as there is room."""
        for item in self._waiting():
            if len(self._running) >= self._concurrency:
                return
            if item.task_id in self._running or self._busy[item.agent_id] >= self._places_of(item):
                continue
            self._busy[item.agent_id] += 1
            self._running[item.task_id] = group.create_task(self._deliver(item))

    def _waiting(self) -> Iterator[WaitingDelivery]:
        """Yield what is due, oldest first, as far as one looks ahead."""
        last: WaitingDelivery | None = None
        most = 2 * self._concurrency
        for _ in range(LOOK_AHEAD):
            page = self._db.read_inline(service_actor("kernel"), queries.list_waiting, after=last, most=most)
            yield from page
            if len(page) < most:
                return
            last = page[-1]

    def _places_of(self, item: WaitingDelivery) -> int:
        """Return how many tasks the agent of a delivery is given at a time."""
        if item.agent_id not in self._places:
            actor = service_actor("kernel", item.workspace_id)
            agent = self._db.read_inline(actor, registry.get_agent, item.agent_id)
            self._places[item.agent_id] = agent.max_concurrency if agent.state is AgentState.ACTIVE else 0
        return self._places[item.agent_id]

    def _heard(self, event: str, subject: str) -> None:
        if event.startswith("agent."):
            self._places.pop(AgentId(subject), None)
            self._wake.set()
        elif event in {"task.submitted", "task.message_added"}:
            self._wake.set()
        elif event in {"task.canceled", "task.failed", "task.rejected"}:
            running = self._running.get(TaskId(subject))
            if running is not None:
                running.cancel()

    async def _deliver(self, item: WaitingDelivery) -> None:
        actor = service_actor("kernel", item.workspace_id)
        postponed = False
        try:
            work = self._tasks.find_work(actor, item)
            if work is None:
                await self._db.write(actor, service.drop_local, item.id)
            else:
                await self._work(item, work)
        except Exception:  # noqa: BLE001 - whatever broke, the row is still there; the next sweep tries it again
            _log.exception("local delivery postponed", delivery=item.id, task=item.task_id)
            postponed = True
        finally:
            del self._running[item.task_id]
            self._busy[item.agent_id] -= 1
            if not postponed:
                self._wake.set()  # there is room again, perhaps for the next message of the same task

    async def _work(self, item: WaitingDelivery, work: Work) -> None:
        """Run the agent and write down what it says; what cannot be kept of it ends its task."""
        try:
            await self._report(item, self._run(item, work))
        except Exception as error:
            if isinstance(error, MemroosError) and error.kind in _PASSING:
                raise
            _log.exception("local agent's report refused", agent=work.task.agent, task=item.task_id)
            await self._report(item, _only(_failure(f"{work.task.agent} reported what cannot be kept.")))

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
            async with _closing(agent.run(work)) as reports:
                async for report in reports:
                    yield report
                    if report.state is not None and rules.waits_for_caller(report.state):
                        return
        except Exception:  # noqa: BLE001 - whatever an agent does wrong ends its task, not the kernel
            _log.exception("local agent failed", agent=work.task.agent, task=item.task_id)
        yield _failure(f"{work.task.agent} ended without a result.")

    async def _report(self, item: WaitingDelivery, reports: AsyncIterator[Report]) -> None:
        """Write reports as they come, in order; those that come while others are being written go together."""
        actor = service_actor("kernel", item.workspace_id)
        waiting: list[Report] = []
        writing: asyncio.Future[None] | None = None

        async def write() -> None:
            while waiting:
                batch = waiting[:]
                waiting.clear()
                await self._db.write(actor, service.report_local, item.id, item.task_id, batch)

        try:
            async for report in reports:
                waiting.append(report)
                if writing is not None and (writing.done() or len(waiting) >= REPORTS_AT_ONCE):
                    await writing  # what could not be written ends the delivery: what follows must not go on without it
                    writing = None
                if writing is None and waiting:
                    # It starts when this loop next waits, so an agent that answers at once is written in one piece.
                    writing = asyncio.ensure_future(write())
            if writing is not None:
                await writing
        finally:
            if writing is not None:
                await asyncio.wait([writing])  # what is on its way to the writer cannot be called back
                _ = writing.cancelled() or writing.exception()


async def _only(report: Report) -> AsyncIterator[Report]:
    yield report


@asynccontextmanager
async def _closing(reports: AsyncIterator[Report]) -> AsyncIterator[AsyncIterator[Report]]:
    """Let an agent clean up at once when nobody listens to it any more."""
    try:
        yield reports
    finally:
        if (close := getattr(reports, "aclose", None)) is not None:
            await close()


def _failure(words: str) -> Report:
    return Report(state=TaskState.FAILED, parts=[Part(text=words)])

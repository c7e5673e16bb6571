"""The broker's loops: agents inside the process that answer, hang or talk nonsense."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR
from tests.memroos.broker.conftest import House, text_of

from memroos import broker, events, registry
from memroos.broker import service, worker
from memroos_contracts.broker import Artifact, EventKind, Part, Report, TaskState, TaskView, Work
from memroos_contracts.errors import MemroosError, Overloaded, StorageFull
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentChange, AgentKind
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

DONE = Report(state=TaskState.COMPLETED)


class Scripted:
    """An agent inside the process that does what a test says, and counts how often it was asked."""

    def __init__(self, *reports: Report, pause: Callable[[], Awaitable[object]] | None = None) -> None:
        self.reports = reports
        self.pause = pause
        self.runs: list[Work] = []
        self.closed = 0

    async def run(self, work: Work) -> AsyncIterator[Report]:
        self.runs.append(work)
        try:
            for report in self.reports:
                if self.pause is not None:
                    await self.pause()
                yield report
        finally:
            self.closed += 1


class Bench:
    """One running `LocalDeliveries` and what a test waits for."""

    def __init__(self, house: House, notifier: events.Notifier) -> None:
        self.house = house
        self.notifier = notifier
        self.stopping = Stopping()

    async def until(self, task: TaskView, *states: TaskState, timeout_s: float = 5) -> TaskView:
        """Return a task once it is in one of these states."""
        async with asyncio.timeout(timeout_s):
            with self.notifier.listen(task.id) as listener:
                while (now := self.house.db.read_inline(KERNEL, broker.get_task, task.id)).state not in states:
                    await listener.next(1)
        return now


def ran(agent: Scripted, times: int) -> bool:
    return len(agent.runs) >= times


async def until(condition: Callable[[], object]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.002)


def on_bench(
    house: House,
    notifier: events.Notifier,
    agent: Any,
    story: Callable[[Bench], Awaitable[None]],
    **options: Any,
) -> None:
    """Run a story while local agents work."""

    async def run() -> None:
        bench = Bench(house, notifier)
        loop = asyncio.get_running_loop()
        house.db.attach(loop)
        notifier.attach(loop)
        tasks = broker.Tasks(house.db, broker.Tails())
        deliveries = broker.LocalDeliveries(house.db, tasks, notifier, {"local": agent}, **options)
        async with asyncio.TaskGroup() as group:
            group.create_task(deliveries.run(bench.stopping))
            try:
                await story(bench)
            finally:
                bench.stopping.set()
        assert not deliveries._running
        house.db.attach(None)
        notifier.attach(None)

    asyncio.run(run())


@pytest.fixture
def local(house: House) -> Actor:
    """An agent that lives in the kernel's process."""
    return house.register("local", AgentKind.LOCAL, max_concurrency=256)


def send(house: House, **words: Any) -> TaskView:
    return house.send(OPERATOR, **{"agent": "local"} | words)


# -- answering ---------------------------------------------------------------------------------------------------------


def test_the_echo_agent_answers_with_what_it_was_sent(house: House, notifier: events.Notifier, local: Actor) -> None:
    async def story(bench: Bench) -> None:
        task = send(house, text="hello")
        await bench.until(task, TaskState.COMPLETED)

    on_bench(house, notifier, broker.EchoAgent(), story)

    (item,) = house.db.read_now(OPERATOR, broker.list_tasks, broker.TaskFilter(), limit=1).items
    found = house.db.read_now(OPERATOR, broker.detail, item)
    assert found.artifacts is not None
    assert [a.parts for a in found.artifacts] == [[Part(text="hello")]]
    assert house.query("SELECT state FROM delivery") == [("done",)]


def test_an_agent_that_yields_slowly_is_followed_step_by_step(
    house: House, notifier: events.Notifier, local: Actor
) -> None:
    steps = asyncio.Semaphore(0)
    agent = Scripted(
        Report(state=TaskState.WORKING),
        Report(artifact=Artifact("a", [Part(text="1")])),
        Report(artifact=Artifact("a", [Part(text="2")]), append=True, last_chunk=True),
        DONE,
        pause=steps.acquire,
    )

    async def story(bench: Bench) -> None:
        task = send(house)
        generations = []
        for _ in range(4):
            steps.release()
            with notifier.listen(task.id) as listener:
                await listener.next(2)
            generations.append(house.db.read_inline(KERNEL, broker.get_task, task.id).generation)
        await bench.until(task, TaskState.COMPLETED)
        assert generations == [3, 4, 5, 6]

    on_bench(house, notifier, agent, story)


def test_an_agent_that_never_pauses_does_not_keep_the_others_waiting(
    house: House, notifier: events.Notifier, local: Actor
) -> None:
    endless = Scripted(*[Report(artifact=Artifact(f"a{n}", [Part(text="x")])) for n in range(2_000)], DONE)
    waited = 0

    async def story(bench: Bench) -> None:
        nonlocal waited
        task = send(house)
        async with asyncio.timeout(30):
            while house.db.read_inline(KERNEL, broker.get_task, task.id).state is not TaskState.COMPLETED:
                await asyncio.sleep(0.001)
                waited += 1

    on_bench(house, notifier, endless, story)

    assert waited > 5
    assert house.query("SELECT generation FROM task") == [(2_003,)]


def test_a_question_is_answered_inside_the_process_too(house: House, notifier: events.Notifier, local: Actor) -> None:
    class Asking:
        async def run(self, work: Work) -> AsyncIterator[Report]:
            if len(work.history) == 1:
                yield Report(state=TaskState.INPUT_REQUIRED, parts=[Part(text="which?")])
                raise AssertionError("nobody listens any more")
            yield Report(state=TaskState.COMPLETED, parts=work.message.parts)

    async def story(bench: Bench) -> None:
        task = send(house)
        await bench.until(task, TaskState.INPUT_REQUIRED)
        send(house, text="that one", task_id=task.id)
        done = await bench.until(task, TaskState.COMPLETED)
        assert done.status_message is not None
        assert done.status_message.parts == [Part(text="that one")]

    on_bench(house, notifier, Asking(), story)


def test_messages_of_one_task_are_worked_on_one_after_the_other(
    house: House, notifier: events.Notifier, local: Actor
) -> None:
    gate = asyncio.Semaphore(0)
    agent = Scripted(Report(state=TaskState.INPUT_REQUIRED, parts=[Part(text="next?")]), pause=gate.acquire)

    async def story(bench: Bench) -> None:
        task = send(house, text="one")
        for text in ("two", "three"):
            send(house, text=text, task_id=task.id)
        for expected in (1, 2, 3):
            await until(partial(ran, agent, expected))
            assert len(agent.runs) == expected
            gate.release()
        await until(lambda: not house.query("SELECT 1 FROM delivery WHERE state <> 'done'"))

    on_bench(house, notifier, agent, story)

    assert [broker.text_of(work.message.parts) for work in agent.runs] == ["one", "two", "three"]


def test_no_more_run_at_once_than_there_is_room(house: House, notifier: events.Notifier, local: Actor) -> None:
    running = most = 0

    class Counting:
        async def run(self, work: Work) -> AsyncIterator[Report]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.005)
            running -= 1
            yield DONE

    async def story(bench: Bench) -> None:
        for task in [send(house) for _ in range(7)]:
            await bench.until(task, TaskState.COMPLETED)

    on_bench(house, notifier, Counting(), story, concurrency=2)

    assert most == 2


def test_an_agent_is_given_as_many_as_it_is_registered_for_and_keeps_no_other_from_work(
    house: House, notifier: events.Notifier
) -> None:
    house.register("local", AgentKind.LOCAL, max_concurrency=2)
    gate = asyncio.Semaphore(0)
    agent = Scripted(DONE, pause=gate.acquire)

    async def story(bench: Bench) -> None:
        tasks = [send(house) for _ in range(5)]
        other = house.send(OPERATOR, agent=house.register("unheard-of", AgentKind.LOCAL).id)
        await bench.until(other, TaskState.FAILED)  # it has no code here, and did not have to wait for the five
        assert len(agent.runs) == 2
        await house.db.write(OPERATOR, registry.update_agent, "local", AgentChange(max_concurrency=4))
        await until(partial(ran, agent, 4))
        for _ in tasks:
            gate.release()
        for task in tasks:
            await bench.until(task, TaskState.COMPLETED)

    on_bench(house, notifier, agent, story, concurrency=8)

    assert [work.task.id for work in agent.runs] == sorted(work.task.id for work in agent.runs)  # in order


def test_a_quarantined_agent_is_given_nothing_until_it_is_active_again(
    house: House, notifier: events.Notifier, local: Actor
) -> None:
    agent = Scripted(DONE)
    waiting = send(house)
    house.db.write_now(OPERATOR, registry.quarantine_agent, "local", reason="odd answers")

    async def story(bench: Bench) -> None:
        other = house.send(OPERATOR, agent=house.register("unheard-of", AgentKind.LOCAL).id)
        await bench.until(other, TaskState.FAILED)
        assert house.see(waiting).state is TaskState.SUBMITTED
        await house.db.write(OPERATOR, registry.activate_agent, "local")
        await bench.until(waiting, TaskState.COMPLETED)

    on_bench(house, notifier, agent, story)


# -- agents that fail --------------------------------------------------------------------------------------------------


class Broken:
    """An agent that breaks in the middle."""

    async def run(self, work: Work) -> AsyncIterator[Report]:
        yield Report(state=TaskState.WORKING)
        raise RuntimeError("no such luck")


@pytest.mark.parametrize(
    "agent",
    [
        Broken(),
        Scripted(),
        Scripted(Report(state=TaskState.WORKING)),
        Scripted(Report()),
        Scripted(Report(artifact=Artifact("", []))),
        Scripted(Report(artifact=Artifact("a", [Part(data=object())])), DONE),
        Scripted(Report(state=TaskState.COMPLETED, parts=[Part(raw="not base 64!")])),
    ],
    ids=["breaks", "says nothing", "no end", "empty report", "empty artifact", "not JSON", "not base 64"],
)
def test_whatever_an_agent_does_wrong_ends_its_task_and_nothing_else(
    house: House, notifier: events.Notifier, local: Actor, agent: Any
) -> None:
    async def story(bench: Bench) -> None:
        failed = await bench.until(send(house), TaskState.FAILED)
        assert failed.status_message is not None
        await bench.until(send(house), TaskState.FAILED)  # the loop lives

    on_bench(house, notifier, agent, story)

    assert house.query("SELECT DISTINCT state FROM delivery") == [("done",)]


def test_a_message_for_an_agent_that_does_not_live_here_fails(
    house: House, notifier: events.Notifier, local: Actor
) -> None:
    house.register("absent", AgentKind.LOCAL)

    async def story(bench: Bench) -> None:
        failed = await bench.until(send(house, agent="absent"), TaskState.FAILED)
        assert "No agent named absent" in text_of(house.log(failed)[-1])

    on_bench(house, notifier, Scripted(DONE), story)


# -- stops and restarts ------------------------------------------------------------------------------------------------


def test_what_runs_when_the_kernel_stops_is_run_again_after_the_start(
    house: House, notifier: events.Notifier, local: Actor
) -> None:
    stuck = Scripted(DONE, pause=lambda: asyncio.Event().wait())
    task = send(house)

    async def until_it_runs(bench: Bench) -> None:
        await until(lambda: stuck.runs)

    async def until_it_is_done(bench: Bench) -> None:
        await bench.until(task, TaskState.COMPLETED)

    on_bench(house, notifier, stuck, until_it_runs)
    assert (house.see(task).state, stuck.closed) == (TaskState.SUBMITTED, 1)
    on_bench(house, notifier, Scripted(DONE), until_it_is_done)


def test_an_agent_that_takes_the_kernel_down_each_time_is_given_up(
    house: House, notifier: events.Notifier, local: Actor
) -> None:
    task = send(house)
    for _ in range(worker.ATTEMPTS - 1):  # each time a start, and a crash before the end
        house.db.write_now(KERNEL, service.count_restart)

    async def story(bench: Bench) -> None:
        failed = await bench.until(task, TaskState.FAILED)
        assert "Given up" in text_of(house.log(failed)[-1])

    agent = Scripted(DONE)
    on_bench(house, notifier, agent, story)

    assert agent.runs == []


@pytest.mark.parametrize("reason", ["cancel", "deadline"])
def test_a_task_that_ends_from_outside_stops_its_agent(
    house: House, notifier: events.Notifier, local: Actor, clock: ManualClock, reason: str
) -> None:
    agent = Scripted(DONE, pause=lambda: asyncio.Event().wait())

    async def story(bench: Bench) -> None:
        task = send(house)
        await until(lambda: agent.runs)
        if reason == "cancel":
            await house.db.write(OPERATOR, broker.cancel_task, task.id)
        else:
            clock.advance(days=8)
            await worker.sweep_step(house.db)
        await until(lambda: agent.closed)

    on_bench(house, notifier, agent, story)


def test_reports_after_the_end_are_dropped(house: House, local: Actor) -> None:
    task = send(house)
    house.db.write_now(OPERATOR, broker.cancel_task, task.id)

    after = house.db.write_now(KERNEL, service.report_local, waiting_id(house), task.id, [DONE])

    assert (after.state, len(house.log(task))) == (TaskState.CANCELED, 3)
    assert "task.report_dropped" in house.audited()


def waiting_id(house: House) -> Any:
    return house.query("SELECT id FROM delivery")[0][0]


# -- a store that fails ------------------------------------------------------------------------------------------------


class Failing:
    """A database whose writes of local reports fail as often as a test says."""

    def __init__(self, db: Database, error: Exception, *, times: int) -> None:
        self._db = db
        self._error = error
        self.left = times
        self.tried: list[list[Report]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def write(self, actor: Actor, verb: Any, *args: Any, **words: Any) -> Any:
        if verb is service.report_local:
            self.tried.append(args[2])
            if self.left:
                self.left -= 1
                await asyncio.sleep(0)
                raise self._error
        return await self._db.write(actor, verb, *args, **words)


@pytest.mark.parametrize("error", [Overloaded(), StorageFull()], ids=["overloaded", "full disk"])
def test_a_store_that_fails_for_a_while_leaves_the_work_where_it_was(
    house: House, notifier: events.Notifier, local: Actor, monkeypatch: pytest.MonkeyPatch, error: MemroosError
) -> None:
    monkeypatch.setattr(worker.local, "SWEEP_S", 0.05)
    failing = Failing(house.db, error, times=2)
    slow = Scripted(Report(artifact=Artifact("a", [Part(text="result")])), DONE, pause=lambda: asyncio.sleep(0.02))

    async def run() -> None:
        loop = asyncio.get_running_loop()
        house.db.attach(loop)
        notifier.attach(loop)
        tasks = broker.Tasks(house.db, broker.Tails())
        deliveries = broker.LocalDeliveries(failing, tasks, notifier, {"local": slow})  # type: ignore[arg-type]
        bench = Bench(house, notifier)
        async with asyncio.TaskGroup() as group:
            group.create_task(deliveries.run(bench.stopping))
            task = send(house)
            await bench.until(task, TaskState.COMPLETED)
            bench.stopping.set()
        house.db.attach(None)

        kinds = [event.kind for event in house.log(task)]
        assert kinds.count(EventKind.ARTIFACT) == 1  # an end never overtakes the result that was not written

    asyncio.run(run())

    assert len(slow.runs) == 3


def test_a_store_that_fails_is_not_asked_in_a_tight_loop(
    house: House, notifier: events.Notifier, local: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.local, "SWEEP_S", 0.05)
    failing = Failing(house.db, StorageFull(), times=1_000_000)

    async def run() -> None:
        house.db.attach(asyncio.get_running_loop())
        notifier.attach(asyncio.get_running_loop())
        stopping = Stopping()
        tasks = broker.Tasks(house.db, broker.Tails())
        deliveries = broker.LocalDeliveries(failing, tasks, notifier, {"local": Scripted(DONE)})  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            group.create_task(deliveries.run(stopping))
            send(house)
            await asyncio.sleep(0.5)
            stopping.set()
        house.db.attach(None)

    asyncio.run(run())

    assert 2 <= len(failing.tried) <= 12

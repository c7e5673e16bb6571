"""Following a task: nothing twice, nothing left out, whenever it begins and however it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER, agent_actor

from memroos import audit, broker, events, registry
from memroos.broker import rules, service
from memroos.governance import Gate, Policy
from memroos.web import streams
from memroos_contracts.broker import ClaimView, Message, MessageRole, Part, TaskEvent, TaskState, TaskView, WorkReport
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.clock import SystemClock
from memroos_kit.db import Database
from memroos_kit.ids import new_id
from memroos_kit.stopping import Stopping


class Line:
    """A database on a running loop, one agent, and readers of its tasks."""

    def __init__(self, db: Database, tails: broker.Tails, notifier: events.Notifier) -> None:
        self.db = db
        self.notifier = notifier
        self.tasks = broker.Tasks(db, tails)
        new = NewAgent(name="worker", kind=AgentKind.REST, state=AgentState.ACTIVE)
        self.worker = agent_actor(db.write_now(OPERATOR, registry.create_agent, new).id)

    def sending(self) -> broker.Send:
        message = Message(message_id=new_id("msg"), role=MessageRole.USER, parts=[Part(text="x")])
        return broker.Send(message=message, agent="worker")

    async def send(self) -> TaskView:
        return await self.db.write(OPERATOR, broker.send_message, self.sending())

    async def claim(self) -> ClaimView:
        claim = await self.db.write(self.worker, broker.claim_task, lease_s=60)
        assert claim is not None
        return claim

    async def say(self, claim: ClaimView, verb: Callable[..., TaskView] = broker.report_progress) -> TaskView:
        words = WorkReport(fencing_token=claim.fencing_token, parts=[Part(text="a word")])
        return await self.db.write(self.worker, verb, claim.task.id, words)

    def follow(
        self, task: TaskView, *, after: int = 0, ended: Stopping | None = None, until_input: bool = False
    ) -> AsyncIterator[TaskEvent | None]:
        return streams.follow(
            self.tasks,
            self.notifier,
            OPERATOR,
            task.id,
            after=after,
            ended=ended or Stopping(),
            until_input=until_input,
        )

    async def read(self, task: TaskView, *, after: int = 0, until_input: bool = False) -> list[int]:
        """Return the generations that a reader sees until its stream ends."""
        following = self.follow(task, after=after, until_input=until_input)
        return [entry.generation async for entry in following if entry is not None]


@pytest.fixture(params=[4096, 0], ids=["memory", "tables"])
def line(
    request: pytest.FixtureRequest, db_path: Path, ledger: audit.Ledger, notifier: events.Notifier
) -> Iterator[Line]:
    """The same with the recent logs in memory and without."""
    tails = broker.Tails(tasks=request.param)
    gate = Gate(Policy.load(), resumers={Action.TASK_SEND: broker.answer_hold})
    db = Database(
        db_path,
        authorizer=gate,
        journals=[ledger, tails, events.Log(notifier)],
        clock=SystemClock(),
    )
    yield Line(db, tails, notifier)
    db.close()


def run(line: Line, story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        loop = asyncio.get_running_loop()
        line.db.attach(loop)
        line.notifier.attach(loop)
        async with asyncio.timeout(20):
            await story()
        line.db.attach(None)
        line.notifier.attach(None)

    asyncio.run(bounded())


def test_readers_that_come_at_any_moment_see_everything_once(line: Line) -> None:
    async def story() -> None:
        task = await line.send()
        claim = await line.claim()
        readers: list[asyncio.Future[list[int]]] = []

        async def come_in() -> None:
            for n in range(60):
                readers.append(asyncio.ensure_future(line.read(task, after=n % 4)))
                if n % 3:
                    await asyncio.sleep(0)

        coming = asyncio.ensure_future(come_in())
        for _ in range(40):
            await line.say(claim)
        await coming
        last = (await line.say(claim, broker.complete_task)).generation

        for n, seen in enumerate(await asyncio.gather(*readers)):
            assert seen == list(range(n % 4 + 1, last + 1))

    run(line, story)


def test_a_log_that_is_longer_than_a_chunk_comes_whole(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CHUNK", 3)

    async def story() -> None:
        task = await line.send()
        claim = await line.claim()
        for _ in range(10):
            await line.say(claim)
        await line.say(claim, broker.complete_task)

        assert await line.read(task) == list(range(1, 15))
        assert await line.read(task, after=14) == []
        assert await line.read(task, after=99) == []

    run(line, story)


def test_a_stream_for_a_caller_ends_at_a_question_and_a_subscription_does_not(line: Line) -> None:
    async def story() -> None:
        task = await line.send()
        sender = asyncio.ensure_future(line.read(task, until_input=True))
        subscriber = asyncio.ensure_future(line.read(task))
        await line.say(await line.claim(), broker.ask_caller)

        assert await sender == [1, 2, 3, 4]
        assert not subscriber.done()
        await line.db.write(OPERATOR, broker.cancel_task, task.id)
        assert await subscriber == [1, 2, 3, 4, 5]

    run(line, story)


@pytest.mark.parametrize("reason", ["its key", "the kernel"])
def test_a_stream_ends_when_it_is_told_to(line: Line, reason: str) -> None:
    async def story() -> None:
        task = await line.send()
        ended = Stopping()
        following = line.follow(task, ended=ended)
        first = [await anext(following), await anext(following)]
        waiting = asyncio.ensure_future(anext(following, None))
        await asyncio.sleep(0.01)

        ended.set() if reason == "its key" else line.notifier.close()

        assert await waiting is None
        assert [entry.generation for entry in first if entry is not None] == [1, 2]

    run(line, story)


def test_a_quiet_stream_says_that_it_lives(line: Line) -> None:
    async def story() -> None:
        task = await line.send()
        following = streams.follow(
            line.tasks, line.notifier, OPERATOR, task.id, after=2, ended=Stopping(), keep_alive_s=0.01
        )
        assert [await anext(following), await anext(following)] == [None, None]
        await line.db.write(OPERATOR, broker.cancel_task, task.id)
        rest = [entry async for entry in following]
        assert [entry.generation for entry in rest if entry is not None] == [3]

    run(line, story)


def changes(*states: TaskState) -> list[rules.Change]:
    return [rules.Status("theirs", "", state, metadata={state.value: True}) for state in states]


async def send_away(line: Line) -> TaskView:
    """Send a message to an agent that is reached by A2A."""
    new = NewAgent(name=new_id("a").lower().replace("_", "-"), kind=AgentKind.A2A, state=AgentState.ACTIVE)
    agent = await line.db.write(
        OPERATOR, registry.create_agent, msgspec.structs.replace(new, endpoint_url="http://127.0.0.1:9/")
    )
    send = msgspec.structs.replace(line.sending(), agent=agent.id)
    return await line.db.write(OPERATOR, broker.send_message, send)


async def begin(line: Line, task: TaskView, *, ended: Stopping | None = None, timeout_s: float = 10) -> TaskView:
    return await streams.accepted(
        line.tasks, line.notifier, OPERATOR, task, ended=ended or Stopping(), timeout_s=timeout_s
    )


def test_a_stream_of_a_remote_task_begins_where_its_agent_began(line: Line) -> None:
    async def story() -> None:
        task = await send_away(line)
        waiting = asyncio.ensure_future(begin(line, task))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        said = changes(TaskState.WORKING, TaskState.INPUT_REQUIRED, TaskState.WORKING)
        taken = service.Taken("theirs", "", None, 1, {"mood": "calm"})
        await line.db.write(KERNEL, service.mirror, task.id, said, taken=taken)

        first = await waiting

        assert (first.generation, first.state) == (3, TaskState.WORKING)  # not where it has got to since
        assert first.metadata == {"mood": "calm"}
        assert line.tasks.get(OPERATOR, task.id).metadata == {"mood": "calm", "working": True, "input_required": True}
        assert await begin(line, line.tasks.get(OPERATOR, task.id)) == line.tasks.get(OPERATOR, task.id)

    run(line, story)


def test_a_stream_does_not_wait_for_ever_for_an_agent_that_takes_nothing(line: Line) -> None:
    async def story() -> None:
        task = await send_away(line)

        assert await begin(line, task, timeout_s=0.02) == task
        ended = Stopping()
        waiting = asyncio.ensure_future(begin(line, task, ended=ended))
        await asyncio.sleep(0.02)
        ended.set()
        assert await waiting == task

    run(line, story)


@pytest.mark.parametrize("verb", [broker.cancel_task, broker.send_message])
def test_a_stream_waits_neither_for_what_has_ended_nor_for_what_an_inbox_has(line: Line, verb: Any) -> None:
    async def story() -> None:
        if verb is broker.cancel_task:
            task = await send_away(line)
            ended = await line.db.write(OPERATOR, verb, task.id)
            assert (await begin(line, task)).state is ended.state is TaskState.CANCELED
        else:
            task = await line.send()
            assert await begin(line, task) is task

    run(line, story)


def test_who_waits_for_a_change_is_told_of_it_and_of_none_when_the_time_is_over(line: Line) -> None:
    async def story() -> None:
        task = await line.send()

        async def changed(generation: int, timeout_s: float = 10) -> TaskView:
            return await streams.changed(
                line.tasks, line.notifier, OPERATOR, task.id, generation=generation, timeout_s=timeout_s
            )

        assert (await changed(1)).generation == 2
        assert (await changed(2, timeout_s=0.02)).generation == 2
        waiting = asyncio.ensure_future(changed(2))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await line.claim()
        assert (await waiting).generation == 3
        with pytest.raises(NotFound):
            await streams.changed(line.tasks, line.notifier, STRANGER, task.id, generation=3, timeout_s=10)

    run(line, story)


def test_who_waits_for_an_answer_gets_it_as_soon_as_it_is_there(line: Line) -> None:
    async def story() -> None:
        waiting = asyncio.ensure_future(
            streams.send_and_wait(line.db, line.tasks, line.notifier, OPERATOR, line.sending(), timeout_s=10)
        )
        await asyncio.sleep(0.05)
        claim = await line.claim()
        await line.say(claim)
        assert not waiting.done()
        await line.say(claim, broker.complete_task)

        assert (await waiting).state is TaskState.COMPLETED

    run(line, story)


def test_who_waits_too_long_gets_the_task_as_it_is(line: Line) -> None:
    async def story() -> None:
        task = await streams.send_and_wait(line.db, line.tasks, line.notifier, OPERATOR, line.sending(), timeout_s=0.02)
        again = await streams.settled(line.tasks, line.notifier, OPERATOR, task, timeout_s=0.02)

        assert (task.state, again.state) == (TaskState.SUBMITTED, TaskState.SUBMITTED)
        assert not line.notifier._listeners

    run(line, story)


def test_a_message_sent_again_waits_for_the_first_ones_task(line: Line) -> None:
    async def story() -> None:
        sending = line.sending()
        first = await line.db.write(OPERATOR, broker.send_message, sending)
        waiting = asyncio.ensure_future(
            streams.send_and_wait(line.db, line.tasks, line.notifier, OPERATOR, sending, timeout_s=10)
        )
        claim = await line.claim()
        await line.say(claim, broker.fail_task)

        assert ((await waiting).id, (await waiting).state) == (first.id, TaskState.FAILED)

    run(line, story)

"""Deliveries to real receivers: slow, failing, redirecting, talking nonsense, gone, and many."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR
from tests.memroos.broker.conftest import House, report, sending
from tests.memroos.push.receiver import Got, Reply, receiving

from memroos import broker, events, push, registry
from memroos.push import queries
from memroos.push.rules import Answer
from memroos.push.service import Plan
from memroos.push.worker import AT_ONCE_PER_OWNER
from memroos_contracts.broker import Message, TaskDetail, TaskEvent, TaskView
from memroos_contracts.identity import Actor
from memroos_contracts.push import NewPushConfig, PushConfigView, PushId, PushReplay, PushState
from memroos_kit.clock import SystemClock
from memroos_kit.db import Database
from memroos_kit.keyset import KeySet
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer
from memroos_kit.stopping import Stopping

PLAN = Plan(attempts=5, backoff_s=0.01)


@pytest.fixture
def clock() -> SystemClock:
    """Pauses are real here, and short."""
    return SystemClock()


def encode(task: TaskView, content: TaskDetail | TaskEvent | Message, version: str) -> bytes:
    """Write what a test wants to read."""
    return f'{{"{type(content).__name__}": "{task.id}", "version": "{version}"}}'.encode()


class Post:
    """A house whose notifications are delivered."""

    def __init__(self, house: House, notifier: events.Notifier, terms: push.Terms, keys: KeySet, plan: Plan) -> None:
        self.house = house
        self.notifier = notifier
        self.terms = terms
        self.stopping = Stopping()
        self.deliveries = push.PushDeliveries(
            house.db,
            broker.Tasks(house.db, broker.Tails()),
            notifier,
            terms,
            plan,
            sign=keys.sign_webhook,
            encode=encode,
        )

    async def create(self, actor: Actor, task: TaskView, url: str, **words: Any) -> PushId:
        new = NewPushConfig(url, **words)
        return (await self.house.db.write(actor, push.create_config, self.terms, task.id, new)).id

    async def send(self, actor: Actor, text: str = "x") -> TaskView:
        return await asyncio.to_thread(self.house.send, actor, text)

    def see(self, push_id: PushId) -> PushConfigView:
        return queries.view(self.row(push_id))

    def row(self, push_id: PushId) -> queries.Row:
        row = self.house.db.read_inline(KERNEL, queries.find_anywhere, push_id)
        assert row is not None
        return row

    async def until(self, push_id: PushId, state: PushState) -> PushConfigView:
        await until(lambda: self.see(push_id).state is state, lambda: str(self.see(push_id)))
        return self.see(push_id)

    async def work(self, worker: Actor, *, steps: int = 3) -> None:
        """Let the worker do what waits, to its end."""

        def story() -> None:
            claim = self.house.claim(worker)
            for number in range(steps):
                self.house.db.write_now(worker, broker.report_progress, claim.task.id, report(claim, str(number)))
            self.house.db.write_now(worker, broker.complete_task, claim.task.id, report(claim, "done"))

        await asyncio.to_thread(story)


async def until(condition: Callable[[], object], told: Callable[[], str] = str, timeout_s: float = 10) -> None:
    """Return when it is so."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"it never was so: {told()}"
        await asyncio.sleep(0.005)


@pytest.fixture
def posting(
    house: House, worker: Actor, notifier: events.Notifier, sealer: Sealer, tmp_path: Path
) -> Callable[..., None]:
    """Run a story while notifications are delivered."""
    keys = KeySet.ensure(tmp_path)

    def run(
        story: Callable[[Post], Awaitable[None]],
        *,
        before: Callable[[Post], None] = lambda _: None,
        allow: tuple[str, ...] = ("127.0.0.1", "hook.example"),
        plan: Plan = PLAN,
        **guard: Any,
    ) -> None:
        async def main() -> None:
            terms = push.Terms(Guard(allow=allow, **{"timeout_s": 0.5, **guard}), sealer, most_per_task=100)
            post = Post(house, notifier, terms, keys, plan)
            before(post)
            loop = asyncio.get_running_loop()
            house.db.attach(loop)
            notifier.attach(loop)
            try:
                async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                    group.create_task(post.deliveries.run(post.stopping))
                    await asyncio.sleep(0)
                    try:
                        await story(post)
                    finally:
                        post.stopping.set()
            finally:
                house.db.attach(None)
                notifier.attach(None)

        asyncio.run(main())

    return run


def test_events_arrive_one_after_the_other_while_they_happen(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        made = await post.create(caller, task, receiver.url)
        await post.work(worker)
        await post.until(made, PushState.DONE)

        assert receiver.generations == [3, 4, 5, 6, 7]
        assert {got.id for got in receiver.got} == {f"{made}_{generation}" for generation in range(3, 8)}
        assert post.deliveries._of_task == {}

    with receiving() as receiver:
        posting(story)


@pytest.mark.parametrize(
    "bad",
    [
        Reply(500),
        Reply(404),
        Reply(302, {"Location": "/elsewhere"}),
        Reply(307, {"Location": "http://169.254.169.254/"}),
        Reply(after_s=1.0),
        Reply(garbage=b"\x00\x01 this is no HTTP\r\n\r\n"),
        Reply(garbage=b"HTTP/1.1 200 OK\r\nContent-Len"),
        Reply(garbage=b""" """),
        Reply(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    ],
    ids=["500", "404", "redirect", "redirect to metadata", "slow", "garbage", "cut off", "blank", "encoded"],
)
def test_what_fails_is_tried_again_before_anything_else_is_sent(
    posting: Callable[..., None], caller: Actor, worker: Actor, bad: Reply
) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        made = await post.create(caller, task, receiver.url)
        await post.work(worker, steps=1)
        await post.until(made, PushState.DONE)

        assert receiver.generations == [3, 3, 3, 4, 5]
        assert {got.path for got in receiver.got} == {"/hook"}

    def twice(_: Got) -> Reply:
        return bad if len(receiver.got) <= 2 else Reply()

    with receiving(twice) as receiver:
        posting(story)


def test_a_large_or_endless_body_of_an_answer_does_no_harm(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        made = await post.create(caller, await post.send(caller), receiver.url)
        await post.work(worker, steps=0)
        await post.until(made, PushState.DONE)

        assert receiver.generations == [3, 4]

    with receiving(lambda _: Reply(200, body=b"x" * 500_000)) as receiver:
        posting(story, max_bytes=600_000)


def test_who_is_gone_is_asked_once(posting: Callable[..., None], caller: Actor) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        made = await post.create(caller, task, receiver.url)
        await post.house.db.write(caller, broker.cancel_task, task.id)
        seen = await post.until(made, PushState.STOPPED)

        assert (len(receiver.got), seen.last_status, seen.last_error) == (1, 410, "the receiver says that it is gone")

    with receiving(lambda _: Reply(410)) as receiver:
        posting(story)


def test_nobody_there_is_given_up_and_a_replay_starts_it_again(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        made = await post.create(caller, task, "http://127.0.0.1:1/hook")
        await post.work(worker)
        seen = await post.until(made, PushState.STOPPED)
        assert (seen.failures, seen.last_status) == (5, None)
        assert seen.last_error == "the receiver cannot be connected to"

        await post.create(caller, task, receiver.url, id=made)
        await post.until(made, PushState.DONE)
        assert receiver.generations == [3, 4, 5, 6, 7]
        await post.house.db.write(OPERATOR, push.replay_config, made, PushReplay(0))
        await until(lambda: len(receiver.got) == 11)
        assert receiver.generations[5:] == [2, 3, 4, 5, 6, 7]
        assert b"TaskDetail" in receiver.got[5].body

    with receiving() as receiver:
        posting(story)


def test_a_receiver_that_asks_for_time_is_left_alone_for_so_long(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        made = await post.create(caller, await post.send(caller), receiver.url)
        began = time.monotonic()
        await post.work(worker, steps=0)
        await post.until(made, PushState.DONE)

        assert receiver.generations == [3, 3, 4]
        assert time.monotonic() - began >= 1  # what happened meanwhile did not cut the pause short

    def first(_: Got) -> Reply:
        return Reply(429, {"Retry-After": "1"}) if len(receiver.got) == 1 else Reply()

    with receiving(first) as receiver:
        posting(story)


def test_slow_and_dead_receivers_delay_nobody_else(
    posting: Callable[..., None], house: House, caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        other = await asyncio.to_thread(house.register, "other")
        task = await post.send(caller)
        for number in range(AT_ONCE_PER_OWNER + 8):
            await post.create(OPERATOR, task, f"{slow[number % len(slow)].url}/{number}")
        await post.house.db.write(caller, broker.cancel_task, task.id)
        await until(lambda: sum(len(one.got) for one in slow) >= 20)

        began = time.monotonic()
        mine = await post.send(other)
        made = await post.create(other, mine, quick.url)
        await post.house.db.write(other, broker.cancel_task, mine.id)
        await post.until(made, PushState.DONE)
        assert time.monotonic() - began < 1

    with ExitStack() as stack:
        slow = [stack.enter_context(receiving(lambda _: Reply(after_s=3))) for _ in range(6)]
        quick = stack.enter_context(receiving())
        posting(story, timeout_s=4.0)


def test_what_was_left_undone_is_found_again_after_a_start(
    posting: Callable[..., None], house: House, caller: Actor, worker: Actor
) -> None:
    made: list[PushId] = []

    def before(post: Post) -> None:
        task = house.send(caller)
        new = NewPushConfig(receiver.url)
        made.append(house.db.write_now(caller, push.create_config, post.terms, task.id, new).id)
        claim = house.claim(worker)
        house.db.write_now(worker, broker.complete_task, task.id, report(claim, "done"))

    async def story(post: Post) -> None:
        await post.until(made[0], PushState.DONE)
        assert receiver.generations == [3, 4]

    with receiving() as receiver:
        posting(story, before=before)


def test_the_name_is_looked_up_and_judged_at_every_try(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    addresses = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "127.0.0.1"]
    asked: list[str] = []

    async def resolver(host: str, _: int) -> list[str]:
        asked.append(host)
        return [addresses[min(len(asked), len(addresses)) - 1]]

    async def story(post: Post) -> None:
        port = receiver.url.split(":")[2].split("/")[0]
        made = await post.create(caller, await post.send(caller), f"http://hook.example:{port}/hook")
        await post.work(worker, steps=0)
        await post.until(made, PushState.DONE)
        page = await post.house.db.read(caller, push.list_tries, made, limit=10)

        assert [(one.generation, bool(one.error)) for one in page.items[::-1]] == [
            (3, False),
            (4, True),
            (4, True),
            (4, False),
        ]
        assert "private or special" in page.items[2].error
        assert "credentials" in page.items[1].error
        assert receiver.generations == [3, 4]
        assert receiver.got[0].headers["host"] == f"hook.example:{port}"

    with receiving() as receiver:
        posting(story, resolver=resolver)


def test_in_0_3_every_event_is_sent_as_the_whole_task(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        new = NewPushConfig(receiver.url)
        made = await post.house.db.write(caller, push.create_config, post.terms, task.id, new, version="0.3")
        await post.work(worker, steps=1)
        await post.until(made.id, PushState.DONE)

        assert receiver.generations == [3, 4, 5]
        assert {(*got.json, got.json["version"]) for got in receiver.got} == {("TaskDetail", "version", "0.3")}

    with receiving() as receiver:
        posting(story)


def test_a_deleted_configuration_hears_nothing_more(posting: Callable[..., None], caller: Actor, worker: Actor) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        made = await post.create(caller, task, receiver.url)
        kept = await post.create(caller, task, receiver.url, id="kept")
        await until(lambda: len(post.deliveries._of_task.get(task.id, ())) == 2)
        await post.house.db.write(caller, push.delete_config, made)
        await post.work(worker)
        await post.until(kept, PushState.DONE)

        assert {got.id.rpartition("_")[0] for got in receiver.got} == {kept}

    with receiving() as receiver:
        posting(story)


def test_secrets_that_cannot_be_read_are_a_failure_like_others(
    posting: Callable[..., None], house: House, caller: Actor
) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        made = await post.create(caller, task, receiver.url, token="t")
        post.deliveries._terms = push.Terms(post.terms.guard, Sealer(bytes(32)))
        await post.house.db.write(caller, broker.cancel_task, task.id)
        seen = await post.until(made, PushState.STOPPED)

        assert "cannot be read" in seen.last_error
        assert receiver.got == []

    with receiving() as receiver:
        posting(story)


def test_a_disk_that_fails_for_a_while_loses_nothing(
    posting: Callable[..., None], house: House, caller: Actor, worker: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memroos.push.worker.AGAIN_S", 0.02)
    real = Database.write
    broken = [3]

    async def failing(self: Database, actor: Actor, verb: Any, *args: Any, **kwargs: Any) -> Any:
        if verb.__name__ == "report_try" and broken[0]:
            broken[0] -= 1
            raise OSError("no space left")
        return await real(self, actor, verb, *args, **kwargs)

    async def story(post: Post) -> None:
        made = await post.create(caller, await post.send(caller), receiver.url)
        monkeypatch.setattr(Database, "write", failing)
        await post.work(worker, steps=0)
        await post.until(made, PushState.DONE)

        assert receiver.generations == [3, 3, 3, 3, 4]

    with receiving() as receiver:
        posting(story)


def test_with_the_first_message_the_task_itself_comes_first(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        task = await post.house.db.write(
            caller, push.send_with_config, sending(), NewPushConfig(receiver.url), post.terms
        )
        await until(lambda: receiver.generations == [2])
        await post.house.db.write(caller, broker.cancel_task, task.id)
        await until(lambda: receiver.generations == [2, 3])

        assert ["TaskDetail" in got.json for got in receiver.got] == [True, False]

    with receiving() as receiver:
        posting(story)


def test_an_agent_that_is_shut_out_hears_nothing_until_it_is_back(
    posting: Callable[..., None], caller: Actor, worker: Actor
) -> None:
    async def story(post: Post) -> None:
        task = await post.send(caller)
        made = await post.create(caller, task, receiver.url)
        await post.house.db.write(OPERATOR, registry.quarantine_agent, caller.id, reason="odd")
        await post.work(worker, steps=0)
        seen = await post.until(made, PushState.STOPPED)
        assert (seen.last_error, receiver.got) == ("whoever asked for it is quarantined", [])

        await post.house.db.write(OPERATOR, registry.activate_agent, caller.id, reason="fine")
        await post.house.db.write(OPERATOR, push.replay_config, made, PushReplay())
        await post.until(made, PushState.DONE)
        assert receiver.generations == [3, 4]

    with receiving() as receiver:
        posting(story)


def test_a_request_that_is_cancelled_on_its_way_is_made_again(
    posting: Callable[..., None], caller: Actor, worker: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memroos.push.worker.AGAIN_S", 0.02)
    broken = [2]

    async def story(post: Post) -> None:
        assert post.deliveries._webhooks is not None
        real = post.deliveries._webhooks.post

        async def cancelled(*args: Any) -> Answer:
            if broken[0]:
                broken[0] -= 1
                raise asyncio.CancelledError
            return await real(*args)

        monkeypatch.setattr(post.deliveries._webhooks, "post", cancelled)
        made = await post.create(caller, await post.send(caller), receiver.url)
        await post.work(worker, steps=0)
        await post.until(made, PushState.DONE)

        assert (broken, receiver.generations) == ([0], [3, 4])

    with receiving() as receiver:
        posting(story)

"""A stream has every event once, in order, whatever happens while it begins."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.actors import AGENT, AUDITOR, OPERATOR, OTHER_AGENT, STRANGER, VIEWER
from tests.conftest import Policy
from tests.memroos.web.rest.opening import opened
from tests.memroos.web.rest.serving import calling, serving

from memroos import events
from memroos.web.rest import events as door
from memroos.web.rest.events import EventController, follow
from memroos.web.streams import Streams
from memroos_contracts.errors import Denied
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx
from memroos_kit.limits import StreamSlots
from memroos_kit.stopping import Stopping

Message = dict[str, str]


def messages(piece: bytes) -> list[Message]:
    """Read server-sent events as a browser does, comments left out."""
    found = []
    for block in piece.decode().split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        found.append(dict(line.split(": ", 1) for line in lines))
    return [message for message in found if message]


def ids(pieces: list[bytes]) -> list[int]:
    """Return the offsets of the events, without positions and resets."""
    read = [message for piece in pieces for message in messages(piece)]
    return [int(message["id"]) for message in read if message.get("event", "reset") != "reset"]


def publish_many(tx: Tx, /, count: int = 1, **whose: str) -> None:
    for _ in range(count):
        events.publish(tx, "task.created", subject="task_1", data={}, **whose)


def run(notifier: events.Notifier, story: Callable[[], Awaitable[None]]) -> None:
    async def attached() -> None:
        notifier.attach(asyncio.get_running_loop())
        await asyncio.wait_for(story(), 60)

    asyncio.run(attached())


async def collect(stream: AsyncIterator[bytes], until: int) -> list[bytes]:
    """Take pieces until an event with this offset came."""
    pieces = []
    async for piece in stream:
        pieces.append(piece)
        if until in ids([piece]):
            break
    return pieces


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells when somebody begins to wait
        await asyncio.sleep(0.001)


@pytest.fixture
def stream(db: Database, notifier: events.Notifier) -> Callable[..., AsyncIterator[bytes]]:
    """Begin to follow, as an actor."""

    def begin(
        actor: Actor = OPERATOR, *, after: int | None = 0, ended: Stopping | None = None, keep_alive_s: float = 15
    ) -> AsyncIterator[bytes]:
        wanted = events.Filter.of(actor)
        return follow(db, notifier, actor, wanted, after=after, ended=ended or Stopping(), keep_alive_s=keep_alive_s)

    return begin


Begin = Callable[..., AsyncIterator[bytes]]


# -- following -------------------------------------------------------------------------------------------------


def test_a_stream_goes_from_the_log_to_what_comes(db: Database, notifier: events.Notifier, stream: Begin) -> None:
    async def story() -> None:
        await db.write(OPERATOR, publish_many, 3)
        following = stream(after=1)
        backlog = await collect(following, until=3)
        await db.write(OPERATOR, publish_many, 2)
        live = await collect(following, until=5)

        assert (ids(backlog), ids(live)) == ([2, 3], [4, 5])

    run(notifier, story)


def test_without_an_id_a_stream_begins_now(db: Database, notifier: events.Notifier, stream: Begin) -> None:
    async def story() -> None:
        await db.write(OPERATOR, publish_many, 3)
        following = stream(after=None)
        opening = await anext(following)
        await db.write(OPERATOR, publish_many)

        assert messages(opening) == [{"id": "3"}]
        assert ids(await collect(following, until=4)) == [4]

    run(notifier, story)


def test_a_long_log_comes_in_pieces(
    db: Database, notifier: events.Notifier, stream: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "CHUNK", 10)

    async def story() -> None:
        await db.write(OPERATOR, publish_many, 95)
        pieces = await collect(stream(), until=95)

        assert len(pieces) == 10
        assert ids(pieces) == list(range(1, 96))

    run(notifier, story)


@pytest.mark.parametrize("seed", range(3))
def test_readers_that_begin_amid_writing_miss_nothing_and_get_nothing_twice(
    seed: int, db: Database, notifier: events.Notifier, stream: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty readers begin anywhere in the log, at any moment, while six writers write and chunks are tiny."""
    monkeypatch.setattr(door, "CHUNK", 7)
    dice = random.Random(seed)
    total = 900

    async def write(count: int) -> None:
        for _ in range(count // 3):
            await db.write(OPERATOR, publish_many, 3)
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() / 300)

    async def read() -> tuple[int, list[int]]:
        await asyncio.sleep(dice.random() / 4)
        newest = (await db.read(OPERATOR, events.list_events, limit=1)).newest
        after = dice.randint(0, newest)
        return after, ids(await collect(stream(after=after), until=total))

    async def story() -> None:
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(read()) for _ in range(40)]
            for _ in range(6):
                group.create_task(write(total // 6))
        for reader in readers:
            after, got = reader.result()
            assert got == list(range(after + 1, total + 1))

    run(notifier, story)


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_an_event_at_the_very_moment_of_registering_comes_once(
    moment: str, db: Database, notifier: events.Notifier, stream: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pin the three places between the last read of the log and the first wait on the feed."""
    real_enter, real_read = events.Feed.__enter__, Database.read
    reads = 0

    def enter(feed: events.Feed) -> events.Feed:
        if moment == "before":
            db.write_now(OPERATOR, publish_many)
        return real_enter(feed)

    async def read(self: Database, *args: Any, **kwargs: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2 and moment == "during":  # registered, and not yet read again: in the log and in the feed
            await db.write(OPERATOR, publish_many)
        answer = await real_read(self, *args, **kwargs)
        if reads == 2 and moment == "after":  # read again, and not yet waiting: only in the feed
            await db.write(OPERATOR, publish_many)
        return answer

    monkeypatch.setattr(events.Feed, "__enter__", enter)
    monkeypatch.setattr(Database, "read", read)

    async def story() -> None:
        await db.write(OPERATOR, publish_many)
        following = stream()
        first = await collect(following, until=2)
        await db.write(OPERATOR, publish_many)

        assert ids(first + await collect(following, until=3)) == [1, 2, 3]

    run(notifier, story)


def test_a_slow_reader_is_cut_off_and_resumes_without_a_gap(
    db: Database, stream: Begin, notifier: events.Notifier
) -> None:
    notifier._queue_size = 20

    async def story() -> None:
        following = stream()
        await anext(following)
        async with asyncio.TaskGroup() as group:
            live = group.create_task(collect(following, until=1))
            await until(lambda: notifier.feeds == 1)
            await db.write(OPERATOR, publish_many)
        for _ in range(30):  # nobody reads now
            await db.write(OPERATOR, publish_many)

        assert ids(live.result()) == [1]
        assert [piece async for piece in following] == []
        assert ids(await collect(stream(after=1), until=31)) == list(range(2, 32))

    run(notifier, story)


def test_agents_see_their_own_and_are_moved_on_past_the_rest(
    db: Database, notifier: events.Notifier, stream: Begin
) -> None:
    async def story() -> None:
        following = stream(AGENT, keep_alive_s=0.05)
        await anext(following)
        await db.write(OPERATOR, publish_many, 2, owner=OTHER_AGENT.principal)
        quiet = await anext(following)
        while messages(quiet) == [{"id": "0"}]:  # a keep-alive from before the write
            quiet = await anext(following)
        await db.write(OPERATOR, publish_many, 1, agent=AGENT.id)

        assert quiet == b": keep-alive\nid: 2\n\n"
        assert ids(await collect(following, until=3)) == [3]

    run(notifier, story)


def test_a_quiet_stream_is_kept_alive(db: Database, notifier: events.Notifier, stream: Begin) -> None:
    async def story() -> None:
        following = stream(keep_alive_s=0.01)

        assert [await anext(following) for _ in range(4)] == [b": keep-alive\nid: 0\n\n"] * 4

    run(notifier, story)


# -- what is gone ----------------------------------------------------------------------------------------------


async def expire_three_of_five(db: Database, clock: ManualClock) -> None:
    await db.write(OPERATOR, publish_many, 3)
    clock.advance(days=8)
    await db.write(OPERATOR, publish_many, 2)
    await db.write(OPERATOR, events.expire, older_than=timedelta(days=7))


@pytest.mark.parametrize("after", [0, 2, 99])
def test_an_expired_or_unknown_id_gets_a_reset_and_what_is_left(
    after: int, db: Database, notifier: events.Notifier, stream: Begin, clock: ManualClock
) -> None:
    async def story() -> None:
        await expire_three_of_five(db, clock)

        opening = await anext(stream(after=after))

        reset, *rest = messages(opening)
        assert reset == {"id": "3", "event": "reset", "data": '{"oldest":4}'}
        assert [message["id"] for message in rest] == ["4", "5"]

    run(notifier, story)


def test_an_id_that_is_just_kept_gets_no_reset(
    db: Database, notifier: events.Notifier, stream: Begin, clock: ManualClock
) -> None:
    async def story() -> None:
        await expire_three_of_five(db, clock)

        assert [message["id"] for message in messages(await anext(stream(after=3)))] == ["4", "5"]

    run(notifier, story)


def test_retention_that_overtakes_a_reader_gives_it_a_reset(
    db: Database, notifier: events.Notifier, stream: Begin, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "CHUNK", 2)

    async def story() -> None:
        await db.write(OPERATOR, publish_many, 6)
        following = stream()
        assert ids([await anext(following)]) == [1, 2]
        clock.advance(days=8)
        await db.write(OPERATOR, events.expire, older_than=timedelta(days=7), limit=4)

        assert [message["id"] for message in messages(await anext(following))] == ["4", "5", "6"]

    run(notifier, story)


# -- the end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "live"])
def test_a_stream_ends_when_it_is_told_to(when: str, db: Database, notifier: events.Notifier, stream: Begin) -> None:
    async def story() -> None:
        ended = Stopping()
        following = stream(ended=ended)
        if when == "live":
            await anext(following)
            asyncio.get_running_loop().call_later(0.05, ended.set)
        else:
            ended.set()

        assert [piece async for piece in following] == []
        assert notifier.feeds == 0

    run(notifier, story)


def test_closing_the_notifier_ends_every_stream(db: Database, notifier: events.Notifier, stream: Begin) -> None:
    async def story() -> None:
        following = [stream() for _ in range(20)]
        for each in following:
            await anext(each)
        asyncio.get_running_loop().call_later(0.05, notifier.close)

        assert [[piece async for piece in each] for each in following] == [[]] * 20

    run(notifier, story)


def test_a_stream_needs_the_right_to_read_events(
    db: Database, notifier: events.Notifier, stream: Begin, policy: Policy
) -> None:
    policy.deny(Action.EVENT_READ)

    async def story() -> None:
        with pytest.raises(Denied):
            await anext(stream())

    run(notifier, story)


# -- over HTTP -------------------------------------------------------------------------------------------------


@pytest.fixture
def streams() -> Streams:
    return Streams(StreamSlots(per_key=2), Stopping())


@pytest.fixture
def app(db: Database, notifier: events.Notifier, streams: Streams) -> Any:
    with serving(db, EventController, notifier=notifier, open_streams=streams) as client:
        yield client.app


def test_the_stream_is_an_event_stream_that_resumes(
    app: Any, db: Database, notifier: events.Notifier, streams: Streams
) -> None:
    async def story() -> None:
        await db.write(OPERATOR, publish_many, 3)
        async with opened(app, VIEWER, last_event_id="1", query="after=0&type=task") as answer:
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert ids([await answer.piece()]) == [2, 3]
            await db.write(OPERATOR, publish_many)
            assert ids([await answer.piece()]) == [4]
        assert (notifier.feeds, streams._open) == (0, {})

    run(notifier, story)


def test_types_and_subject_narrow_the_stream(app: Any, db: Database, notifier: events.Notifier) -> None:
    async def story() -> None:
        for type_, subject in [("task.created", "a"), ("agent.created", "a"), ("task.ended", "b"), ("key.made", "a")]:
            await db.write(OPERATOR, events.publish, type_, subject=subject, data={})
        async with opened(app, OPERATOR, query="after=0&type=task&type=agent.created&subject=a") as answer:
            assert ids([await answer.piece()]) == [1, 2]

    run(notifier, story)


def test_a_revoked_key_ends_its_streams_and_no_others(
    app: Any, db: Database, notifier: events.Notifier, streams: Streams
) -> None:
    async def story() -> None:
        async with opened(app, AGENT) as revoked, opened(app, OTHER_AGENT, query="after=0") as other:
            await revoked.piece()
            await other.piece()
            streams.end_key(str(AGENT.key))
            assert await revoked.piece() == b""
            await db.write(OPERATOR, publish_many, 1, agent=OTHER_AGENT.id)
            assert ids([await other.piece()]) == [1]

    run(notifier, story)


def test_one_stream_too_many_is_an_answer_and_not_a_broken_stream(app: Any, notifier: events.Notifier) -> None:
    async def story() -> None:
        async with opened(app, AGENT), opened(app, AGENT), opened(app, AGENT) as third:
            assert (third.status, third.headers["retry-after"]) == (429, "1")
        async with opened(app, AGENT) as again:
            assert again.status == 200

    run(notifier, story)


def test_who_may_not_read_events_gets_a_problem(app: Any, notifier: events.Notifier, policy: Policy) -> None:
    policy.deny(Action.EVENT_READ)

    async def story() -> None:
        async with opened(app, AGENT) as answer:
            assert answer.status == 403
            assert answer.headers["content-type"].startswith("application/problem+json")

    run(notifier, story)


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "\uff19", "9" * 30])
def test_an_id_that_is_none_of_ours_is_refused(last: str, app: Any, notifier: events.Notifier) -> None:
    async def story() -> None:
        async with opened(app, OPERATOR, last_event_id=last) as answer:
            assert answer.status == 422

    run(notifier, story)


@pytest.mark.parametrize("query", ["after=x", "&".join(f"type=t{n}" for n in range(21))])
def test_a_wrong_query_is_refused(query: str, app: Any, notifier: events.Notifier) -> None:
    async def story() -> None:
        async with opened(app, OPERATOR, query=query) as answer:
            assert answer.status in (400, 422)

    run(notifier, story)


# -- page by page ------------------------------------------------------------------------------------------------


def test_the_log_is_read_page_by_page(db: Database, notifier: events.Notifier, streams: Streams) -> None:
    db.write_now(OPERATOR, publish_many, 5, agent=AGENT.id)
    with serving(db, EventController, notifier=notifier, open_streams=streams) as client:
        first = client.get("/api/events/log?limit=3", headers=calling(AGENT)).json()
        second = client.get(
            "/api/events/log", params={"limit": 3, "cursor": first["next_cursor"]}, headers=calling(AGENT)
        ).json()

        assert [event["offset"] for event in first["items"] + second["items"]] == [1, 2, 3, 4, 5]
        assert (second["next_cursor"], second["oldest"], second["newest"]) == (None, 1, 5)
        assert client.get("/api/events/log", headers=calling(STRANGER)).json()["items"] == []
        assert len(client.get("/api/events/log?after=3&type=task", headers=calling(AUDITOR)).json()["items"]) == 2
        assert client.get("/api/events/log?limit=101", headers=calling(AGENT)).status_code == 422

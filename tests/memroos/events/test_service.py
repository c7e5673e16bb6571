"""An event is in the log before anybody hears of it, and everybody who waits hears of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.actors import AGENT, OPERATOR, OTHER_AGENT, STRANGER
from tests.memroos.audit.conftest import rows, tamper
from tests.memroos.events.conftest import Publish

from memroos import events
from memroos_contracts.identity import WorkspaceId
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx, sqlite3

Story = Callable[[], Awaitable[None]]


def run(notifier: events.Notifier, story: Story) -> None:
    """Run a story on an event loop that the notifier is attached to."""

    async def attached() -> None:
        notifier.attach(asyncio.get_running_loop())
        await asyncio.wait_for(story(), 20)

    asyncio.run(attached())


def offsets(path: Path) -> list[int]:
    return [offset for (offset,) in rows(path, "SELECT offset FROM event ORDER BY offset")]


def offsets_in(piece: bytes) -> list[int]:
    return [int(line[4:]) for line in piece.decode().split("\n") if line.startswith("id: ")]


# -- the log -----------------------------------------------------------------------------------------------------


def test_events_are_numbered_from_one_without_gaps(publish: Publish, db_path: Path) -> None:
    for _ in range(3):
        publish()

    assert offsets(db_path) == [1, 2, 3]


def test_an_event_is_stored_with_who_it_belongs_to(db: Database, db_path: Path, clock: ManualClock) -> None:
    db.write_now(
        AGENT, events.publish, "task.created", subject="task_1", data={"n": [1]}, owner=AGENT.principal, agent="agt_2"
    )

    ((_, id_, at, *rest),) = rows(db_path, "SELECT * FROM event")
    assert id_.startswith("evt_")
    assert at == clock.now().timestamp() * 1_000_000
    assert rest == ["default", "task.created", "task_1", '{"n":[1]}', AGENT.principal, "agt_2"]


def test_an_operation_that_fails_publishes_nothing_and_uses_no_offset(
    db: Database, publish: Publish, db_path: Path
) -> None:
    def fail(tx: Tx) -> None:
        events.publish(tx, "task.created", subject="task_1", data={})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        db.write_now(OPERATOR, fail)
    publish()

    assert offsets(db_path) == [1]


def test_a_restart_goes_on_behind_the_last_offset(
    db: Database, publish: Publish, db_path: Path, clock: ManualClock
) -> None:
    publish()
    publish()
    clock.advance(days=8)
    db.write_now(OPERATOR, events.expire, older_than=timedelta(days=7))
    db.close()

    reopened = Database(db_path, authorizer=db._authorizer, journals=[events.Log(events.Notifier())], clock=clock)
    reopened.write_now(OPERATOR, events.publish, "task.created", subject="task_1", data={})
    reopened.close()

    assert offsets(db_path) == [3]


def test_an_event_cannot_be_rewritten(publish: Publish, db_path: Path) -> None:
    publish()
    connection = sqlite3.connect(str(db_path), isolation_level=None)

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("UPDATE event SET data = '{}'")

    connection.close()


# -- retention ---------------------------------------------------------------------------------------------------


def test_old_events_go_and_younger_ones_stay(db: Database, publish: Publish, clock: ManualClock, db_path: Path) -> None:
    for _ in range(3):
        publish()
        clock.advance(days=1)

    assert db.write_now(OPERATOR, events.expire, older_than=timedelta(days=1)) == 2

    assert offsets(db_path) == [3]
    assert db.write_now(OPERATOR, events.expire, older_than=timedelta(days=1)) == 0


def test_events_go_in_chunks(db: Database, publish: Publish, clock: ManualClock, db_path: Path) -> None:
    for _ in range(5):
        publish()
    clock.advance(days=8)

    assert db.write_now(OPERATOR, events.expire, older_than=timedelta(days=7), limit=2) == 2

    assert offsets(db_path) == [3, 4, 5]


def test_the_log_stays_in_one_piece_when_the_clock_went_back(
    db: Database, publish: Publish, clock: ManualClock, db_path: Path
) -> None:
    publish()
    clock.advance(days=-30)
    publish()
    clock.advance(days=32)

    assert db.write_now(OPERATOR, events.expire, older_than=timedelta(days=7)) == 0

    assert offsets(db_path) == [1, 2]


# -- listeners ---------------------------------------------------------------------------------------------------


def test_a_listener_hears_of_its_subject_only(db: Database, publish: Publish, notifier: events.Notifier) -> None:
    async def story() -> None:
        with notifier.listen("task_1") as listener:
            await db.write(OPERATOR, events.publish, "task.created", subject="task_2", data={})
            await db.write(OPERATOR, events.publish, "task.created", subject="task_1", data={"n": 1})

            heard = await listener.next(5)

            assert heard is not None
            assert (heard.offset, heard.subject, heard.data) == (2, "task_1", {"n": 1})
            assert await listener.next(0.01) is None

    run(notifier, story)


def test_a_listener_hears_before_the_caller_is_answered(db: Database, notifier: events.Notifier) -> None:
    async def story() -> None:
        with notifier.listen("task_1") as listener:
            await db.write(OPERATOR, events.publish, "task.created", subject="task_1", data={})

            assert await listener.next(0) is not None

    run(notifier, story)


def test_a_listener_that_waits_is_woken(db: Database, notifier: events.Notifier) -> None:
    async def story() -> None:
        with notifier.listen("task_1") as listener:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(listener.next(5))
                await asyncio.sleep(0)
                await db.write(OPERATOR, events.publish, "task.created", subject="task_1", data={})
            heard = waiting.result()
            assert heard is not None
            assert heard.offset == 1

    run(notifier, story)


def test_a_listener_with_too_many_events_keeps_the_newest_and_says_so(db: Database) -> None:
    notifier = events.Notifier(queue_size=3)
    with notifier.listen("task_1") as listener:
        notifier.deliver([stored(offset) for offset in range(1, 6)])

        assert listener.lagged
        assert [view.offset for view in drain(listener)] == [3, 4, 5]


def test_a_listener_is_iterated_until_the_end(notifier: events.Notifier) -> None:
    async def story() -> None:
        with notifier.listen("task_1") as listener:
            notifier.deliver([stored(1), stored(2)])
            notifier.close()
            assert [view.offset async for view in listener] == [1, 2]

    run(notifier, story)


def test_closing_ends_every_wait_present_and_future(notifier: events.Notifier) -> None:
    async def story() -> None:
        with notifier.listen("task_1") as listener, notifier.feed(everything()) as feed:
            async with asyncio.TaskGroup() as group:
                hearing, feeding = group.create_task(listener.next()), group.create_task(feed.next())
                await asyncio.sleep(0)
                notifier.close()
            assert hearing.result() is None
            assert feeding.result() is None
        with notifier.listen("task_1") as listener, notifier.feed(everything()) as feed:
            assert await listener.next() is None
            assert await feed.next() is None

    run(notifier, story)


def test_who_leaves_is_forgotten(notifier: events.Notifier) -> None:
    with notifier.listen("task_1"), notifier.listen("task_1"), notifier.feed(events.Filter.of(AGENT)):
        assert notifier.feeds == 1

    assert (notifier.feeds, notifier._listeners, notifier._feeds) == (0, {}, {})


def test_a_tap_hears_of_everything(db: Database, notifier: events.Notifier) -> None:
    heard: list[tuple[str, str]] = []
    notifier.tap(lambda type_, subject: heard.append((type_, subject)))

    async def story() -> None:
        await db.write(OPERATOR, events.publish, "task.created", subject="task_1", data={})
        await db.write(STRANGER, events.publish, "key.revoked", subject="key_1", data={})

    run(notifier, story)

    assert heard == [("task.created", "task_1"), ("key.revoked", "key_1")]


def test_without_a_loop_nobody_waits(publish: Publish, notifier: events.Notifier) -> None:
    with notifier.listen("task_1") as listener:
        publish()

        assert drain(listener) == []


# -- feeds -------------------------------------------------------------------------------------------------------


def stored(offset: int, type_: str = "task.created", *, owner: str = "", agent: str = "", **more: str) -> Any:
    workspace, subject = more.get("workspace", "default"), more.get("subject", "task_1")
    return (offset, f"evt_{offset}", 0, workspace, type_, subject, "{}", owner, agent)


def everything() -> events.Filter:
    return events.Filter.of(OPERATOR)


def drain(listener: events.Listener) -> list[Any]:
    async def take() -> list[Any]:
        taken = []
        while (view := await listener.next(0)) is not None:
            taken.append(view)
        return taken

    return asyncio.run(take())


def taken(feed: events.Feed, *, after: int = 0) -> list[int]:
    found = asyncio.run(feed.next(0, after=after))
    return [] if found is None else offsets_in(found[1])


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (events.Filter.of(OPERATOR), [1, 2, 3, 4, 5]),
        (events.Filter.of(OPERATOR, types=("agent",)), [5]),
        (events.Filter.of(OPERATOR, subject="task_9"), [3]),
        (events.Filter.of(AGENT), [1, 2, 4]),
        (events.Filter.of(AGENT, subject="task_9"), []),
        (events.Filter.of(OTHER_AGENT), [3, 4]),
        (events.Filter.of(STRANGER), [6]),
        (events.Filter(workspace=WorkspaceId("default"), owner=AGENT.principal), [1, 4]),
    ],
)
def test_a_feed_gets_what_its_filter_lets_through(
    filter_: events.Filter, expected: list[int], notifier: events.Notifier
) -> None:
    batch = [
        stored(1, owner=AGENT.principal),
        stored(2, agent=AGENT.id),
        stored(3, owner=OTHER_AGENT.principal, subject="task_9"),
        stored(4, owner=AGENT.principal, agent=OTHER_AGENT.id),
        stored(5, "agent.created"),
        stored(6, workspace=STRANGER.workspace),
    ]
    with notifier.feed(filter_) as feed:
        notifier.deliver(batch)

        assert taken(feed) == expected
        assert expected == [row[0] for row in batch if filter_.matches(row)]


def test_an_event_that_is_own_and_about_the_reader_comes_once(notifier: events.Notifier) -> None:
    with notifier.feed(events.Filter.of(AGENT)) as feed:
        notifier.deliver([stored(1, owner=AGENT.principal, agent=AGENT.id)])

        assert taken(feed) == [1]


def test_readers_of_one_event_share_its_bytes(notifier: events.Notifier) -> None:
    with notifier.feed(everything()) as one, notifier.feed(events.Filter.of(AGENT)) as other:
        notifier.deliver([stored(1, owner=AGENT.principal)])

        assert one._queue[0][1] is other._queue[0][1]


def test_what_was_read_from_the_log_is_left_out(notifier: events.Notifier) -> None:
    with notifier.feed(everything()) as feed:
        notifier.deliver([stored(1), stored(2), stored(3)])

        assert taken(feed, after=2) == [3]


def test_a_reader_that_falls_behind_is_cut_off(publish: Publish) -> None:
    notifier = events.Notifier(queue_size=3)
    with notifier.feed(everything()) as slow, notifier.feed(everything()) as quick:
        notifier.deliver([stored(1), stored(2)])
        assert taken(quick) == [1, 2]
        notifier.deliver([stored(3), stored(4)])

        assert slow.overflowed
        assert asyncio.run(slow.next()) is None
        assert not quick.overflowed
        assert taken(quick) == [3, 4]
        notifier.deliver([stored(5)])
        assert len(slow._queue) == 0


def test_a_quiet_feed_says_so(notifier: events.Notifier) -> None:
    with notifier.feed(everything()) as feed:
        assert asyncio.run(feed.next(0.01)) == (0, b"")


def test_a_feed_that_is_closed_gives_what_it_has_and_ends(notifier: events.Notifier) -> None:
    with notifier.feed(everything()) as feed:
        notifier.deliver([stored(1)])
        feed.close()
        notifier.deliver([stored(2)])

        assert taken(feed) == [1]
        assert asyncio.run(feed.next()) is None


def test_a_wait_that_is_cancelled_leaves_the_feed_usable(notifier: events.Notifier) -> None:
    async def story() -> None:
        with notifier.feed(everything()) as feed:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await feed.next()
            notifier.deliver([stored(1)])
            assert await feed.next(0) == (1, events.frame(stored(1)))

    run(notifier, story)


def test_each_batch_wakes_the_loop_once(
    db: Database, notifier: events.Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        calls: list[int] = []
        deliver = notifier.deliver

        def counting(rows: list[events.Row]) -> None:
            calls.append(len(rows))
            deliver(rows)

        monkeypatch.setattr(notifier, "deliver", counting)
        with notifier.feed(everything()) as feed:
            await asyncio.gather(
                *[db.write(OPERATOR, events.publish, "task.created", subject="t", data={}) for _ in range(50)]
            )
            found = await feed.next(1)
            assert found is not None
            assert offsets_in(found[1]) == list(range(1, 51))
        assert sum(calls) == 50
        assert len(calls) == db.batches < 50

    run(notifier, story)


def test_a_log_that_was_emptied_behind_its_back_is_numbered_on(publish: Publish, db_path: Path) -> None:
    publish()
    tamper(db_path, "DELETE FROM event")

    publish()

    assert offsets(db_path) == [2]

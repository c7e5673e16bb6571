"""The one writer: what shares a commit, what a failure undoes, what callers are told, and what a full disk leaves."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.actors import AGENT, KERNEL, OPERATOR
from tests.conftest import Policy

from memroos import audit, events
from memroos_contracts.errors import Denied, Overloaded, Stopping, StorageFailed, StorageFull
from memroos_contracts.governance import Action, Asset
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Read, Tx, sqlite3

ASSET = Asset(kind="note", id="note_1")
_INSERT = Hot(text("INSERT INTO note (n, body) VALUES (:n, :body)"))
_NUMBERS = Hot(text("SELECT n FROM note ORDER BY n"))


def write_note(tx: Tx, n: int, body: str = "") -> int:
    """Write a row by a hot statement, and tell the ledger and the event log."""
    tx.authorize(Action.MEMORY_WRITE, ASSET)
    tx.execute(_INSERT, n=n, body=body)
    audit.record(tx, "note.written", ASSET, n=n)
    events.publish(tx, "note.written", subject="note_1", data={"n": n})
    return n


def write_note_by_orm(tx: Tx, n: int, body: str = "") -> int:
    """Write the same row through the session."""
    tx.authorize(Action.MEMORY_WRITE, ASSET)
    tx.session.execute(text("INSERT INTO note (n, body) VALUES (:n, :body)"), {"n": n, "body": body})
    tx.session.flush()
    audit.record(tx, "note.written", ASSET, n=n)
    return n


def break_after_writing(tx: Tx, n: int) -> int:
    """Write, and then find out that it was wrong."""
    write_note(tx, n)
    raise ValueError(f"no {n}")


def numbers(tx: Read) -> list[int]:
    """Return what is there."""
    return [row[0] for row in tx.execute(_NUMBERS).fetchall()]


def outcomes(tx: Read) -> list[str]:
    rows = tx.session.execute(text("SELECT outcome FROM audit_event WHERE kind = 'outcome' ORDER BY seq"))
    return [row[0] for row in rows]


@pytest.fixture
def notes(db: Database) -> Database:
    """A database with a table to write to."""
    return with_notes(db)


def with_notes(db: Database) -> Database:
    db.write_now(KERNEL, run_sql, "CREATE TABLE note (n INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    return db


def run_sql(tx: Tx, sql: str) -> Any:
    """Run a statement in the writer."""
    tx._cursor.execute(sql)
    return tx._cursor.fetchone()


@contextmanager
def held_up(db: Database) -> Iterator[None]:
    """Keep the writer busy, so that what is sent meanwhile shares the next commit."""
    busy, go_on = threading.Event(), threading.Event()

    def wait(_: Tx) -> None:
        busy.set()
        go_on.wait(10)

    holding = threading.Thread(target=db.write_now, args=(KERNEL, wait))
    holding.start()
    busy.wait(10)
    try:
        yield
    finally:
        go_on.set()
        holding.join(10)


async def until(condition: Callable[[], bool]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


def together(db: Database, *calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Make calls that share one batch; return what each caller was told."""

    async def story() -> list[Any]:
        with held_up(db):
            waiting = [asyncio.ensure_future(call()) for call in calls]
            await until(lambda: db.waiting == len(calls))
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(story())


def writing(db: Database, n: int, **words: Any) -> Callable[[], Awaitable[int]]:
    return lambda: db.write(OPERATOR, write_note, n, **words)


# -- sharing a commit --------------------------------------------------------------------------------------------------


def test_what_waits_at_the_same_time_shares_one_commit(notes: Database) -> None:
    together(notes)  # the writer is idle now
    before = notes.batches

    answers = together(notes, *[writing(notes, n) for n in range(20)])

    assert answers == list(range(20))
    assert notes.batches - before == 2  # the one that held the writer up, and the one for all
    assert notes.read_now(KERNEL, numbers) == list(range(20))


def test_a_batch_is_not_larger_than_it_may_be(db_path: Path, policy: Policy) -> None:
    small = with_notes(Database(db_path, authorizer=policy, batch_max=4))
    before = small.batches

    together(small, *[writing(small, n) for n in range(10)])

    assert small.batches - before == 4  # the holder, then 4, 4 and 2
    small.close()


def test_one_failure_undoes_itself_alone(notes: Database) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        writing(notes, 0),
        lambda: notes.write(OPERATOR, break_after_writing, 1),
        writing(notes, 2),
        writing(notes, 2),  # the same key again
        writing(notes, 4),
    ]

    answers = together(notes, *calls)

    assert [type(answer) for answer in answers] == [int, ValueError, int, sqlite3.IntegrityError, int]
    assert notes.read_now(KERNEL, numbers) == [0, 2, 4]
    assert notes.read_now(KERNEL, outcomes) == ["ok", "failed", "ok", "failed", "ok"]


def test_a_session_that_fails_undoes_itself_alone(notes: Database) -> None:
    answers = together(
        notes,
        lambda: notes.write(OPERATOR, write_note_by_orm, 1),
        lambda: notes.write(OPERATOR, write_note_by_orm, 1),
        lambda: notes.write(OPERATOR, write_note_by_orm, 2),
    )

    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert notes.read_now(KERNEL, numbers) == [1, 2]


def test_a_denial_leaves_its_outcome_and_nothing_else(notes: Database, policy: Policy) -> None:
    policy.deny(Action.MEMORY_WRITE)

    (answer,) = together(notes, lambda: notes.write(AGENT, write_note, 1))

    assert isinstance(answer, Denied)
    assert notes.read_now(KERNEL, numbers) == []
    assert notes.read_now(KERNEL, outcomes) == ["denied"]


def test_events_of_what_failed_are_not_published(notes: Database) -> None:
    together(notes, lambda: notes.write(OPERATOR, break_after_writing, 1), writing(notes, 2))

    data = notes.read_now(KERNEL, lambda tx: tx.session.execute(text("SELECT data FROM event")).scalars().all())
    assert data == ['{"n":2}']


# -- callers -----------------------------------------------------------------------------------------------------------


def test_callbacks_run_on_the_loop_after_the_commit_and_before_the_answer(notes: Database) -> None:
    seen: list[Any] = []

    def verb(tx: Tx, n: int) -> None:
        write_note(tx, n)
        tx.after_commit(lambda: seen.append((threading.get_ident(), notes.read_inline(KERNEL, numbers))))
        if n == 2:
            raise ValueError("the second")

    async def story() -> None:
        notes.attach(asyncio.get_running_loop())
        await notes.write(OPERATOR, verb, 1)
        seen.append("answered")
        with pytest.raises(ValueError, match="second"):
            await notes.write(OPERATOR, verb, 2)
        notes.attach(None)

    asyncio.run(story())

    assert seen == [(threading.get_ident(), [1]), "answered"]


def test_a_callback_that_fails_keeps_nobody_from_his_answer(notes: Database) -> None:
    def verb(tx: Tx) -> str:
        tx.after_commit(lambda: 1 / 0)  # type: ignore[arg-type]
        return "done"

    assert together(notes, lambda: notes.write(OPERATOR, verb), writing(notes, 1)) == ["done", 1]


def test_a_caller_that_goes_away_does_not_take_its_operation_back(notes: Database) -> None:
    async def story() -> None:
        with held_up(notes):
            waiting = asyncio.ensure_future(notes.write(OPERATOR, write_note, 1))
            await asyncio.sleep(0.01)
            waiting.cancel()

    asyncio.run(story())

    notes.write_now(KERNEL, lambda _: None)
    assert notes.read_now(KERNEL, numbers) == [1]


def test_a_full_queue_refuses_and_takes_again_later(db_path: Path, policy: Policy) -> None:
    small = with_notes(Database(db_path, authorizer=policy, queue_size=3))

    async def story() -> list[Any]:
        with held_up(small):
            waiting = [asyncio.ensure_future(small.write(OPERATOR, write_note, n)) for n in range(5)]
            await asyncio.sleep(0.05)
        return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asyncio.run(story())

    assert [answer if isinstance(answer, int) else type(answer) for answer in answers] == [
        0, 1, 2, Overloaded, Overloaded,
    ]  # fmt: skip
    assert answers[4].retry_after_s == 1
    assert small.write_now(OPERATOR, write_note, 9) == 9
    assert small.read_now(KERNEL, numbers) == [0, 1, 2, 9]
    small.close()


def test_closing_finishes_what_was_accepted_and_refuses_the_rest(
    db_path: Path, policy: Policy, ledger: audit.Ledger
) -> None:
    closing = with_notes(Database(db_path, authorizer=policy, journals=[ledger]))

    async def story() -> list[Any]:
        with held_up(closing):
            waiting = [asyncio.ensure_future(closing.write(OPERATOR, write_note, n)) for n in range(5)]
            await asyncio.sleep(0.02)
            end = asyncio.ensure_future(asyncio.to_thread(closing.close))
            await until(lambda: closing._closing)
            with pytest.raises(Stopping):
                await closing.write(OPERATOR, write_note, 9)
        await end
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert asyncio.run(story()) == [0, 1, 2, 3, 4]
    closing.close()  # again changes nothing
    with sqlite3.connect(db_path) as connection:
        assert [row[0] for row in connection.execute("SELECT n FROM note ORDER BY n")] == [0, 1, 2, 3, 4]


def test_a_journal_that_cannot_follow_does_not_end_the_writer(db_path: Path, policy: Policy) -> None:
    class Deaf:
        name = "audit"

        def write(self, cursor: Any, entries: list[Any]) -> None:
            pass

        def publish(self, pending: Any) -> None:
            raise RuntimeError("gone")

    deaf = with_notes(Database(db_path, authorizer=policy, journals=[Deaf()]))

    assert [deaf.write_now(OPERATOR, write_note, n) for n in (1, 2)] == [1, 2]
    deaf.close()


def test_a_loop_that_is_gone_does_not_end_the_writer(notes: Database) -> None:
    loop = asyncio.new_event_loop()
    notes.attach(loop)
    loop.close()

    assert [notes.write_now(OPERATOR, write_note, n) for n in (1, 2)] == [1, 2]


# -- the disk ----------------------------------------------------------------------------------------------------------


def test_every_commit_is_synced_and_readers_cannot_write(notes: Database) -> None:
    assert notes.write_now(KERNEL, run_sql, "PRAGMA synchronous") == (2,)  # FULL
    assert notes.write_now(KERNEL, run_sql, "PRAGMA journal_mode") == ("wal",)
    with pytest.raises(sqlite3.OperationalError):
        notes.read_now(KERNEL, lambda tx: tx.execute(_INSERT, n=1, body=""))


def fill(db: Database, *, room: int) -> None:
    """Leave room for this many more pages."""
    (pages,) = db.write_now(KERNEL, run_sql, "PRAGMA page_count")
    db.write_now(KERNEL, run_sql, f"PRAGMA max_page_count={pages + room}")


@pytest.mark.parametrize("verb", [write_note, write_note_by_orm], ids=["hot", "session"])
def test_a_disk_that_fills_on_the_third_of_five_tells_all_the_truth(notes: Database, verb: Any) -> None:
    for n in range(100, 103):
        notes.write_now(OPERATOR, write_note, n)  # whatever grows with the first writes has grown
    kept = notes.read_now(KERNEL, numbers)
    recorded = len(notes.read_now(KERNEL, outcomes))
    fill(notes, room=20)
    sizes = {2: 4_000_000}  # the third needs more than is left

    answers = together(notes, *[lambda n=n: notes.write(OPERATOR, verb, n, "x" * sizes.get(n, 1)) for n in range(5)])

    assert [type(answer) for answer in answers] == [StorageFull, StorageFull, StorageFull, int, int]
    kept += [answer for answer in answers if isinstance(answer, int)]
    assert notes.read_now(KERNEL, numbers) == sorted(kept)
    assert len(notes.read_now(KERNEL, outcomes)) == recorded + 2  # what was not kept left no outcome either
    notes.write_now(KERNEL, run_sql, "PRAGMA max_page_count=1000000")
    assert notes.write_now(OPERATOR, verb, 2, "x" * 4_000_000) == 2
    assert notes.read_now(KERNEL, numbers) == sorted([*kept, 2])
    assert notes.write_now(KERNEL, run_sql, "PRAGMA integrity_check") == ("ok",)


def test_a_disk_without_any_room_refuses_everything_and_recovers(notes: Database) -> None:
    fill(notes, room=0)

    answers = together(notes, *[writing(notes, n, body="x" * 5_000) for n in range(5)])

    assert {type(answer) for answer in answers} == {StorageFull}
    assert notes.read_now(KERNEL, numbers) == []
    assert notes.read_now(KERNEL, outcomes) == []
    notes.write_now(KERNEL, run_sql, "PRAGMA max_page_count=1000000")
    assert together(notes, *[writing(notes, n) for n in range(5)]) == [0, 1, 2, 3, 4]


def test_with_an_unwritable_ledger_nothing_changes(notes: Database) -> None:
    notes.write_now(
        KERNEL,
        run_sql,
        "CREATE TRIGGER jammed BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'jammed'); END",
    )

    answers = together(notes, *[writing(notes, n) for n in range(3)])

    assert {type(answer) for answer in answers} == {StorageFailed}
    assert notes.read_now(KERNEL, numbers) == []
    assert notes.read_now(KERNEL, lambda tx: tx.session.execute(text("SELECT count(*) FROM event")).scalar_one()) == 0
    notes.write_now(KERNEL, run_sql, "DROP TRIGGER jammed")
    assert together(notes, *[writing(notes, n) for n in range(3)]) == [0, 1, 2]
    assert notes.read_now(KERNEL, outcomes) == ["ok", "ok", "ok"]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_reader_sees_one_instant(notes: Database) -> None:
    def twice(tx: Read) -> tuple[list[int], list[int]]:
        first = numbers(tx)
        notes.write_now(OPERATOR, write_note, len(first))
        return first, numbers(tx)

    assert notes.read_now(KERNEL, twice) == ([], [])
    assert notes.read_now(KERNEL, numbers) == [0]


def test_a_unit_of_work_has_one_instant(notes: Database, clock: ManualClock) -> None:
    def verb(tx: Tx) -> bool:
        before = tx.now
        clock.advance(seconds=5)
        return tx.now == before

    assert notes.write_now(OPERATOR, verb)

"""What was handed out to somebody is known again when they say it, and only then."""

import asyncio
from datetime import timedelta

import pytest

from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping
from memroos_memory import echo
from memroos_memory.actor import SERVICE

MOVED = "In March Ann moved to Oslo because of the new job."


def said(db: Database, marks: echo.EchoMarks, text: str, *, by: str = "agent:a", workspace: str = "ws") -> bool:
    return db.read_now(SERVICE, marks.is_echo, workspace, by, text)


def handed_out(db: Database, *texts: str) -> echo.EchoMarks:
    marks = echo.EchoMarks(db)
    marks.mark("ws", "agent:a", texts)
    return marks


def test_what_was_handed_out_is_an_echo_from_whoever_got_it_in_that_workspace_only(db: Database) -> None:
    marks = handed_out(db, MOVED)

    assert said(db, marks, MOVED)
    assert not said(db, marks, MOVED, by="agent:b")
    assert not said(db, marks, MOVED, workspace="other")


def test_an_echo_is_known_in_other_letters_and_between_other_words(db: Database) -> None:
    marks = handed_out(db, MOVED)

    assert said(db, marks, f'As I recall: "{MOVED.upper()}" (memory)')
    assert said(db, marks, f"- [8 May 2023] Ann: {MOVED}\n")
    assert not said(db, marks, f"{MOVED} She has found a flat at the harbour, with a view of the fjord and the opera.")


def test_a_short_sentence_is_everybodys(db: Database) -> None:
    marks = handed_out(db, "Yes, I think so too.")

    assert not said(db, marks, "Yes, I think so too.")


def test_what_is_marked_outlives_the_process_once_it_is_written(db: Database) -> None:
    asyncio.run(handed_out(db, MOVED).flush())

    assert said(db, echo.EchoMarks(db), MOVED)


def test_marks_are_written_by_themselves_and_at_the_end(db: Database) -> None:
    async def story() -> None:
        marks, stopping = handed_out(db, MOVED), Stopping()
        async with asyncio.TaskGroup() as group:
            group.create_task(marks.run(stopping))
            for _ in range(250):
                if said(db, echo.EchoMarks(db), MOVED):
                    break
                await asyncio.sleep(0.02)
            assert said(db, echo.EchoMarks(db), MOVED)
            marks.mark("ws", "agent:a", ["Bob keeps three cats and a very old dog."])
            stopping.set()

    asyncio.run(story())

    assert said(db, echo.EchoMarks(db), "Bob keeps three cats and a very old dog.")


def test_marks_that_could_not_be_written_still_count(db: Database) -> None:
    marks = handed_out(db, MOVED)

    async def refused(*_: object) -> None:
        raise OSError("full")

    db.write, write = refused, db.write  # type: ignore[method-assign, assignment]  # a disk that is full
    with pytest.raises(OSError, match="full"):
        asyncio.run(marks.flush())
    db.write = write  # type: ignore[method-assign]

    assert said(db, marks, MOVED)
    asyncio.run(marks.flush())
    assert said(db, echo.EchoMarks(db), MOVED)


def test_marks_are_forgotten_after_a_while_and_renewed_by_being_handed_out_again(
    db: Database, clock: ManualClock
) -> None:
    marks = handed_out(db, MOVED, "Bob keeps three cats and a very old dog.")
    asyncio.run(marks.flush())
    clock.advance(days=20)
    marks.mark("ws", "agent:a", [MOVED])
    asyncio.run(marks.flush())
    clock.advance(days=20)

    assert db.write_now(SERVICE, echo.forget, timedelta(days=30)) == 1

    assert said(db, marks, MOVED)
    assert not said(db, marks, "Bob keeps three cats and a very old dog.")


def test_nothing_is_marked_for_nobody(db: Database) -> None:
    marks = echo.EchoMarks(db)
    marks.mark("ws", "", [MOVED])

    assert not said(db, marks, MOVED, by="")

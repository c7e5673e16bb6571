"""The recent ends of task logs say the same as the tables."""

from datetime import UTC, datetime

import pytest
from tests.actors import OPERATOR

from memroos.broker.tails import Tails, announce
from memroos_contracts.broker import EventKind, TaskEvent, TaskState, TaskView
from memroos_contracts.governance import INTERNAL
from memroos_contracts.identity import DEFAULT_WORKSPACE, AgentId, ContextId, TaskId
from memroos_kit.db import Database, Tx

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def task(name: str, generation: int) -> TaskView:
    """Return a task at a generation."""
    return TaskView(
        id=TaskId(name),
        workspace_id=DEFAULT_WORKSPACE,
        context_id=ContextId("ctx_1"),
        owner=OPERATOR.principal,
        agent_id=AgentId("agt_1"),
        agent="echo",
        state=TaskState.WORKING,
        generation=generation,
        skill="",
        purpose="",
        route_reason="",
        label=INTERNAL,
        approval_id=None,
        created_at=NOW,
        status_at=NOW,
        deadline_at=None,
    )


def event(generation: int) -> TaskEvent:
    """Return an event of a generation."""
    return TaskEvent(generation=generation, kind=EventKind.STATUS, at=NOW, state=TaskState.WORKING)


def change(db: Database, tails: Tails, view: TaskView, *events: TaskEvent, size_bytes: int = 10) -> None:
    """Announce a change in a unit of work, and follow it as the database does after the COMMIT."""

    def verb(tx: Tx) -> None:
        announce(tx, view, list(events), size_bytes)
        pending = tails.write(tx._cursor, tx.journal(tails.name))
        tails.publish(pending)

    db.write_now(OPERATOR, verb)


def test_a_new_task_is_kept_with_its_whole_log(db: Database) -> None:
    tails = Tails()

    change(db, tails, task("task_1", 2), event(1), event(2))
    change(db, tails, task("task_1", 3), event(3))

    tail = tails.find(TaskId("task_1"))
    assert tail is not None
    assert tail.task.generation == 3
    assert [e.generation for e in tail.events] == [1, 2, 3]


def test_a_task_whose_beginning_is_not_known_is_not_kept(db: Database) -> None:
    tails = Tails()

    change(db, tails, task("task_1", 7), event(7))

    assert tails.find(TaskId("task_1")) is None


def test_a_log_that_gets_too_long_is_read_from_the_tables(db: Database) -> None:
    tails = Tails(events=2)

    change(db, tails, task("task_1", 2), event(1), event(2))
    change(db, tails, task("task_1", 3), event(3))
    change(db, tails, task("task_1", 4), event(4))

    assert tails.find(TaskId("task_1")) is None


@pytest.mark.parametrize("tails", [Tails(tasks=2), Tails(size_bytes=25)])
def test_the_oldest_make_room(db: Database, tails: Tails) -> None:
    for number in range(4):
        change(db, tails, task(f"task_{number}", 1), event(1))

    assert len(tails) == 2
    assert tails.find(TaskId("task_1")) is None
    assert tails.find(TaskId("task_3")) is not None

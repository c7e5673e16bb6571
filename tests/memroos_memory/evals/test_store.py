from typing import Any

import pytest

from memroos_contracts.errors import InvalidCursor
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory_items import Viewer
from memroos_contracts.recall_evals import CategoryScore, NewRecallEval
from memroos_kit.db import Database
from memroos_memory import evals
from memroos_memory.actor import SERVICE

HERE = Viewer(WorkspaceId("here"), "", "operator:ann")
THERE = Viewer(WorkspaceId("there"), "", "operator:bo")


def outcome(note: str = "") -> NewRecallEval:
    score = CategoryScore(2, 0.5, 1.0)
    return NewRecallEval("f", "d", "recall", 3, score, {"temporal": score}, 1.5, 2.5, run="r", note=note)


def keep(db: Database, viewer: Viewer = HERE, note: str = "") -> Any:
    return db.write_now(SERVICE, evals.keep, viewer, outcome(note), embedder="hash/words/64", version="1.0")


def test_an_evaluation_is_kept_as_it_was_with_what_made_the_vectors(db: Database) -> None:
    kept = keep(db, note="first")

    (found,) = db.read_now(SERVICE, evals.list_evals, HERE, limit=10).items

    assert found == kept
    assert (found.result, found.embedder, found.version, found.by) == (
        outcome("first"), "hash/words/64", "1.0", "operator:ann",
    )  # fmt: skip


def test_evaluations_are_listed_newest_first_a_page_at_a_time(db: Database) -> None:
    ids = [keep(db, note=str(number)).id for number in range(3)]

    first = db.read_now(SERVICE, evals.list_evals, HERE, limit=2)
    second = db.read_now(SERVICE, evals.list_evals, HERE, limit=2, cursor=first.next_cursor)

    assert [view.id for view in (*first.items, *second.items)] == ids[::-1]
    assert second.next_cursor is None


def test_another_workspaces_evaluations_are_not_there(db: Database) -> None:
    keep(db)
    keep(db)
    page = db.read_now(SERVICE, evals.list_evals, HERE, limit=1)

    assert db.read_now(SERVICE, evals.list_evals, THERE, limit=10).items == []
    with pytest.raises(InvalidCursor):
        db.read_now(SERVICE, evals.list_evals, THERE, limit=10, cursor=page.next_cursor)

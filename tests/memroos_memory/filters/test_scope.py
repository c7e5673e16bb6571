"""No filter shows anybody more than they may see."""

import pytest
from hypothesis import HealthCheck, given, settings
from tests.memroos_memory.filters.wanted import wanted
from tests.memroos_memory.items.conftest import ANN, BOB, event

from memroos_contracts.identity import DEFAULT_WORKSPACE, WorkspaceId
from memroos_contracts.memory_filters import Exists, Filter, Not, Or
from memroos_contracts.memory_items import ItemQuery, ItemView, Viewer
from memroos_kit.db import Database
from memroos_memory import filters, items
from memroos_memory.actor import SERVICE

SAID = ("Ann", "Bob moved to 100%", "a_b", "' OR 1=1 --")
EVERYTHING = Or((Exists("text"), Not(Exists("text"))))


@pytest.fixture
def shared(db: Database) -> Database:
    """A database in which Ann, Bob, and somebody in another workspace said the same."""
    for whose, (reader, workspace) in enumerate(((ANN, DEFAULT_WORKSPACE), (BOB, DEFAULT_WORKSPACE), (ANN, "other"))):
        for number, said in enumerate(SAID):
            one = event(
                f"{whose}{number}", said, readers=(reader,), workspace=workspace, author=reader, speaker="Ann",
                stream_seq=number + 1, data={"x": said, "y": number},
            )  # fmt: skip
            db.write_now(SERVICE, items.add_event, one)
    return db


def seen(db: Database, reader: str, one: Filter) -> list[ItemView]:
    """Return what a reader sees through a filter."""
    viewer = Viewer(WorkspaceId(DEFAULT_WORKSPACE), reader, reader)
    return db.read_now(SERVICE, items.list_items, viewer, ItemQuery(filter=one), filters.compile(one)).items


def test_a_filter_that_lets_everything_through_shows_ones_own(shared: Database) -> None:
    assert {item.id for item in seen(shared, ANN, EVERYTHING)} == {f"mem_0{number}" for number in range(len(SAID))}
    assert {item.id for item in seen(shared, BOB, EVERYTHING)} == {f"mem_1{number}" for number in range(len(SAID))}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(one=wanted)
def test_no_filter_shows_what_another_wrote(shared: Database, one: Filter) -> None:
    found = seen(shared, ANN, one)

    assert {item.author for item in found} <= {ANN}
    assert {item.workspace_id for item in found} <= {DEFAULT_WORKSPACE}
    assert found == [item for item in seen(shared, ANN, EVERYTHING) if filters.matches(one, item)]

"""The log can be read on from any offset that is still kept, and says so when one is not."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.actors import AGENT, AUDITOR, OPERATOR, OTHER_AGENT, STRANGE_AGENT, STRANGER, VIEWER
from tests.conftest import Policy
from tests.memroos.events.conftest import Publish

from memroos import events
from memroos_contracts.errors import Denied, InvalidCursor
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database


def read(db: Database, actor: Actor, after: int | None, limit: int = 100) -> events.Stretch:
    return db.read_now(actor, events.read_stretch, events.Filter.of(actor), after=after, limit=limit)


def offsets(stretch: events.Stretch) -> list[int]:
    return [row[0] for row in stretch.rows]


@pytest.fixture
def seven_days_later(db: Database, publish: Publish, clock: ManualClock) -> None:
    """Five events of which retention has deleted the first three."""
    for number in range(5):
        if number == 3:
            clock.advance(days=8)
        publish()
    db.write_now(OPERATOR, events.expire, older_than=timedelta(days=7))


def test_reading_goes_on_behind_the_offset(db: Database, publish: Publish) -> None:
    for _ in range(5):
        publish()

    stretch = read(db, OPERATOR, 2)

    assert offsets(stretch) == [3, 4, 5]
    assert (stretch.after, stretch.more, stretch.oldest, stretch.newest, stretch.expired) == (5, False, 1, 5, False)


def test_reading_stops_at_the_limit_and_goes_on_there(db: Database, publish: Publish) -> None:
    for _ in range(5):
        publish()

    first = read(db, OPERATOR, 0, limit=3)
    second = read(db, OPERATOR, first.after, limit=3)

    assert (offsets(first), first.more) == ([1, 2, 3], True)
    assert (offsets(second), second.more) == ([4, 5], False)


def test_without_an_offset_reading_begins_at_the_end(db: Database, publish: Publish) -> None:
    publish()

    stretch = read(db, OPERATOR, None)

    assert (stretch.rows, stretch.after, stretch.more, stretch.expired) == ([], 1, False, False)


def test_an_empty_log_is_at_its_beginning(db: Database) -> None:
    stretch = read(db, OPERATOR, 0)

    assert (stretch.rows, stretch.after, stretch.oldest, stretch.newest, stretch.expired) == ([], 0, 1, 0, False)


def test_what_others_may_see_moves_the_reader_on(db: Database, publish: Publish) -> None:
    publish(owner=OTHER_AGENT.principal)

    stretch = read(db, AGENT, 0)

    assert (stretch.rows, stretch.after) == ([], 1)


@pytest.mark.parametrize(
    ("after", "expired"), [(0, True), (1, True), (2, True), (3, False), (4, False), (5, False), (6, True)]
)
def test_an_offset_behind_which_something_is_gone_is_expired(
    after: int, expired: bool, db: Database, seven_days_later: None
) -> None:
    stretch = read(db, OPERATOR, after)

    assert stretch.expired is expired
    assert offsets(stretch) == ([4, 5] if expired else list(range(after + 1, 6)))


def test_a_log_that_is_empty_again_knows_its_end(db: Database, publish: Publish, clock: ManualClock) -> None:
    publish()
    publish()
    clock.advance(days=8)
    db.write_now(OPERATOR, events.expire, older_than=timedelta(days=7))

    assert (read(db, OPERATOR, 2).expired, read(db, OPERATOR, 1).expired) == (False, True)
    assert (read(db, OPERATOR, None).after, read(db, OPERATOR, 2).oldest) == (2, 3)


@pytest.mark.parametrize(
    ("actor", "expected"),
    [
        (OPERATOR, [1, 2, 3]),
        (AUDITOR, [1, 2, 3]),
        (VIEWER, [1, 2, 3]),
        (AGENT, [1]),
        (OTHER_AGENT, [1, 2]),
        (STRANGER, [4]),
        (STRANGE_AGENT, []),
    ],
)
def test_each_sees_what_is_theirs(actor: Actor, expected: list[int], db: Database, publish: Publish) -> None:
    publish(owner=AGENT.principal, agent=OTHER_AGENT.id)
    publish(owner=OTHER_AGENT.principal)
    publish()
    publish(actor=STRANGER)

    assert offsets(read(db, actor, 0)) == expected
    assert [event.offset for event in db.read_now(actor, events.list_events).items] == expected


def test_who_may_not_read_events_reads_none(db: Database, policy: Policy) -> None:
    policy.deny(Action.EVENT_READ)

    with pytest.raises(Denied):
        read(db, AGENT, 0)
    with pytest.raises(Denied):
        db.read_now(AGENT, events.list_events)


names = st.sampled_from(["", "task", "task.", "task.created", "task.released", "tas", "agent", "%", "task_created"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(
    actor=st.sampled_from([OPERATOR, AGENT, OTHER_AGENT, STRANGER]),
    types=st.lists(names.filter(bool), max_size=3, unique=True),
    subject=st.sampled_from(["", "task_1", "task_2"]),
)
def test_the_table_and_the_feed_choose_alike(
    actor: Actor, types: list[str], subject: str, db: Database, publish: Publish
) -> None:
    if read(db, OPERATOR, None).newest == 0:
        for type_ in (
            "task.created",
            "task.released",
            "tasks",
            "task",
            "TASK.created",
            "agent.created",
            "taskXcreated",
        ):
            for whose in ({}, {"owner": AGENT.principal}, {"agent": AGENT.id}, {"owner": OTHER_AGENT.principal}):
                publish(type_, subject="task_1" if whose else "task_2", **whose)
    wanted = events.Filter.of(actor, types=tuple(types), subject=subject)
    everything = db.read_now(OPERATOR, events.read_stretch, events.Filter.of(OPERATOR), after=0, limit=1000)

    chosen = db.read_now(actor, events.read_stretch, wanted, after=0, limit=1000)

    assert offsets(chosen) == [row[0] for row in everything.rows if wanted.matches(row)]


def test_pages_join_without_gap_or_repeat(db: Database, publish: Publish) -> None:
    for number in range(7):
        publish("task.created" if number % 2 else "agent.created")

    seen, cursor = [], None
    while True:
        page = db.read_now(VIEWER, events.list_events, types=("task",), cursor=cursor, limit=2)
        seen += [event.offset for event in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == [2, 4, 6]
    assert (page.oldest, page.newest) == (1, 7)


def test_a_cursor_of_other_filters_is_refused(db: Database, publish: Publish) -> None:
    publish()
    publish()
    page = db.read_now(VIEWER, events.list_events, limit=1)

    with pytest.raises(InvalidCursor):
        db.read_now(VIEWER, events.list_events, types=("task",), cursor=page.next_cursor)

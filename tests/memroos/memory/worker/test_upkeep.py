"""Tidying up: changes that a crash cut short get an outcome, old traces go."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.actors import AGENT, KERNEL
from tests.memroos.memory.service_twin import ServiceTwin, learned

from memroos.memory.queries.traces import list_traces
from memroos.memory.service import effects, traces
from memroos.memory.service.effects import Change, Effect
from memroos.memory.service.traces import Handout
from memroos.memory.service.writing import Event
from memroos.memory.worker.upkeep import GIVEN_UP_AFTER, LEFT_AFTER, reconcile
from memroos_contracts.audit import Outcome
from memroos_contracts.governance import INTERNAL, Action, Asset
from memroos_contracts.memory_errors import MemoryServiceUnavailable
from memroos_contracts.memory_items import Change as Changed
from memroos_contracts.memory_items import VersionView
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database


def intend(db: Database, event: Event = Event.UPDATED) -> Effect:
    """Begin a change, as a kernel does that dies then."""
    asset = Asset(kind="memory", id="itm_1", owner=AGENT.principal)
    return db.write_now(AGENT, effects.intend, Change(Action.MEMORY_CHANGE, event, lambda _: asset))


def outcomes(db: Database) -> list[tuple[Any, ...]]:
    sql = "SELECT action, actor, outcome FROM audit_event WHERE kind = 'outcome' ORDER BY seq"
    found = db.read_now(KERNEL, lambda tx: tx.session.connection().exec_driver_sql(sql).fetchall())
    return [tuple(row) for row in found if row[0] != effects.INTENDED]


def run(db: Database, twin: ServiceTwin) -> int:
    return asyncio.run(reconcile(db, twin.store()))


@pytest.fixture
def twin() -> ServiceTwin:
    found = ServiceTwin()
    found.items["itm_1"] = learned("itm_1", "mem_1", author=AGENT.principal)
    return found


@pytest.mark.parametrize(("made", "outcome"), [(True, "ok"), (False, "failed")])
def test_the_history_tells_whether_a_change_was_made(
    db: Database, twin: ServiceTwin, clock: ManualClock, made: bool, outcome: str
) -> None:
    effect = intend(db)
    operation = effect.id if made else "mop_another"
    twin.versions["itm_1"] = [VersionView(twin.items["itm_1"], Changed.UPDATE, AGENT.principal, "", operation)]
    clock.advance(seconds=LEFT_AFTER.total_seconds() + 1)
    assert run(db, twin) == 1
    ((action, actor, found),) = outcomes(db)
    assert (action, found) == ("memory.updated", outcome)
    assert AGENT.principal in actor
    assert run(db, twin) == 0


def test_what_nobody_can_tell_stays_unknown(db: Database, twin: ServiceTwin, clock: ManualClock) -> None:
    intend(db, Event.ROLLED_BACK)
    clock.advance(seconds=LEFT_AFTER.total_seconds() + 1)
    run(db, twin)
    assert [outcome for _, _, outcome in outcomes(db)] == ["unknown"]


def test_a_change_that_may_still_be_under_way_is_left_alone(db: Database, twin: ServiceTwin) -> None:
    intend(db)
    assert run(db, twin) == 0
    assert outcomes(db) == []


def test_a_service_that_is_away_is_asked_again_for_a_day(db: Database, twin: ServiceTwin, clock: ManualClock) -> None:
    intend(db)
    twin.away = httpx.ConnectError("no")
    clock.advance(seconds=LEFT_AFTER.total_seconds() + 1)
    with pytest.raises(MemoryServiceUnavailable):
        run(db, twin)
    assert outcomes(db) == []
    clock.advance(seconds=GIVEN_UP_AFTER.total_seconds())
    assert run(db, twin) == 1
    assert [outcome for _, _, outcome in outcomes(db)] == ["unknown"]


def test_a_late_answer_does_not_change_an_outcome(db: Database, twin: ServiceTwin, clock: ManualClock) -> None:
    effect = intend(db, Event.ROLLED_BACK)
    clock.advance(seconds=LEFT_AFTER.total_seconds() + 1)
    run(db, twin)
    db.write_now(AGENT, effects.settle, effect, Outcome.OK, {})
    assert [outcome for _, _, outcome in outcomes(db)] == ["unknown"]


def test_old_traces_are_forgotten_a_chunk_at_a_time(db: Database, clock: ManualClock) -> None:
    for _ in range(3):
        db.write_now(AGENT, traces.keep_trace, Handout(cause="recall", query="q"), INTERNAL)
    clock.advance(days=2)
    db.write_now(AGENT, traces.keep_trace, Handout(cause="recall", query="new"), INTERNAL)
    assert db.write_now(KERNEL, traces.forget_traces, clock.now() - timedelta(days=1)) == 3
    assert db.write_now(KERNEL, traces.forget_traces, clock.now() - timedelta(days=1)) == 0
    assert [trace.query for trace in db.read_now(KERNEL, list_traces, limit=10).items] == ["new"]

"""What nobody answers ends in time, and one that cannot end does not keep the others waiting."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actors import AGENT, KERNEL, OTHER_AGENT, STRANGE_AGENT
from tests.memroos.governance.looking import approvals_of, events_of

from memroos import events, governance
from memroos.governance import Gate, worker
from memroos_contracts.errors import StorageFailed
from memroos_contracts.governance import Action, ApprovalState, ApprovalView, Asset, DecisionRequest, Label, Sensitivity
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx
from memroos_kit.stopping import Stopping

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RESTRICTED = Asset("agent", "agt_2", agent=OTHER_AGENT.id, label=Label(Sensitivity.RESTRICTED))


def test_the_step_ends_what_is_due_in_every_workspace(db: Database, gate: Gate, clock: ManualClock) -> None:
    for actor in (AGENT, STRANGE_AGENT):
        db.write_now(actor, governance.ask, DecisionRequest("file.write", "files"), gate=gate)
    clock.advance(hours=23)
    db.write_now(AGENT, governance.ask, DecisionRequest("file.write", "later"), gate=gate)
    clock.advance(hours=1)

    ended = asyncio.run(worker.expire_due(db, gate, KERNEL))

    assert ended == 2
    assert [a.state for a in approvals_of(db)] == [ApprovalState.PENDING, ApprovalState.EXPIRED, ApprovalState.EXPIRED]
    assert {e.owner for e in events_of(db) if e.type == "decision.answered"} == {
        AGENT.principal,
        STRANGE_AGENT.principal,
    }
    assert asyncio.run(worker.expire_due(db, gate, KERNEL)) == 0


def test_one_that_cannot_end_does_not_keep_the_others_waiting(db: Database, gate: Gate, clock: ManualClock) -> None:
    def fail(tx: Tx, approval: ApprovalView) -> None:
        raise ValueError(approval.id)

    gate.terms.resumers[Action.TASK_SEND] = fail
    db.write_now(AGENT, lambda tx: tx.authorize(Action.TASK_SEND, RESTRICTED, holdable=True))
    db.write_now(AGENT, governance.ask, DecisionRequest("file.write", "files"), gate=gate)
    clock.advance(hours=25)

    assert asyncio.run(worker.expire_due(db, gate, KERNEL)) == 1
    assert [a.state for a in approvals_of(db)] == [ApprovalState.EXPIRED, ApprovalState.PENDING]


def test_the_loop_ends_approvals_and_stops_when_told(
    db: Database, gate: Gate, clock: ManualClock, notifier: events.Notifier
) -> None:
    decision = db.write_now(AGENT, governance.ask, DecisionRequest("file.write", "files"), gate=gate)
    clock.advance(hours=25)

    async def live() -> None:
        notifier.attach(asyncio.get_running_loop())
        stop = Stopping()
        with notifier.listen(decision.id) as listener:
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.run(db, gate, stop))
                assert await listener.next() is not None
                stop.set()

    asyncio.run(live())

    assert approvals_of(db)[0].state is ApprovalState.EXPIRED


def test_the_loop_outlives_a_failing_store(
    db: Database, gate: Gate, notifier: events.Notifier, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = db.write_now(AGENT, governance.ask, DecisionRequest("file.write", "files"), gate=gate)
    clock.advance(hours=25)
    monkeypatch.setattr(worker, "SHORTEST_PAUSE_S", 0.01)
    read, failures = db.read, [StorageFailed(), StorageFailed()]

    async def read_if_it_works(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return await read(*args, **kwargs)

    monkeypatch.setattr(db, "read", read_if_it_works)

    async def live() -> None:
        notifier.attach(asyncio.get_running_loop())
        stop = Stopping()
        with notifier.listen(decision.id) as listener:
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.run(db, gate, stop))
                assert await listener.next() is not None
                stop.set()

    asyncio.run(live())

    assert approvals_of(db)[0].state is ApprovalState.EXPIRED


@given(
    st.none() | st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(seconds=1), timedelta(days=365)),
)
def test_the_loop_never_spins_and_never_sleeps_through_an_end(next_due: datetime | None, ttl: timedelta) -> None:
    pause = worker.pause_s(next_due, NOW, ttl)

    assert worker.SHORTEST_PAUSE_S <= pause <= worker.LONGEST_PAUSE_S
    if next_due is not None and next_due - NOW > timedelta(seconds=1):
        assert pause <= (next_due - NOW).total_seconds()


def test_a_quiet_loop_sleeps_no_longer_than_an_approval_lives() -> None:
    assert worker.pause_s(None, NOW, timedelta(seconds=5)) == pytest.approx(5)
    assert worker.pause_s(None, NOW, timedelta(days=1)) == worker.LONGEST_PAUSE_S
    assert worker.pause_s(NOW - timedelta(days=1), NOW, timedelta(days=1)) == worker.SHORTEST_PAUSE_S

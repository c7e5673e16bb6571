"""Verbs for those who do the work: leases, fencing, reports, and what comes of agents that die."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.actors import KERNEL, OPERATOR
from tests.memroos.broker.conftest import House, report, text_of

from memroos import broker
from memroos.bus import rules as bus_rules
from memroos_contracts.broker import (
    Artifact,
    ArtifactReport,
    ClaimView,
    HeartbeatReport,
    Part,
    TaskState,
    TaskView,
    WorkReport,
)
from memroos_contracts.errors import InvalidRequest, NotFound
from memroos_contracts.identity import Actor
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database

Report = Callable[[Database, Actor, ClaimView], TaskView]


def piece(claim: ClaimView, text: str, *, artifact_id: str = "a", **words: Any) -> ArtifactReport:
    return ArtifactReport(fencing_token=claim.fencing_token, artifact=Artifact(artifact_id, [Part(text=text)]), **words)


def beat(db: Database, worker: Actor, claim: ClaimView, lease_s: int = 60) -> TaskView:
    return db.write_now(
        worker,
        broker.extend_lease,
        claim.task.id,
        HeartbeatReport(fencing_token=claim.fencing_token, lease_s=lease_s),
    )


REPORTS: dict[str, Report] = {
    "heartbeat": beat,
    "progress": lambda db, w, c: db.write_now(w, broker.report_progress, c.task.id, report(c, "half")),
    "artifact": lambda db, w, c: db.write_now(w, broker.add_artifact, c.task.id, piece(c, "x")),
    "complete": lambda db, w, c: db.write_now(w, broker.complete_task, c.task.id, report(c, "done")),
    "fail": lambda db, w, c: db.write_now(w, broker.fail_task, c.task.id, report(c, "broken")),
    "ask": lambda db, w, c: db.write_now(w, broker.ask_caller, c.task.id, report(c, "which?")),
}


@pytest.fixture
def task(house: House, caller: Actor, worker: Actor) -> TaskView:
    """A task that waits for the worker."""
    return house.send(caller)


@pytest.fixture
def claim(house: House, task: TaskView, worker: Actor) -> ClaimView:
    """The worker's claim of it."""
    return house.claim(worker)


# -- claiming ----------------------------------------------------------------------------------------------------------


def test_a_claim_brings_the_message_its_history_and_a_lease(
    house: House, task: TaskView, claim: ClaimView, clock: ManualClock
) -> None:
    assert (claim.task.id, claim.task.state, claim.attempt) == (task.id, TaskState.WORKING, 1)
    assert claim.message.parts == [Part(text="How far is the moon?")]
    assert [m.message_id for m in claim.history] == [claim.message.message_id]
    assert (claim.lease_until - clock.now()).total_seconds() == 60
    assert house.audited()[-1] == "task.claimed"


def test_nothing_waits_for_an_agent_without_work(house: House, task: TaskView) -> None:
    assert house.claim_or_none(house.register("idle")) is None


def test_tasks_come_in_the_order_of_sending(house: House, caller: Actor, worker: Actor) -> None:
    sent = [house.send(caller).id for _ in range(3)]

    assert [house.claim(worker).task.id for _ in range(3)] == sent


def test_tasks_of_one_context_are_worked_on_one_at_a_time(house: House, caller: Actor, worker: Actor) -> None:
    first = house.send(caller, context_id="same")
    second = house.send(caller, context_id="same")
    claimed = house.claim(worker)
    assert (claimed.task.id, house.claim_or_none(worker)) == (first.id, None)

    REPORTS["complete"](house.db, worker, claimed)

    assert house.claim(worker).task.id == second.id


def test_only_agents_claim(house: House, task: TaskView) -> None:
    with pytest.raises(InvalidRequest):
        house.claim(OPERATOR)


# -- reporting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "state"),
    [
        ("heartbeat", TaskState.WORKING),
        ("progress", TaskState.WORKING),
        ("artifact", TaskState.WORKING),
        ("complete", TaskState.COMPLETED),
        ("fail", TaskState.FAILED),
        ("ask", TaskState.INPUT_REQUIRED),
    ],
)
def test_a_report_moves_the_task(house: House, worker: Actor, claim: ClaimView, deed: str, state: TaskState) -> None:
    after = REPORTS[deed](house.db, worker, claim)

    assert (after.state, house.see(after)) == (state, after)


@pytest.mark.parametrize("deed", REPORTS)
def test_a_report_with_a_wrong_token_is_refused(house: House, worker: Actor, claim: ClaimView, deed: str) -> None:

    before = house.see(claim.task)

    with pytest.raises(broker.TaskNotLeased):
        REPORTS[deed](house.db, worker, msgspec.structs.replace(claim, fencing_token=claim.fencing_token + 1))

    assert house.see(claim.task) == before


@pytest.mark.parametrize("deed", REPORTS)
def test_after_a_second_claim_the_first_holder_is_refused(
    house: House, worker: Actor, claim: ClaimView, clock: ManualClock, deed: str
) -> None:
    clock.advance(seconds=61)
    second = house.claim(worker)
    assert (second.task.id, second.attempt) == (claim.task.id, 2)
    assert second.fencing_token > claim.fencing_token

    with pytest.raises(broker.TaskNotLeased):
        REPORTS[deed](house.db, worker, claim)

    REPORTS[deed](house.db, worker, second)


@pytest.mark.parametrize("deed", REPORTS)
def test_a_lease_that_has_ended_is_worth_nothing_even_before_the_next_claim(
    house: House, worker: Actor, claim: ClaimView, clock: ManualClock, deed: str
) -> None:
    clock.advance(seconds=61)

    with pytest.raises(broker.TaskNotLeased):
        REPORTS[deed](house.db, worker, claim)


@pytest.mark.parametrize("deed", REPORTS)
def test_another_agent_learns_nothing_of_the_task(house: House, claim: ClaimView, deed: str) -> None:
    with pytest.raises(NotFound):
        REPORTS[deed](house.db, house.register("other"), claim)


@pytest.mark.parametrize("deed", REPORTS)
def test_the_caller_does_not_report_about_its_own_task(
    house: House, caller: Actor, claim: ClaimView, deed: str
) -> None:
    with pytest.raises(NotFound):
        REPORTS[deed](house.db, caller, claim)


@pytest.mark.parametrize("deed", REPORTS)
def test_a_report_about_a_canceled_task_says_that_it_has_ended(
    house: House, caller: Actor, worker: Actor, claim: ClaimView, deed: str
) -> None:
    house.db.write_now(caller, broker.cancel_task, claim.task.id)

    with pytest.raises(broker.TaskClosed):
        REPORTS[deed](house.db, worker, claim)


@pytest.mark.parametrize("deed", ["complete", "fail", "ask"])
def test_the_same_end_twice_changes_nothing(house: House, worker: Actor, claim: ClaimView, deed: str) -> None:
    first = REPORTS[deed](house.db, worker, claim)

    assert REPORTS[deed](house.db, worker, claim) == first


def test_one_end_after_another_is_refused(house: House, worker: Actor, claim: ClaimView) -> None:
    REPORTS["complete"](house.db, worker, claim)

    with pytest.raises(broker.TaskClosed):
        REPORTS["fail"](house.db, worker, claim)


@pytest.mark.parametrize("deed", REPORTS)
def test_a_token_of_an_earlier_turn_is_worth_nothing_in_the_next(
    house: House, caller: Actor, worker: Actor, claim: ClaimView, deed: str
) -> None:
    REPORTS["ask"](house.db, worker, claim)
    house.send(caller, "this one", task_id=claim.task.id)
    second = house.claim(worker)

    with pytest.raises(broker.TaskNotLeased):
        REPORTS[deed](house.db, worker, claim)

    assert house.see(claim.task).state is TaskState.WORKING
    assert REPORTS["complete"](house.db, worker, second).state is TaskState.COMPLETED


def test_a_heartbeat_keeps_the_task(house: House, worker: Actor, claim: ClaimView, clock: ManualClock) -> None:
    for _ in range(3):
        clock.advance(seconds=50)
        beat(house.db, worker, claim)

    assert house.claim_or_none(worker) is None
    assert house.see(claim.task).generation == claim.task.generation


def test_the_end_brings_the_agents_words(house: House, worker: Actor, claim: ClaimView) -> None:
    words = WorkReport(fencing_token=claim.fencing_token, parts=[Part(text="42")], metadata={"unit": "km"})

    done = house.db.write_now(worker, broker.complete_task, claim.task.id, words)

    assert done.status_message is not None
    assert (done.status_message.parts, done.status_message.metadata) == ([Part(text="42")], {"unit": "km"})


@pytest.mark.parametrize("deed", ["progress", "complete", "fail", "ask"])
def test_words_that_cannot_leave_through_every_door_are_refused(
    house: House, worker: Actor, claim: ClaimView, deed: str
) -> None:
    verbs = {
        "progress": broker.report_progress,
        "complete": broker.complete_task,
        "fail": broker.fail_task,
        "ask": broker.ask_caller,
    }

    with pytest.raises(InvalidRequest):
        house.db.write_now(
            worker,
            verbs[deed],
            claim.task.id,
            WorkReport(fencing_token=claim.fencing_token, parts=[Part(raw="not base 64!")]),
        )

    assert house.see(claim.task).state is TaskState.WORKING
    REPORTS[deed](house.db, worker, claim)


def test_a_question_needs_words(house: House, worker: Actor, claim: ClaimView) -> None:
    with pytest.raises(InvalidRequest):
        house.db.write_now(worker, broker.ask_caller, claim.task.id, report(claim))


# -- artifacts ---------------------------------------------------------------------------------------------------------


def test_chunks_become_one_artifact(house: House, caller: Actor, worker: Actor, claim: ClaimView) -> None:
    pieces = [
        piece(claim, "one ", last_chunk=False),
        piece(claim, "two ", append=True, last_chunk=False),
        *[piece(claim, f"other {n}", artifact_id=f"b{n}") for n in range(20)],
        piece(claim, "three", append=True),
    ]
    for part in pieces:
        house.db.write_now(worker, broker.add_artifact, claim.task.id, part)

    found = house.db.write_now(caller, broker.read_detail, claim.task.id).artifacts

    assert found is not None
    assert [p.text for p in found[0].parts] == ["one ", "two ", "three"]
    assert len(found) == 21
    assert house.query("SELECT count(*) FROM memory_event WHERE kind = 'artifact'") == [(23,)]


def test_a_chunk_of_nothing_is_refused(house: House, worker: Actor, claim: ClaimView) -> None:
    house.db.write_now(worker, broker.add_artifact, claim.task.id, piece(claim, "x", artifact_id="other"))

    with pytest.raises(broker.BrokenChunk):
        house.db.write_now(worker, broker.add_artifact, claim.task.id, piece(claim, "more", append=True))


def test_a_whole_artifact_replaces_the_earlier_one(
    house: House, caller: Actor, worker: Actor, claim: ClaimView
) -> None:
    for text in ("draft", "final"):
        house.db.write_now(worker, broker.add_artifact, claim.task.id, piece(claim, text))

    found = house.db.write_now(caller, broker.read_detail, claim.task.id).artifacts

    assert found == [Artifact("a", [Part(text="final")])]


@pytest.mark.parametrize("artifact", [Artifact("", [Part(text="x")]), Artifact("a", []), Artifact("a", [Part()])])
def test_an_artifact_that_does_not_fit_is_refused(
    house: House, worker: Actor, claim: ClaimView, artifact: Artifact
) -> None:
    with pytest.raises(InvalidRequest):
        house.db.write_now(
            worker,
            broker.add_artifact,
            claim.task.id,
            ArtifactReport(fencing_token=claim.fencing_token, artifact=artifact),
        )


# -- agents that die ---------------------------------------------------------------------------------------------------


def test_a_task_whose_agent_keeps_dying_fails_with_a_reason(
    house: House, worker: Actor, task: TaskView, clock: ManualClock
) -> None:
    for _ in range(bus_rules.ATTEMPTS_MAX):
        house.claim(worker)
        clock.advance(seconds=61)
    assert house.claim_or_none(worker) is None

    (letter,) = house.db.read_now(KERNEL, broker.queries.list_dead_open_tasks, most=10)
    house.db.write_now(KERNEL, broker.fail_dead_letter, letter.task_id, letter.reason)
    house.db.write_now(KERNEL, broker.fail_dead_letter, letter.task_id, letter.reason)

    assert house.see(task).state is TaskState.FAILED
    assert text_of(house.log(task)[-1]).startswith("worker did not finish it: ")
    assert house.db.read_now(KERNEL, broker.queries.list_dead_open_tasks, most=10) == []

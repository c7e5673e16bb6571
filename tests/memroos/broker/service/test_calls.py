"""Verbs for those who send tasks: what a caller can rely on, and every way to be refused."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.actors import AUDITOR, KERNEL, OPERATOR, STRANGE_AGENT, STRANGER, VIEWER, agent_actor
from tests.memroos.broker.conftest import RESTRICTED, House, report, sending, text_of

from memroos import audit, broker, governance, memory, registry
from memroos.governance import Gate
from memroos_contracts.audit import AuditKind
from memroos_contracts.broker import (
    Artifact,
    ArtifactReport,
    EventKind,
    Message,
    MessageRole,
    Part,
    TaskState,
    TaskView,
)
from memroos_contracts.errors import Denied, InvalidCursor, InvalidRequest, NotFound
from memroos_contracts.identity import Actor, KeyId, Role, TaskId, service_actor
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database

SERVICE = Actor(role=Role.SERVICE, id="orchestration", key=KeyId("key_orchestration"))


def cancel(db: Database, actor: Actor, task: TaskView, **words: Any) -> TaskView:
    return db.write_now(actor, broker.cancel_task, task.id, **words)


# -- sending -----------------------------------------------------------------------------------------------------------


def test_a_message_becomes_a_task_of_its_sender_with_a_log_and_work_for_the_agent(
    house: House, caller: Actor, worker: Actor
) -> None:
    task = house.send(caller, "How far is the moon?", purpose="curiosity")

    assert (task.owner, task.agent, task.state) == (caller.principal, "worker", TaskState.SUBMITTED)
    assert (task.purpose, task.route_reason) == ("curiosity", "named by the caller: worker")
    assert task.generation == 2
    assert [(e.generation, e.kind, e.state) for e in house.log(task)] == [
        (1, EventKind.MESSAGE, None),
        (2, EventKind.STATUS, TaskState.SUBMITTED),
    ]
    assert house.claim(worker).task.id == task.id


def test_what_is_said_is_in_the_memory_of_its_context(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller, "Remember the albatross.")

    found = house.query("SELECT stream, kind, text, owner FROM memory_event")

    assert found == [(f"context:{task.context_id}", "message", "Remember the albatross.", caller.principal)]
    assert memory.__doc__


def test_the_ledger_has_the_decision_and_the_outcome_but_not_the_text(
    house: House, caller: Actor, worker: Actor
) -> None:
    house.send(caller, "a very secret sentence")

    bodies = [row[0] for row in house.query("SELECT body FROM audit_event")]

    assert "task.submitted" in house.audited()
    assert not any("very secret sentence" in body for body in bodies)


def test_the_same_message_again_is_the_same_task_and_changes_nothing(
    house: House, caller: Actor, worker: Actor
) -> None:
    first = house.send(caller, message_id="m-1")
    house.claim(worker)

    again = house.send(caller, message_id="m-1")

    assert (again.id, again.state) == (first.id, TaskState.WORKING)
    assert house.claim_or_none(worker) is None
    assert house.query("SELECT count(*) FROM task") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        {"text": "another body"},
        {"context_id": "another context"},
        {"metadata": {"another": 1}},
        {"agent": "another"},
    ],
)
def test_the_same_id_with_another_body_context_or_receiver_is_another_message(
    house: House, caller: Actor, worker: Actor, change: dict[str, Any]
) -> None:
    house.register("another")
    first = house.send(caller, message_id="m-1")

    other = house.send(caller, message_id="m-1", **change)

    assert other.id != first.id


def test_two_callers_may_use_the_same_message_id(house: House, caller: Actor, worker: Actor) -> None:
    first = house.send(caller, message_id="m-1")

    assert house.send(OPERATOR, message_id="m-1").id != first.id


def test_a_message_goes_to_the_agent_with_the_skill_or_tag(house: House, caller: Actor, worker: Actor) -> None:
    by_skill = house.send(caller, skill="count")
    by_tag = house.send(caller, tags=("about-count",))

    assert {by_skill.agent, by_tag.agent} == {"worker"}
    assert "skill count" in by_skill.route_reason


def test_work_goes_to_whoever_has_least_of_it(house: House, caller: Actor, worker: Actor) -> None:
    house.register("helper", skills=("count",))

    agents = [house.send(caller, skill="count").agent for _ in range(4)]

    assert sorted(agents) == ["helper", "helper", "worker", "worker"]


@pytest.mark.parametrize("wish", [{"skill": "fly"}, {"tags": ("fly",)}, {"agent": ""}])
def test_a_message_that_nobody_can_take_says_so(
    house: House, caller: Actor, worker: Actor, wish: dict[str, Any]
) -> None:
    with pytest.raises(broker.NoRoute):
        house.send(caller, **wish)

    assert house.query("SELECT count(*) FROM task") == [(0,)]


@pytest.mark.parametrize("state", [AgentState.DRAFT, AgentState.QUARANTINED, AgentState.RETIRED])
def test_an_agent_that_is_out_of_service_gets_nothing(house: House, caller: Actor, state: AgentState) -> None:
    new = NewAgent(name="worker", kind=AgentKind.REST, state=AgentState.DRAFT)
    agent = house.db.write_now(OPERATOR, registry.create_agent, new)
    if state is AgentState.QUARANTINED:
        house.db.write_now(OPERATOR, registry.quarantine_agent, agent.id, reason="odd")
    elif state is AgentState.RETIRED:
        house.db.write_now(OPERATOR, registry.retire_agent, agent.id)

    with pytest.raises(broker.AgentNotAvailable) as refused:
        house.send(caller)

    assert refused.value.facts == {"agent": "worker", "state": state}


def test_an_agent_of_a_kind_that_is_not_delivered_to_is_refused(house: House, caller: Actor) -> None:
    house.register("worker", AgentKind.GRAPH)

    with pytest.raises(broker.AgentNotAvailable, match="of kind graph"):
        house.send(caller)


def test_an_unknown_agent_and_one_of_another_workspace_are_not_found_alike(house: House, caller: Actor) -> None:
    house.register("foreign", as_=STRANGER)

    with pytest.raises(NotFound) as unknown:
        house.send(caller, agent="nobody")
    with pytest.raises(NotFound) as foreign:
        house.send(caller, agent="foreign")

    assert str(unknown.value) == str(foreign.value)


@pytest.mark.parametrize(
    "words",
    [{"parts": []}, {"parts": [Part()]}, {"message_id": "m" * 201}, {"context_id": "c" * 201}, {"task_id": "t" * 201}],
)
def test_a_message_that_does_not_fit_is_refused_as_a_whole(
    house: House, caller: Actor, worker: Actor, words: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        house.send(caller, **words)

    assert refused.value.facts["fields"]
    assert house.query("SELECT count(*) FROM task") == [(0,)]


def test_a_role_that_may_not_send_is_denied_and_that_is_on_record(house: House, worker: Actor) -> None:
    with pytest.raises(Denied):
        house.send(VIEWER)

    assert house.query("SELECT count(*) FROM audit_event WHERE outcome = 'denied'") == [(1,)]
    assert house.query("SELECT count(*) FROM task") == [(0,)]


# -- going on ----------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_and_the_work_goes_on(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller, "Book a table.")
    first = house.claim(worker)
    asked = house.db.write_now(worker, broker.ask_caller, task.id, report(first, "For how many?"))
    assert (asked.state, asked.status_message is not None) == (TaskState.INPUT_REQUIRED, True)

    answered = house.send(caller, "For four.", task_id=task.id)
    second = house.claim(worker)
    done = house.db.write_now(worker, broker.complete_task, task.id, report(second, "Booked."))

    assert (answered.id, answered.state, answered.context_id) == (task.id, TaskState.SUBMITTED, task.context_id)
    assert second.message.parts == [Part(text="For four.")]
    said = [broker.text_of(m.parts) for m in second.history]
    assert said == ["Book a table.", "For how many?", "For four."]
    assert done.state is TaskState.COMPLETED


def test_a_repeated_answer_is_given_once(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    house.db.write_now(worker, broker.ask_caller, task.id, report(house.claim(worker), "which?"))

    first = house.send(caller, "that", message_id="m-2", task_id=task.id)
    again = house.send(caller, "that", message_id="m-2", task_id=task.id)

    assert first == again
    house.db.write_now(worker, broker.ask_caller, task.id, report(house.claim(worker), "sure?"))
    assert house.claim_or_none(worker) is None


def test_what_is_added_to_running_work_comes_after_it(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller, "one")
    first = house.claim(worker)

    house.send(caller, "two", task_id=task.id)

    assert house.see(task).state is TaskState.WORKING
    assert house.claim_or_none(worker) is None
    house.db.write_now(worker, broker.ask_caller, task.id, report(first, "and then?"))
    assert house.claim(worker).message.parts == [Part(text="two")]


def test_the_context_may_be_left_out_or_named_but_must_not_be_another(
    house: House, caller: Actor, worker: Actor
) -> None:
    task = house.send(caller, context_id="our-context")

    house.send(caller, "more", task_id=task.id)
    house.send(caller, "still more", task_id=task.id, context_id="our-context")
    with pytest.raises(broker.ContextMismatch):
        house.send(caller, "elsewhere", task_id=task.id, context_id="another")

    assert task.context_id == "our-context"
    assert house.see(task).generation == 4


def test_a_task_that_has_ended_takes_nothing_more(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    cancel(house.db, caller, task)

    with pytest.raises(broker.TaskClosed) as closed:
        house.send(caller, "one more thing", task_id=task.id)

    assert closed.value.facts == {"task": task.id, "state": TaskState.CANCELED}


def test_a_message_to_a_task_of_another_agent_is_not_found(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)

    with pytest.raises(NotFound):
        house.send(caller, "hello", task_id=task.id, agent="caller")
    with pytest.raises(NotFound):
        house.send(worker, "to my own work", task_id=task.id)  # it is given to it, but it is not its caller


def test_an_answer_to_an_agent_that_was_put_out_of_service_says_so(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    house.db.write_now(OPERATOR, registry.quarantine_agent, "worker", reason="odd")

    with pytest.raises(broker.AgentNotAvailable):
        house.send(caller, "are you there?", task_id=task.id)


# -- foreign is unknown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", [STRANGER, STRANGE_AGENT, agent_actor("agt_0BYSTANDER"), SERVICE])
def test_a_foreign_task_answers_as_an_unknown_one(house: House, caller: Actor, worker: Actor, actor: Actor) -> None:
    task = house.send(caller)
    unknown = TaskId("task_00000000000000000000000000")

    def words_for(task_id: TaskId, verb: Any) -> str:
        with pytest.raises(NotFound) as refused:
            verb(task_id)
        return str(refused.value).replace(task_id, "ID")

    verbs: list[Any] = [
        lambda task_id: house.db.read_now(actor, broker.get_task, task_id),
        lambda task_id: house.db.read_now(actor, broker.see_task, task_id),
        lambda task_id: house.db.write_now(actor, broker.read_detail, task_id),
        lambda task_id: house.db.write_now(actor, broker.read_task, task_id),
        lambda task_id: house.db.write_now(actor, broker.cancel_task, task_id),
        lambda task_id: house.send(actor, "hello", task_id=task_id),
    ]

    for verb in verbs:
        assert words_for(task.id, verb) == words_for(unknown, verb)


def test_a_service_with_a_key_sees_what_it_sent_and_the_kernel_sees_all(
    house: House, caller: Actor, worker: Actor
) -> None:
    mine, other = house.send(SERVICE), house.send(caller)

    assert house.see(mine, SERVICE).id == mine.id
    with pytest.raises(NotFound):
        house.see(other, SERVICE)
    assert house.see(other, KERNEL).id == other.id


# -- reading -----------------------------------------------------------------------------------------------------------


def test_content_is_recorded_before_it_leaves(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller, "one")
    claim = house.claim(worker)
    artifact = Artifact("a", [Part(text="result")])
    house.db.write_now(
        worker, broker.add_artifact, task.id, ArtifactReport(fencing_token=claim.fencing_token, artifact=artifact)
    )

    found = house.db.write_now(AUDITOR, broker.read_detail, task.id)

    assert house.audited()[-1] == "task.read"
    assert found.history is not None
    assert [m.parts for m in found.history] == [[Part(text="one")]]
    assert found.artifacts == [artifact]


@pytest.mark.parametrize(("length", "texts"), [(None, ["one", "two"]), (0, None), (1, ["two"]), (9, ["one", "two"])])
def test_history_is_cut_to_its_newest(
    house: House, caller: Actor, worker: Actor, length: int | None, texts: list[str] | None
) -> None:
    task = house.send(caller, "one")
    house.send(caller, "two", task_id=task.id)

    found = house.db.write_now(caller, broker.read_detail, task.id, history_length=length, artifacts=False)

    assert found.artifacts is None
    assert (None if found.history is None else [broker.text_of(m.parts) for m in found.history]) == texts


def test_sending_again_to_see_the_content_again_is_on_record(house: House, caller: Actor, worker: Actor) -> None:
    first = house.send(caller, message_id="m-1")

    house.send(caller, message_id="m-1")

    events = house.db.read_now(OPERATOR, audit.list_audit_events, limit=50).items
    reads = [(e.actor.id, e.asset.id) for e in events if (e.kind, e.action) == (AuditKind.OUTCOME, "task.read")]
    assert reads == [(caller.id, first.id)]


def test_a_viewer_sees_how_a_task_stands_and_not_what_it_says(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    house.db.write_now(worker, broker.ask_caller, task.id, report(house.claim(worker), "the secret word?"))

    seen = house.db.read_now(VIEWER, broker.see_task, task.id)
    listed = house.db.read_now(VIEWER, broker.list_tasks, broker.TaskFilter(), limit=10)

    assert (seen.state, seen.status_message) == (TaskState.INPUT_REQUIRED, None)
    assert [item.status_message for item in listed.items] == [None]
    assert house.db.read_now(caller, broker.see_task, task.id).status_message is not None
    assert house.db.read_now(OPERATOR, broker.see_task, task.id).status_message is None  # it reads content, on record
    with pytest.raises(Denied):
        house.db.write_now(VIEWER, broker.read_detail, task.id)


def test_a_key_whose_scopes_do_not_cover_it_sees_no_tasks(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    narrow = msgspec.structs.replace(caller, scopes=frozenset({"memory.read"}))

    with pytest.raises(Denied):
        house.db.read_now(narrow, broker.see_task, task.id)
    with pytest.raises(Denied):
        house.db.read_now(narrow, broker.list_tasks, broker.TaskFilter(), limit=10)


def test_a_listing_with_content_tells_the_ledger_whose_was_read(house: House, caller: Actor, worker: Actor) -> None:
    tasks = [house.send(caller, f"task {n}") for n in range(3)]

    page = house.db.write_now(
        caller, broker.read_details, broker.TaskFilter(), limit=2, cursor=None, history_length=1, artifacts=True
    )

    assert [item.task.id for item in page.items] == [tasks[2].id, tasks[1].id]
    assert (page.total, house.audited()[-1]) == (3, "task.listed")
    with pytest.raises(InvalidCursor):
        house.db.write_now(
            caller, broker.read_details, broker.TaskFilter(), limit=2, cursor="x", history_length=1, artifacts=True
        )


# -- cancelling --------------------------------------------------------------------------------------------------------


def test_a_canceled_task_is_taken_back_from_its_agent(house: House, caller: Actor, worker: Actor) -> None:
    waiting, running = house.send(caller), house.send(caller)
    claim = house.claim(worker)
    assert claim.task.id == waiting.id

    for task in (waiting, running):
        assert cancel(house.db, caller, task, reason="no longer needed").state is TaskState.CANCELED

    assert text_of(house.log(waiting)[-1]) == "no longer needed"
    assert house.claim_or_none(worker) is None
    with pytest.raises(broker.TaskClosed):
        house.db.write_now(worker, broker.complete_task, waiting.id, report(claim))


def test_cancelling_again_changes_nothing(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    first = cancel(house.db, caller, task)

    assert cancel(house.db, caller, task) == first
    assert len(house.log(task)) == 3


def test_what_has_ended_otherwise_cannot_be_canceled(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    house.db.write_now(worker, broker.complete_task, task.id, report(house.claim(worker)))

    with pytest.raises(broker.TaskNotCancelable):
        cancel(house.db, caller, task)


def test_only_its_caller_and_operators_cancel_a_task(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)

    with pytest.raises(Denied):
        cancel(house.db, worker, task)  # it may see it, and may fail it
    assert cancel(house.db, OPERATOR, task).state is TaskState.CANCELED


# -- holds -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(house: House, caller: Actor, worker: Actor) -> TaskView:
    """A task that waits for an operator."""
    return house.send(caller, "the launch codes", label=RESTRICTED)


def test_a_held_task_waits_for_a_person_and_gives_its_agent_nothing(
    house: House, held: TaskView, worker: Actor
) -> None:
    assert held.state is TaskState.AUTH_REQUIRED
    assert held.approval_id is not None
    assert held.status_message is not None
    assert held.status_message.metadata == {"memroos": {"approval": held.approval_id}}
    assert house.claim_or_none(worker) is None


def test_an_approved_task_runs(house: House, gate: Gate, held: TaskView, worker: Actor) -> None:
    assert held.approval_id is not None

    house.db.write_now(OPERATOR, governance.approve, held.approval_id, gate=gate)

    released = house.see(held)
    assert (released.state, released.approval_id) == (TaskState.SUBMITTED, None)
    claim = house.claim(worker)
    assert house.db.write_now(worker, broker.complete_task, held.id, report(claim)).state is TaskState.COMPLETED
    assert [name for name in house.audited() if name in {"task.held", "task.released"}] == [
        "task.held",
        "task.released",
    ]


def test_a_rejected_task_says_why(house: House, gate: Gate, held: TaskView, worker: Actor) -> None:
    assert held.approval_id is not None

    house.db.write_now(OPERATOR, governance.reject, held.approval_id, gate=gate, note="Not on a Friday.")

    assert house.see(held).state is TaskState.REJECTED
    assert text_of(house.log(held)[-1]) == "An operator rejected this. Not on a Friday."
    assert house.claim_or_none(worker) is None


def test_an_unanswered_hold_ends_with_its_time_in_every_workspace(
    house: House, gate: Gate, held: TaskView, clock: ManualClock
) -> None:
    house.register("worker", as_=STRANGER)
    strange_caller = house.register("caller", as_=STRANGER)
    elsewhere = house.send(strange_caller, label=RESTRICTED)
    clock.advance(hours=2)

    for task, workspace in ((held, OPERATOR.workspace), (elsewhere, STRANGER.workspace)):
        assert task.approval_id is not None
        house.db.write_now(service_actor("kernel", workspace), governance.expire, task.approval_id, gate=gate)

    assert house.see(held).state is TaskState.REJECTED
    assert house.see(elsewhere, STRANGER).state is TaskState.REJECTED
    assert text_of(house.log(held)[-1]) == "Nobody answered in time."


def test_a_callers_next_message_never_ends_a_hold_but_is_delivered_after_it(
    house: House, gate: Gate, held: TaskView, caller: Actor, worker: Actor
) -> None:
    assert held.approval_id is not None

    after = house.send(caller, "please hurry", task_id=held.id)

    assert (after.state, after.approval_id) == (TaskState.AUTH_REQUIRED, held.approval_id)
    assert house.claim_or_none(worker) is None
    house.db.write_now(OPERATOR, governance.approve, held.approval_id, gate=gate)
    first = house.claim(worker)
    assert first.message.parts == [Part(text="the launch codes")]
    house.db.write_now(worker, broker.ask_caller, held.id, report(first, "really?"))
    assert house.claim(worker).message.parts == [Part(text="please hurry")]


def test_cancelling_a_held_task_takes_its_question_back(
    house: House, gate: Gate, held: TaskView, caller: Actor, worker: Actor
) -> None:
    assert held.approval_id is not None
    cancel(house.db, caller, held)

    with pytest.raises(governance.ApprovalWithdrawn):
        house.db.write_now(OPERATOR, governance.approve, held.approval_id, gate=gate)

    assert house.see(held).state is TaskState.CANCELED
    assert house.claim_or_none(worker) is None


def test_an_approval_for_an_agent_that_is_out_of_service_stays_open(
    house: House, gate: Gate, held: TaskView, worker: Actor
) -> None:
    assert held.approval_id is not None
    house.db.write_now(OPERATOR, registry.quarantine_agent, "worker", reason="odd")

    with pytest.raises(broker.AgentNotAvailable):
        house.db.write_now(OPERATOR, governance.approve, held.approval_id, gate=gate)

    assert house.see(held).state is TaskState.AUTH_REQUIRED
    house.db.write_now(OPERATOR, registry.activate_agent, "worker")
    house.db.write_now(OPERATOR, governance.approve, held.approval_id, gate=gate)
    assert house.see(held).state is TaskState.SUBMITTED


def test_a_held_message_sent_again_waits_for_the_same_answer(house: House, caller: Actor, worker: Actor) -> None:
    first = house.send(caller, message_id="m-1", label=RESTRICTED)

    again = house.send(caller, message_id="m-1", label=RESTRICTED)

    assert (again.id, again.approval_id) == (first.id, first.approval_id)


def test_a_held_task_for_an_agent_inside_the_process_is_delivered_when_it_is_approved(
    house: House, gate: Gate, caller: Actor
) -> None:
    house.register("local", AgentKind.LOCAL)
    task = house.send(caller, agent="local", label=RESTRICTED)
    waiting = "SELECT task_id FROM delivery WHERE state = 'waiting'"
    assert house.query(waiting) == []
    assert task.approval_id is not None

    house.db.write_now(OPERATOR, governance.approve, task.approval_id, gate=gate)

    assert house.query(waiting) == [(task.id,)]


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_task_that_nobody_finished_fails_at_its_deadline(
    house: House, caller: Actor, worker: Actor, clock: ManualClock
) -> None:
    task = house.send(caller)

    house.db.write_now(KERNEL, broker.fail_overdue, task.id)
    assert house.see(task).state is TaskState.SUBMITTED
    clock.advance(days=7)
    house.db.write_now(KERNEL, broker.fail_overdue, task.id)
    house.db.write_now(KERNEL, broker.fail_overdue, task.id)

    assert house.see(task).state is TaskState.FAILED
    assert text_of(house.log(task)[-1]) == "The task's deadline passed."
    assert len(house.log(task)) == 3
    assert house.claim_or_none(worker) is None
    assert task.deadline_at == task.created_at + timedelta(days=7)


def test_sending_uses_the_id_that_a_door_listens_to(house: House, caller: Actor, worker: Actor) -> None:
    wanted = TaskId("task_01J00000000000000000000000")

    task = house.db.write_now(caller, broker.send_message, sending(), task_id=wanted)

    assert task.id == wanted


def test_a_message_knows_its_task_and_context(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)

    first = house.log(task)[0].message

    assert isinstance(first, Message)
    assert (first.task_id, first.context_id, first.role) == (task.id, task.context_id, MessageRole.USER)

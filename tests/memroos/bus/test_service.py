"""Verbs of the bus: what a sender and a receiver can rely on."""

from datetime import timedelta
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER
from tests.conftest import Policy
from tests.memroos.bus.conftest import Send, register

from memroos import audit, bus, registry
from memroos.bus import rules
from memroos_contracts.bus import Delivery, InboxState
from memroos_contracts.errors import Denied, IdempotencyConflict, NotFound, TooLarge
from memroos_contracts.governance import Action, Effect, Label, Sensitivity
from memroos_contracts.identity import Actor, AgentId, InboxMessageId, TaskId
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database


def receive(db: Database, worker: Actor, max_messages: int = 1, lease_s: int = 60, **words: Any) -> list[Delivery]:
    assert worker.agent is not None
    return db.write_now(worker, bus.receive, worker.agent, max_messages=max_messages, lease_s=lease_s, **words)


def receive_one(db: Database, worker: Actor, lease_s: int = 60) -> Delivery:
    (delivery,) = receive(db, worker, lease_s=lease_s)
    return delivery


def state_of(db: Database, message_id: InboxMessageId) -> InboxState:
    return db.write_now(OPERATOR, bus.read_message, message_id).message.state


def event_types(
    db: Database, sql: str = "SELECT type FROM event WHERE type LIKE 'inbox.%' ORDER BY offset"
) -> list[str]:
    return db.read_now(KERNEL, lambda tx: [row[0] for row in tx.session.connection().exec_driver_sql(sql)])


# -- sending -----------------------------------------------------------------------------------------------------------


def test_what_is_sent_is_received_once_and_gone_after_its_ack(db: Database, send: Send, worker: Actor) -> None:
    sent = send(body={"question": "how far?"}, correlation_id="c-1")

    delivery = receive_one(db, worker)
    acked = db.write_now(worker, bus.ack, delivery.message.id, delivery.fencing_token)

    assert delivery.body == {"question": "how far?"}
    assert (delivery.message.id, delivery.message.correlation_id) == (sent.id, "c-1")
    assert delivery.message.attempts == 1
    assert acked.state is InboxState.ACKED
    assert receive(db, worker) == []


def test_a_message_that_carries_a_task_is_settled_by_its_task(db: Database, send: Send, worker: Actor) -> None:
    send(task_id=TaskId("task_1"))
    delivery = receive_one(db, worker)

    with pytest.raises(bus.MessageCarriesTask) as refused:
        db.write_now(worker, bus.ack, delivery.message.id, delivery.fencing_token)
    settled = db.write_now(worker, bus.ack, delivery.message.id, delivery.fencing_token, task_settled=True)

    assert refused.value.facts == {"message": delivery.message.id, "task": "task_1"}
    assert settled.state is InboxState.ACKED


def test_an_agent_is_found_by_its_name_too(db: Database, send: Send, worker: Actor) -> None:
    assert send(to="worker").agent_id == worker.agent


def test_a_repeated_send_answers_with_the_first_message(db: Database, send: Send, worker: Actor) -> None:
    first = send(body={"b": 2, "a": 1}, idempotency_key="k-1")
    second = send(body={"a": 1, "b": 2}, idempotency_key="k-1")

    assert second.id == first.id
    assert len(receive(db, worker, max_messages=10)) == 1


@pytest.mark.parametrize("other", [{"body": {"n": 2}}, {"kind": "order"}, {"context_id": "c"}])
def test_a_key_that_was_used_for_another_message_is_a_conflict(send: Send, other: dict[str, Any]) -> None:
    send(idempotency_key="k-1")
    with pytest.raises(IdempotencyConflict):
        send(**{"idempotency_key": "k-1"} | other)


def test_two_senders_may_use_the_same_key(db: Database, send: Send, worker: Actor) -> None:
    first = send(idempotency_key="k-1")
    second = db.write_now(OPERATOR, bus.send, to=AgentId(worker.id), kind="note", body={"n": 2}, idempotency_key="k-1")
    assert second.id != first.id


def test_nobody_sends_to_itself(db: Database, planner: Actor) -> None:
    with pytest.raises(bus.SenderIsReceiver):
        db.write_now(planner, bus.send, to=AgentId(planner.id), kind="note", body={})


def test_an_unknown_agent_and_one_of_another_workspace_answer_the_same(db: Database, worker: Actor) -> None:
    with pytest.raises(NotFound):
        db.write_now(OPERATOR, bus.send, to=AgentId("agt_nobody"), kind="note", body={})
    with pytest.raises(NotFound):
        db.write_now(STRANGER, bus.send, to=AgentId(worker.id), kind="note", body={})


def test_a_retired_agent_takes_no_more_messages(db: Database, send: Send, worker: Actor) -> None:
    db.write_now(OPERATOR, registry.retire_agent, worker.id)
    with pytest.raises(bus.ReceiverRetired):
        send()


def test_a_body_beyond_the_limit_is_refused(send: Send) -> None:
    with pytest.raises(TooLarge):
        send(body={"text": "x" * rules.BODY_BYTES_MAX})


def test_a_full_inbox_refuses_until_something_is_received(
    db: Database, send: Send, worker: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "QUEUED_MAX", 2)
    send()
    send()

    with pytest.raises(bus.InboxFull) as full:
        send()
    assert full.value.retry_after_s is not None

    receive_one(db, worker)
    send()


def test_a_denied_send_leaves_nothing_but_its_record(db: Database, send: Send, worker: Actor, policy: Policy) -> None:
    policy.deny(Action.INBOX_SEND)
    with pytest.raises(Denied):
        send()
    assert receive(db, worker) == []
    assert event_types(db, "SELECT outcome FROM audit_event WHERE action = 'inbox.send' AND kind = 'outcome'") == [
        "denied"
    ]


def test_policy_sees_the_receivers_state_and_the_contents_label(send: Send, policy: Policy, worker: Actor) -> None:
    label = Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"}))
    send(label=label)
    action, asset = policy.asked[-1]
    assert action is Action.INBOX_SEND
    assert (asset.agent, asset.state, asset.label) == (worker.agent, "active", label)


def test_bodies_are_neither_in_the_ledger_nor_in_the_event_log(db: Database, send: Send, worker: Actor) -> None:
    sent = send(body={"text": "a very private sentence"})
    delivery = receive_one(db, worker)
    db.write_now(worker, bus.nack, sent.id, delivery.fencing_token, reason="a very private sentence")

    everything = "".join(event_types(db, "SELECT body FROM audit_event UNION ALL SELECT data FROM event"))
    assert "private" not in everything
    assert sent.digest in everything
    assert sent.digest == audit.digest(b'{"text":"a very private sentence"}')


# -- order -------------------------------------------------------------------------------------------------------------


def test_higher_priority_comes_first_then_the_oldest(db: Database, send: Send, worker: Actor) -> None:
    low, high, high2 = send(), send(priority=5), send(priority=5)
    order = [delivery.message.id for delivery in receive(db, worker, max_messages=10)]
    assert order == [high.id, high2.id, low.id]


def test_a_context_comes_in_order_one_at_a_time(db: Database, send: Send, worker: Actor) -> None:
    first, second, other = send("ctx"), send("ctx", priority=9), send("elsewhere")

    together = receive(db, worker, max_messages=10)
    assert [delivery.message.id for delivery in together] == [first.id, other.id]
    assert receive(db, worker, max_messages=10) == []

    db.write_now(worker, bus.ack, first.id, together[0].fencing_token)
    assert receive_one(db, worker).message.id == second.id


def test_a_message_that_rests_keeps_its_context_waiting(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    first, _ = send("ctx"), send("ctx")
    db.write_now(worker, bus.nack, first.id, receive_one(db, worker).fencing_token, delay_s=30)

    assert receive(db, worker, max_messages=10) == []
    clock.advance(seconds=30)
    assert receive_one(db, worker).message.id == first.id


@pytest.mark.parametrize("tasks", [True, False])
def test_tasks_and_other_messages_can_be_received_apart(
    db: Database, send: Send, worker: Actor, *, tasks: bool
) -> None:
    by_task = {True: send(task_id=TaskId("task_1")).id, False: send().id}
    assert [d.message.id for d in receive(db, worker, max_messages=10, tasks=tasks)] == [by_task[tasks]]


def test_a_message_is_not_handed_out_before_its_time(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    send(not_before=clock.now() + timedelta(seconds=10))
    assert receive(db, worker) == []
    assert db.read_inline(worker, bus.next_due, worker.agent) == clock.now() + timedelta(seconds=10)

    clock.advance(seconds=10)
    assert receive_one(db, worker).message.not_before is None


def test_a_message_that_nobody_took_in_time_expires_and_lets_the_next_one_through(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    late, next_one = send("ctx", ttl_s=5), send("ctx")
    clock.advance(seconds=5)
    assert receive_one(db, worker).message.id == next_one.id
    assert state_of(db, late.id) is InboxState.EXPIRED


# -- leases ------------------------------------------------------------------------------------------------------------


def test_a_lost_lease_comes_back_at_once_and_its_token_is_worthless(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    send()
    first = receive_one(db, worker, lease_s=60)
    clock.advance(seconds=60)

    with pytest.raises(bus.StaleLease):
        db.write_now(worker, bus.ack, first.message.id, first.fencing_token)
    second = receive_one(db, worker)
    assert second.message.id == first.message.id
    assert second.fencing_token > first.fencing_token
    assert second.message.attempts == 2
    with pytest.raises(bus.StaleLease):
        db.write_now(worker, bus.ack, first.message.id, first.fencing_token)
    db.write_now(worker, bus.ack, second.message.id, second.fencing_token)


def test_two_consumers_never_hold_the_same_message(db: Database, send: Send, worker: Actor) -> None:
    for _ in range(4):
        send()
    first, second = receive(db, worker, max_messages=3), receive(db, worker, max_messages=3)
    assert len({delivery.message.id for delivery in first + second}) == 4


def test_an_ack_may_be_repeated_with_its_token_only(db: Database, send: Send, worker: Actor) -> None:
    send()
    held = receive_one(db, worker)
    once = db.write_now(worker, bus.ack, held.message.id, held.fencing_token)
    again = db.write_now(worker, bus.ack, held.message.id, held.fencing_token)
    assert again == once
    assert event_types(db).count("inbox.acked") == 1
    with pytest.raises(bus.StaleLease):
        db.write_now(worker, bus.ack, held.message.id, held.fencing_token + 1)


def test_a_clock_that_jumps_back_hands_nothing_out_twice(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    send()
    held = receive_one(db, worker)
    clock.advance(seconds=-3600)
    assert receive(db, worker) == []
    db.write_now(worker, bus.ack, held.message.id, held.fencing_token)
    later = send()
    assert receive_one(db, worker).message.id == later.id


def test_an_extended_lease_lasts_from_now(db: Database, send: Send, worker: Actor, clock: ManualClock) -> None:
    send()
    held = receive_one(db, worker, lease_s=60)
    clock.advance(seconds=50)
    view = db.write_now(worker, bus.extend, held.message.id, held.fencing_token, lease_s=100)
    clock.advance(seconds=99)
    assert view.lease_until == clock.now() + timedelta(seconds=1)
    assert receive(db, worker) == []
    db.write_now(worker, bus.ack, held.message.id, held.fencing_token)


def test_a_nack_without_a_delay_rests_longer_after_each_attempt(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    send()
    rests = []
    for _ in range(2):
        held = receive_one(db, worker)
        view = db.write_now(worker, bus.nack, held.message.id, held.fencing_token, reason="no")
        assert view.not_before is not None
        rests.append((view.not_before - clock.now()).total_seconds())
        clock.advance(seconds=2)
    assert 0.5 <= rests[0] <= 1 <= rests[1] <= 2


def test_a_released_message_is_offered_at_once_and_the_attempt_does_not_count(
    db: Database, send: Send, worker: Actor
) -> None:
    send(max_attempts=1)
    held = receive_one(db, worker)
    db.write_now(worker, bus.release, held.message.id, held.fencing_token)
    again = receive_one(db, worker)
    assert again.message.attempts == 1
    assert again.fencing_token == held.fencing_token + 1


@pytest.mark.parametrize("verb", [bus.ack, bus.nack, bus.release])
def test_settling_needs_the_current_token(db: Database, send: Send, worker: Actor, verb: Any) -> None:
    send()
    held = receive_one(db, worker)
    with pytest.raises(bus.StaleLease):
        db.write_now(worker, verb, held.message.id, held.fencing_token + 1)


@pytest.mark.parametrize("verb", [bus.ack, bus.nack, bus.release])
def test_a_message_in_the_inbox_of_another_does_not_exist(
    db: Database, send: Send, planner: Actor, worker: Actor, verb: Any
) -> None:
    send()
    held = receive_one(db, worker)
    for other in (planner, register(db, "third"), STRANGER):
        with pytest.raises(NotFound):
            db.write_now(other, verb, held.message.id, held.fencing_token)


def test_an_agent_cannot_receive_from_the_inbox_of_another(
    db: Database, send: Send, planner: Actor, worker: Actor
) -> None:
    send()
    assert worker.agent is not None
    with pytest.raises(NotFound):
        db.write_now(planner, bus.receive, worker.agent, max_messages=1, lease_s=60)


def test_a_denied_receive_hands_nothing_out(db: Database, send: Send, worker: Actor, policy: Policy) -> None:
    send()
    policy.deny(Action.INBOX_RECEIVE)
    with pytest.raises(Denied):
        receive(db, worker)
    policy.effects.clear()
    assert receive_one(db, worker).message.attempts == 1


def test_a_redacted_delivery_has_no_body(db: Database, send: Send, worker: Actor, policy: Policy) -> None:
    sent = send()
    policy.effects[Action.INBOX_RECEIVE] = policy.effects[Action.INBOX_READ] = Effect.REDACT
    assert receive_one(db, worker).body is None
    assert db.write_now(worker, bus.read_message, sent.id).body is None


def test_the_labels_of_what_is_handed_out_come_together_in_the_decision(
    db: Database, send: Send, worker: Actor, policy: Policy
) -> None:
    send(label=Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"})))
    send(label=Label(Sensitivity.PUBLIC, frozenset({"untrusted"})))
    receive(db, worker, max_messages=2)
    assert policy.asked[-1][1].label == Label(Sensitivity.CONFIDENTIAL, frozenset({"pii", "untrusted"}))


# -- dead letters ------------------------------------------------------------------------------------------------------


def test_after_its_last_attempt_a_message_is_dead_with_a_reason_and_can_be_put_back(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    sent = send(max_attempts=2)
    held = receive_one(db, worker)
    db.write_now(worker, bus.nack, sent.id, held.fencing_token, delay_s=0, reason="first")
    receive_one(db, worker, lease_s=10)
    clock.advance(seconds=10)

    assert receive(db, worker) == []
    (dead,) = db.read_now(worker, bus.list_dead).items
    assert (dead.id, dead.state, dead.reason) == (sent.id, InboxState.DEAD, "its lease ended")

    again = db.write_now(OPERATOR, bus.requeue, sent.id)
    assert (again.state, again.attempts) == (InboxState.QUEUED, 0)
    assert receive_one(db, worker).fencing_token == 3
    assert db.read_now(OPERATOR, bus.list_dead).items == []


def test_only_a_dead_letter_can_be_put_back(db: Database, send: Send) -> None:
    sent = send()
    with pytest.raises(bus.MessageNotDead):
        db.write_now(OPERATOR, bus.requeue, sent.id)


def test_a_dead_letter_that_is_put_back_waits_for_what_is_being_worked_on(
    db: Database, send: Send, worker: Actor
) -> None:
    first, second, third = send("ctx", max_attempts=1), send("ctx"), send("ctx")
    db.write_now(worker, bus.nack, first.id, receive_one(db, worker).fencing_token)
    held = receive_one(db, worker)
    assert held.message.id == second.id

    db.write_now(OPERATOR, bus.requeue, first.id)
    assert receive(db, worker) == []
    db.write_now(worker, bus.ack, second.id, held.fencing_token)
    held = receive_one(db, worker)
    assert held.message.id == first.id
    db.write_now(worker, bus.ack, first.id, held.fencing_token)
    assert receive_one(db, worker).message.id == third.id


def test_the_messages_of_an_ended_task_are_taken_back(db: Database, send: Send, worker: Actor) -> None:
    task = TaskId("task_1")
    held_one, waiting, other = send("ctx", task_id=task), send("ctx", task_id=task), send("ctx")
    held = receive_one(db, worker)

    assert db.write_now(KERNEL, bus.cancel_for_task, task) == 2
    assert db.write_now(KERNEL, bus.cancel_for_task, task) == 0

    with pytest.raises(bus.StaleLease):
        db.write_now(worker, bus.ack, held_one.id, held.fencing_token, task_settled=True)
    assert state_of(db, waiting.id) is InboxState.CANCELLED
    assert receive_one(db, worker).message.id == other.id


# -- replies and reading -----------------------------------------------------------------------------------------------


def test_a_reply_reaches_the_author_with_its_correlation(
    db: Database, send: Send, planner: Actor, worker: Actor
) -> None:
    sent = send("ctx")
    receive_one(db, worker)
    db.write_now(worker, bus.reply, sent.id, body={"answer": 42})

    answer = receive_one(db, planner)
    assert answer.body == {"answer": 42}
    assert (answer.message.reply_to, answer.message.correlation_id) == (sent.id, sent.id)
    assert (answer.message.kind, answer.message.context_id) == ("reply", "ctx")
    assert db.write_now(planner, bus.read_message, sent.id).message.replied_at is not None


def test_a_person_has_no_inbox_to_answer_to(db: Database, worker: Actor) -> None:
    sent = db.write_now(OPERATOR, bus.send, to=AgentId(worker.id), kind="note", body={})
    with pytest.raises(bus.AuthorHasNoInbox):
        db.write_now(worker, bus.reply, sent.id, body={})


def test_sender_receiver_and_operator_read_a_message_and_nobody_else(
    db: Database, send: Send, planner: Actor, worker: Actor
) -> None:
    sent = send()
    for reader in (planner, worker, OPERATOR):
        assert db.write_now(reader, bus.read_message, sent.id).body == {"n": 1}
    for other in (register(db, "third"), STRANGER):
        with pytest.raises(NotFound):
            db.write_now(other, bus.read_message, sent.id)
    read = event_types(db, "SELECT actor FROM audit_event WHERE action = 'inbox.read' AND kind = 'outcome'")
    assert read == [planner.principal, worker.principal, OPERATOR.principal]


def test_the_event_log_hears_what_a_receiver_has_to_react_to(db: Database, send: Send, worker: Actor) -> None:
    sent = send(max_attempts=2)
    db.write_now(worker, bus.nack, sent.id, receive_one(db, worker).fencing_token, delay_s=0)
    db.write_now(worker, bus.nack, sent.id, receive_one(db, worker).fencing_token)
    db.write_now(worker, bus.requeue, sent.id)
    db.write_now(worker, bus.ack, sent.id, receive_one(db, worker).fencing_token)
    assert event_types(db) == ["inbox.sent", "inbox.returned", "inbox.dead", "inbox.requeued", "inbox.acked"]
    assert set(event_types(db, "SELECT subject FROM event WHERE type LIKE 'inbox.%'")) == {bus.subject(worker.id)}


# -- upkeep ------------------------------------------------------------------------------------------------------------


def test_old_settled_messages_are_forgotten_but_dead_letters_are_not(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    done, dead, open_one = send(), send(max_attempts=1), send()
    for held in receive(db, worker, max_messages=2):
        settle = bus.ack if held.message.id == done.id else bus.nack
        db.write_now(worker, settle, held.message.id, held.fencing_token)
    clock.advance(days=30)

    assert db.write_now(KERNEL, bus.forget_settled, clock.now()) == 1
    with pytest.raises(NotFound):
        state_of(db, done.id)
    assert state_of(db, dead.id) is InboxState.DEAD
    assert state_of(db, open_one.id) is InboxState.QUEUED

"""Leases: hand messages out, and hear what became of them."""

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, update

from memroos import audit
from memroos.bus import queries, rules
from memroos.bus.errors import MessageCarriesTask, StaleLease
from memroos.bus.models import InboxMessage
from memroos.bus.queries import Row
from memroos.bus.service.changes import Event, count, put_back, settle
from memroos.bus.service.upkeep import recover_agent
from memroos_contracts.bus import Delivery, InboxMessageView, InboxState
from memroos_contracts.bus import InboxMessage as Content
from memroos_contracts.governance import Action, Effect
from memroos_contracts.identity import AgentId, InboxMessageId
from memroos_contracts.labels import join
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Tx

_M = InboxMessage
_this = _M.seq == bindparam("message")
_LEASE = Hot(
    update(_M)
    .where(_this)
    .values(
        state=InboxState.LEASED.value,
        attempts=_M.attempts + 1,
        fencing_token=bindparam("token"),
        lease_until=bindparam("until"),
        due_at=bindparam("until"),
        leased_by=bindparam("key"),
        received_at=func.coalesce(_M.received_at, bindparam("now")),
    )
)
_EXTEND = Hot(update(_M).where(_this).values(lease_until=bindparam("until"), due_at=bindparam("until")))


def receive(tx: Tx, agent: AgentId, *, max_messages: int, lease_s: int, tasks: bool | None = None) -> list[Delivery]:
    """Hand out an inbox's next messages under a lease: highest priority first, then oldest.

    Of each context at most one message is out at a time. A message whose lease ends before its ack comes again, so
    receivers are safe to repeat; the content's label goes with the decision that let it out.

    Args:
        max_messages: 1 to 100.
        lease_s: how long the receiver may stay silent, in seconds.
        tasks: only messages that carry a task, or only others; None for both.

    Raises:
        Denied: policy does not let this actor receive there.
        NotFound: an agent asks for the inbox of another.
    """
    queries.check_own(tx, agent)
    recover_agent(tx, agent)
    ready = queries.list_ready(tx, agent, most=max_messages, tasks=tasks)
    asset = queries.inbox_asset(agent, join(queries.view_label(row) for row, _ in ready))
    decision = tx.authorize(Action.INBOX_RECEIVE, asset)
    if not ready:
        return []

    until = tx.now + timedelta(seconds=lease_s)
    lease: dict[str, Any] = {"until": to_micros(until), "key": tx.actor.key, "now": to_micros(tx.now)}
    ready = [(row._replace(fencing_token=_next_token(row)), body) for row, body in ready]
    tx.execute_many(_LEASE, rows=[{"message": row.seq, "token": row.fencing_token, **lease} for row, _ in ready])
    count(tx, agent, queued=-len(ready), leased=len(ready))
    audit.record(
        tx,
        Event.RECEIVED.value,
        asset,
        messages=[row.id for row, _ in ready],
        digests=[row.digest for row, _ in ready],
        lease_s=lease_s,
    )
    redacted = decision.effect is Effect.REDACT
    return [_delivery(row, None if redacted else body, lease) for row, body in ready]


def _delivery(row: Row, body: str | None, lease: dict[str, Any]) -> Delivery:
    leased = row._replace(
        state=InboxState.LEASED.value,
        attempts=row.attempts + 1,
        lease_until=lease["until"],
        received_at=row.received_at or lease["now"],
    )
    view = queries.view(leased)
    assert view.lease_until is not None
    content: dict[str, Any] | None = None if body is None else msgspec.json.decode(body)
    return Delivery(view, content, leased.fencing_token, view.lease_until)


def _next_token(row: Row) -> int:
    """Return a token greater than all before it: of this message, and of the earlier messages of its task.

    Reports about a task name the token and not the message, so a token must not come back with the task's next one.
    """
    least = 0 if row.task_id is None else row.seq << 20  # more leases than a message gets; exact in a double too
    return max(row.fencing_token, least) + 1


def read_message(tx: Tx, message_id: InboxMessageId) -> Content:
    """Return a message with its content, and record that it was read.

    Raises:
        Denied: policy does not let this actor read it.
        NotFound: no message has this id, or it is between others.
    """
    row = queries.load(tx, message_id)
    asset = queries.message_asset(row)
    decision = tx.authorize(Action.INBOX_READ, asset)
    redacted = decision.effect is Effect.REDACT
    audit.record(tx, Event.READ.value, asset, digest=row.digest, redacted=redacted)
    return Content(queries.view(row), None if redacted else queries.body_of(tx, row))


def ack(tx: Tx, message_id: InboxMessageId, fencing_token: int, *, task_settled: bool = False) -> InboxMessageView:
    """Say that a message is done with. Saying it again with the same token changes nothing.

    Args:
        task_settled: whether the task that the message carries, if any, has been told how it stands. Without that it
            would wait for an agent that considers itself done.

    Raises:
        NotFound: no such message is in this actor's inbox.
        MessageCarriesTask: it is settled by settling its task.
        StaleLease: the lease has ended, or somebody else holds the message.
    """
    row = _load_to_settle(tx, message_id)
    if row.task_id is not None and not task_settled:
        raise MessageCarriesTask(message=row.id, task=row.task_id)
    if row.state == InboxState.ACKED and row.fencing_token == fencing_token:
        return queries.view(row)
    _check_held(tx, row, fencing_token)
    return queries.view(settle(tx, row, InboxState.ACKED))


def nack(
    tx: Tx, message_id: InboxMessageId, fencing_token: int, *, delay_s: float | None = None, reason: str = ""
) -> InboxMessageView:
    """Say that it did not work: the message comes again, or is dead after its last attempt.

    Args:
        delay_s: when it may come again, in seconds; None means longer after each attempt.
        reason: why, for whoever looks at the message later.

    Raises:
        NotFound: no such message is in this actor's inbox.
        StaleLease: the lease has ended, or somebody else holds the message.
    """
    row = _load_to_settle(tx, message_id)
    _check_held(tx, row, fencing_token)
    rest = (
        rules.backoff(row.attempts, rules.jitter_of(row.id, row.attempts))
        if delay_s is None
        else timedelta(seconds=delay_s)
    )
    return queries.view(put_back(tx, row, not_before=tx.now + rest, reason=reason or "nack"))


def release(tx: Tx, message_id: InboxMessageId, fencing_token: int) -> InboxMessageView:
    """Give a message back unworked: it is offered again at once, and the attempt does not count.

    Raises:
        NotFound: no such message is in this actor's inbox.
        StaleLease: the lease has ended, or somebody else holds the message.
    """
    row = _load_to_settle(tx, message_id)
    _check_held(tx, row, fencing_token)
    return queries.view(put_back(tx, row._replace(attempts=row.attempts - 1), reason=row.reason))


def extend(tx: Tx, message_id: InboxMessageId, fencing_token: int, *, lease_s: int) -> InboxMessageView:
    """Let a lease end this many seconds from now.

    Raises:
        NotFound: no such message is in this actor's inbox.
        StaleLease: the lease has ended, or somebody else holds the message.
    """
    row = _load_to_settle(tx, message_id)
    _check_held(tx, row, fencing_token)
    until = to_micros(tx.now + timedelta(seconds=lease_s))
    tx.execute(_EXTEND, message=row.seq, until=until)
    audit.record(tx, Event.EXTENDED.value, queries.message_asset(row), lease_s=lease_s)
    return queries.view(row._replace(lease_until=until))


def _load_to_settle(tx: Tx, message_id: str) -> Row:
    row = queries.load_own(tx, message_id)
    tx.authorize(Action.INBOX_SETTLE, queries.message_asset(row))
    return row


def _check_held(tx: Tx, row: Row, fencing_token: int) -> None:
    if not rules.holds_lease(
        state=InboxState(row.state),
        fencing_token=row.fencing_token,
        given=fencing_token,
        lease_until=None if row.lease_until is None else from_micros(row.lease_until),
        now=tx.now,
    ):
        raise StaleLease(message=row.id, state=row.state)

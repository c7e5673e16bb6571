"""Sending: into an agent's inbox, and back to the author of a message."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, update

from memroos import audit, registry
from memroos.bus import queries, rules
from memroos.bus.errors import AuthorHasNoInbox, ReceiverRetired, SenderIsReceiver
from memroos.bus.models import InboxMessage
from memroos.bus.queries import Row
from memroos.bus.service.changes import Event, announce, count_in, micros
from memroos_contracts.bus import InboxMessageView, InboxState
from memroos_contracts.errors import IdempotencyConflict, TooLarge
from memroos_contracts.governance import INTERNAL, Action, Label
from memroos_contracts.identity import AgentId, InboxMessageId, TaskId
from memroos_contracts.registry import AgentState
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

_M = InboxMessage
_INSERT = Hot(insert(_M), columns=[column.name for column in _M.__table__.columns if column.name != "seq"])
_REPLIED = Hot(
    update(_M).where(_M.seq == bindparam("message")).values(replied_at=func.coalesce(_M.replied_at, bindparam("now")))
)


def send(  # noqa: PLR0913 - the words of one message
    tx: Tx,
    *,
    to: AgentId,
    kind: str,
    body: dict[str, Any],
    context_id: str = "",
    reply_to: InboxMessageId | None = None,
    correlation_id: str = "",
    idempotency_key: str | None = None,
    priority: int = 0,
    not_before: datetime | None = None,
    ttl_s: int | None = None,
    task_id: TaskId | None = None,
    label: Label = INTERNAL,
    max_attempts: int = rules.ATTEMPTS_MAX,
) -> InboxMessageView:
    """Put a message into an agent's inbox; a repeat with the same key answers with the first one.

    Args:
        to: the receiver's id or name.
        kind: what it is, in the words of sender and receiver.
        context_id: messages of one context are handed out in the order of sending, one at a time.
        idempotency_key: the sender's name for this message.
        priority: 0 to 9, higher first; within a context the order of sending counts.
        not_before: do not hand it out earlier; what follows in its context waits for it.
        ttl_s: nobody needs it after this time, in seconds.
        max_attempts: how often it is handed out before it is dead.

    Raises:
        Denied: policy does not let this actor send to that agent now.
        IdempotencyConflict: the key was used for another message.
        InboxFull: too many messages wait there.
        NotFound: there is no such agent.
        ReceiverRetired: it takes no more messages.
        SenderIsReceiver: an agent sends to itself.
        TooLarge: the body is larger than 256 KiB.
    """
    encoded = _encode_body(body)
    digest = audit.digest(encoded)
    agent = registry.get_agent(tx, to)
    if idempotency_key is not None and (sent := queries.find_sent(tx, idempotency_key)) is not None:
        if (sent.digest, sent.agent_id, sent.kind, sent.context_id) != (digest, agent.id, kind, context_id):
            raise IdempotencyConflict(idempotency_key=idempotency_key)
        return queries.view(sent)

    asset = queries.inbox_asset(agent.id, label, state=agent.state)
    tx.authorize(Action.INBOX_SEND, asset)
    if asset.owner == tx.actor.principal:
        raise SenderIsReceiver(agent=agent.id)
    if agent.state is AgentState.RETIRED:
        raise ReceiverRetired(agent=agent.id)
    count_in(tx, agent.id)

    delayed_until = not_before if not_before is not None and not_before > tx.now else None
    expires_at = None if ttl_s is None else tx.now + timedelta(seconds=ttl_s)
    due = min((instant for instant in (delayed_until, expires_at) if instant is not None), default=None)
    row = Row(
        seq=0,
        id=tx.new_id("msg"),
        workspace_id=tx.actor.workspace,
        agent_id=agent.id,
        sender=tx.actor.principal,
        kind=kind,
        context_id=context_id,
        label=queries.label_text(label),
        priority=priority,
        digest=digest,
        size_bytes=len(encoded),
        state=InboxState.QUEUED.value,
        attempts=0,
        max_attempts=max_attempts,
        fencing_token=0,
        created_at=to_micros(tx.now),
        not_before=micros(delayed_until),
        expires_at=micros(expires_at),
        lease_until=None,
        received_at=None,
        settled_at=None,
        replied_at=None,
        reply_to=reply_to,
        correlation_id=correlation_id,
        task_id=task_id,
        reason="",
    )
    tx.execute(
        _INSERT,
        **row._asdict(),
        head=int(not context_id or not queries.has_head(tx, agent.id, context_id)),
        leased_by=None,
        due_at=micros(due),
        idempotency_key=idempotency_key,
        body=encoded.decode(),
    )
    announce(tx, Event.SENT, row)
    return queries.view(row)


def reply(
    tx: Tx,
    message_id: InboxMessageId,
    *,
    body: dict[str, Any],
    kind: str = "reply",
    label: Label = INTERNAL,
    idempotency_key: str | None = None,
) -> InboxMessageView:
    """Answer a message: put the answer into its author's inbox, tied to it by `reply_to` and the correlation id.

    It does not settle the message; ack it when you are done with it.

    Raises:
        AuthorHasNoInbox: a person or a service wrote it.
        NotFound: no such message is in this actor's inbox.
        and what `send` raises.
    """
    message = queries.load_own(tx, message_id)
    author = rules.author_agent(message.sender)
    if author is None:
        raise AuthorHasNoInbox(message=message.id)
    answer = send(
        tx,
        to=AgentId(author),
        kind=kind,
        body=body,
        context_id=message.context_id,
        reply_to=InboxMessageId(message.id),
        correlation_id=message.correlation_id or message.id,
        idempotency_key=idempotency_key,
        label=label,
    )
    tx.execute(_REPLIED, message=message.seq, now=to_micros(tx.now))
    return answer


def _encode_body(body: dict[str, Any]) -> bytes:
    encoded = msgspec.json.encode(body, order="sorted")
    if len(encoded) > rules.BODY_BYTES_MAX:
        raise TooLarge(limit_bytes=rules.BODY_BYTES_MAX)
    return encoded

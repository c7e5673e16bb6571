"""What every change of a message goes through, so that order, counts and announcements follow each of them."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam, func, null, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from memroos import audit, events
from memroos.bus import queries, rules
from memroos.bus.errors import InboxFull
from memroos.bus.models import WAITING, InboxDepth, InboxMessage
from memroos.bus.queries import Row
from memroos_contracts.bus import InboxState
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Tx


class Event(StrEnum):
    """What happens to messages, in the ledger and, but for handing out and reading, in the event log."""

    SENT = "inbox.sent"
    RECEIVED = "inbox.received"
    READ = "inbox.read"
    EXTENDED = "inbox.extended"
    RETURNED = "inbox.returned"  # nack, release, or the end of a lease: it will be offered again
    REQUEUED = "inbox.requeued"
    ACKED = "inbox.acked"
    DEAD = "inbox.dead"
    EXPIRED = "inbox.expired"
    CANCELLED = "inbox.cancelled"


_SETTLED = {
    InboxState.ACKED: Event.ACKED,
    InboxState.DEAD: Event.DEAD,
    InboxState.EXPIRED: Event.EXPIRED,
    InboxState.CANCELLED: Event.CANCELLED,
}

_M = InboxMessage
_this = _M.seq == bindparam("message")
_QUEUE = Hot(
    update(_M)
    .where(_this)
    .values(
        state=InboxState.QUEUED.value,
        head=bindparam("is_head"),
        attempts=bindparam("tries"),
        not_before=bindparam("delayed_until"),
        expires_at=bindparam("expires"),
        due_at=bindparam("due"),
        lease_until=null(),
        leased_by=null(),
        settled_at=null(),
        reason=bindparam("why"),
    )
)
_SETTLE = Hot(
    update(_M)
    .where(_this)
    .values(
        state=bindparam("new_state"),
        head=0,
        lease_until=null(),
        leased_by=null(),
        due_at=null(),
        settled_at=bindparam("now"),
        reason=bindparam("why"),
    )
)
_waiting = _M.__table__.alias()
_next_in_context = select(func.min(_waiting.c.seq)).where(
    _waiting.c.agent_id == bindparam("agent"), _waiting.c.context_id == bindparam("context"), text(WAITING)
)
_PROMOTE = Hot(update(_M).where(_M.seq == _next_in_context.scalar_subquery()).values(head=1))
_first = upsert(InboxDepth).values(
    agent_id=bindparam("agent"), workspace_id=bindparam("workspace"), queued=1, leased=0, dead=0
)
_ADD = Hot(
    _first.on_conflict_do_update(index_elements=["agent_id"], set_={"queued": InboxDepth.queued + 1}).returning(
        InboxDepth.queued
    )
)
_COUNT = Hot(
    update(InboxDepth)
    .where(InboxDepth.agent_id == bindparam("agent"))
    .values(
        queued=InboxDepth.queued + bindparam("queued_by"),
        leased=InboxDepth.leased + bindparam("leased_by"),
        dead=InboxDepth.dead + bindparam("dead_by"),
    )
)


def subject(agent: str) -> str:
    """Return the subject under which an inbox's events are published: its doorbell."""
    return f"inbox:{agent}"


def put_back(tx: Tx, row: Row, *, not_before: datetime | None = None, reason: str) -> Row:
    """Take a leased message back: it is offered again, or it is dead or too late."""
    verdict = rules.decide_return(
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        expires_at=None if row.expires_at is None else from_micros(row.expires_at),
        now=tx.now,
        not_before=not_before,
        reason=reason,
    )
    if verdict.state is not InboxState.QUEUED:
        return settle(tx, row, verdict.state, reason=verdict.reason)
    row = row._replace(
        state=InboxState.QUEUED.value,
        not_before=micros(verdict.not_before),
        lease_until=None,
        reason=verdict.reason,
    )
    write_queued(tx, row, is_head=True)
    count(tx, row.agent_id, queued=1, leased=-1)
    announce(tx, Event.RETURNED, row)
    return row


def write_queued(tx: Tx, row: Row, *, is_head: bool) -> None:
    """Store a message that waits again."""
    times = [instant for instant in (row.not_before, row.expires_at) if instant is not None]
    tx.execute(
        _QUEUE,
        message=row.seq,
        is_head=int(is_head),
        tries=row.attempts,
        delayed_until=row.not_before,
        expires=row.expires_at,
        due=min(times, default=None),
        why=row.reason,
    )


def settle(tx: Tx, row: Row, state: InboxState, *, reason: str = "") -> Row:
    """End a message's way, and let the next one of its context take its turn."""
    was_queued = row.state == InboxState.QUEUED
    row = row._replace(state=state.value, lease_until=None, settled_at=to_micros(tx.now), reason=reason)
    tx.execute(_SETTLE, message=row.seq, new_state=row.state, now=row.settled_at, why=reason)
    count(
        tx,
        row.agent_id,
        queued=-1 if was_queued else 0,
        leased=0 if was_queued else -1,
        dead=int(state is InboxState.DEAD),
    )
    if row.context_id and not queries.has_head(tx, row.agent_id, row.context_id):
        tx.execute(_PROMOTE, agent=row.agent_id, context=row.context_id)
    announce(tx, _SETTLED[state], row)
    return row


def count_in(tx: Tx, agent: str) -> None:
    """Count one more waiting message.

    Raises:
        InboxFull: that is one too many.
    """
    (queued,) = tx.execute(_ADD, agent=agent, workspace=tx.actor.workspace).fetchone()
    if queued > rules.QUEUED_MAX:
        raise InboxFull(retry_after_s=5, agent=agent, limit=rules.QUEUED_MAX)  # the count is rolled back with it


def count(tx: Tx, agent: str, *, queued: int = 0, leased: int = 0, dead: int = 0) -> None:
    """Let an inbox's counts follow a change."""
    tx.execute(_COUNT, agent=agent, queued_by=queued, leased_by=leased, dead_by=dead)


def announce(tx: Tx, event: Event, row: Row) -> None:
    """Tell the ledger and the event log; the event rings the inbox's doorbell."""
    audit.record(tx, event.value, queries.message_asset(row), digest=row.digest, attempts=row.attempts)
    events.publish(
        tx,
        event.value,
        subject=subject(row.agent_id),
        data={
            "message": row.id,
            "kind": row.kind,
            "state": row.state,
            "context": row.context_id,
            "task": row.task_id,
        },
        owner=row.sender,
        agent=row.agent_id,
    )


def micros(instant: datetime | None) -> int | None:
    """Return an instant as it is stored."""
    return None if instant is None else to_micros(instant)

"""Upkeep: dead letters, messages of tasks that ended, leases of dead receivers, old messages."""

from datetime import datetime

from sqlalchemy import bindparam, delete, null, select, update

from memroos.bus import queries
from memroos.bus.errors import MessageNotDead
from memroos.bus.models import InboxMessage
from memroos.bus.queries import Row
from memroos.bus.service.changes import Event, announce, count, count_in, put_back, settle, write_queued
from memroos_contracts.bus import InboxMessageView, InboxState
from memroos_contracts.governance import Action
from memroos_contracts.identity import AgentId, InboxMessageId, TaskId
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

RECOVER_AT_ONCE = 100
"""Messages in one chunk: a few milliseconds of the writer's time."""

FORGET_AT_ONCE = 200

_M = InboxMessage
_DELAY_OVER = Hot(update(_M).where(_M.seq == bindparam("message")).values(not_before=null(), due_at=_M.expires_at))
_FORGET = Hot(
    delete(_M).where(
        _M.seq.in_(
            select(_M.seq)
            .where(_M.settled_at.is_not(None), _M.settled_at < bindparam("before"))
            .where(_M.state != InboxState.DEAD.value)
            .limit(FORGET_AT_ONCE)
        )
    )
)


def requeue(tx: Tx, message_id: InboxMessageId) -> InboxMessageView:
    """Put a dead letter back: it is offered again with all its attempts.

    In its context it takes its old place: after what is being worked on, before what was sent later.

    Raises:
        Denied: policy does not let this actor do it.
        InboxFull: too many messages wait in the inbox.
        MessageNotDead: it is not a dead letter.
        NotFound: no such message is in this actor's inbox.
    """
    row = queries.load_own(tx, message_id)
    tx.authorize(Action.INBOX_REQUEUE, queries.message_asset(row))
    if row.state != InboxState.DEAD:
        raise MessageNotDead(message=row.id, state=row.state)
    count_in(tx, row.agent_id)
    count(tx, row.agent_id, dead=-1)
    is_head = not row.context_id or not queries.has_head(tx, row.agent_id, row.context_id)
    row = row._replace(state=InboxState.QUEUED.value, attempts=0, not_before=None, expires_at=None, settled_at=None)
    write_queued(tx, row, is_head=is_head)
    announce(tx, Event.REQUEUED, row)
    return queries.view(row)


def cancel_for_task(tx: Tx, task_id: TaskId) -> int:
    """Take back a task's open messages and return how many there were; part of the verb that ends the task.

    A receiver that works on one finds its lease stale. May be repeated.
    """
    rows = queries.list_open_of_task(tx, task_id)
    for row in rows:
        settle(tx, row, InboxState.CANCELLED, reason="its task has ended")
    return len(rows)


def recover_expired(tx: Tx) -> int:
    """Give back what dead receivers held and drop what is too late, a chunk of this workspace at a time.

    Called by the worker, as the kernel; receivers see an ended lease at once, without it. May be repeated; returns
    how many messages it touched.
    """
    return _recover(tx, queries.list_due(tx, most=RECOVER_AT_ONCE))


def forget_settled(tx: Tx, before: datetime) -> int:
    """Delete a chunk of the messages that were settled before an instant, but no dead letters; return how many.

    A repeated send finds its first message only as long as that is kept. May be repeated.
    """
    return tx.execute(_FORGET, before=to_micros(before)).rowcount


def recover_agent(tx: Tx, agent: AgentId) -> int:
    """Do the same for one inbox; part of each receive, so that an ended lease is seen at once."""
    return _recover(tx, queries.list_due(tx, agent=agent, most=RECOVER_AT_ONCE))


def _recover(tx: Tx, rows: list[Row]) -> int:
    now = to_micros(tx.now)
    for row in rows:
        if row.state == InboxState.LEASED:
            put_back(tx, row, reason="its lease ended")
        elif row.expires_at is not None and row.expires_at <= now:
            settle(tx, row, InboxState.EXPIRED, reason="nobody took it in time")
        else:
            tx.execute(_DELAY_OVER, message=row.seq)
    return len(rows)

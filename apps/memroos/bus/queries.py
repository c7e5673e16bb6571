"""Reads: messages and how full inboxes are.

A message is visible to the agent whose inbox it is in, to the agent that sent it, and to people and services of its
workspace as policy allows. For everybody else it does not exist.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Integer, bindparam, func, literal_column, or_, select, text
from sqlalchemy.sql.elements import ColumnElement

from memroos.bus.models import HEAD_OF_CONTEXT, READY, InboxDepth, InboxMessage
from memroos_contracts.bus import InboxMessageView, InboxState, InboxStats
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action, Asset, Label
from memroos_contracts.identity import AgentId, InboxMessageId, Role, TaskId, WorkspaceId
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read

PAGE = 50


class Row(NamedTuple):
    """A message's row without its body; instants are microseconds."""

    seq: int
    id: str
    workspace_id: str
    agent_id: str
    sender: str
    kind: str
    context_id: str
    label: str
    priority: int
    digest: str
    size_bytes: int
    state: str
    attempts: int
    max_attempts: int
    fencing_token: int
    created_at: int
    not_before: int | None
    expires_at: int | None
    lease_until: int | None
    received_at: int | None
    settled_at: int | None
    replied_at: int | None
    reply_to: str | None
    correlation_id: str
    task_id: str | None
    reason: str


_M = InboxMessage
_COLUMNS = [getattr(_M, name) for name in Row._fields]
_row = select(*_COLUMNS)
_in_workspace = _M.workspace_id == bindparam("workspace")

# Not the bare parameter: SQLite would plan the statement anew for each value of a LIMIT, five times the work.
_MOST = bindparam("most", type_=Integer) + literal_column("0", Integer)


def _is(state: InboxState) -> ColumnElement[bool]:
    """Compare with a constant: a partial index is used only when the statement names the state itself."""
    return literal_column("state") == literal_column(f"'{state.value}'")


_BY_ID = Hot(_row.where(_M.id == bindparam("id"), _in_workspace))
_BODY = Hot(select(_M.body).where(_M.seq == bindparam("seq")))
_BY_KEY = Hot(
    _row.where(_in_workspace, _M.sender == bindparam("sender"), _M.idempotency_key == bindparam("key")).where(
        _M.idempotency_key.is_not(None)
    )
)
_ready = (
    select(*_COLUMNS, _M.body)
    .where(_M.agent_id == bindparam("agent"), _in_workspace, text(READY))
    .where(or_(_M.expires_at.is_(None), _M.expires_at > bindparam("now")))
    .order_by(_M.priority.desc(), _M.seq)
    .limit(_MOST)
)
_READY = Hot(_ready)
_READY_TASKS = Hot(_ready.where(_M.task_id.is_not(None)))
_READY_OTHERS = Hot(_ready.where(_M.task_id.is_(None)))
_due = _row.where(_M.due_at.is_not(None), _M.due_at <= bindparam("now"), _in_workspace).order_by(_M.due_at)
_DUE_OF_AGENT = Hot(_due.where(_M.agent_id == bindparam("agent")).limit(_MOST))
_DUE = Hot(_due.limit(_MOST))
_DUE_WORKSPACES = Hot(select(_M.workspace_id).distinct().where(_M.due_at.is_not(None), _M.due_at <= bindparam("now")))
_next_due = select(func.min(_M.due_at)).where(_M.due_at.is_not(None))
_NEXT_DUE = Hot(_next_due)
_NEXT_DUE_OF_AGENT = Hot(_next_due.where(_M.agent_id == bindparam("agent")))
_HEAD_OF_CONTEXT = Hot(
    select(_M.seq).where(
        _M.agent_id == bindparam("agent"), _M.context_id == bindparam("context"), text(HEAD_OF_CONTEXT)
    )
)
_OPEN_OF_TASK = Hot(
    _row.where(_M.task_id == bindparam("task"), _in_workspace, _M.settled_at.is_(None), _M.task_id.is_not(None))
)
_list = _row.where(_in_workspace, _M.seq < bindparam("before")).order_by(_M.seq.desc()).limit(_MOST)
_list_of_agent = _list.where(_M.agent_id == bindparam("agent"))
_LIST = Hot(_list_of_agent)
_LIST_IN_STATE = Hot(_list_of_agent.where(_M.state == bindparam("state")))
_DEAD = Hot(_list.where(_is(InboxState.DEAD)))
_DEAD_OF_AGENT = Hot(_list_of_agent.where(_is(InboxState.DEAD)))
_DEPTHS = Hot(
    select(InboxDepth.agent_id, InboxDepth.queued, InboxDepth.leased, InboxDepth.dead)
    .where(InboxDepth.workspace_id == bindparam("workspace"))
    .order_by(InboxDepth.agent_id)
)
_first_ready = select(func.min(_M.seq)).where(_in_workspace, text(READY)).group_by(_M.agent_id)
_OLDEST = Hot(select(_M.agent_id, _M.created_at).where(_M.seq.in_(_first_ready)))


@lru_cache(maxsize=1024)
def _label(text: str) -> Label:
    return msgspec.json.decode(text, type=Label)


@lru_cache(maxsize=1024)
def label_text(label: Label) -> str:
    """Return a label as it is stored."""
    return msgspec.json.encode(label, order="sorted").decode()


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def view(row: Row) -> InboxMessageView:
    """Return a message without its content."""
    return InboxMessageView(
        id=InboxMessageId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        agent_id=AgentId(row.agent_id),
        sender=row.sender,
        kind=row.kind,
        context_id=row.context_id,
        state=InboxState(row.state),
        label=_label(row.label),
        priority=row.priority,
        size_bytes=row.size_bytes,
        digest=row.digest,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        created_at=from_micros(row.created_at),
        not_before=_instant(row.not_before),
        expires_at=_instant(row.expires_at),
        lease_until=_instant(row.lease_until),
        received_at=_instant(row.received_at),
        settled_at=_instant(row.settled_at),
        replied_at=_instant(row.replied_at),
        reply_to=None if row.reply_to is None else InboxMessageId(row.reply_to),
        correlation_id=row.correlation_id,
        task_id=None if row.task_id is None else TaskId(row.task_id),
        reason=row.reason,
    )


def view_label(row: Row) -> Label:
    """Return a message's label."""
    return _label(row.label)


def inbox_asset(agent: str, label: Label | None = None, *, state: str = "") -> Asset:
    """Return an agent's inbox as policy sees it."""
    owner = f"{Role.AGENT}:{agent}"
    return Asset(kind="inbox", id=agent, owner=owner, agent=agent, label=label or Label(), state=state)


def message_asset(row: Row) -> Asset:
    """Return a message as policy sees it: its sender's own, and addressed to the inbox's agent."""
    return Asset(kind="message", id=row.id, owner=row.sender, agent=row.agent_id, label=_label(row.label))


# -- for the service ---------------------------------------------------------------------------------------------------


def load(tx: Read, message_id: str) -> Row:
    """Return a message's row if this actor may know of it.

    Raises:
        NotFound: no message has this id, or it is between others.
    """
    found = tx.execute(_BY_ID, id=message_id, workspace=tx.actor.workspace).fetchone()
    row = None if found is None else Row._make(found)
    if row is None or not _can_see(tx, row):
        raise NotFound(kind_of_object="message", id=message_id)
    return row


def _can_see(tx: Read, row: Row) -> bool:
    return tx.actor.role is not Role.AGENT or row.agent_id == tx.actor.agent or row.sender == tx.actor.principal


def load_own(tx: Read, message_id: str) -> Row:
    """Return the row of a message in the actor's inbox; for people and services, in any inbox of their workspace.

    Raises:
        NotFound: no such message is there, even if the actor has sent it to somebody else.
    """
    row = load(tx, message_id)
    if tx.actor.role is Role.AGENT and row.agent_id != tx.actor.agent:
        raise NotFound(kind_of_object="message", id=message_id)
    return row


def check_own(tx: Read, agent: str) -> None:
    """Refuse an agent that asks for the inbox of another, as if there were none.

    Raises:
        NotFound: it is another's.
    """
    if tx.actor.role is Role.AGENT and agent != tx.actor.agent:
        raise NotFound(kind_of_object="inbox", id=agent)


def body_of(tx: Read, row: Row) -> dict[str, Any]:
    """Return a message's content."""
    (body,) = tx.execute(_BODY, seq=row.seq).fetchone()
    content: dict[str, Any] = msgspec.json.decode(body)
    return content


def find_sent(tx: Read, idempotency_key: str) -> Row | None:
    """Return the message that this actor has sent under a key."""
    found = tx.execute(_BY_KEY, workspace=tx.actor.workspace, sender=tx.actor.principal, key=idempotency_key).fetchone()
    return None if found is None else Row._make(found)


def list_ready(tx: Read, agent: str, *, most: int, tasks: bool | None) -> list[tuple[Row, str]]:
    """Return the messages, with their bodies, that may be handed out now, in the order in which they should be."""
    statement = _READY if tasks is None else _READY_TASKS if tasks else _READY_OTHERS
    rows = tx.execute(statement, agent=agent, workspace=tx.actor.workspace, now=to_micros(tx.now), most=most).fetchall()
    return [(Row._make(row[:-1]), row[-1]) for row in rows]


def list_due(tx: Read, *, most: int, agent: str | None = None) -> list[Row]:
    """Return the messages to which something has to happen by now, of one inbox or of the workspace."""
    where: dict[str, Any] = {"workspace": tx.actor.workspace, "now": to_micros(tx.now), "most": most}
    cursor = tx.execute(_DUE, **where) if agent is None else tx.execute(_DUE_OF_AGENT, agent=agent, **where)
    return [Row._make(row) for row in cursor.fetchall()]


def list_open_of_task(tx: Read, task_id: str) -> list[Row]:
    """Return a task's messages that are not settled."""
    rows = tx.execute(_OPEN_OF_TASK, task=task_id, workspace=tx.actor.workspace).fetchall()
    return [Row._make(row) for row in rows]


def has_head(tx: Read, agent: str, context_id: str) -> bool:
    """Answer whether a message of this context is open, so that others have to wait."""
    return tx.execute(_HEAD_OF_CONTEXT, agent=agent, context=context_id).fetchone() is not None


# -- for doors and workers ---------------------------------------------------------------------------------------------


def next_due(tx: Read, agent: AgentId | None = None) -> datetime | None:
    """Return when something next happens by itself in an inbox, or in any: a lease ends, a delay is over.

    A point lookup that may run inline. What others do (send, settle) rings the doorbell instead.
    """
    cursor = tx.execute(_NEXT_DUE) if agent is None else tx.execute(_NEXT_DUE_OF_AGENT, agent=agent)
    return _instant(cursor.fetchone()[0])


def due_workspaces(tx: Read) -> list[WorkspaceId]:
    """Return the workspaces in which something is due."""
    return [WorkspaceId(row[0]) for row in tx.execute(_DUE_WORKSPACES, now=to_micros(tx.now)).fetchall()]


def list_messages(
    tx: Read, agent: AgentId, *, state: InboxState | None = None, limit: int = PAGE, cursor: str | None = None
) -> Page[InboxMessageView]:
    """List an inbox without contents, newest first.

    Raises:
        NotFound: an agent asks for the inbox of another.
        Denied: policy does not let this actor look into it.
        InvalidCursor: the cursor is of another listing.
    """
    check_own(tx, agent)
    tx.authorize(Action.INBOX_READ, inbox_asset(agent))
    where: dict[str, str] = {"agent": agent} if state is None else {"agent": agent, "state": state.value}
    return _page(tx, _LIST if state is None else _LIST_IN_STATE, "inbox", limit, cursor, where)


def list_dead(
    tx: Read, agent: AgentId | None = None, *, limit: int = PAGE, cursor: str | None = None
) -> Page[InboxMessageView]:
    """List the dead letters of an inbox, or of the whole workspace, without contents, newest first.

    An agent gets those of its own inbox.

    Raises:
        NotFound: an agent asks for the inbox of another.
        Denied: policy does not let this actor look into it.
        InvalidCursor: the cursor is of another listing.
    """
    agent = agent or tx.actor.agent
    if agent is not None:
        check_own(tx, agent)
    tx.authorize(Action.INBOX_READ, Asset(kind="inbox", id="*") if agent is None else inbox_asset(agent))
    where = {} if agent is None else {"agent": agent}
    return _page(tx, _DEAD if agent is None else _DEAD_OF_AGENT, "dead", limit, cursor, where)


def _page(
    tx: Read, statement: Hot, name: str, limit: int, cursor: str | None, where: Mapping[str, str]
) -> Page[InboxMessageView]:
    kind = cursors.listing(name, **where)
    before = 2**62 if cursor is None else cursors.decode(kind, cursor, int)[0]
    found = tx.execute(statement, workspace=tx.actor.workspace, before=before, most=limit + 1, **where).fetchall()
    rows = [Row._make(row) for row in found]
    more = cursors.encode(kind, rows[limit - 1].seq) if len(rows) > limit else None
    return Page([view(row) for row in rows[:limit]], more)


def inbox_stats(tx: Read) -> list[InboxStats]:
    """Return how full each inbox of the workspace is.

    Raises:
        Denied: policy does not let this actor see it.
    """
    tx.authorize(Action.OPERATIONS_READ, Asset(kind="inbox", id="*"))
    depths = tx.execute(_DEPTHS, workspace=tx.actor.workspace).fetchall()
    oldest = dict(tx.execute(_OLDEST, workspace=tx.actor.workspace).fetchall())
    return [
        InboxStats(AgentId(agent), queued, leased, dead, _instant(oldest.get(agent)))
        for agent, queued, leased, dead in depths
    ]


_LEASE_OF_TASK = Hot(
    select(_M.id).where(
        _M.task_id == bindparam("task"),
        _M.task_id.is_not(None),
        _M.agent_id == bindparam("agent"),
        _M.state == bindparam("state"),
        _M.fencing_token == bindparam("token"),
        or_(_M.lease_until.is_(None), _M.lease_until > bindparam("now")),
    )
)
_DEAD_TASKS = Hot(
    select(_M.workspace_id, _M.task_id, _M.reason)
    .where(_is(InboxState.DEAD), _M.task_id.is_not(None))
    .order_by(_M.seq.desc())
    .limit(_MOST)
)


def find_lease(
    tx: Read, task_id: TaskId, fencing_token: int, *, state: InboxState = InboxState.LEASED
) -> InboxMessageId | None:
    """Return the message under which the calling agent holds a task with this token, or None.

    Args:
        state: `acked` finds the one under which it held the task before.
    """
    row = tx.execute(
        _LEASE_OF_TASK,
        task=task_id,
        agent=tx.actor.agent,
        state=state.value,
        token=fencing_token,
        now=to_micros(tx.now),
    ).fetchone()
    return None if row is None else InboxMessageId(row[0])


class DeadTask(NamedTuple):
    """A task whose message was offered too often."""

    workspace_id: WorkspaceId
    task_id: TaskId
    reason: str


def list_dead_tasks(tx: Read, *, most: int) -> list[DeadTask]:
    """Return the tasks of all workspaces whose message is a dead letter, the newest first; for the kernel."""
    rows = tx.execute(_DEAD_TASKS, most=most).fetchall()
    return [DeadTask(WorkspaceId(row[0]), TaskId(row[1]), row[2]) for row in rows]

"""Reads of tasks, their logs, and the totals beside them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, bindparam, func, or_, select, text, tuple_

from memroos.broker import rules
from memroos.broker.models import NOT_COMPLETED, AgentLoad, SentMessage, Task, TaskCount, TaskEvent
from memroos_contracts import broker as words
from memroos_contracts.broker import EventKind, TaskDetail, TaskState, TaskView
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action, Asset, Label
from memroos_contracts.identity import Actor, AgentId, ApprovalId, ContextId, Role, TaskId, WorkspaceId
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read

_COLUMNS = (
    Task.id, Task.workspace_id, Task.context_id, Task.owner, Task.agent_id, Task.agent, Task.state, Task.generation,
    Task.skill, Task.purpose, Task.route_reason, Task.label, Task.approval_id, Task.created_at, Task.status_at,
    Task.deadline_at, Task.status_message, Task.accepted_generation, Task.message_only, Task.traceparent, Task.via,
    Task.agent_metadata,
)  # fmt: skip

_ROWS: Any = select(*_COLUMNS)  # a list of columns this long has no useful type
_BY_ID = Hot(select(*_COLUMNS).where(Task.id == bindparam("id"), Task.workspace_id == bindparam("workspace")))
_EVENTS = Hot(
    select(TaskEvent.body)
    .where(TaskEvent.task_id == bindparam("task"), TaskEvent.generation > bindparam("after"))
    .order_by(TaskEvent.generation)
    .limit(bindparam("most"))
)
_ARTIFACTS = Hot(
    select(TaskEvent.body, TaskEvent.generation)
    .where(
        TaskEvent.task_id == bindparam("task"),
        TaskEvent.generation < bindparam("before"),
        TaskEvent.kind == EventKind.ARTIFACT.value,
    )
    .order_by(TaskEvent.generation.desc())
    .limit(bindparam("most"))
)
_SENT = Hot(
    select(SentMessage.task_id).where(
        SentMessage.workspace_id == bindparam("workspace"),
        SentMessage.owner == bindparam("owner"),
        SentMessage.message_id == bindparam("message_id"),
        SentMessage.scope == bindparam("scope"),
        SentMessage.digest == bindparam("digest"),
    )
)
_LOAD = Hot(
    select(AgentLoad.open, AgentLoad.in_flight).where(
        AgentLoad.workspace_id == bindparam("workspace"), AgentLoad.agent_id == bindparam("agent")
    )
)
_OPEN_OF_OWNER = Hot(
    select(func.coalesce(func.sum(TaskCount.tasks), 0)).where(
        TaskCount.workspace_id == bindparam("workspace"),
        TaskCount.owner == bindparam("owner"),
        or_(*(TaskCount.state == state.value for state in TaskState if state not in words.FINAL)),
    )
)

_decode_event = msgspec.json.Decoder(words.TaskEvent).decode
_decode_label = msgspec.json.Decoder(Label).decode
_decode_via = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode
_decode_message = msgspec.json.Decoder(words.Message).decode

ALL_EVENTS = 1_000_000
"""More events than a task may have."""

ARTIFACTS_AT_ONCE = 8


class TaskFilter(msgspec.Struct, frozen=True):
    """Which tasks a listing is about; empty fields do not restrict."""

    owner: str = ""
    agent_id: str = ""
    context_id: str = ""
    state: TaskState | None = None
    changed_since: datetime | None = None


def get_task(tx: Read, task_id: TaskId, *, agent_id: AgentId | None = None) -> TaskView:
    """Return a task without its content.

    Args:
        agent_id: only if it is this agent's task.

    Raises:
        NotFound: no task has this id, or the actor may not see it.
    """
    task = find_task(tx, task_id)
    if task is None or (agent_id is not None and task.agent_id != agent_id):
        raise NotFound(f"There is no task {task_id}.", kind_of_object="task", id=task_id)
    return task


def find_task(tx: Read, task_id: TaskId) -> TaskView | None:
    """Return a task that the actor may see, or None."""
    row = tx.execute(_BY_ID, id=task_id, workspace=tx.actor.workspace).fetchone()
    if row is None:
        return None
    task = view(row)
    return task if can_see(tx.actor, task) else None


def see_task(tx: Read, task_id: TaskId) -> TaskView:
    """Return how a task stands, for whoever asks from outside; its last word only to those between whom it was said.

    Raises:
        NotFound: no task has this id, or the actor may not see it.
        Denied: policy does not let this actor look.
    """
    task = get_task(tx, task_id)
    tx.authorize(Action.TASK_LIST, asset(task))
    return _as_state(tx, task)


def _as_state(tx: Read, task: TaskView) -> TaskView:
    """Return a task as a listing shows it: the last word belongs to those between whom it was said.

    It is content, and a state is not put on record when it is read; everybody else reads it where content is read.
    """
    between = task.owner == tx.actor.principal or (tx.actor.agent is not None and task.agent_id == tx.actor.agent)
    if task.status_message is None:
        return task
    if between and tx.permits(Action.TASK_READ, asset(task), purpose=task.purpose):
        return task
    return msgspec.structs.replace(task, status_message=None)


def sees_only_its_own(actor: Actor) -> bool:
    """Whether an actor sees less than its workspace: agents, and services that come with a key."""
    return actor.role is Role.AGENT or (actor.role is Role.SERVICE and actor.key is not None)


def can_see(actor: Actor, task: TaskView) -> bool:
    """Whether a task exists for this actor: an agent sees what it sent and what it was given."""
    if task.workspace_id != actor.workspace:
        return False
    if not sees_only_its_own(actor):
        return True
    return task.owner == actor.principal or (actor.agent is not None and task.agent_id == actor.agent)


def view(row: Any) -> TaskView:
    """Return the view of a row selected with this module's columns."""
    return TaskView(
        id=TaskId(row[0]),
        workspace_id=WorkspaceId(row[1]),
        context_id=ContextId(row[2]),
        owner=row[3],
        agent_id=AgentId(row[4]),
        agent=row[5],
        state=TaskState(row[6]),
        generation=row[7],
        skill=row[8],
        purpose=row[9],
        route_reason=row[10],
        label=_decode_label(row[11]),
        approval_id=None if row[12] is None else ApprovalId(row[12]),
        created_at=from_micros(row[13]),
        status_at=from_micros(row[14]),
        deadline_at=None if row[15] is None else from_micros(row[15]),
        status_message=None if row[16] is None else _decode_message(row[16]),
        accepted_generation=row[17],
        message_only=bool(row[18]),
        traceparent=row[19],
        via=_decode_via(row[20]) if row[20] != "[]" else (),
        metadata=None if row[21] is None else _decode_metadata(row[21]),
    )


def asset(task: TaskView) -> Asset:
    """Return the task as policy sees it."""
    return Asset(kind="task", id=task.id, owner=task.owner, agent=task.agent_id, label=task.label)


def list_events(tx: Read, task_id: TaskId, *, after: int = 0, most: int = ALL_EVENTS) -> list[words.TaskEvent]:
    """Return a task's log after a generation, oldest first. The caller has looked the task up."""
    rows = tx.execute(_EVENTS, task=task_id, after=after, most=most).fetchall()
    return [_decode_event(row[0]) for row in rows]


def has_artifact(tx: Read, task_id: TaskId, artifact_id: str) -> bool:
    """Whether a task has an artifact of this id; the last one is looked at first, since chunks follow each other."""
    before = ALL_EVENTS
    while rows := tx.execute(_ARTIFACTS, task=task_id, before=before, most=ARTIFACTS_AT_ONCE).fetchall():
        for body, generation in rows:
            artifact = _decode_event(body).artifact
            if artifact is not None and artifact.artifact_id == artifact_id:
                return True
            before = generation
    return False


def get_event(tx: Read, task_id: TaskId, generation: int) -> words.TaskEvent:
    """Return one entry of a task's log, which is known to exist."""
    return list_events(tx, task_id, after=generation - 1, most=1)[0]


def detail(tx: Read, task: TaskView, *, history_length: int | None = None, artifacts: bool = True) -> TaskDetail:
    """Return a task with its content.

    Args:
        history_length: at most this many of the newest messages; None for all, 0 for none.
        artifacts: whether to read them.
    """
    log = list_events(tx, task.id) if artifacts or history_length != 0 else []
    return detail_of(task, log, history_length=history_length, artifacts=artifacts)


def detail_of(
    task: TaskView, log: Sequence[words.TaskEvent], *, history_length: int | None, artifacts: bool
) -> TaskDetail:
    """Return a task with the content that its log gives it at the view's generation."""
    events = [event for event in log if event.generation <= task.generation]  # what came since is not of this view
    return TaskDetail(
        task=task,
        history=rules.newest(rules.fold_history(events), history_length),
        artifacts=rules.fold_artifacts(e for e in events if e.kind is EventKind.ARTIFACT) if artifacts else None,
    )


def as_of(task: TaskView, log: Sequence[words.TaskEvent], generation: int) -> TaskView:
    """Return a task as it was when its log reached a generation."""
    status = next(e for e in reversed(log) if e.generation <= generation and e.kind is EventKind.STATUS)
    later = {name for e in log if e.generation > generation and e.kind is EventKind.STATUS for name in e.metadata or ()}
    assert status.state is not None
    return msgspec.structs.replace(
        task,
        generation=generation,
        state=status.state,
        status_at=status.at,
        status_message=status.message,
        metadata={name: value for name, value in (task.metadata or {}).items() if name not in later} or None,
    )


def list_tasks(tx: Read, wanted: TaskFilter, *, limit: int, cursor: str | None = None) -> Page[TaskView]:
    """Return tasks, the last changed first, as far as the actor may see.

    Args:
        limit: how many at most, 1 to 100.
        cursor: the `next_cursor` of the page before.

    Raises:
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    tx.authorize(Action.TASK_LIST, Asset(kind="task", id="*", owner=wanted.owner))
    page = load_page(tx, wanted, limit=limit, cursor=cursor)
    return Page([_as_state(tx, task) for task in page.items], page.next_cursor)


def load_page(tx: Read, wanted: TaskFilter, *, limit: int, cursor: str | None) -> Page[TaskView]:
    """Return part of a listing, which the caller has decided about."""
    kind = cursors.listing("tasks", filter=msgspec.json.encode(wanted).decode())
    statement = _narrowed(tx.actor, wanted, _ROWS).order_by(Task.status_at.desc(), Task.id.desc())
    if cursor:
        at, task_id = cursors.decode(kind, cursor, int, str)
        statement = statement.where(tuple_(Task.status_at, Task.id) < tuple_(at, task_id))
    rows = tx.session.execute(statement.limit(limit + 1)).all()
    tasks = [view(row) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(tasks, cursors.encode(kind, last.status_at, last.id) if last is not None else None)


class DetailPage(msgspec.Struct, frozen=True):
    """Part of a listing of tasks, with content where it was asked for."""

    items: list[TaskDetail]
    next_cursor: str | None
    total: int
    """How many tasks the listing has in all."""


def list_states(tx: Read, wanted: TaskFilter, *, limit: int, cursor: str | None) -> DetailPage:
    """Return tasks without content, the last changed first, and the total.

    Raises:
        InvalidCursor: the cursor is of another listing.
    """
    page = list_tasks(tx, wanted, limit=limit, cursor=cursor)
    details = [TaskDetail(task=task, history=None, artifacts=None) for task in page.items]
    return DetailPage(details, page.next_cursor, count_tasks(tx, wanted))


def count_tasks(tx: Read, wanted: TaskFilter) -> int:
    """Return how many tasks a listing has in all: from the kept totals where they know, else from an index."""
    foreign = sees_only_its_own(tx.actor) and wanted.owner != tx.actor.principal
    if wanted.context_id or wanted.changed_since or foreign:
        return int(tx.session.execute(_narrowed(tx.actor, wanted, select(func.count(Task.id)))).scalar_one())
    statement = select(func.coalesce(func.sum(TaskCount.tasks), 0)).where(TaskCount.workspace_id == tx.actor.workspace)
    if wanted.owner:
        statement = statement.where(TaskCount.owner == wanted.owner)
    if wanted.agent_id:
        statement = statement.where(TaskCount.agent_id == wanted.agent_id)
    if wanted.state:
        statement = statement.where(TaskCount.state == wanted.state.value)
    return int(tx.session.execute(statement).scalar_one())


def _narrowed(actor: Actor, wanted: TaskFilter, statement: Select[Any]) -> Select[Any]:
    statement = statement.where(Task.workspace_id == actor.workspace)
    if sees_only_its_own(actor) and wanted.owner != actor.principal:
        mine = (Task.agent_id == actor.agent) if wanted.agent_id == actor.agent else (Task.owner == actor.principal)
        statement = statement.where(mine)
    if wanted.owner:
        statement = statement.where(Task.owner == wanted.owner)
    if wanted.agent_id:
        statement = statement.where(Task.agent_id == wanted.agent_id)
    if wanted.context_id:
        statement = statement.where(Task.context_id == wanted.context_id)
    if wanted.state:
        statement = statement.where(Task.state == wanted.state.value)
        if wanted.state is not TaskState.COMPLETED:
            statement = statement.where(text(NOT_COMPLETED))  # said in these words, it finds its partial index
    if wanted.changed_since:
        statement = statement.where(Task.status_at >= to_micros(wanted.changed_since))
    return statement


def find_sent(tx: Read, message_id: str, scope: str, digest: bytes) -> TaskId | None:
    """Return the task that this very message of this actor went to before, or None."""
    row = tx.execute(
        _SENT,
        workspace=tx.actor.workspace,
        owner=tx.actor.principal,
        message_id=message_id,
        scope=scope,
        digest=digest,
    ).fetchone()
    return None if row is None else TaskId(row[0])


class Load(NamedTuple):
    """How much an agent has to do."""

    open: int
    in_flight: int
    """Of the open tasks, those that wait for nobody else."""


def load_of(tx: Read, agent_id: AgentId) -> Load:
    """Return how many open tasks an agent has, whoever sent them."""
    row = tx.execute(_LOAD, workspace=tx.actor.workspace, agent=agent_id).fetchone()
    return Load(0, 0) if row is None else Load(*row)


def count_open(tx: Read, owner: str) -> int:
    """Return how many open tasks a caller has."""
    return int(tx.execute(_OPEN_OF_OWNER, workspace=tx.actor.workspace, owner=owner).fetchone()[0])

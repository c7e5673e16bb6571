"""The task log: every change is an event with the next generation, in the same transaction as the task's row."""

from typing import Any

import msgspec
from sqlalchemy import bindparam, case, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert

from memroos import events as event_log
from memroos import memory
from memroos.broker import rules, tails
from memroos.broker.models import AgentLoad, Task, TaskCount, TaskEvent
from memroos_contracts.broker import Artifact, EventKind, Message, MessageRole, Part, TaskState, TaskView
from memroos_contracts.broker import TaskEvent as Event
from memroos_contracts.identity import TaskId
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

_INSERT_TASK = Hot(insert(Task))
_INSERT_EVENT = Hot(insert(TaskEvent))
_UPDATE_TASK = Hot(
    update(Task)
    .where(Task.id == bindparam("task"))
    .values(
        state=bindparam("state"),
        open=bindparam("open"),
        generation=bindparam("generation"),
        status_at=bindparam("at"),
        status_message=bindparam("message"),
        approval_id=bindparam("approval"),
    )
)
_ACCEPT = Hot(
    update(Task)
    .where(Task.id == bindparam("task"))
    .values(accepted_generation=bindparam("generation"), message_only=bindparam("message_only"))
)
_DESCRIBE = Hot(update(Task).where(Task.id == bindparam("task")).values(agent_metadata=bindparam("metadata")))
_UPDATE_GENERATION = Hot(update(Task).where(Task.id == bindparam("task")).values(generation=bindparam("generation")))
_count_up = upsert(TaskCount).values(
    workspace_id=bindparam("workspace"),
    owner=bindparam("owner"),
    agent_id=bindparam("agent"),
    state=bindparam("state"),
    tasks=1,
)
_COUNT_UP = Hot(
    _count_up.on_conflict_do_update(
        index_elements=["workspace_id", "owner", "agent_id", "state"], set_={"tasks": TaskCount.tasks + 1}
    )
)
_COUNT_DOWN = Hot(
    update(TaskCount)
    .where(
        TaskCount.workspace_id == bindparam("workspace"),
        TaskCount.owner == bindparam("owner"),
        TaskCount.agent_id == bindparam("agent"),
        TaskCount.state == bindparam("state"),
    )
    .values(tasks=case((TaskCount.tasks > 0, TaskCount.tasks - 1), else_=0))
)
_load_up = upsert(AgentLoad).values(
    workspace_id=bindparam("workspace"),
    agent_id=bindparam("agent"),
    open=bindparam("opened"),
    in_flight=bindparam("started"),
)
_LOAD = Hot(
    _load_up.on_conflict_do_update(
        index_elements=["workspace_id", "agent_id"],
        set_={
            "open": AgentLoad.open + _load_up.excluded.open,
            "in_flight": AgentLoad.in_flight + _load_up.excluded.in_flight,
        },
    )
)

_encode = msgspec.json.encode

EXTENSIONS = "memroos.extensions"
"""In the metadata of a message's event: the extensions under which it was sent."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A change to come: an event that has no generation yet."""

    kind: EventKind
    state: TaskState | None = None
    message: Message | None = None
    artifact: Artifact | None = None
    append: bool = False
    last_chunk: bool = False
    metadata: dict[str, Any] | None = None


def said(message: Message, *, extensions: tuple[str, ...] = ()) -> Entry:
    """A message joins the history; with it go the extensions of the protocol that take effect."""
    metadata = {EXTENSIONS: list(extensions)} if extensions else None
    return Entry(kind=EventKind.MESSAGE, message=message, metadata=metadata)


def moved(state: TaskState, message: Message | None = None, metadata: dict[str, Any] | None = None) -> Entry:
    """The task goes to a state, perhaps with a word of explanation."""
    return Entry(kind=EventKind.STATUS, state=state, message=message, metadata=metadata)


def produced(artifact: Artifact, *, append: bool, last_chunk: bool, metadata: dict[str, Any] | None = None) -> Entry:
    """An artifact, or a piece of one."""
    return Entry(kind=EventKind.ARTIFACT, artifact=artifact, append=append, last_chunk=last_chunk, metadata=metadata)


def kernel_says(tx: Tx, task_id: TaskId, context_id: str, text: str, **metadata: str) -> Message:
    """Return a message in which the kernel explains a state."""
    return Message(
        message_id=tx.new_id("msg"),
        role=MessageRole.AGENT,
        parts=[Part(text=text)],
        task_id=task_id,
        context_id=context_id,
        metadata={"memroos": metadata} if metadata else None,
    )


def create(tx: Tx, task: TaskView, entries: list[Entry]) -> TaskView:
    """Write a new task with its first events; `task.generation` counts them already."""
    tx.execute(
        _INSERT_TASK,
        id=task.id,
        workspace_id=task.workspace_id,
        context_id=task.context_id,
        owner=task.owner,
        agent_id=task.agent_id,
        agent=task.agent,
        state=task.state.value,
        open=int(rules.is_open(task.state)),
        generation=len(entries),
        skill=task.skill,
        purpose=task.purpose,
        route_reason=task.route_reason,
        label=_encode(task.label).decode(),
        approval_id=task.approval_id,
        status_message=_text(task.status_message),
        created_at=to_micros(task.created_at),
        status_at=to_micros(task.status_at),
        deadline_at=None if task.deadline_at is None else to_micros(task.deadline_at),
        accepted_generation=task.accepted_generation,
        message_only=int(task.message_only),
        traceparent=task.traceparent,
        via=_encode(task.via).decode(),
        agent_metadata=None,
    )
    tx.execute(_COUNT_UP, **_counted(task, task.state))
    _load(tx, task, opened=int(rules.is_open(task.state)), started=int(rules.is_in_flight(task.state)))
    events, size_bytes = _append(tx, task, 0, entries)
    task = msgspec.structs.replace(task, generation=len(entries))
    tails.announce(tx, task, events, size_bytes)
    return task


def advance(tx: Tx, task: TaskView, entries: list[Entry]) -> TaskView:
    """Append events to an open task and move it to the last state among them; a new state ends a hold."""
    generation = task.generation + len(entries)
    statuses = [entry for entry in entries if entry.state is not None]
    events, size_bytes = _append(tx, task, task.generation, entries)
    after = _move(tx, task, generation, statuses[-1]) if statuses else None
    if after is None:
        tx.execute(_UPDATE_GENERATION, task=task.id, generation=generation)
        after = msgspec.structs.replace(task, generation=generation)
    tails.announce(tx, after, events, size_bytes)
    return after


def accept(tx: Tx, task: TaskView, *, message_only: bool = False) -> TaskView:
    """The agent has taken the task, as far as its log reaches now."""
    tx.execute(_ACCEPT, task=task.id, generation=task.generation, message_only=int(message_only))
    task = msgspec.structs.replace(task, accepted_generation=task.generation, message_only=message_only)
    tails.announce(tx, task, [], 0)
    return task


def describe(tx: Tx, task: TaskView, metadata: dict[str, Any]) -> TaskView:
    """The agent says something of the task as a whole, beside what it has said before."""
    known = {**(task.metadata or {}), **metadata}
    if known == (task.metadata or {}):
        return task
    tx.execute(_DESCRIBE, task=task.id, metadata=_encode(known).decode())
    task = msgspec.structs.replace(task, metadata=known)
    tails.announce(tx, task, [], 0)
    return task


def _move(tx: Tx, task: TaskView, generation: int, last: Entry) -> TaskView:
    """Bring the task's row to the last state among the events."""
    assert last.state is not None
    after = msgspec.structs.replace(
        task,
        state=last.state,
        generation=generation,
        status_at=tx.now,
        status_message=last.message,
        approval_id=None,
    )
    tx.execute(
        _UPDATE_TASK,
        task=task.id,
        state=after.state.value,
        open=int(rules.is_open(after.state)),
        generation=generation,
        at=to_micros(tx.now),
        message=_text(last.message),
        approval=after.approval_id,
    )
    if after.state is not task.state:
        tx.execute(_COUNT_DOWN, **_counted(task, task.state))
        tx.execute(_COUNT_UP, **_counted(task, after.state))
        _load(
            tx,
            task,
            opened=rules.is_open(after.state) - rules.is_open(task.state),
            started=rules.is_in_flight(after.state) - rules.is_in_flight(task.state),
        )
    return after


def _load(tx: Tx, task: TaskView, *, opened: int, started: int) -> None:
    """Keep how much the agent has to do; nothing is written where that stays."""
    if opened or started:
        tx.execute(_LOAD, workspace=task.workspace_id, agent=task.agent_id, opened=opened, started=started)


def announce(tx: Tx, event: str, task: TaskView, **facts: str) -> None:
    """Tell everybody who listens to this task that it has changed, how far its log reaches, and what else is new."""
    event_log.publish(
        tx,
        event,
        subject=task.id,
        data={
            "task": task.id,
            "context": task.context_id,
            "state": task.state.value,
            "generation": task.generation,
            "agent": task.agent,
            **facts,
        },
        owner=task.owner,
        agent=task.agent_id,
    )


def _append(tx: Tx, task: TaskView, generation: int, entries: list[Entry]) -> tuple[list[Event], int]:
    """Write events after a generation; return them and the size of what was written."""
    rows: list[dict[str, Any]] = []
    events: list[Event] = []
    at = to_micros(tx.now)
    for offset, entry in enumerate(entries, start=1):
        event = Event(
            generation=generation + offset,
            kind=entry.kind,
            at=tx.now,
            state=entry.state,
            message=entry.message,
            artifact=entry.artifact,
            append=entry.append,
            last_chunk=entry.last_chunk,
            metadata=entry.metadata,
        )
        rows.append(
            {
                "task_id": task.id,
                "generation": event.generation,
                "kind": event.kind.value,
                "body": _encode(event).decode(),
                "at": at,
            }
        )
        events.append(event)
        _remember(tx, task, entry)
    tx.execute_many(_INSERT_EVENT, rows=rows)
    return events, sum(len(row["body"]) for row in rows)


def _remember(tx: Tx, task: TaskView, entry: Entry) -> None:
    """Keep what was said and produced as an episodic event, searchable at once."""
    parts = entry.message.parts if entry.message is not None else entry.artifact.parts if entry.artifact else []
    text = rules.text_of(parts)
    if not text:
        return
    memory.append_event(
        tx,
        stream=f"context:{task.context_id}",
        kind="artifact" if entry.artifact is not None else "message",
        text=text,
        owner=task.owner,
        agent_id=task.agent_id,
        task_id=task.id,
        context_id=task.context_id,
        label=task.label,
    )


def _counted(task: TaskView, state: TaskState) -> dict[str, str]:
    return {
        "workspace": task.workspace_id,
        "owner": task.owner,
        "agent": task.agent_id,
        "state": state.value,
    }


def _text(message: Message | None) -> str | None:
    return None if message is None else _encode(message).decode()

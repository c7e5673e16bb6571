"""Reads for the kernel's loops: what is on its way to agents, what time and dead letters do, and the other ends."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, or_, select, text, tuple_
from sqlalchemy.orm import aliased

from memroos import bus, registry
from memroos.broker.models import NOT_COMPLETED, AgentLoad, Delivery, RemoteTask, Task
from memroos_contracts.broker import FINAL, TaskState
from memroos_contracts.identity import AgentId, DeliveryId, TaskId, WorkspaceId
from memroos_contracts.registry import AgentState
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read

_WAITING = Hot(
    select(
        Delivery.id, Task.workspace_id, Delivery.task_id, Task.agent_id, Delivery.generation, Delivery.attempts,
        Delivery.due_at,
    )
    .join(Task, Task.id == Delivery.task_id)
    .where(
        Delivery.channel == "local",
        Delivery.state == "waiting",
        Delivery.due_at <= bindparam("now"),
        tuple_(Delivery.due_at, Delivery.id) > tuple_(bindparam("after_due"), bindparam("after_id")),
    )
    .order_by(Delivery.due_at, Delivery.id)
    .limit(bindparam("most"))
)  # fmt: skip

_OPEN = Hot(select(Task.id).where(Task.id == bindparam("id"), Task.open == 1))
_OVERDUE = Hot(
    select(Task.workspace_id, Task.id)
    .where(text("open AND deadline_at IS NOT NULL"), Task.deadline_at <= bindparam("now"))
    .order_by(Task.deadline_at)
    .limit(bindparam("most"))
)
_LOADED = Hot(select(AgentLoad.workspace_id, AgentLoad.agent_id).where(AgentLoad.open > 0))
_OPEN_OF_AGENT = Hot(
    select(Task.id)
    .where(
        Task.workspace_id == bindparam("workspace"),
        text(NOT_COMPLETED),  # said in these words, it finds the partial index
        or_(*(Task.state == state.value for state in TaskState if state not in FINAL)),
        Task.agent_id == bindparam("agent"),
    )
    .limit(bindparam("most"))
)


class WaitingDelivery(msgspec.Struct, frozen=True):
    """A message that waits for an agent inside the process."""

    id: DeliveryId
    workspace_id: WorkspaceId
    task_id: TaskId
    agent_id: AgentId
    generation: int
    """Of the message it carries."""
    attempts: int
    due_at: int


def list_waiting(tx: Read, *, after: WaitingDelivery | None = None, most: int) -> list[WaitingDelivery]:
    """Return local deliveries of every workspace that are due, oldest first."""
    due, last = (after.due_at, after.id) if after is not None else (0, "")
    rows: Iterable[Any] = tx.execute(
        _WAITING, now=to_micros(tx.now), after_due=due, after_id=last, most=most
    ).fetchall()
    return [
        WaitingDelivery(DeliveryId(r[0]), WorkspaceId(r[1]), TaskId(r[2]), AgentId(r[3]), r[4], r[5], r[6])
        for r in rows
    ]


def list_loaded_agents(tx: Read) -> list[tuple[WorkspaceId, AgentId]]:
    """Return the agents of all workspaces that have open tasks; for the kernel."""
    return [(WorkspaceId(row[0]), AgentId(row[1])) for row in tx.execute(_LOADED).fetchall()]


def list_left_behind(tx: Read, agent_id: AgentId, *, most: int) -> list[TaskId]:
    """Return open tasks of an agent that is retired, none of any other."""
    agent = registry.find_agent(tx, agent_id)
    if agent is None or agent.state is not AgentState.RETIRED:
        return []
    rows = tx.execute(_OPEN_OF_AGENT, workspace=tx.actor.workspace, agent=agent_id, most=most).fetchall()
    return [TaskId(row[0]) for row in rows]


def list_dead_open_tasks(tx: Read, *, most: int) -> list[bus.DeadTask]:
    """Return dead letters of all workspaces whose task is still open; for the kernel."""
    letters = bus.list_dead_tasks(tx, most=most)
    return [letter for letter in letters if tx.execute(_OPEN, id=letter.task_id).fetchone() is not None]


def list_overdue(tx: Read, *, most: int) -> list[tuple[WorkspaceId, TaskId]]:
    """Return open tasks of all workspaces whose deadline has passed; for the kernel."""
    rows = tx.execute(_OVERDUE, now=to_micros(tx.now), most=most).fetchall()
    return [(WorkspaceId(row[0]), TaskId(row[1])) for row in rows]


# -- tasks that remote agents work on --------------------------------------------------------------------------------

_earlier, _its_end = aliased(Task), aliased(RemoteTask)
_known_context = (
    select(_its_end.remote_context_id)
    .join(_earlier, _earlier.id == _its_end.task_id)
    .where(
        _earlier.workspace_id == Task.workspace_id,
        _earlier.context_id == Task.context_id,
        _its_end.agent_id == Task.agent_id,
        _its_end.remote_context_id != "",
    )
    .order_by(_earlier.status_at.desc())
    .limit(1)
    .correlate(Task)
    .scalar_subquery()
)
_OUTGOING: Any = select(
    Delivery.id, Task.workspace_id, Delivery.task_id, Task.agent_id, Delivery.generation,
    func.coalesce(_known_context, ""),
).join(Task, Task.id == Delivery.task_id)  # fmt: skip
_OUTGOING_ALL = Hot(
    _OUTGOING.where(Delivery.channel == "a2a", Delivery.state == "waiting", Delivery.id > bindparam("after"))
    .order_by(Delivery.id)
    .limit(bindparam("most"))
)
_OUTGOING_OF = Hot(
    _OUTGOING.where(
        Delivery.task_id == bindparam("task"), Delivery.channel == "a2a", Delivery.state == "waiting"
    ).order_by(Delivery.id)
)
_ENDS: Any = select(
    RemoteTask.task_id, Task.workspace_id, RemoteTask.agent_id, RemoteTask.remote_id, RemoteTask.remote_context_id,
    RemoteTask.state, RemoteTask.failures,
).join(Task, Task.id == RemoteTask.task_id)  # fmt: skip
_OPEN_ENDS = Hot(
    _ENDS.where(text("remote_task.state <> 'closed'"), RemoteTask.task_id > bindparam("after"))
    .order_by(RemoteTask.task_id)
    .limit(bindparam("most"))
)
_END_OF = Hot(_ENDS.where(RemoteTask.task_id == bindparam("task")))
_NAMED = Hot(
    select(RemoteTask.task_id).where(
        RemoteTask.agent_id == bindparam("agent"), RemoteTask.remote_id == bindparam("remote")
    )
)


class Outgoing(msgspec.Struct, frozen=True):
    """A message that waits to be sent to a remote agent."""

    id: DeliveryId
    workspace_id: WorkspaceId
    task_id: TaskId
    agent_id: AgentId
    generation: int
    """Of the message it carries."""
    remote_context_id: str
    """What the agent calls the task's context; empty where it has not been there yet."""


class RemoteEnd(msgspec.Struct, frozen=True):
    """The other end of a task."""

    task_id: TaskId
    workspace_id: WorkspaceId
    agent_id: AgentId
    remote_id: str
    """What the agent calls it; empty while that is not known."""
    remote_context_id: str
    state: str
    failures: int


def list_outgoing(tx: Read, *, after: str = "", most: int) -> list[Outgoing]:
    """Return messages of every workspace that wait for a remote agent, oldest first; for the kernel."""
    return _outgoing(tx.execute(_OUTGOING_ALL, after=after, most=most).fetchall())


def list_outgoing_of(tx: Read, task_id: TaskId) -> list[Outgoing]:
    """Return what waits to be sent of one task, oldest first; for the kernel."""
    return _outgoing(tx.execute(_OUTGOING_OF, task=task_id).fetchall())


def _outgoing(rows: list[Any]) -> list[Outgoing]:
    return [Outgoing(DeliveryId(r[0]), WorkspaceId(r[1]), TaskId(r[2]), AgentId(r[3]), r[4], r[5]) for r in rows]


def list_remote_ends(tx: Read, *, after: str = "", most: int) -> list[RemoteEnd]:
    """Return the other ends that are followed or to be canceled, of every workspace; for the kernel."""
    return [_end(row) for row in tx.execute(_OPEN_ENDS, after=after, most=most).fetchall()]


def find_remote_end(tx: Read, task_id: TaskId) -> RemoteEnd | None:
    """Return the other end of a task that its agent has named or is to be told of; for the kernel."""
    row = tx.execute(_END_OF, task=task_id).fetchone()
    return None if row is None else _end(row)


def _end(row: Any) -> RemoteEnd:
    return RemoteEnd(TaskId(row[0]), WorkspaceId(row[1]), AgentId(row[2]), row[3], row[4], row[5], row[6])


def find_named(tx: Read, agent_id: AgentId, remote_id: str) -> TaskId | None:
    """Return the task that an agent calls by this id, or None; for the kernel."""
    row = tx.execute(_NAMED, agent=agent_id, remote=remote_id).fetchone()
    return None if row is None else TaskId(row[0])

"""Verbs for the other end of a task: what a remote A2A agent said about it, and what became of it out there."""

from datetime import datetime

import msgspec
from sqlalchemy import BigInteger, bindparam, case, update
from sqlalchemy.dialects.sqlite import insert as upsert

from memroos import audit
from memroos.broker import queries, rules
from memroos.broker.models import RemoteTask
from memroos.broker.service import delivery, log
from memroos_contracts.broker import Message, TaskState, TaskView
from memroos_contracts.governance import Action
from memroos_contracts.identity import DeliveryId, TaskId
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

_named = upsert(RemoteTask)
_NAME = Hot(
    _named.on_conflict_do_update(
        index_elements=["task_id"],
        set_={
            "remote_id": _named.excluded.remote_id,
            "remote_context_id": _named.excluded.remote_context_id,
            "heard_at": _named.excluded.heard_at,
            "failures": 0,
            "state": case((RemoteTask.state == "closed", "closed"), else_=_named.excluded.state),
        },
    )
)
_CLOSE = Hot(update(RemoteTask).where(RemoteTask.task_id == bindparam("task")).values(state="closed"))
_POSTPONE = Hot(
    update(RemoteTask)
    .where(RemoteTask.task_id == bindparam("task"))
    .values(failures=RemoteTask.failures + 1, due_at=bindparam("due", type_=BigInteger))
)


class IdTaken(Exception):
    """The agent calls a task by the name of another one."""


class Taken(msgspec.Struct, frozen=True):
    """How an agent took a message: what it calls the task, and how much of what it said came with that."""

    remote_id: str
    context_id: str
    delivery_id: DeliveryId | None = None
    changes: int = 0
    """How many of the changes belong to the agent's first answer."""
    metadata: dict[str, object] | None = None
    """Of the task as a whole."""


def mirror(tx: Tx, task_id: TaskId, changes: list[rules.Change], *, taken: Taken | None = None) -> TaskView:
    """Write down what a remote agent said, all of it or nothing.

    What comes after the task ended here is dropped: the end counts, and the agent is told to stop.

    Raises:
        IdTaken: what the agent calls the task is another task's name already.
    """
    task = queries.get_task(tx, task_id)
    tx.authorize(Action.TASK_WORK, queries.asset(task), purpose=task.purpose)
    is_open = rules.is_open(task.state)
    if taken is not None:
        _name(tx, task, taken, state="following" if is_open else "canceling")
    if not is_open:
        audit.record(tx, "task.report_dropped", queries.asset(task), state=task.state)
        return task
    task = log.describe(tx, task, _metadata_of(changes, taken))
    entries = [_entry(task, change) for change in changes]
    if taken is not None and not task.accepted_generation:
        first, entries = entries[: taken.changes], entries[taken.changes :]
        task = log.accept(tx, log.advance(tx, task, first) if first else task)
    if entries:
        task = log.advance(tx, task, entries)
    if not rules.is_open(task.state):
        _finish(tx, task)
    event = "task.accepted" if not changes else f"task.{task.state}"
    if changes and isinstance(changes[-1], rules.Piece):
        event = "task.artifact_added"
    audit.record(tx, event, queries.asset(task), reports=len(changes))
    log.announce(tx, event, task)
    return task


def answer(tx: Tx, task_id: TaskId, message: Message, delivery_id: DeliveryId) -> TaskView:
    """Write down a message with which a remote agent answered instead of a task: it is all there is.

    An answer to a later message of a task joins its history.
    """
    task = queries.get_task(tx, task_id)
    tx.authorize(Action.TASK_WORK, queries.asset(task), purpose=task.purpose)
    delivery.finish(tx, delivery_id)
    if not rules.is_open(task.state):
        audit.record(tx, "task.report_dropped", queries.asset(task), state=task.state)
        tx.execute(_CLOSE, task=task.id)
        return task
    said = _ours(task, message)
    if task.accepted_generation:
        task = log.advance(tx, task, [log.said(said)])
        event = "task.message_added"
    else:
        task = log.accept(tx, log.advance(tx, task, [log.moved(TaskState.COMPLETED, said)]), message_only=True)
        _finish(tx, task)
        event = "task.completed"
    audit.record(tx, event, queries.asset(task), reports=1)
    log.announce(tx, event, task)
    return task


def refuse(tx: Tx, task_id: TaskId, reason: str, words: str) -> TaskView:
    """The agent did not take the task: it ends as rejected, with the agent's reason. Safe to repeat."""
    text = f"The agent refused this: {words}"
    return _end(tx, task_id, TaskState.REJECTED, text, _error(reason, words), tell_agent=False)


def fail_remote(tx: Tx, task_id: TaskId, words: str, reason: str = "", *, tell_agent: bool) -> TaskView:
    """Fail a task whose agent forgot it, stayed away or broke the protocol. Safe to repeat.

    Args:
        tell_agent: whether the agent is to be told to stop.
    """
    return _end(tx, task_id, TaskState.FAILED, words, _error(reason, words) if reason else None, tell_agent=tell_agent)


def return_message(
    tx: Tx, task_id: TaskId, delivery_id: DeliveryId, state: TaskState, reason: str, words: str
) -> TaskView:
    """The agent did not take a later message of a task: the task waits again as it did before."""
    task = queries.get_task(tx, task_id)
    delivery.finish(tx, delivery_id)
    if not rules.is_open(task.state):
        return task
    said = log.kernel_says(tx, task.id, task.context_id, f"The agent refused the message: {words}")
    task = log.advance(tx, task, [log.moved(state, said, _error(reason, words))])
    audit.record(tx, f"task.{state}", queries.asset(task), reason=reason)
    log.announce(tx, f"task.{state}", task)
    return task


def close_remote(tx: Tx, task_id: TaskId) -> None:
    """There is nothing more to tell the agent about a task."""
    tx.execute(_CLOSE, task=task_id)


def postpone_cancel(tx: Tx, task_id: TaskId, due: datetime) -> None:
    """The agent could not be told to stop; it is tried again."""
    tx.execute(_POSTPONE, task=task_id, due=to_micros(due))


def drop_remote(tx: Tx, delivery_id: DeliveryId) -> None:
    """A delivery is no longer needed: it has arrived before, or its task has ended."""
    delivery.finish(tx, delivery_id)


def _name(tx: Tx, task: TaskView, taken: Taken, *, state: str) -> None:
    if queries.find_named(tx, task.agent_id, taken.remote_id) not in {None, task.id}:
        raise IdTaken(taken.remote_id)
    now = to_micros(tx.now)
    tx.execute(
        _NAME,
        task_id=task.id,
        agent_id=task.agent_id,
        remote_id=taken.remote_id,
        remote_context_id=taken.context_id,
        state=state,
        failures=0,
        due_at=now,
        heard_at=now,
    )
    if taken.delivery_id is not None:
        delivery.finish(tx, taken.delivery_id)


def _metadata_of(changes: list[rules.Change], taken: Taken | None) -> dict[str, object]:
    """Return what an agent says of the task as a whole: in the task itself, and with each new state."""
    found: dict[str, object] = dict(taken.metadata or {}) if taken is not None else {}
    for change in changes:
        if isinstance(change, rules.Status):
            found |= change.metadata or {}
    found.pop("memroos", None)  # another broker's words about its own task
    return found


def _entry(task: TaskView, change: rules.Change) -> log.Entry:
    """Return an agent's event as ours: with our ids, and by our clock."""
    if isinstance(change, rules.Piece):
        return log.produced(
            change.artifact, append=change.append, last_chunk=change.last_chunk, metadata=change.metadata
        )
    message = None if change.message is None else _ours(task, change.message)
    return log.moved(change.state, message, change.metadata)


def _ours(task: TaskView, message: Message) -> Message:
    """Return an agent's message with our ids where it names its own."""
    return msgspec.structs.replace(
        message,
        task_id=task.id if message.task_id else "",
        context_id=task.context_id if message.context_id else "",
    )


def _end(
    tx: Tx, task_id: TaskId, state: TaskState, words: str, metadata: dict[str, object] | None, *, tell_agent: bool
) -> TaskView:
    task = queries.get_task(tx, task_id)
    if not rules.is_open(task.state):
        return task
    said = log.kernel_says(tx, task.id, task.context_id, words)
    task = log.advance(tx, task, [log.moved(state, said, metadata)])
    if not task.accepted_generation:
        task = log.accept(tx, task)
    if tell_agent:
        delivery.withdraw(tx, task)
    else:
        _finish(tx, task)
    audit.record(tx, f"task.{state}", queries.asset(task))
    log.announce(tx, f"task.{state}", task)
    return task


def _finish(tx: Tx, task: TaskView) -> None:
    delivery.finish_all(tx, task.id)
    tx.execute(_CLOSE, task=task.id)


def _error(reason: str, words: str) -> dict[str, object]:
    return {"memroos": {"error": reason, "message": words}}

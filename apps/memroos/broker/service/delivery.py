"""The outbox: each message to an agent is a delivery row, written with the task."""

from sqlalchemy import BigInteger, bindparam, insert, literal, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from memroos import bus
from memroos.broker import queries
from memroos.broker.models import Delivery, RemoteTask, Task
from memroos_contracts.broker import Message, TaskView
from memroos_contracts.identity import DeliveryId, InboxMessageId, TaskId
from memroos_contracts.registry import AgentKind
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

TASK_MESSAGE = "task"
"""The kind of inbox message that carries a task's message."""

_CHANNELS = {AgentKind.REST: "inbox", AgentKind.LOCAL: "local", AgentKind.A2A: "a2a"}
_INSERT = Hot(insert(Delivery))
_FINISH = Hot(update(Delivery).where(Delivery.id == bindparam("delivery")).values(state="done"))
_FINISH_TASK = Hot(
    update(Delivery).where(Delivery.task_id == bindparam("task"), Delivery.state != "done").values(state="done")
)
_RELEASE = Hot(
    update(Delivery)
    .where(Delivery.id == bindparam("delivery"))
    .values(state=bindparam("to"), inbox_message_id=bindparam("message"), due_at=bindparam("due"))
)
_COUNT_RESTART = Hot(
    update(Delivery)
    .where(Delivery.channel == "local", Delivery.state == "waiting")
    .values(attempts=Delivery.attempts + 1)
)
_CANCEL_FOLLOWED = Hot(
    update(RemoteTask)
    .where(RemoteTask.task_id == bindparam("task"), RemoteTask.state == "following")
    .values(state="canceling", due_at=bindparam("now"), failures=0)
)
# A message that is just now on its way may have made a task that the agent has not named yet.
_CANCEL_UNNAMED = Hot(
    upsert(RemoteTask)
    .from_select(
        [column.name for column in RemoteTask.__table__.columns],
        select(
            Delivery.task_id, Task.agent_id, literal(""), literal(""), literal("canceling"), literal(0),
            bindparam("now", type_=BigInteger), bindparam("now", type_=BigInteger),
        )
        .join(Task, Task.id == Delivery.task_id)
        .where(Delivery.task_id == bindparam("task"), Delivery.channel == "a2a", Delivery.state == "waiting")
        .limit(1),
    )
    .on_conflict_do_nothing()
)  # fmt: skip
_HELD = Hot(
    select(Delivery.id, Delivery.generation)
    .where(Delivery.task_id == bindparam("task"), Delivery.state == "held")
    .order_by(Delivery.id)
)


def deliver(tx: Tx, task: TaskView, generation: int, kind: AgentKind, *, held: bool) -> None:
    """Put a message on its way to the task's agent, or keep it until a human has answered.

    Args:
        generation: of the event that holds the message.
        held: whether an approval is pending; `release` sends it later.
    """
    channel = _CHANNELS[kind]
    inbox = channel == "inbox"
    message_id = _into_inbox(tx, task, generation) if inbox and not held else None
    tx.execute(
        _INSERT,
        id=tx.new_id("dlv"),
        task_id=task.id,
        generation=generation,
        channel=channel,
        state="held" if held else "done" if inbox else "waiting",
        inbox_message_id=message_id,
        attempts=0,
        due_at=to_micros(tx.now),
    )


def release(tx: Tx, task: TaskView, kind: AgentKind) -> None:
    """Send what was kept while a human had to answer, in order."""
    inbox = _CHANNELS[kind] == "inbox"
    for delivery, generation in tx.execute(_HELD, task=task.id).fetchall():
        message_id = _into_inbox(tx, task, generation) if inbox else None
        tx.execute(
            _RELEASE,
            delivery=delivery,
            to="done" if inbox else "waiting",
            message=message_id,
            due=to_micros(tx.now),
        )


def withdraw(tx: Tx, task: TaskView) -> None:
    """Take back what the agent has not finished; the task has ended, and a remote agent is still to hear of it."""
    tx.execute(_CANCEL_FOLLOWED, task=task.id, now=to_micros(tx.now))
    tx.execute(_CANCEL_UNNAMED, task=task.id, now=to_micros(tx.now))
    finish_all(tx, task.id)
    bus.cancel_for_task(tx, task.id)


def finish_all(tx: Tx, task_id: TaskId) -> None:
    """Nothing of a task is on its way any more."""
    tx.execute(_FINISH_TASK, task=task_id)


def count_restart(tx: Tx) -> None:
    """Count a start of the kernel for everything that waits for an agent inside it."""
    tx.execute(_COUNT_RESTART)


def finish(tx: Tx, delivery: DeliveryId) -> None:
    """A local delivery has been worked off."""
    tx.execute(_FINISH, delivery=delivery)


def message_at(tx: Tx, task_id: TaskId, generation: int) -> Message:
    """Return the message that an event of the task's log holds."""
    event = queries.get_event(tx, task_id, generation)
    assert event.message is not None
    return event.message


def _into_inbox(tx: Tx, task: TaskView, generation: int) -> InboxMessageId:
    sent = bus.send(
        tx,
        to=task.agent_id,
        kind=TASK_MESSAGE,
        body={"task_id": task.id, "generation": generation},
        context_id=task.context_id,
        task_id=task.id,
        label=task.label,
    )
    return sent.id

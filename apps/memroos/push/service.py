"""Verbs about push notifications: where they go, and what came of each try."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from memroos import audit, broker, events
from memroos.push import queries, rules
from memroos.push.errors import NothingToReplay, TooManyPushConfigs
from memroos.push.models import PushConfig, PushTry
from memroos.push.queries import Row
from memroos.push.rules import Answer
from memroos_contracts.broker import TaskView
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import AgentId, TaskId
from memroos_contracts.push import NewPushConfig, PushConfigView, PushId, PushReplay, PushState
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer

TRIES_KEPT = 100
"""Of each configuration."""

LONGEST_ERROR = 500

_INSERT = Hot(insert(PushConfig))
_CHANGING = [name for name in Row._fields if name not in {"id", "task_id", "workspace_id", "owner", "created_at"}]
_UPDATE = Hot(update(PushConfig).where(PushConfig.id == bindparam("push")).values({n: bindparam(n) for n in _CHANGING}))
_DELETE = Hot(delete(PushConfig).where(PushConfig.id == bindparam("push")))
_DELETE_TRIES = Hot(delete(PushTry).where(PushTry.push_id == bindparam("push")))
_INSERT_TRY = Hot(insert(PushTry))
_oldest_kept = (
    select(PushTry.id)
    .where(PushTry.push_id == bindparam("push"))
    .order_by(PushTry.id.desc())
    .limit(1)
    .offset(TRIES_KEPT - 1)
    .scalar_subquery()
)
_FORGET_TRIES = Hot(delete(PushTry).where(PushTry.push_id == bindparam("push"), PushTry.id < _oldest_kept))


class Terms(msgspec.Struct, frozen=True):
    """On which terms notifications are sent out.

    Args:
        guard: where to.
        sealer: keeps tokens and credentials.
        most_per_task: how many configurations one caller may have for a task.
        most_per_caller: how many a caller may have that are not done.
    """

    guard: Guard
    sealer: Sealer
    most_per_task: int = 16
    most_per_caller: int = 10_000


class Plan(msgspec.Struct, frozen=True):
    """How failures are dealt with."""

    attempts: int
    """After how many in a row a receiver is given up."""
    backoff_s: float
    """Pause after the first one, in seconds."""


def create_config(
    tx: Tx,
    terms: Terms,
    task_id: TaskId,
    new: NewPushConfig,
    *,
    version: str = rules.V1_0,
    agent_id: AgentId | None = None,
) -> PushConfigView:
    """Have notifications about a task sent to an address, from now on.

    One with an id that the actor has used for this task is replaced: what was delivered stays delivered, and what the
    other side had missed is sent to the new address. Without an id, one with the same address is. A task that has
    ended has nothing more to tell; its configuration is done at once.

    Args:
        version: the A2A version in which notifications are written.
        agent_id: only if it is this agent's task.

    Raises:
        NotFound: the task is unknown, or somebody else's.
        Denied: policy does not let this actor have notifications of it sent.
        InvalidRequest: something in it cannot be sent.
        AddressRefused: notifications may not go to this address.
        TooManyPushConfigs: there are as many as there may be.
    """
    task = broker.get_task(tx, task_id, agent_id=agent_id)
    return _create(tx, terms, task, new, version=version, after=task.generation)


def send_with_config(
    tx: Tx,
    send: broker.Send,
    new: NewPushConfig,
    terms: Terms,
    *,
    version: str = rules.V1_0,
    task_id: TaskId | None = None,
) -> TaskView:
    """Send a message and have notifications about its task sent to an address, both or neither.

    Those about a new task begin with the task itself.

    Args:
        version: the A2A version in which notifications are written.
        task_id: the id that a new task gets.

    Raises:
        MemroosError: see `broker.send_message` and `create_config`.
    """
    task = broker.send_message(tx, send, task_id=task_id)
    after = task.generation if send.message.task_id else 0
    _create(tx, terms, task, new, version=version, after=after)
    return task


def _create(tx: Tx, terms: Terms, task: TaskView, new: NewPushConfig, *, version: str, after: int) -> PushConfigView:
    push_id = PushId(tx.new_id("push"))
    about = Asset(kind="push", id=push_id, owner=task.owner, agent=task.agent_id, label=task.label)
    tx.authorize(Action.PUSH_CREATE, about, purpose=task.purpose)
    faults = rules.find_faults(new)
    if faults:
        raise InvalidRequest("The push notification configuration cannot be used.", fields=faults)
    terms.guard.check(new.url)

    mine = [row for row in queries.of_task(tx, task.id) if row.owner == tx.actor.principal]
    before = next((row for row in mine if (row.config_id == new.id if new.id else row.url == new.url)), None)
    if before is None:
        _demand_room(tx, terms, mine)
    row = before or Row(
        id=push_id,
        config_id=new.id or push_id,
        task_id=task.id,
        workspace_id=task.workspace_id,
        owner=tx.actor.principal,
        url="",
        token=None,
        scheme="",
        credentials=None,
        version=version,
        state=PushState.ACTIVE.value,
        delivered_generation=after,
        epoch=0,
        failures=0,
        last_status=None,
        last_error="",
        last_try_at=None,
        next_try_at=None,
        created_at=to_micros(tx.now),
    )
    over = broker.is_final(task.state) and row.delivered_generation >= task.generation
    row = row._replace(
        url=new.url,
        token=_sealed(terms.sealer, new.token, row.id),
        scheme=new.scheme,
        credentials=_sealed(terms.sealer, new.credentials, row.id),
        version=version,
        state=(PushState.DONE if over else PushState.ACTIVE).value,
        epoch=row.epoch + 1,
        failures=0,
        next_try_at=None,
    )
    if before is None:
        tx.execute(_INSERT, **row._asdict())
        _announce(tx, row, "push.created", host=urlsplit(new.url).hostname or "")
    else:
        _store(tx, row)
        _announce(tx, row, "push.replaced", host=urlsplit(new.url).hostname or "")
    return queries.view(row)


def delete_config(tx: Tx, push_id: PushId) -> None:
    """Send no more notifications there, and forget the address.

    Raises:
        NotFound: there is none of this id, or it is somebody else's.
        Denied: policy does not let this actor delete it.
    """
    _delete(tx, queries.load(tx, push_id))


def delete_named_config(tx: Tx, task_id: TaskId, config_id: str, *, agent_id: AgentId | None = None) -> None:
    """Send no more notifications of a task to where this configuration says. May be repeated.

    Another's configuration is not deleted by a name that its owner gave it, also by those who may delete it: a repeat
    would meet it once their own of this name is gone. They name its id.

    Raises:
        NotFound: the task is unknown, or somebody else's.
        Denied: policy does not let this actor delete it.
    """
    broker.get_task(tx, task_id, agent_id=agent_id)
    row = queries.find_named(tx, task_id, config_id)
    if row is not None and (row.owner == tx.actor.principal or row.id == config_id):
        _delete(tx, row)


def replay_config(tx: Tx, push_id: PushId, replay: PushReplay) -> PushConfigView:
    """Send again what came after a generation, or go on where it stopped.

    The receiver knows what it has had before by the notification's id.

    Raises:
        NotFound: there is none of this id, or it is somebody else's.
        Denied: policy does not let this actor replay it.
        NothingToReplay: the task has not got that far.
    """
    row = queries.load(tx, push_id)
    tx.authorize(Action.PUSH_REPLAY, queries.asset(row))
    task = broker.get_task(tx, TaskId(row.task_id))
    after = row.delivered_generation if replay.after_generation is None else replay.after_generation
    if after > task.generation:
        raise NothingToReplay(
            f"Task {task.id} has come as far as generation {task.generation}.",
            task=task.id,
            generation=task.generation,
        )
    row = row._replace(
        state=PushState.ACTIVE.value,
        delivered_generation=after,
        epoch=row.epoch + 1,
        failures=0,
        next_try_at=None,
    )
    _store(tx, row)
    _announce(tx, row, "push.replayed", after=after)
    return queries.view(row)


def report_try(  # noqa: PLR0913 - which, when it was begun, and what came of it
    tx: Tx, push_id: PushId, epoch: int, generation: int, answer: Answer, plan: Plan, *, dice: float
) -> Row | None:
    """Write down what came of a try and what follows from it; None when the configuration is gone.

    An answer to what was sent before the configuration was replaced or replayed changes nothing but the record. Safe
    to repeat: what was taken is taken once more.

    Args:
        epoch: the configuration's when the try began.
        generation: up to where the other side knows everything if it took it.
        dice: a number from 0 to 1, for the jitter.
    """
    row = queries.find(tx, push_id)
    if row is None:
        return None
    error = answer.error[:LONGEST_ERROR]
    tx.execute(
        _INSERT_TRY,
        id=tx.new_id("try"),
        push_id=row.id,
        generation=generation,
        status=answer.status,
        error=error,
        at=to_micros(tx.now),
    )
    tx.execute(_FORGET_TRIES, push=row.id)
    if row.epoch != epoch or row.state != PushState.ACTIVE.value:
        return row
    verdict = rules.judge(answer, row.failures, attempts=plan.attempts, backoff_s=plan.backoff_s, dice=dice)
    due = tx.now + timedelta(seconds=verdict.wait_s) if verdict.wait_s else None
    row = row._replace(
        state=verdict.state.value,
        delivered_generation=generation if verdict.taken else row.delivered_generation,
        failures=verdict.failures,
        last_status=answer.status,
        last_error=error,
        last_try_at=to_micros(tx.now),
        next_try_at=None if due is None else to_micros(due),
    )
    _store(tx, row)
    if verdict.state is PushState.STOPPED:
        _announce(tx, row, "push.stopped", failures=row.failures, status=answer.status, generation=generation)
    return row


def finish_config(tx: Tx, push_id: PushId, epoch: int) -> None:
    """Note that the task has ended and everything was taken. Safe to repeat."""
    row = queries.find(tx, push_id)
    if row is None or row.epoch != epoch or row.state != PushState.ACTIVE.value:
        return
    row = row._replace(state=PushState.DONE.value, next_try_at=None)
    _store(tx, row)
    _announce(tx, row, "push.done", generation=row.delivered_generation)


def open_secrets(sealer: Sealer, row: Row) -> dict[str, str]:
    """Return the headers that carry a configuration's token and credentials.

    Raises:
        SealBroken: they were sealed with another key.
    """
    headers = {}
    if row.token is not None:
        headers["X-A2A-Notification-Token"] = sealer.open(row.token, bound_to=row.id)
    if row.scheme and row.credentials is not None:
        headers["Authorization"] = f"{row.scheme} {sealer.open(row.credentials, bound_to=row.id)}"
    return headers


def _demand_room(tx: Tx, terms: Terms, mine: list[Row]) -> None:
    if len(mine) >= terms.most_per_task:
        raise TooManyPushConfigs("You have enough for this task.", limit=terms.most_per_task, of="task")
    if queries.count_active(tx, tx.actor.principal) >= terms.most_per_caller:
        raise TooManyPushConfigs("You have enough of them.", limit=terms.most_per_caller, of="caller", retry_after_s=60)


def _delete(tx: Tx, row: Row) -> None:
    tx.authorize(Action.PUSH_DELETE, queries.asset(row))
    tx.execute(_DELETE_TRIES, push=row.id)
    tx.execute(_DELETE, push=row.id)
    _announce(tx, row, "push.deleted")


def _store(tx: Tx, row: Row) -> None:
    tx.execute(_UPDATE, push=row.id, **{name: getattr(row, name) for name in _CHANGING})


def _sealed(sealer: Sealer, secret: str, push_id: str) -> bytes | None:
    return sealer.seal(secret, bound_to=push_id) if secret else None


def _announce(tx: Tx, row: Row, event: str, **facts: Any) -> None:
    """Tell the ledger and the event log, in the same transaction as the change; no address, no secret."""
    audit.record(tx, event, queries.asset(row), task=row.task_id, **facts)
    data = {"push": row.id, "task": row.task_id, "state": row.state, **facts}
    events.publish(tx, event, subject=row.id, data=data, owner=row.owner)

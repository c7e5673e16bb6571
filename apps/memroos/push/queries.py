"""Reads: where notifications go, how far they have got, and what was tried."""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, func, select, text

from memroos import broker
from memroos.push.models import ACTIVE, PushConfig, PushTry
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import Actor, TaskId, WorkspaceId
from memroos_contracts.pages import Page
from memroos_contracts.push import PushConfigView, PushId, PushState, PushTryView
from memroos_kit import cursors
from memroos_kit.clock import from_micros
from memroos_kit.db import Hot, Read

_HIGHEST = "~"  # sorts behind every id


class Row(NamedTuple):
    """A configuration as it is stored, secrets sealed; instants are microseconds."""

    id: str
    config_id: str
    task_id: str
    workspace_id: str
    owner: str
    url: str
    token: bytes | None
    scheme: str
    credentials: bytes | None
    version: str
    state: str
    delivered_generation: int
    epoch: int
    failures: int
    last_status: int | None
    last_error: str
    last_try_at: int | None
    next_try_at: int | None
    created_at: int


_C = PushConfig
_T = PushTry
_row: Any = select(*(getattr(_C, name) for name in Row._fields))
_in_workspace = _C.workspace_id == bindparam("workspace")
_BY_ID = Hot(_row.where(_C.id == bindparam("id"), _in_workspace))
_ANYWHERE = Hot(_row.where(_C.id == bindparam("id")))
_OF_TASK = Hot(_row.where(_C.task_id == bindparam("task"), _in_workspace).order_by(_C.id))
_ACTIVE = Hot(select(_C.id).where(text(ACTIVE), _C.id > bindparam("after")).order_by(_C.id).limit(bindparam("most")))
_COUNT_ACTIVE = Hot(
    select(func.count()).select_from(_C).where(_in_workspace, _C.owner == bindparam("owner"), text(ACTIVE))
)
_TRIES = Hot(
    select(_T.id, _T.generation, _T.at, _T.status, _T.error)
    .where(_T.push_id == bindparam("push"), _T.id < bindparam("before"))
    .order_by(_T.id.desc())
    .limit(bindparam("most"))
)


class PushFilter(msgspec.Struct, frozen=True):
    """Which configurations a listing is about; empty fields do not restrict."""

    task_id: str = ""
    state: PushState | None = None


def load(tx: Read, push_id: str) -> Row:
    """Return a configuration that the actor may see.

    Raises:
        NotFound: there is none of this id, or it is somebody else's.
    """
    row = find(tx, push_id)
    if row is None or not _can_see(tx.actor, row):
        raise _unknown(push_id)
    return row


def find(tx: Read, push_id: str) -> Row | None:
    """Return a configuration of the actor's workspace, whoever's it is."""
    found = tx.execute(_BY_ID, id=push_id, workspace=tx.actor.workspace).fetchone()
    return None if found is None else Row(*found)


def find_anywhere(tx: Read, push_id: str) -> Row | None:
    """Return a configuration of any workspace; for the worker."""
    found = tx.execute(_ANYWHERE, id=push_id).fetchone()
    return None if found is None else Row(*found)


def find_named(tx: Read, task_id: str, config_id: str) -> Row | None:
    """Return the configuration that a task's callers know under a name: the actor's own, else one it may see."""
    seen = [row for row in of_task(tx, task_id) if row.config_id == config_id and _can_see(tx.actor, row)]
    return next((row for row in seen if row.owner == tx.actor.principal), seen[0] if seen else None)


def of_task(tx: Read, task_id: str) -> list[Row]:
    """Return all configurations of a task, oldest first."""
    return [Row(*row) for row in tx.execute(_OF_TASK, task=task_id, workspace=tx.actor.workspace).fetchall()]


def count_active(tx: Read, owner: str) -> int:
    """Return how many configurations of an owner may still have something to send."""
    return int(tx.execute(_COUNT_ACTIVE, workspace=tx.actor.workspace, owner=owner).fetchone()[0])


def get_config(tx: Read, push_id: PushId) -> PushConfigView:
    """Return a configuration, without its secrets.

    Raises:
        NotFound: there is none of this id, or it is somebody else's.
        Denied: policy does not let this actor look.
    """
    row = load(tx, push_id)
    tx.authorize(Action.PUSH_READ, asset(row))
    return view(row)


def get_named_config(tx: Read, task_id: TaskId, config_id: str, *, agent_id: Any = None) -> PushConfigView:
    """Return a task's configuration by the name its maker gave it.

    Raises:
        NotFound: there is no such task or configuration, or it is somebody else's.
        Denied: policy does not let this actor look.
    """
    broker.get_task(tx, task_id, agent_id=agent_id)
    row = find_named(tx, task_id, config_id)
    if row is None:
        raise _unknown(config_id)
    tx.authorize(Action.PUSH_READ, asset(row))
    return view(row)


def list_configs(
    tx: Read, wanted: PushFilter, *, limit: int, cursor: str | None = None, agent_id: Any = None
) -> Page[PushConfigView]:
    """Return configurations, newest first, as far as the actor may see.

    Args:
        limit: how many at most, 1 to 100.
        cursor: the `next_cursor` of the page before.

    Raises:
        NotFound: the task is unknown, or somebody else's.
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    owner = tx.actor.principal if broker.sees_only_its_own(tx.actor) else ""
    tx.authorize(Action.PUSH_READ, Asset(kind="push", id="*", owner=owner))
    if wanted.task_id:
        broker.get_task(tx, TaskId(wanted.task_id), agent_id=agent_id)
    kind = cursors.listing("push", task=wanted.task_id, state=wanted.state, owner=owner)
    statement = _row.where(_C.workspace_id == tx.actor.workspace).order_by(_C.id.desc()).limit(limit + 1)
    if owner:
        statement = statement.where(_C.owner == owner)
    if wanted.task_id:
        statement = statement.where(_C.task_id == wanted.task_id)
    if wanted.state:
        statement = statement.where(_C.state == wanted.state.value)
    if cursor:
        statement = statement.where(_C.id < cursors.decode(kind, cursor, str)[0])
    rows = [Row(*row) for row in tx.session.execute(statement).all()]
    more = cursors.encode(kind, rows[limit - 1].id) if len(rows) > limit else None
    return Page([view(row) for row in rows[:limit]], more)


def list_tries(tx: Read, push_id: PushId, *, limit: int, cursor: str | None = None) -> Page[PushTryView]:
    """Return the last tries of a configuration, newest first.

    Raises:
        NotFound: there is none of this id, or it is somebody else's.
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    row = load(tx, push_id)
    tx.authorize(Action.PUSH_READ, asset(row))
    kind = cursors.listing("push-tries", push=push_id)
    before = cursors.decode(kind, cursor, str)[0] if cursor else _HIGHEST
    rows = tx.execute(_TRIES, push=push_id, before=before, most=limit + 1).fetchall()
    tries = [PushTryView(r[0], r[1], from_micros(r[2]), r[3], r[4]) for r in rows[:limit]]
    return Page(tries, cursors.encode(kind, tries[-1].id) if len(rows) > limit else None)


def list_active(tx: Read, *, after: str, most: int) -> list[PushId]:
    """Return which configurations of any workspace may have something to send, by id; for the worker, after a start."""
    return [PushId(row[0]) for row in tx.execute(_ACTIVE, after=after, most=most).fetchall()]


def view(row: Row) -> PushConfigView:
    """Return what may be shown of a configuration."""
    return PushConfigView(
        id=PushId(row.id),
        config_id=row.config_id,
        task_id=TaskId(row.task_id),
        workspace_id=WorkspaceId(row.workspace_id),
        owner=row.owner,
        url=row.url,
        has_token=row.token is not None,
        scheme=row.scheme,
        has_credentials=row.credentials is not None,
        version=row.version,
        state=PushState(row.state),
        delivered_generation=row.delivered_generation,
        failures=row.failures,
        last_status=row.last_status,
        last_error=row.last_error,
        last_try_at=None if row.last_try_at is None else from_micros(row.last_try_at),
        next_try_at=None if row.next_try_at is None else from_micros(row.next_try_at),
        created_at=from_micros(row.created_at),
    )


def asset(row: Row) -> Asset:
    """Return a configuration as policy sees it."""
    return Asset(kind="push", id=row.id, owner=row.owner)


def _can_see(actor: Actor, row: Row) -> bool:
    return not broker.sees_only_its_own(actor) or row.owner == actor.principal


def _unknown(push_id: str) -> NotFound:
    return NotFound(f"There is no push notification configuration {push_id}.", kind_of_object="push", id=push_id)

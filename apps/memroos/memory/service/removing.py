"""Verbs that remove memories, and bring them back.

What is removed is hidden at once on every read path of the kernel, and its removal goes to the memory service by the
same way as events. The event itself stays in the log, which nobody can change.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from memroos import audit
from memroos.memory import bell, queries
from memroos.memory.models import MemoryEvent, MemoryHidden, MemoryRemoval
from memroos.memory.queries import handover
from memroos.memory.queries.events import Row, rows, view
from memroos.memory.rules import readers
from memroos.memory.service.writing import Event, put_in_index, take_from_index
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import INTERNAL, Action, Asset, Label
from memroos_contracts.identity import Role
from memroos_contracts.memory import MemoryEventView
from memroos_contracts.memory_items import ItemView
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read, Tx

NO_REMOVAL = 0
"""What hides an event that was taken back by a rollback: there is nothing to hand over."""

_REMOVE = Hot(
    insert(MemoryRemoval), columns=[column.name for column in MemoryRemoval.__table__.columns if column.name != "seq"]
)
_HIDE = Hot(insert(MemoryHidden))
_SHOW = Hot(
    delete(MemoryHidden).where(
        MemoryHidden.target_id == bindparam("target"), MemoryHidden.workspace_id == bindparam("workspace")
    )
)
_REMOVED_BY = Hot(
    select(MemoryRemoval.actor)
    .join(MemoryHidden, MemoryHidden.removal_seq == MemoryRemoval.seq)
    .where(MemoryHidden.target_id == bindparam("target"), MemoryHidden.workspace_id == bindparam("workspace"))
)
_EVENT = Hot(rows.where(MemoryEvent.id == bindparam("id"), MemoryEvent.workspace_id == bindparam("workspace")))


def remove_event(tx: Tx, event_id: str, *, reason: str = "") -> None:
    """Let an event be found no more, by anybody.

    Raises:
        NotFound: no event has this id, it was removed before, or it belongs to others.
        Denied: policy does not let this actor remove it: it was addressed to it, for instance, but is not its own.
    """
    event = queries.load(tx, event_id, among=readers.can_remove)
    _remove(tx, asset_to_change(tx, event), reason)
    row = _row(tx, event_id)
    assert row is not None
    take_from_index(tx, row.seq, event)


def remove_item(tx: Tx, item: ItemView, *, reason: str = "") -> None:
    """Let something that was derived be found no more; the memory service has said that the actor may see it.

    Raises:
        NotFound: it was removed before.
        Denied: policy does not let this actor remove it.
    """
    demand_visible(tx, item.id)
    _remove(tx, asset_to_change(tx, item), reason)


def hide_events(tx: Tx, ids: Iterable[str]) -> None:
    """Let events be found no more that a rollback has taken back; the memory service did so before. May be repeated."""
    for target in ids:
        row = _row(tx, target)
        if row is None or handover.is_hidden(tx, target):
            continue
        tx.execute(_HIDE, target_id=target, workspace_id=tx.actor.workspace, removal_seq=NO_REMOVAL)
        take_from_index(tx, row.seq, view(row))


def restore(tx: Tx, ids: Iterable[str]) -> list[str]:
    """Let be found again what a rollback brought back; return which of them had been removed. May be repeated.

    What somebody else had removed stays so for an agent: it takes back its own doings only.
    """
    restored = []
    for target in ids:
        if tx.actor.role is Role.AGENT and _remover(tx, target) not in {None, tx.actor.principal}:
            continue
        if not tx.execute(_SHOW, target=target, workspace=tx.actor.workspace).rowcount:
            continue
        restored.append(target)
        row = _row(tx, target)
        if row is not None:
            put_in_index(tx, row.seq, view(row))
    return restored


def _remover(tx: Read, target: str) -> str | None:
    found = tx.execute(_REMOVED_BY, target=target, workspace=tx.actor.workspace).fetchone()
    return None if found is None else str(found[0])


def find_hidden(tx: Read, ids: Iterable[str]) -> frozenset[str]:
    """Return which of these were removed."""
    return frozenset(target for target in ids if handover.is_hidden(tx, target))


def demand_visible(tx: Read, target_id: str) -> None:
    """Refuse what was removed, as if it had never been.

    Raises:
        NotFound: it was removed.
    """
    if handover.is_hidden(tx, target_id):
        raise NotFound(kind_of_object="memory", id=target_id)


def asset_of(tx: Read, name: str, label: Label) -> Asset:
    """Return what is asked about as policy sees it: the reader's own, or the workspace's."""
    if readers.reader_of(tx.actor) == readers.EVERYTHING:
        return Asset(kind="memory", id=name, label=label)
    return Asset(kind="memory", id=name, owner=tx.actor.principal, agent=tx.actor.agent or "", label=label)


def survey_of(tx: Read) -> Asset:
    """Return what is asked about when somebody wants to see how memory stands."""
    return asset_of(tx, "survey", INTERNAL)


def asset_to_change(tx: Read, memory: MemoryEventView | ItemView) -> Asset:
    """Return a memory as policy sees it when it is to be changed: its author's, and the one's for whom it was made."""
    principal = tx.actor.principal
    owner = principal if principal in (memory.author, memory.owner) else memory.owner or memory.author
    return Asset(kind="memory", id=memory.id, owner=owner, agent=memory.agent_id, label=memory.label)


def _remove(tx: Tx, asset: Asset, reason: str) -> None:
    tx.authorize(Action.MEMORY_DELETE, asset)
    removal: dict[str, Any] = {
        "id": tx.new_id("rmv"),
        "workspace_id": tx.actor.workspace,
        "target_id": asset.id,
        "after_seq": handover.get_last(tx).event_seq,
        "reader": readers.reader_of(tx.actor),
        "actor": tx.actor.principal,
        "reason": reason,
        "at": to_micros(tx.now),
    }
    seq = tx.execute(_REMOVE, **removal).lastrowid
    tx.execute(_HIDE, target_id=asset.id, workspace_id=tx.actor.workspace, removal_seq=seq)
    audit.record(tx, Event.REMOVED.value, asset, memory=asset.id, removal=removal["id"], reason=reason)
    bell.ring(tx)


def _row(tx: Read, event_id: str) -> Row | None:
    found = tx.execute(_EVENT, id=event_id, workspace=tx.actor.workspace).fetchone()
    return None if found is None else Row._make(found)

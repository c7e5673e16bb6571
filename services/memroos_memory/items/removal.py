"""Taking an item out of every read path, and mending what pointed at it. Its versions stay in the log."""

from msgspec.structs import replace
from sqlalchemy import bindparam, select, text

from memroos_contracts.memory import Removal
from memroos_contracts.memory_errors import ItemGone
from memroos_contracts.memory_items import Change, ItemStatus, Viewer
from memroos_kit.db import Hot, Read, Tx
from memroos_memory.items.log import MEMORY, By, by, change, is_done, together
from memroos_memory.items.queries import find_in_scope, load_even_deleted, resting_on, row_of, seq_of
from memroos_memory.items.states import Row, names, state_of
from memroos_memory.models import Item, ItemVersion

_REPLACED_BY = Hot(
    select(Item.seq)
    .where(
        Item.scope_seq == bindparam("scope"),
        Item.superseded_by == bindparam("id"),
        Item.superseded_by != text("''"),  # so that the index over successors serves
        Item.status != ItemStatus.DELETED,
    )
    .order_by(Item.seq)
)

_FIRST_BY = Hot(
    select(ItemVersion.actor).where(ItemVersion.item_seq == bindparam("item"), ItemVersion.version == text("1"))
)


def delete(tx: Tx, viewer: Viewer, item_id: str, reason: str = "", operation: str = "") -> None:
    """Let no read path find an item any more, nor what rests on nothing else; a rollback of its scope brings it back.

    What it superseded holds again. The same operation may be repeated.

    Raises:
        NotFound: there is none, or the viewer may not see it.
        ItemGone: it was deleted before.
    """
    row = load_even_deleted(tx, viewer, item_id)
    if is_done(tx, row, operation):
        return
    if row.is_deleted:
        raise ItemGone(id=item_id)
    take_out(tx, row, by(viewer, reason, operation))


def remove_event(tx: Tx, removal: Removal) -> None:
    """Do what the kernel has decided: let no read path find an event any more, nor what rests on it alone.

    It may be repeated; a removal that was taken back by a rollback is not done a second time.
    """
    seq = seq_of(tx, removal.event_id)
    row = row_of(tx, seq) if seq is not None else None
    if row is None or row.workspace_id != removal.workspace_id or row.is_deleted:
        return
    operation = f"removal:{removal.id or removal.position}"
    if not is_done(tx, row, operation):
        take_out(tx, row, By(removal.actor, removal.reason, operation))


def take_out(tx: Tx, row: Row, who: By) -> None:
    """Delete an item that is there, and what was derived from it alone; mend what pointed at it."""
    who = together(tx, who)
    _close_the_gap(tx, row, who)
    for other in _contradicted(tx, row):
        _forget_contradiction(tx, other, row.id, who)
    for derived in resting_on(tx, row):
        _take_from_under(tx, derived.seq, row.id, who)
    row = row_of(tx, row.seq)
    change(tx, row, replace(state_of(row), status=ItemStatus.DELETED), Change.DELETE, who)


def retract_learned(tx: Tx, event: Row, who: By) -> None:
    """Let what was learned from an event no longer rest on it; what rested on it alone is deleted.

    What somebody said by hand stays.
    """
    for derived in resting_on(tx, event):
        first = tx.execute(_FIRST_BY, item=derived.seq).fetchone()
        if first is not None and first[0] == MEMORY:
            _take_from_under(tx, derived.seq, event.id, who)


def _take_from_under(tx: Tx, seq: int, event_id: str, who: By) -> None:
    row = row_of(tx, seq)  # as it is after what was changed before it
    state = state_of(row)
    left = tuple(source for source in state.sources if source != event_id)
    if row.is_deleted or len(left) == len(state.sources):
        return
    if left:
        change(tx, row, replace(state, sources=left), Change.UPDATE, who)
    else:
        take_out(tx, row, who)


def _close_the_gap(tx: Tx, row: Row, who: By) -> None:
    """Let what an item superseded be superseded by its heir, or hold again where it has none."""
    heir = _heir(tx, row)
    before = _replaced_by(tx, row)
    for seq in before:
        old = row_of(tx, seq)
        state = state_of(old)
        until = state.valid_to
        if until == row.valid_from:
            until = heir.valid_from if heir is not None else None
        if heir is not None:
            state = replace(state, superseded_by=heir.id, valid_to=until)
        else:
            state = replace(state, superseded_by="", valid_to=until, status=ItemStatus.ACTIVE)
        change(tx, old, state, Change.UPDATE, who)
    older = row_of(tx, before[-1]).id if before else ""
    if heir is not None and heir.supersedes in {"", row.id} and heir.supersedes != older:
        change(tx, heir, replace(state_of(heir), supersedes=older), Change.UPDATE, who)


def _heir(tx: Read, row: Row) -> Row | None:
    """Return what holds instead of an item: its successor, else what said otherwise of the same time."""
    if row.superseded_by:
        return find_in_scope(tx, row.scope_seq, row.superseded_by)
    return next((other for other in _contradicted(tx, row) if other.superseded_by != row.id), None)


def _replaced_by(tx: Read, row: Row) -> list[int]:
    return [int(seq) for (seq,) in tx.execute(_REPLACED_BY, scope=row.scope_seq, id=row.id).fetchall()]


def _contradicted(tx: Read, row: Row) -> list[Row]:
    found = (find_in_scope(tx, row.scope_seq, one) for one in names(row.contradicts))
    return [other for other in found if other is not None]


def _forget_contradiction(tx: Tx, row: Row, other_id: str, who: By) -> None:
    state = state_of(row)
    left = tuple(one for one in state.contradicts if one != other_id)
    change(tx, row, replace(state, contradicts=left, contested=bool(left)), Change.UPDATE, who)

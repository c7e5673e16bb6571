"""Reading: items as they stand, as they stood, and how they came to.

An item that is deleted now is found by nothing here, whatever time is asked about.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import String, bindparam, func, select, text

from memroos_contracts.errors import NotFound
from memroos_contracts.memory_errors import ItemGone
from memroos_contracts.memory_items import Change, ItemStatus, ItemView, VersionView, Viewer
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read
from memroos_memory.items.states import Row, columns, decode, encode, names, rows, view
from memroos_memory.models import Item, ItemSource, ItemVersion, ScopeReader

_among = text("item.seq IN (SELECT value FROM json_each(:seqs))")
_BY_ID = Hot(
    rows.join(ScopeReader, ScopeReader.scope_seq == Item.scope_seq).where(
        Item.id == bindparam("id"),
        ScopeReader.workspace_id == bindparam("workspace"),
        ScopeReader.reader == bindparam("reader"),
    )
)
_BY_SEQ = Hot(rows.where(Item.seq == bindparam("seq")))
_IN_SCOPE = Hot(rows.where(Item.id == bindparam("id"), Item.scope_seq == bindparam("scope")))
_KNOWN = Hot(select(Item.seq).where(Item.id == bindparam("id")))
_MANY = Hot(rows.where(_among))
_VERSIONS = Hot(
    select(
        ItemVersion.version,
        ItemVersion.log_seq,
        ItemVersion.recorded_at,
        ItemVersion.state,
        ItemVersion.change,
        ItemVersion.actor,
        ItemVersion.reason,
        ItemVersion.operation,
    )
    .where(ItemVersion.item_seq == bindparam("item"))
    .order_by(ItemVersion.version)
)
_then = (
    select(func.max(ItemVersion.version))
    .where(ItemVersion.item_seq == Item.seq, ItemVersion.recorded_at <= bindparam("known_at"))
    .correlate(Item)
    .scalar_subquery()
)
_MANY_THEN = Hot(
    rows.add_columns(
        ItemVersion.version.label("then_version"),
        ItemVersion.log_seq.label("then_log_seq"),
        ItemVersion.recorded_at.label("then_recorded_at"),
        ItemVersion.state,
    )
    .join(ItemVersion, (ItemVersion.item_seq == Item.seq) & (ItemVersion.version == _then))
    .where(_among)
)
_RESTING = Hot(
    rows.join(ItemSource, ItemSource.item_seq == Item.seq)
    .where(ItemSource.event_seq == bindparam("event"), Item.status != bindparam("deleted", ItemStatus.DELETED.value))
    .order_by(Item.seq)
)
_RESTING_ON = Hot(
    select(ItemSource.event_seq, ItemSource.item_seq)
    .join_from(ItemSource, Item, Item.seq == ItemSource.item_seq)
    .where(
        text("item_source.event_seq IN (SELECT value FROM json_each(:seqs))"),
        Item.status != bindparam("deleted", ItemStatus.DELETED.value, type_=String),
    )
    .order_by(ItemSource.event_seq, ItemSource.item_seq)
)


# -- one ---------------------------------------------------------------------------------------------------------------


def load(tx: Read, viewer: Viewer, item_id: str) -> Row:
    """Return an item's row.

    Raises:
        NotFound: there is none, or the viewer may not see it.
        ItemGone: it was deleted.
    """
    row = load_even_deleted(tx, viewer, item_id)
    if row.is_deleted:
        raise ItemGone(id=item_id)
    return row


def load_even_deleted(tx: Read, viewer: Viewer, item_id: str) -> Row:
    """Return an item's row, also of one that no read path may find; for verbs that can be repeated.

    Raises:
        NotFound: there is none, or the viewer may not see it.
    """
    found = tx.execute(_BY_ID, id=item_id, workspace=viewer.workspace_id, reader=viewer.reader).fetchone()
    if found is None:
        raise NotFound(kind_of_object="memory", id=item_id)
    return Row(*found)


def row_of(tx: Read, item_seq: int) -> Row:
    """Return an item's row by its number, which comes from inside."""
    return Row(*tx.execute(_BY_SEQ, seq=item_seq).fetchone())


def find_in_scope(tx: Read, scope_seq: int, item_id: str) -> Row | None:
    """Return an item's row where it stands in this scope."""
    found = tx.execute(_IN_SCOPE, id=item_id, scope=scope_seq).fetchone()
    return Row(*found) if found is not None else None


def seq_of(tx: Read, item_id: str) -> int | None:
    """Return an item's number, whoever may see it, or None."""
    found = tx.execute(_KNOWN, id=item_id).fetchone()
    return int(found[0]) if found is not None else None


def get(tx: Read, viewer: Viewer, item_id: str) -> ItemView:
    """Return an item as it stands.

    Raises:
        NotFound: there is none, or the viewer may not see it.
        ItemGone: it was deleted.
    """
    return view(load(tx, viewer, item_id))


def history(tx: Read, viewer: Viewer, item_id: str) -> list[VersionView]:
    """Return an item's versions, oldest first.

    Raises:
        NotFound: there is none, or the viewer may not see it.
        ItemGone: it was deleted.
    """
    row = load(tx, viewer, item_id)
    found = tx.execute(_VERSIONS, item=row.seq).fetchall()
    return [
        VersionView(item=view(_then_row(row, head)), change=Change(change), actor=actor, reason=reason, operation=done)
        for *head, change, actor, reason, done in found
    ]


# -- several -----------------------------------------------------------------------------------------------------------


def views(tx: Read, seqs: Iterable[int]) -> dict[int, ItemView]:
    """Return items by their numbers, without those that are deleted."""
    return {row.seq: view(row) for row in rows_of(tx, seqs) if not row.is_deleted}


def views_at(tx: Read, seqs: Iterable[int], *, known_at: datetime) -> dict[int, ItemView]:
    """Return items as they were known at a time, without those that were not there then, or are deleted now."""
    found = tx.execute(_MANY_THEN, seqs=encode(list(seqs)), known_at=to_micros(known_at)).fetchall()
    there = ((Row(*one[:-4]), _then_row(Row(*one[:-4]), one[-4:])) for one in found)
    return {then.seq: view(then) for now, then in there if not now.is_deleted and not then.is_deleted}


def rows_of(tx: Read, seqs: Iterable[int]) -> list[Row]:
    """Return the rows of items by their numbers, which come from inside; deleted ones too."""
    return [Row(*one) for one in tx.execute(_MANY, seqs=encode(list(seqs))).fetchall()]


def resting_on(tx: Read, event: Row) -> list[Row]:
    """Return what was derived from an event and rests on it still, the oldest first."""
    found = (Row(*one) for one in tx.execute(_RESTING, event=event.seq).fetchall())
    return [row for row in found if event.id in names(row.sources)]


def learned_from(tx: Read, event_seqs: Iterable[int]) -> dict[int, list[int]]:
    """Return for each event the numbers of what was derived from it and is not deleted, the oldest first.

    What no longer rests on the event is among them; its `sources` say so.
    """
    answer: dict[int, list[int]] = {}
    for event, item in tx.execute(_RESTING_ON, seqs=encode(list(event_seqs))).fetchall():
        answer.setdefault(event, []).append(item)
    return answer


def _then_row(row: Row, head: Iterable[Any]) -> Row:
    version, log_seq, recorded_at, state = head
    return row._replace(version=version, log_seq=log_seq, recorded_at=recorded_at, **columns(decode(state)))

"""How much is remembered, counted in what the viewer may see and in nothing else."""

from sqlalchemy import bindparam, func, select

from memroos_contracts.errors import InvalidCursor, NotFound
from memroos_contracts.memory_items import ItemKind, ItemStatus, Viewer
from memroos_contracts.memory_work import InventoryRow, MemoryStats
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.clock import from_micros
from memroos_kit.db import Hot, Read
from memroos_memory.items.scopes import scope_seq_of, scope_view, visible_scopes
from memroos_memory.models import Item

PAGE = 50

_there = (Item.scope_seq == bindparam("scope"), Item.status != ItemStatus.DELETED)
_STANDING = Hot(
    select(Item.kind, Item.status, Item.contested, func.count())
    .where(*_there)
    .group_by(Item.kind, Item.status, Item.contested)
)
_SIZE = Hot(
    select(
        Item.kind,
        func.count(),
        func.sum(func.length(Item.text)),
        func.min(Item.occurred_at),
        func.max(Item.occurred_at),
    )
    .where(*_there)
    .group_by(Item.kind)
)


def inventory(tx: Read, viewer: Viewer, *, cursor: str | None = None, limit: int = PAGE) -> Page[InventoryRow]:
    """Return how much each scope that the viewer may see holds, oldest scope first.

    Raises:
        InvalidCursor: the cursor is of another viewer's listing.
    """
    kind = cursors.listing("memory-inventory", workspace=viewer.workspace_id, reader=viewer.reader)
    after = _place(tx, viewer, cursors.decode(kind, cursor, str)[0]) if cursor else 0
    scopes = [seq for seq in visible_scopes(tx, viewer.workspace_id, viewer.reader) if seq > after]
    page = scopes[:limit]
    more = len(scopes) > limit
    rows = [_row(tx, seq) for seq in page]
    return Page(rows, cursors.encode(kind, rows[-1].scope_id) if more else None)


def stats(tx: Read, viewer: Viewer) -> MemoryStats:
    """Return the counts of items and scopes that the viewer may see; jobs and indexes are others' to add."""
    scopes = visible_scopes(tx, viewer.workspace_id, viewer.reader)
    by_kind: dict[ItemKind, int] = {}
    superseded = contested = 0
    for scope in scopes:
        for kind, status, is_contested, count in tx.execute(_STANDING, scope=scope).fetchall():
            by_kind[ItemKind(kind)] = by_kind.get(ItemKind(kind), 0) + count
            superseded += count if status == ItemStatus.SUPERSEDED else 0
            contested += count if is_contested else 0
    return MemoryStats(
        ready=True,
        items=sum(by_kind.values()),
        by_kind=by_kind,
        superseded=superseded,
        contested=contested,
        scopes=len(scopes),
    )


def _place(tx: Read, viewer: Viewer, scope_id: str) -> int:
    """Return a scope's number, which no cursor holds: it would tell how many others have."""
    try:
        return scope_seq_of(tx, viewer, scope_id)
    except NotFound as error:
        raise InvalidCursor from error


def _row(tx: Read, scope: int) -> InventoryRow:
    seen = scope_view(tx, scope)
    found = tx.execute(_SIZE, scope=scope).fetchall()
    return InventoryRow(
        scope_id=seen.id,
        readers=seen.readers,
        user_id=seen.user_id,
        items=sum(count for _, count, *_ in found),
        by_kind={ItemKind(kind): count for kind, count, *_ in found},
        characters=sum(characters for _, _, characters, _, _ in found),
        oldest_at=min((from_micros(oldest) for *_, oldest, _ in found), default=None),
        newest_at=max((from_micros(newest) for *_, newest in found), default=None),
        last_seq=seen.last_seq,
    )

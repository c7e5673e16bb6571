"""Listing items: as they stand, as they held at a time, as they were known at a time."""

from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Protocol

from sqlalchemy import text

from memroos_contracts.errors import InvalidCursor, NotFound
from memroos_contracts.memory_items import ItemQuery, ItemStatus, ItemView, Viewer
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read
from memroos_memory.items.queries import load_even_deleted
from memroos_memory.items.scopes import visible_scopes
from memroos_memory.items.states import COLUMNS, Row, State, columns, encode, view

_END = 2**63 - 1
_seq = attrgetter("seq")


class Where(Protocol):
    """A filter as SQL over `item`, its values apart."""

    @property
    def sql(self) -> str:
        """A condition."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The values in it."""
        ...


def list_items(tx: Read, viewer: Viewer, query: ItemQuery, where: Where | None = None) -> Page[ItemView]:
    """Return what the viewer may see and asks for, oldest first.

    With `as_of`, what holds no more but held then counts as if it did; with `known_at`, filter and answer go by what
    was known then. Scopes are read one by one, so that the answer takes as long as the viewer's own are large.

    Args:
        where: `query.filter`, compiled for `item`.

    Raises:
        NotFound: a scope is named that the viewer may not see.
        InvalidCursor: the cursor is of another query.
    """
    kind = _listing(viewer, query)
    after = _place(tx, viewer, cursors.decode(kind, query.cursor, str)[0]) if query.cursor else 0
    scopes = visible_scopes(tx, viewer.workspace_id, viewer.reader, user_id=query.user_id, scope_id=query.scope_id)
    if query.scope_id is not None and not scopes:
        raise NotFound(kind_of_object="scope", id=query.scope_id)
    statement = _statement(query, where)
    values = {
        **_values(query),
        **(where.parameters if where else {}),
        "item_after": after,
        "item_most": query.limit + 1,
    }
    found: list[Row] = []
    before = _END
    for scope in scopes:
        found += [Row(*one) for one in tx.execute(statement, item_scope=scope, item_before=before, **values).fetchall()]
        if len(found) > query.limit:
            found = sorted(found, key=_seq)[: query.limit + 1]
            before = found[-1].seq  # of the scopes that follow, only what comes before this is asked for
    found.sort(key=_seq)
    page = found[: query.limit]
    more = len(found) > query.limit
    return Page([view(row) for row in page], cursors.encode(kind, page[-1].id) if more else None)


def _place(tx: Read, viewer: Viewer, item_id: str) -> int:
    """Return an item's number, which no cursor holds: it would tell how many items others have."""
    try:
        return load_even_deleted(tx, viewer, item_id).seq
    except NotFound as error:
        raise InvalidCursor from error


def _listing(viewer: Viewer, query: ItemQuery) -> str:
    return cursors.listing(
        "memory-items",
        workspace=viewer.workspace_id,
        reader=viewer.reader,
        filter=encode(query.filter) if query.filter is not None else None,
        kinds=sorted(query.kinds),
        statuses=sorted(query.statuses),
        scope_id=query.scope_id,
        user_id=query.user_id,
        agent_id=query.agent_id,
        as_of=to_micros(query.as_of) if query.as_of else None,
        known_at=to_micros(query.known_at) if query.known_at else None,
    )


def _values(query: ItemQuery) -> dict[str, Any]:
    statuses = set(query.statuses) - {ItemStatus.DELETED}
    if query.as_of is not None and ItemStatus.ACTIVE in statuses:
        statuses.add(ItemStatus.SUPERSEDED)
    values: dict[str, Any] = {"item_statuses": encode(sorted(statuses))}
    if query.kinds:
        values["item_kinds"] = encode(query.kinds)
    if query.agent_id is not None:
        values["item_agent"] = query.agent_id
    if query.as_of is not None:
        values["item_as_of"] = to_micros(query.as_of)
    if query.known_at is not None:
        values["item_known_at"] = to_micros(query.known_at)
    return values


def _statement(query: ItemQuery, where: Where | None) -> Hot:
    conditions = ["item.status IN (SELECT value FROM json_each(:item_statuses))"]
    if query.kinds:
        conditions.append("item.kind IN (SELECT value FROM json_each(:item_kinds))")
    if query.agent_id is not None:
        conditions.append("item.agent_id = :item_agent")
    if query.as_of is not None:
        conditions.append("(item.valid_from IS NULL OR item.valid_from <= :item_as_of)")
        conditions.append("(item.valid_to IS NULL OR item.valid_to > :item_as_of)")
    if where is not None:
        conditions.append(f"({where.sql})")
    return _compiled(_THEN if query.known_at is not None else _NOW, " AND ".join(conditions))


_STATE_COLUMNS = COLUMNS[COLUMNS.index("text") :]
_LEFT_OUT = columns(State(text="", digest=""))
"""What a column holds where the log says nothing of it."""


def _then_column(name: str) -> str:
    if name in {"version", "log_seq", "recorded_at"}:
        return f"v.{name} AS {name}"
    if name not in _STATE_COLUMNS:
        return f"i.{name} AS {name}"
    value, otherwise = f"json_extract(v.state, '$.{name}')", _LEFT_OUT[name]
    if otherwise is None:
        return f"{value} AS {name}"
    return f"coalesce({value}, {otherwise!r}) AS {name}"  # numbers and plain texts: written alike in both languages


_HERE = "{0}.scope_seq = :item_scope AND {0}.seq > :item_after AND {0}.seq < :item_before"
_NOW = f"item WHERE {_HERE.format('item')}"
# Own names only; every value is a parameter.
_THEN = " ".join(
    (
        "(SELECT",
        ", ".join(map(_then_column, COLUMNS)),
        "FROM item AS i JOIN item_version AS v ON v.item_seq = i.seq AND v.version =",
        "(SELECT max(w.version) FROM item_version AS w WHERE w.item_seq = i.seq AND w.recorded_at <= :item_known_at)",
        f"WHERE {_HERE.format('i')} AND i.status <> 'deleted') AS item WHERE 1",
    )
)


@lru_cache(maxsize=256)
def _compiled(source: str, conditions: str) -> Hot:
    """Return a listing's statement; its shape depends on what was asked, its values never stand in it."""
    whose = ", (SELECT id FROM scope WHERE seq = :item_scope), (SELECT workspace_id FROM scope WHERE seq = :item_scope)"
    return Hot(
        text(
            f"SELECT {', '.join(f'item.{name}' for name in COLUMNS)}{whose} FROM {source} "  # noqa: S608 - own names
            f"AND {conditions} ORDER BY item.seq LIMIT :item_most"
        )
    )

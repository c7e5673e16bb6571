"""Writing: each change of an item is an entry in its scope's log, and at once what `item` and the word index say."""

from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, text, update

from memroos_contracts.memory_items import Change, Viewer
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Tx
from memroos_memory import lexical
from memroos_memory.items.states import COLUMNS, Row, State, columns, encode
from memroos_memory.items.touched import JOURNAL, Touched
from memroos_memory.models import Item, ItemVersion, Scope

MEMORY = "service:memory"
"""Who changes what nobody asked to be changed."""

_NEXT = Hot(
    update(Scope)
    .where(Scope.seq == bindparam("scope"))
    .values(last_seq=Scope.last_seq + 1, items=Scope.items + bindparam("more"))
    .returning(Scope.last_seq)
)
_VERSION = Hot(insert(ItemVersion))
_ITEM = Hot(insert(Item), columns=[column.name for column in Item.__table__.columns if column.name != "seq"])
_LENGTH = Hot(update(Item).where(Item.seq == bindparam("item")).values(words=bindparam("w"), meta_words=bindparam("m")))
_CHANGING = (*COLUMNS[COLUMNS.index("version") :],)
_STATE = Hot(
    update(Item).where(Item.seq == bindparam("item")).values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_SOURCE = Hot(text("INSERT OR IGNORE INTO item_source (event_seq, item_seq) VALUES (:event, :item)"))
_DONE = Hot(  # by way of the item, of which there are few versions
    select(ItemVersion.log_seq).where(
        ItemVersion.item_seq == bindparam("item"), ItemVersion.operation == bindparam("operation")
    )
)


class By(NamedTuple):
    """Who changes something, why, and what belongs together."""

    actor: str = MEMORY
    reason: str = ""
    operation: str = ""


def by(viewer: Viewer, reason: str = "", operation: str = "") -> By:
    """Return who acts for a viewer."""
    return By(viewer.principal or viewer.reader or MEMORY, reason, operation)


def together(tx: Tx, who: By) -> By:
    """Return by whom several entries are made that no rollback may tear apart."""
    return who if who.operation else who._replace(operation=tx.new_id("opn"))


def digest_of(content: str) -> str:
    """Return `sha256:` and the hash of a text, hex."""
    return f"sha256:{sha256(content.encode()).hexdigest()}"


def is_done(tx: Tx, row: Row, operation: str) -> bool:
    """Whether an operation has changed this item already."""
    if not operation:
        return False
    return tx.execute(_DONE, item=row.seq, operation=operation).fetchone() is not None


def add(tx: Tx, fixed: dict[str, Any], state: State, who: By) -> int:
    """Write a new item with its first version, and return its number.

    Args:
        fixed: the columns that never change, `id` and `scope_seq` among them.
    """
    now = to_micros(tx.now)
    scope = fixed["scope_seq"]
    log_seq = _next(tx, scope, 1)
    head = {"version": 1, "log_seq": log_seq, "recorded_at": now}
    seq = tx.execute(_ITEM, **fixed, **head, **columns(state), created_at=now, words=0, meta_words=0).lastrowid
    assert seq is not None
    _index(tx, scope, seq, state.text, fixed["speaker"], fixed["occurred_at"])
    _append(tx, (scope, seq), head, state, Change.ADD, who)
    return seq


def change(tx: Tx, row: Row, state: State, what: Change, who: By) -> Row:
    """Write another version of an item, and return the row as it is then."""
    head = {"version": row.version + 1, "log_seq": 0, "recorded_at": to_micros(tx.now)}
    head["log_seq"] = _next(tx, row.scope_seq, row.is_deleted - state.is_deleted)
    values = {**columns(state), **head}
    tx.execute(_STATE, item=row.seq, **{f"new_{name}": values[name] for name in _CHANGING})
    if row.is_deleted != state.is_deleted or row.text != state.text:
        lexical.remove(tx, row.seq)
        if not state.is_deleted:
            _index(tx, row.scope_seq, row.seq, state.text, row.speaker, row.occurred_at)
    _append(tx, (row.scope_seq, row.seq), head, state, what, who)
    return row._replace(**values)


def rest_on(tx: Tx, item_seq: int, events: list[int]) -> None:
    """Note from which events an item was derived; may be repeated."""
    for event in events:
        tx.execute(_SOURCE, event=event, item=item_seq)


def _next(tx: Tx, scope: int, more: int) -> int:
    return int(tx.execute(_NEXT, scope=scope, more=more).fetchone()[0])


def _index(tx: Tx, scope: int, seq: int, content: str, speaker: str, occurred_at: int) -> None:
    length = lexical.add(tx, scope, seq, content, lexical.meta_of(speaker, from_micros(occurred_at)))
    tx.execute(_LENGTH, item=seq, w=length.words, m=length.meta_words)


def _append(tx: Tx, where: tuple[int, int], head: dict[str, int], state: State, what: Change, who: By) -> None:
    scope, seq = where
    tx.execute(
        _VERSION,
        scope_seq=scope,
        item_seq=seq,
        change=what.value,
        actor=who.actor,
        reason=who.reason,
        operation=who.operation,
        state=encode(state),
        **head,
    )
    tx.journal(JOURNAL).append(Touched(scope, seq, what, state.status))

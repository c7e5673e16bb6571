"""Where each word of a scope stands, kept in memory as far as it was asked for.

Nothing has to tell it what changes: every question looks how far the scope's log has come in its own snapshot, and what
it finds there is added to what is kept.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import bindparam, func, select, text

from memroos_kit.clock import from_micros
from memroos_kit.db import Hot, Read
from memroos_kit.text.words import words_of
from memroos_memory.lexical.table import Bools, Floats, ItemRow, Rows, Table
from memroos_memory.lexical.writing import meta_of
from memroos_memory.models import Item, ItemVersion, Scope

LIMIT_BYTES = 256 * 2**20
"""How much memory all scopes together may take; the scopes that were asked least recently go first."""

_COLUMNS = (
    Item.seq, Item.kind, Item.status, (Item.stream + "\n" + Item.context_id).label("stream"), Item.stream_seq,
    Item.occurred_at, Item.digest, Item.words, Item.meta_words, Item.speaker,
    (func.instr(Item.text, "?") > 0).label("asks"),
)  # fmt: skip
_ALL = Hot(select(*_COLUMNS).where(Item.scope_seq == bindparam("scope_seq")).order_by(Item.seq))
_CHANGED = Hot(
    select(*_COLUMNS, Item.text)
    .where(
        Item.seq.in_(
            select(ItemVersion.item_seq).where(
                ItemVersion.scope_seq == bindparam("scope_seq"), ItemVersion.log_seq > bindparam("log_seq")
            )
        )
    )
    .order_by(Item.seq)
)
_LAST = Hot(select(Scope.last_seq).where(Scope.seq == bindparam("scope_seq")))


# One row a word: its places as text, because a row for each of a hundred thousand places costs a second in Python.
_PLACES = Hot(
    text("SELECT group_concat(CASE WHEN col = 'words' THEN doc ELSE -doc END) FROM lexical_terms WHERE term = :term")
)


class Places(NamedTuple):
    """The rows in which a word stands, each once, and how often in the text and beside it."""

    rows: Rows
    text: Floats
    meta: Floats


class _Held:
    """What is kept of one scope."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.table: Table | None = None
        self.places: dict[str, Places] = {}
        self.taken_bytes = 0  # as they are accounted for
        self._counted = (-1, 0, 0)
        self._size = 0

    def grown(self) -> int:
        """Return about how much memory it takes, computed anew where something was added."""
        assert self.table is not None
        now = (self.table.log_seq, len(self.places), len(self.table.counted))
        if now != self._counted:
            self._counted = now
            self._size = self.table.size_bytes + sum(12 * len(found.rows) + 400 for found in self.places.values())
        return self._size


class Postings:
    """The scopes' tables and words, in memory."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._taken_bytes = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """About how much memory is taken."""
        return self._taken_bytes

    def forget(self) -> None:
        """Drop everything that is kept; it is read again when it is asked for."""
        with self._lock:
            self._held.clear()
            self._taken_bytes = 0

    def find(self, tx: Read, scope_seq: int, words: Sequence[str]) -> tuple[Table, dict[str, Places]]:
        """Return a scope's table, not older than the snapshot, and where the words stand in it."""
        with self._lock:
            held = self._held.setdefault(scope_seq, _Held())
            self._held.move_to_end(scope_seq)
        with held.lock:
            last = self._last(tx, scope_seq)
            table = self._followed(tx, held, scope_seq, last)
            places = {word: self._places(tx, held, table, scope_seq, word, last) for word in words}
            size = held.grown()
            if size > self._limit:  # one scope alone: its words are read again, its table stays
                held.places.clear()
                table.counted.clear()
                size = held.grown()
        if table.log_seq != last:
            table = table.apart()
        self._account(scope_seq, held, size)
        return table, {word: found for word, found in places.items() if len(found.rows)}

    def _last(self, tx: Read, scope_seq: int) -> int:
        row = tx.execute(_LAST, scope_seq=scope_seq).fetchone()
        return int(row[0]) if row else 0

    def _followed(self, tx: Read, held: _Held, scope_seq: int, last: int) -> Table:
        table = held.table
        if table is None:
            found = tx.execute(_ALL, scope_seq=scope_seq).fetchall()
            table = held.table = Table.of([ItemRow(*row) for row in found], last)
        elif table.log_seq < last:
            found = tx.execute(_CHANGED, scope_seq=scope_seq, log_seq=table.log_seq).fetchall()
            changed = [(ItemRow(*row), said) for *row, said in found]
            before = table
            table, new = before.follow([row for row, _ in changed], last)
            if table.epoch != before.epoch:
                held.places.clear()  # what stood there stands there no more
            elif held.places:
                _append(held, table, new, {row.seq: (row, said) for row, said in changed})
            held.table = table
        return table

    def _places(self, tx: Read, held: _Held, table: Table, scope_seq: int, word: str, last: int) -> Places:
        found = held.places.get(word)
        if found is None:
            (places,) = tx.execute(_PLACES, term=f"{scope_seq}x{word}").fetchone()
            found = _parsed(places, table)
            if table.log_seq == last:  # an older snapshot does not see all that the table has
                held.places[word] = found
        return found

    def _account(self, scope_seq: int, held: _Held, size: int) -> None:
        with self._lock:
            if self._held.get(scope_seq) is held:  # it was not dropped meanwhile
                self._taken_bytes += size - held.taken_bytes
                held.taken_bytes = size
            while self._taken_bytes > self._limit and len(self._held) > 1:
                _, oldest = self._held.popitem(last=False)
                self._taken_bytes -= oldest.taken_bytes


def _parsed(places: str | None, table: Table) -> Places:
    if not places:
        return Places(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    signed = np.fromstring(places, np.int64, sep=",")
    rows, known = table.rows_of(np.abs(signed))
    return _counted(rows[known], signed[known] > 0)


def _counted(rows: Rows, own: Bools) -> Places:
    unique, at = np.unique(rows, return_inverse=True)
    inside, beside = (np.bincount(at[which], minlength=len(unique)).astype(np.float32) for which in (own, ~own))
    return Places(unique, inside, beside)


def _append(held: _Held, table: Table, new: list[int], changed: dict[int, tuple[ItemRow, str]]) -> None:
    """Add the words of new rows to the words that are kept."""
    added: dict[str, list[tuple[int, int, int]]] = {}
    for row in new:
        item, said = changed[int(table.seq[row])]
        own, others = Counter(words_of(said)), Counter(words_of(meta_of(item.speaker, from_micros(item.occurred_at))))
        for word in own.keys() | others.keys():
            if word in held.places:
                added.setdefault(word, []).append((row, own[word], others[word]))
    for word, more in added.items():
        old = held.places[word]
        rows, own_counts, other_counts = zip(*more, strict=True)
        held.places[word] = Places(
            np.concatenate([old.rows, np.array(rows, np.int32)]),
            np.concatenate([old.text, np.array(own_counts, np.float32)]),
            np.concatenate([old.meta, np.array(other_counts, np.float32)]),
        )

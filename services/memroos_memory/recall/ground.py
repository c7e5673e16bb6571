"""What is searched for one question: the items of all scopes the asker may see, as one table."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memroos_contracts.memory_items import ItemKind
from memroos_kit.db import Read
from memroos_kit.text.words import words_of
from memroos_memory import lexical
from memroos_memory.lexical import Postings, Table, Weighed

Rows = NDArray[np.int32]
Bools = NDArray[np.bool_]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]


class Ground:
    """The items of some scopes; a row is an item, and rows of several scopes follow one another.

    Attributes:
        kinds: what was asked for; none: events.
        among: which rows are searched: events that are there, or the kinds that were asked for. Statistics are theirs.
        before, after: the row of each turn's neighbours, -1 where there is none.
        conversation: a number that the turns of one conversation share.
    """

    def __init__(self, tables: Sequence[Table], kinds: Sequence[ItemKind]) -> None:
        starts = np.cumsum([0, *(len(table) for table in tables)])
        placed = list(zip(tables, starts[:-1], strict=True))
        self.tables = tables
        self.kinds = tuple(sorted(kinds))
        self.seq: Longs = _joined([table.seq for table in tables], np.int64)
        self.at: Longs = _joined([table.at for table in tables], np.int64)
        self.mark: Longs = _joined([table.mark for table in tables], np.int64)
        self.superseded: Bools = _joined([table.superseded for table in tables], np.bool_)
        self.before: Rows = _joined([_moved(table.before[:-1], start) for table, start in placed], np.int32)
        self.after: Rows = _joined([_moved(table.after[:-1], start) for table, start in placed], np.int32)
        self.conversation: Rows = _joined([table.conversation + np.int32(start) for table, start in placed], np.int32)
        self.among = self._among(kinds)
        self.rows: Rows = np.flatnonzero(self.among).astype(np.int32)
        self.version = tuple(table.log_seq for table in tables)

    def __len__(self) -> int:
        return len(self.seq)

    def rows_of(self, seqs: Sequence[int] | Longs) -> Rows:
        """Return the rows of items that are searched, in the order given; others are left out."""
        rows = lexical.rows_in(self.tables, np.asarray(seqs, np.int64))
        rows = rows[rows >= 0]
        return rows[self.among[rows]]

    def spoken_by(self, words: Sequence[str]) -> Bools | None:
        """Return which rows were said by the one speaker whom words name, None where they name nobody or several."""
        wanted = frozenset(words)
        names = {name for table in self.tables for name in table.speakers if not wanted.isdisjoint(_words(name))}
        if len(names) != 1:
            return None
        (name,) = names
        said: Bools = _joined([table.speaker == table.speakers.get(name, -1) for table in self.tables], np.bool_)
        return said

    def around(self, row: int, turns: int) -> list[int]:
        """Return the rows of a turn's neighbours, those before it first."""
        earlier: list[int] = []
        later: list[int] = []
        at = row
        while len(earlier) < turns and (at := int(self.before[at])) >= 0:
            earlier.append(at)
        at = row
        while len(later) < turns and (at := int(self.after[at])) >= 0:
            later.append(at)
        return earlier[::-1] + later

    def _among(self, kinds: Sequence[ItemKind]) -> Bools:
        if not kinds:
            return lexical.turns_of(self.tables)
        wanted = np.array([lexical.KINDS.index(kind) for kind in kinds], np.uint8)
        live: Bools = _joined([table.live for table in self.tables], np.bool_)
        kind = _joined([table.kind for table in self.tables], np.uint8)
        searched: Bools = live & np.isin(kind, wanted)
        return searched


def survey(
    tx: Read, postings: Postings, scopes: Sequence[int], kinds: Sequence[ItemKind], words: Sequence[str]
) -> tuple[Ground, Weighed]:
    """Return what is searched, and what the question's words say about each row."""
    found = [postings.find(tx, scope, words) for scope in scopes]
    tables = [table for table, _ in found]
    ground = Ground(tables, kinds)
    return ground, lexical.score(tables, [places for _, places in found], ground.among, words)


@lru_cache(maxsize=4_096)
def _words(name: str) -> frozenset[str]:
    return frozenset(words_of(name))


def _joined(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _moved(rows: Rows, start: int) -> Rows:
    return np.where(rows >= 0, rows + start, -1).astype(np.int32) if start else rows

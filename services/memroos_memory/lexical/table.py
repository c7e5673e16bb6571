"""What recall needs of all items of a scope at once, as columns.

A table is never changed: what follows the log is a new one, and its rows keep their places. So a question reads without
a lock while another one brings the table up to date.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from memroos_contracts.memory_items import ItemKind, ItemStatus

Rows = NDArray[np.int32]
Bools = NDArray[np.bool_]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

KINDS = tuple(ItemKind)
SPAN = 2
"""How many turns before and after a turn belong to what it is about."""

TEXT_WEIGHT = 3
"""How often a turn's own words count, and those of the question that it answers; a neighbour's count once."""

CONVERSATION_GAP_US = 3_600_000_000
"""An hour without a word: the next turn of a stream belongs to another conversation."""


class ItemRow(NamedTuple):
    """An item, as the table takes it from the database."""

    seq: int
    kind: str
    status: str
    stream: str
    stream_seq: int
    occurred_at: int
    digest: str
    words: int
    meta_words: int
    speaker: str
    asks: int


class Table:
    """The items of a scope, oldest first; a row is an item's place.

    Attributes:
        log_seq: the entry of the scope's log up to which this holds.
        epoch: grows when rows change in a way that what was read from the index for them holds no more.
        turn: whether it is an event, and there.
        live: whether it is there.
        asks: whether it is a question, to which the next turn may be the answer.
        speaker: the number of who said it, in `speakers`.
        conversation: a number that the turns of one conversation share.
        before, after: the row of the turn before and after it in its conversation, -1 where there is none. They have
            one element more, so that the neighbour of nobody is nobody.
    """

    def __init__(
        self,
        columns: dict[str, NDArray[Any]],
        streams: dict[str, int],
        speakers: dict[str, int],
        log_seq: int,
        epoch: int,
    ) -> None:
        self.log_seq = log_seq
        self.epoch = epoch
        self.seq: Longs = columns["seq"]
        self.kind: NDArray[np.uint8] = columns["kind"]
        self.live: Bools = columns["live"]
        self.superseded: Bools = columns["superseded"]
        self.at: Longs = columns["at"]
        self.mark: Longs = columns["mark"]
        self.words: Rows = columns["words"]
        self.meta_words: Rows = columns["meta_words"]
        self.asks: Bools = columns["asks"]
        self.speaker: Rows = columns["speaker"]
        self.speakers = speakers
        self.turn: Bools = (self.kind == 0) & self.live
        self._columns = columns
        self._streams = streams
        self.before, self.after, self.conversation = self._link()
        self.length: Floats = self._length()
        self.counted: dict[str, tuple[Rows, Floats]] = {}

    @classmethod
    def of(cls, rows: Sequence[ItemRow], log_seq: int, epoch: int = 0) -> Self:
        """Make a table of a scope's rows, ordered by `seq`."""
        streams: dict[str, int] = {}
        speakers: dict[str, int] = {}
        return cls(_columns(rows, streams, speakers), streams, speakers, log_seq, epoch)

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        counted = sum(8 * len(rows) + 300 for rows, _ in list(self.counted.values()))
        return sum(column.nbytes for column in self._columns.values()) + 17 * len(self) + 512 + counted

    def apart(self) -> Self:
        """Return the same table for a snapshot that is older: what is counted there is not kept for others."""
        other = copy(self)
        other.counted = {}
        return other

    def rows_of(self, seqs: Longs) -> tuple[Rows, Bools]:
        """Return the rows of items, and which of them are here at all."""
        if not len(self):
            return np.zeros(len(seqs), np.int32), np.zeros(len(seqs), np.bool_)
        rows = np.minimum(np.searchsorted(self.seq, seqs), len(self) - 1).astype(np.int32)
        return rows, self.seq[rows] == seqs

    def follow(self, changed: Sequence[ItemRow], log_seq: int) -> tuple[Self, list[int]]:
        """Return the table after a part of the log, and the rows that are new.

        Args:
            changed: the items that this part is about, as they are now, ordered by `seq`.
        """
        rows, known = self.rows_of(np.array([row.seq for row in changed], np.int64))
        new = [row for row, there in zip(changed, known, strict=True) if not there]
        columns = {name: column.copy() for name, column in self._columns.items()}
        epoch = self.epoch
        if known.any():
            old = rows[known]
            now = _columns(
                [row for row, there in zip(changed, known, strict=True) if there], self._streams, self.speakers
            )
            said_otherwise = (columns["mark"][old] != now["mark"]) | (columns["live"][old] != now["live"])
            epoch += int(said_otherwise.any())
            for name, column in columns.items():
                column[old] = now[name]
        added = _columns(new, self._streams, self.speakers)
        columns = {name: np.concatenate([column, added[name]]) for name, column in columns.items()}
        table = type(self)(columns, self._streams, self.speakers, log_seq, epoch)
        return table, list(range(len(self), len(table)))

    def _link(self) -> tuple[Rows, Rows, Rows]:
        """Return each turn's neighbours in its conversation, and the number of that."""
        before = np.full(len(self) + 1, -1, np.int32)
        after = before.copy()
        turns = np.flatnonzero(self.turn).astype(np.int32)
        stream, at = self._columns["stream"], self.at
        order = turns[np.lexsort((self._columns["stream_seq"][turns], stream[turns]))]
        first, second = order[:-1], order[1:]
        near = (stream[first] == stream[second]) & (np.abs(at[second] - at[first]) <= CONVERSATION_GAP_US)
        after[first[near]] = second[near]
        before[second[near]] = first[near]
        conversation = np.arange(len(self), dtype=np.int32)  # whoever speaks to nobody is one alone
        if len(order):
            starts = np.flatnonzero(np.append(True, ~near))
            conversation[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
        return before, after, conversation

    def _length(self) -> Floats:
        """Return how long each document is: its own words, its speaker and day, and the words around it."""
        words = np.append(np.where(self.turn, self.words, 0), 0).astype(np.float32)
        length = TEXT_WEIGHT * np.where(self.live, self.words, 0).astype(np.float32) + self.meta_words
        before, after = self.before, self.after
        for _ in range(SPAN):
            length += words[before[:-1]] + words[after[:-1]]
            before, after = self.before[before], self.after[after]
        return length.astype(np.float32)


def mark_of(digest: str) -> int:
    """Return a number that tells two texts apart."""
    return int(digest[-15:] or "0", 16)


def _columns(rows: Sequence[ItemRow], streams: dict[str, int], speakers: dict[str, int]) -> dict[str, NDArray[Any]]:
    kinds = {kind.value: number for number, kind in enumerate(KINDS)}
    deleted, superseded = ItemStatus.DELETED.value, ItemStatus.SUPERSEDED.value
    return {
        "seq": np.array([row.seq for row in rows], np.int64),
        "kind": np.array([kinds[row.kind] for row in rows], np.uint8),
        "live": np.array([row.status != deleted for row in rows], np.bool_),
        "superseded": np.array([row.status == superseded for row in rows], np.bool_),
        "stream": np.array([streams.setdefault(row.stream, len(streams)) for row in rows], np.int32),
        "stream_seq": np.array([row.stream_seq for row in rows], np.int64),
        "at": np.array([row.occurred_at for row in rows], np.int64),
        "mark": np.array([mark_of(row.digest) for row in rows], np.int64),
        "words": np.array([row.words for row in rows], np.int32),
        "meta_words": np.array([row.meta_words for row in rows], np.int32),
        "speaker": np.array([speakers.setdefault(row.speaker, len(speakers)) for row in rows], np.int32),
        "asks": np.array([bool(row.asks) for row in rows], np.bool_),
    }

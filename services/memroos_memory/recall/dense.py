"""What the vectors say: how near an item, and the turns around it, are to the question.

All scores are computed from the stored vectors; an index only proposes whom to score. How unusual a score is follows
from a sample of the scopes' own vectors, chosen by a hash of the items' numbers, so that it is the same every time.
"""

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memroos_kit.db import Read
from memroos_memory import lexical
from memroos_memory.recall.ground import Floats, Ground, Longs, Rows
from memroos_memory.vectors import stored
from memroos_memory.vectors.stored import Halves

EXACT = 1_024
"""As many items are all scored; of more, those that some arm proposes."""

SAMPLE = 340
"""Turns that tell what scores are usual; with their neighbours about as many vectors as `EXACT`."""

LIMIT_BYTES = 128 * 2**20

_BLOCK = 64
"""Vectors that are worked on at once: so few are in the processor's cache, and in memory that was used before."""


class Scored(NamedTuple):
    """Cosines of some rows, NaN where there is no vector."""

    rows: Rows
    own: Floats
    window: Floats


class Matrix:
    """The vectors of some rows and their neighbours.

    Attributes:
        rows: whose scores it gives.
        seqs: the items that have a vector, in order.
        marks: of the texts they are made from.
        complete: whether all of them, and their neighbours, have a vector.
    """

    def __init__(self, ground: Ground, rows: Rows, seqs: Longs, marks: Longs, values: Halves) -> None:
        self.rows = rows
        self.seqs = seqs
        self.marks = marks
        self.values = values
        self.complete = False
        self._own = _places(seqs, ground.seq[rows])
        self._near = [_places(seqs, _seq_or_none(ground, near[rows])) for near in (ground.before, ground.after)]
        self._length = self._lengths()

    def _lengths(self) -> Floats:
        """Return how long the sum of each row's vector and its neighbours' is."""
        squares = np.empty(len(self.rows), np.float32)
        for start in range(0, len(self.rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            total = self._at(self._own[block])
            for near in self._near:
                total += self._at(near[block])
            squares[block] = np.einsum("ij,ij->i", total, total)
        lengths: Floats = np.sqrt(squares) + np.float32(1e-9)
        return lengths

    def _at(self, places: Rows) -> Floats:
        """Return the vectors at some places, zero where there is none."""
        if not len(self.values):
            return np.zeros((len(places), 1), np.float32)
        found = stored.widen(self.values[places])
        found[places < 0] = 0
        return found

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return self.values.nbytes + 2 * self.seqs.nbytes + 20 * len(self.rows) + 512

    def score(self, vector: Floats) -> Scored:
        """Return how near the rows are to a question, each by itself and with its neighbours."""
        if not len(self.seqs):
            nothing = np.full(len(self.rows), np.nan, np.float32)
            return Scored(self.rows, nothing, nothing.copy())
        near = np.zeros(len(self.values) + 1, np.float32)  # the last one is nobody's
        for start in range(0, len(self.values), _BLOCK):
            block = self.values[start : start + _BLOCK]
            near[start : start + len(block)] = stored.widen(block) @ vector
        own = near[self._own]
        window = (own + near[self._near[0]] + near[self._near[1]]) / self._length
        absent = self._own < 0
        own[absent] = np.nan
        window[absent] = np.nan
        return Scored(self.rows, own, window.astype(np.float32))

    def places_of(self, seqs: Longs, marks: Longs) -> Rows:
        """Return where the vectors of items' texts stand, -1 where there is none, or only that of another text."""
        places = _places(self.seqs, seqs)
        there = np.flatnonzero(places >= 0)
        places[there[self.marks[places[there]] != marks[there]]] = -1
        return places

    def vectors(self, rows: Rows) -> Floats:
        """Return the vectors of some of its rows, zero where there is none."""
        return self._at(self._own[np.searchsorted(self.rows, rows)])


class Samples:
    """Matrices that questions to the same scopes need again, as many as fit."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[tuple[object, ...], tuple[tuple[int, ...], Matrix]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """About how much memory is taken."""
        return sum(matrix.size_bytes for _, matrix in self._kept.values())

    def of(self, tx: Read, embedder_seq: int, scopes: tuple[int, ...], ground: Ground) -> Matrix:
        """Return the vectors of all that is searched, or of a sample where that is much."""
        key = (embedder_seq, ground.kinds, *scopes)  # other kinds are other rows
        with self._lock:
            version, known = self._kept.get(key, ((), None))
        if known is not None and known.complete and version == ground.version:
            return known
        matrix = load(tx, embedder_seq, ground, chosen(ground), known)
        with self._lock:
            self._kept[key] = (ground.version, matrix)
            self._kept.move_to_end(key)
            while self.size_bytes > self._limit and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return matrix


def chosen(ground: Ground) -> Rows:
    """Return the rows that are scored for every question."""
    if len(ground.rows) <= EXACT:
        return ground.rows
    scattered = _scatter(ground.seq[ground.rows])
    return np.sort(ground.rows[np.argpartition(scattered, min(SAMPLE, len(scattered) - 1))[:SAMPLE]])


def load(tx: Read, embedder_seq: int, ground: Ground, rows: Rows, known: Matrix | None = None) -> Matrix:
    """Return the vectors of rows and their neighbours; those that another matrix has are taken from there."""
    every_row = _with_neighbours(ground, rows)
    every_row = every_row[np.argsort(ground.seq[every_row])]
    seqs, marks = ground.seq[every_row], ground.mark[every_row]
    places = known.places_of(seqs, marks) if known is not None else np.full(len(seqs), -1, np.int32)
    absent = places < 0
    found, values = _read(tx, embedder_seq, seqs[absent], marks[absent])
    there = places >= 0
    every = np.concatenate([seqs[there], found])
    order = np.argsort(every, kind="stable")
    parts = [values] if len(found) else []
    if known is not None and there.any():
        parts.insert(0, known.values[places[there]])
    matrix = np.concatenate(parts)[order] if parts else np.zeros((0, 1), np.float16)
    made = Matrix(ground, rows, every[order], marks[np.searchsorted(seqs, every[order])], matrix)
    made.complete = len(every) == len(seqs)
    return made


def _read(tx: Read, embedder_seq: int, seqs: Longs, marks: Longs) -> tuple[Longs, Halves]:
    """Return the stored vectors that are of the items' present texts; the items are in order."""
    kept = stored.kept(tx, embedder_seq, seqs.tolist())
    made_of = np.fromiter(map(lexical.mark_of, kept.digests), np.int64, len(kept.digests))
    fresh = made_of == marks[np.searchsorted(seqs, kept.item_seqs)]
    return (kept.item_seqs, kept.values) if fresh.all() else (kept.item_seqs[fresh], kept.values[fresh])


def _with_neighbours(ground: Ground, rows: Rows) -> Rows:
    every = np.concatenate([rows, ground.before[rows], ground.after[rows]])
    unique: Rows = np.unique(every)
    return unique[unique >= 0]


def _places(seqs: Longs, wanted: Longs) -> Rows:
    """Return where items stand in an ordered list, -1 for those that do not."""
    if not len(seqs):
        return np.full(len(wanted), -1, np.int32)
    at = np.minimum(np.searchsorted(seqs, wanted), len(seqs) - 1).astype(np.int32)
    at[seqs[at] != wanted] = -1
    return at


def _seq_or_none(ground: Ground, rows: Rows) -> Longs:
    return np.where(rows >= 0, ground.seq[rows], -1)


def _scatter(seqs: Longs) -> NDArray[np.uint64]:
    """Return numbers in which nothing of the items' order is left (Fibonacci hashing)."""
    with np.errstate(over="ignore"):
        mixed = seqs.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
        return mixed * np.uint64(0xD6E8FEB86659FD93)

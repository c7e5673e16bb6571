"""How well the items of some scopes answer a question by their words: BM25 over what its asker may see.

A turn of a conversation counts the words of its neighbours, too: "yes, last Friday" answers the question before it. The
turn after a question counts the question's words like its own, because they say what it is about. The neighbours are
looked up when a question comes and are not stored, so an index entry stays true whatever comes after it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from memroos_kit.text.bm25 import idf
from memroos_memory.lexical.postings import Places
from memroos_memory.lexical.table import SPAN, TEXT_WEIGHT, Bools, Floats, Longs, Rows, Table

K1 = 2.0
"""Counts are those of a text that stands there three times with its neighbours, so they tell for longer than once."""

B = 0.5
"""Who says much in one turn of a conversation mostly says more, rather than the same in more words."""

_DENSE = 4_096  # from so many places on counting over all rows is cheaper than sorting them


class Weighed(NamedTuple):
    """The scores of all rows of the scopes, and where they come from."""

    scores: Floats
    words: dict[str, tuple[Rows, Floats]]
    """For each word that stands anywhere: in which rows, and what it adds there."""
    idf: dict[str, float]

    def words_at(self, row: int) -> dict[str, float]:
        """Return what each word adds in a row."""
        added: dict[str, float] = {}
        for word, (rows, parts) in self.words.items():
            at = int(np.searchsorted(rows, row))
            if at < len(rows) and rows[at] == row:
                added[word] = float(parts[at])
        return added


def score(
    tables: Sequence[Table], places: Sequence[Mapping[str, Places]], among: Bools, words: Sequence[str]
) -> Weighed:
    """Return the BM25 score of every row; rows of several scopes follow one another.

    Args:
        tables: the scopes.
        places: for each scope, where the words stand in it.
        among: for every row, whether it is a document; others neither score nor count.
        words: the question's words, each once.
    """
    starts = np.cumsum([0, *(len(table) for table in tables)])
    lengths = np.concatenate([table.length for table in tables]) if tables else np.zeros(0, np.float32)
    documents = int(among.sum())
    scores = np.zeros(len(among), np.float32)
    average = float(lengths[among].mean()) if documents else 1.0
    norm = (K1 * (1 - B + B * lengths / max(average, 1e-9))).astype(np.float32)
    found: dict[str, tuple[Rows, Floats]] = {}
    weights: dict[str, float] = {}
    for word in words:
        parts = [
            (rows + start, counts)
            for table, held, start in zip(tables, places, starts, strict=False)
            if word in held
            for rows, counts in [around(table, held[word])]
        ]
        if not parts:
            continue
        rows = np.concatenate([rows for rows, _ in parts]).astype(np.int32)
        counts = np.concatenate([counts for _, counts in parts])
        inside = among[rows]
        if not inside.all():
            rows, counts = rows[inside], counts[inside]
        if not len(rows):
            continue
        weights[word] = idf(documents, len(rows))
        added = (weights[word] * (K1 + 1)) * counts / (counts + norm[rows])
        scores[rows] += added
        found[word] = (rows, added.astype(np.float32))
    return Weighed(scores, found, weights)


def around(table: Table, places: Places) -> tuple[Rows, Floats]:
    """Return the rows in or around which a word stands, ordered, and how much it counts there."""
    live = table.live[places.rows]
    rows, text, meta = places.rows, places.text, places.meta
    if not live.all():
        rows, text, meta = rows[live], text[live], meta[live]
    turns = table.turn[rows] & (text > 0)
    near, near_text = rows[turns], text[turns]
    every, counts = [rows], [TEXT_WEIGHT * text + meta]
    before, after = near, near
    asks = table.asks[near]
    for distance in range(SPAN):
        before, after = table.before[before], table.after[after]
        every += [before, after]
        counts += [near_text, near_text if distance else np.where(asks, TEXT_WEIGHT * near_text, near_text)]
    return _summed(np.concatenate(every), np.concatenate(counts), len(table))


def _summed(rows: Rows, counts: Floats, size: int) -> tuple[Rows, Floats]:
    there = rows >= 0
    rows, counts = rows[there], counts[there]
    if len(rows) < _DENSE:
        unique, at = np.unique(rows, return_inverse=True)
        return unique, np.bincount(at, counts, len(unique)).astype(np.float32)
    total = np.bincount(rows, counts, size)
    unique = np.flatnonzero(total).astype(np.int32)
    return unique, total[unique].astype(np.float32)


def rows_in(tables: Sequence[Table], seqs: Longs) -> Rows:
    """Return the rows of items over several scopes, -1 for those that are in none of them."""
    found = np.full(len(seqs), -1, np.int32)
    start = 0
    for table in tables:
        rows, known = table.rows_of(seqs)
        found[known] = rows[known] + start
        start += len(table)
    return found


def turns_of(tables: Sequence[Table]) -> Bools:
    """Return for every row of some scopes whether it is an event that is there."""
    return np.concatenate([table.turn for table in tables]) if tables else np.zeros(0, np.bool_)

"""How well the items of some scopes answer a question by their words: BM25 over what its asker may see.

A turn of a conversation counts the words of its neighbours, too: "yes, last Friday" answers the question before it. The
turn after a question counts the question's words like its own, because they say what it is about. The neighbours are
looked up when a question comes and are not stored, so an index entry stays true whatever comes after it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memroos_kit.text.bm25 import idf
from memroos_memory.lexical.postings import Places
from memroos_memory.lexical.table import SPAN, TEXT_WEIGHT, Bools, Floats, Longs, Rows, Table

K1 = 2.0
"""Counts are those of a text that stands there three times with its neighbours, so they tell for longer than once."""

B = 0.5
"""Who says much in one turn of a conversation mostly says more, rather than the same in more words."""

_MANY = 16
"""A word is counted over all rows where it stands in more than one of so many."""


class Weighed(NamedTuple):
    """The scores of all rows of the scopes, and where they come from."""

    scores: Floats
    words: dict[str, tuple[Rows, Floats]]
    """For each word that stands anywhere: in which rows, and what it adds there."""
    idf: dict[str, float]

    def covered(self, rows: Rows) -> Floats:
        """Return how much all words together tell that stand in or around some rows."""
        told = np.zeros(len(rows), np.float32)
        for word, (places, _) in self.words.items():
            at = np.minimum(np.searchsorted(places, rows), len(places) - 1)
            told += np.float32(self.idf[word]) * (places[at] == rows)
        return told

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
    documents = int(np.count_nonzero(among))
    norm = _norm(tables, among)
    scores = np.zeros(len(among), np.float32)
    found: dict[str, tuple[Rows, Floats]] = {}
    weights: dict[str, float] = {}
    for word in words:
        rows, counts = _over(tables, places, starts, word)
        if documents < len(among):
            inside = among[rows]
            rows, counts = rows[inside], counts[inside]
        if not len(rows):
            continue
        weights[word] = idf(documents, len(rows))
        added = np.float32(weights[word] * (K1 + 1)) * counts / (counts + norm[rows])
        scores[rows] += added
        found[word] = (rows, added)
    return Weighed(scores, found, weights)


def _norm(tables: Sequence[Table], among: Bools) -> Floats:
    """Return what a document's length does to its counts."""
    lengths = tables[0].length if len(tables) == 1 else np.concatenate([table.length for table in tables])
    average = float(lengths[among].mean()) if among.any() else 1.0
    norm: Floats = np.float32(K1 * (1 - B)) + np.float32(K1 * B / max(average, 1e-9)) * lengths
    return norm


def _over(
    tables: Sequence[Table], places: Sequence[Mapping[str, Places]], starts: NDArray[np.int64], word: str
) -> tuple[Rows, Floats]:
    """Return the rows in or around which a word stands, over all scopes."""
    parts = [
        (around(table, word, held[word]), start)
        for table, held, start in zip(tables, places, starts, strict=False)
        if word in held
    ]
    if len(parts) == 1 and not parts[0][1]:
        return parts[0][0]
    if not parts:
        return np.zeros(0, np.int32), np.zeros(0, np.float32)
    rows = np.concatenate([rows + np.int32(start) for (rows, _), start in parts])
    return rows, np.concatenate([counts for (_, counts), _ in parts])


def around(table: Table, word: str, places: Places) -> tuple[Rows, Floats]:
    """Return the rows in or around which a word stands, ordered, and how much it counts there."""
    found = table.counted.get(word)
    if found is None:
        live = table.live[places.rows]
        if not live.all():
            places = Places(places.rows[live], places.text[live], places.meta[live])
        found = (_everywhere if len(places.rows) * _MANY > len(table) else _here_and_there)(table, places)
        table.counted[word] = found
    return found


def _here_and_there(table: Table, places: Places) -> tuple[Rows, Floats]:
    """Count a word that stands in few rows."""
    rows, text, meta = places
    turns = table.turn[rows] & (text > 0)
    near, near_text = rows[turns], text[turns]
    every, counts = [rows], [TEXT_WEIGHT * text + meta]
    before, after = near, near
    asks = table.asks[near]
    for distance in range(SPAN):
        before, after = table.before[before], table.after[after]
        every += [before, after]
        counts += [near_text, near_text if distance else np.where(asks, TEXT_WEIGHT * near_text, near_text)]
    row, count = np.concatenate(every), np.concatenate(counts)
    unique, at = np.unique(row[row >= 0], return_inverse=True)
    return unique, np.bincount(at, count[row >= 0], len(unique)).astype(np.float32)


def _everywhere(table: Table, places: Places) -> tuple[Rows, Floats]:
    """Count a word that stands in many rows: over all of them, without sorting."""
    text = np.zeros(len(table) + 1, np.float32)  # one more, for the neighbour of nobody
    text[places.rows] = places.text
    total = TEXT_WEIGHT * text[:-1]
    total[places.rows] += places.meta
    text[:-1][~table.turn] = 0
    asked = np.where(np.append(table.asks, False), np.float32(TEXT_WEIGHT), np.float32(1)) * text
    total += asked[table.before[:-1]]
    total += text[table.after[:-1]]
    for step in (table.before, table.after):
        total += text[step[step[:-1]]]
    rows = np.flatnonzero(total).astype(np.int32)
    return rows, total[rows]


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

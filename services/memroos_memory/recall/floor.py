"""Whether anything that was found bears on the question at all.

The best of the ranking is always something, however far from the question. It counts as an answer where it has enough
of the question's words, or where the vectors are near enough.
"""

import numpy as np

from memroos_memory.lexical import Weighed
from memroos_memory.recall.ground import Floats

COVERED = 0.5
"""Share of the question's words, each by how much it tells, that have to stand in and around an item."""

LOOKED_AT = 10
"""How many of the best are looked at."""

NEAR = 0.40
"""Cosine from which a text is about the question; texts about other things stay below 0.3 with sentence embedders."""


def coverage(weighed: Weighed, unseen: float, words: int, rows: int) -> Floats:
    """Return for every row the share of the question's words that stand in or around it.

    Args:
        unseen: how much a word tells that stands nowhere.
        words: how many words the question has.
        rows: how many rows there are.
    """
    covered = np.zeros(rows, np.float32)
    for word, (at, _) in weighed.words.items():
        covered[at] += weighed.idf[word]
    whole = sum(weighed.idf.values()) + unseen * (words - len(weighed.idf))
    return covered / np.float32(max(whole, 1e-9))

"""Whether anything that was found bears on the question at all.

The best of a ranking is always something, however far from the question. It is an answer where vectors and words
together say so: the cosine, and half of the share of the question's words that stand in and around the item. The best
of many is nearer by chance than the best of few: the greatest of n chance values lies about sqrt(2 ln n) standard
deviations above their mean, so the threshold grows with what is searched.

The numbers come from questions of general knowledge, put to small memories of other things: cosines of sentence
embedders then have a mean near 0 and a standard deviation near 0.08, while paraphrases of what is there begin at 0.4.
An embedder whose vectors all point one way lets more through.
"""

import math

import numpy as np

from memroos_kit.text.bm25 import idf
from memroos_memory.lexical import Weighed
from memroos_memory.recall.ground import Floats, Rows

LOOKED_AT = 10
"""How many of the best are looked at."""

CHANCE = 0.2
"""Mean of what chance gives, with a margin."""

SPREAD = 0.08
"""Standard deviation of what chance gives."""

HIGHEST = 0.55
"""However much is searched, a text as near as this is about the question."""

COVERED = 0.75
"""An item with this share of the question's words is about it whatever its vector says."""

COVERED_ALONE = 0.35
"""The share that suffices where there are no vectors."""


def threshold(searched: int) -> float:
    """Return what the best item's evidence has to be, where so many items are searched."""
    return min(HIGHEST, CHANCE + SPREAD * math.sqrt(2 * math.log(max(searched, 2))))


def passed(cosines: Floats | None, covered: Floats, searched: int) -> bool:
    """Whether one of the best items bears on the question.

    Args:
        cosines: theirs, None where there are no vectors.
        covered: the share of the question's words that stand in and around each.
        searched: how many items are searched.
    """
    if not len(covered):
        return False
    if cosines is None:
        return float(covered.max()) >= COVERED_ALONE
    evidence = cosines + covered / 2
    return float(covered.max()) >= COVERED or float(evidence.max()) >= threshold(searched)


def coverage(weighed: Weighed, words: int, rows: Rows, searched: int) -> Floats:
    """Return for some rows the share of the question's words that stand in or around each, by how much they tell.

    Args:
        weighed: what the words say.
        words: how many words the question has.
        rows: which rows.
        searched: how many items are searched.
    """
    unseen = idf(searched, 0)  # a word that stands nowhere tells most of all
    whole = sum(weighed.idf.values()) + unseen * (words - len(weighed.idf))
    share: Floats = weighed.covered(rows) / np.float32(max(whole, 1e-9))
    return share

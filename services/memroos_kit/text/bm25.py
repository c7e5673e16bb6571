"""How well a text answers a question: BM25 over what its reader may see.

S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the idf of Lucene,
which is never negative. Counts and lengths are those of one scope: nobody's words weigh in the ranking of another.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

K1 = 1.2
B = 0.75


class ScopeStats(msgspec.Struct, frozen=True):
    """What a scope holds."""

    documents: int
    words: int
    """The length of all documents together."""

    @property
    def average_length(self) -> float:
        """Return how long a document is on average, in words."""
        return self.words / self.documents if self.documents else 0.0


def idf(documents: int, having: int) -> float:
    """Return how much a word tells that stands in `having` of `documents` documents."""
    return math.log(1 + (documents - having + 0.5) / (having + 0.5))


def bm25(words: Sequence[str], frequencies: Mapping[str, int], scope: ScopeStats) -> dict[str, float]:
    """Return what each word of a question adds to a document's score.

    Args:
        words: the document's words.
        frequencies: for each word of the question, in how many of the scope's documents it stands.
    """
    counts = Counter(word for word in words if word in frequencies)
    length = K1 * (1 - B + B * len(words) / scope.average_length) if scope.words else K1
    return {
        word: idf(scope.documents, frequencies[word]) * count * (K1 + 1) / (count + length)
        for word, count in counts.items()
    }

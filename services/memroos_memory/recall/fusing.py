"""Putting together what the arms say.

Each arm's scores are standardised over all that is searched, weighted and added: how far an item stands out in an arm
counts, not its place in a list, so an arm that is unsure adds little. Round numbers, chosen once.
"""

from typing import NamedTuple

import numpy as np

from memroos_contracts.memory import Arm
from memroos_memory.recall.ground import Floats, Rows

LEXICAL_WEIGHT = 1.0
OWN_WEIGHT = 0.7
WINDOW_WEIGHT = 0.7
"""Both together somewhat more than the words: they see the same text, so what they say is partly said twice."""

SPEAKER_WEIGHT = 0.5
"""Where the question names one speaker, for what that one said: half a standard deviation."""

CONVERSATION_WEIGHT = 0.2
"""How much of its conversation's best turn counts for each turn: where one turn is about something, others are, too."""

GRAPH_WEIGHT = 0.5
"""For an item that alone mentions what the question names; less, the more items mention it and the farther it is."""

TEMPORAL_WEIGHT = 0.5
"""For what happened in the stretch of time that the question names."""

RECENCY_WEIGHT = 1.0
"""Where the question asks for the latest; an arm that is not asked says nothing."""

_LEAST_SPREAD = np.float32(1e-6)


class Part(NamedTuple):
    """What an arm says of the candidates.

    Attributes:
        scores: in its own measure, NaN or 0 where it did not find them.
        parts: what that adds.
        every: the scores of all that the arm has looked at.
    """

    scores: Floats
    parts: Floats
    every: Floats

    def rank(self, place: int) -> int:
        """Return a candidate's place in this arm's own order, from 1; 0 where it did not find it."""
        score = self.scores[place]
        if np.isnan(score) or score == 0:
            return 0
        return int(np.count_nonzero(self.every > score)) + 1


def standardise(scores: Floats, usual: Floats) -> Floats:
    """Return how many standard deviations scores are above the mean of what is usual; 0 where there is no score."""
    usual = usual[~np.isnan(usual)]
    if not len(usual):
        return np.zeros(len(scores), np.float32)
    spread = max(np.float32(usual.std()), _LEAST_SPREAD)
    above: Floats = ((scores - np.float32(usual.mean())) / spread).astype(np.float32)
    above[np.isnan(above)] = 0
    return above


def shared(parts: dict[Arm, Part], conversations: Rows) -> dict[Arm, Part]:
    """Let each candidate share in the best one of its conversation, arm by arm.

    Args:
        parts: what the arms say.
        conversations: to which conversation each candidate belongs.
    """
    scores = total(parts, len(conversations))
    order = np.lexsort((np.arange(len(scores)), -scores, conversations))
    first = np.flatnonzero(np.append(True, np.diff(conversations[order]) != 0)[: len(order)])
    best = np.empty(len(scores), np.int64)
    best[order] = np.repeat(order[first], np.diff(np.append(first, len(order))))
    return {
        arm: part._replace(parts=part.parts + np.float32(CONVERSATION_WEIGHT) * part.parts[best])
        for arm, part in parts.items()
    }


def total(parts: dict[Arm, Part], candidates: int) -> Floats:
    """Return the candidates' scores, rounded so that the order in which they were computed leaves no trace."""
    added = np.zeros(candidates, np.float64)
    for part in parts.values():
        added += part.parts
    return np.round(added, 5).astype(np.float32)

"""What becomes of a job, decided without a database."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

BACKOFF_MAX_S = 3_600.0

INTERRUPTED_MAX = 100
"""How often a job may be cut off by the end of the process. One that kills the process itself ends as a dead letter."""


OUTAGE_MAX_S = 30.0
"""Longest pause before it is asked again whether something that is away is back."""


def backoff(attempts: int, *, first_s: float, jitter: float, most_s: float = BACKOFF_MAX_S) -> timedelta:
    """Return how long a job rests after a failure: twice as long each time, up to an hour.

    Args:
        attempts: how often it failed, from 1.
        first_s: the first pause.
        jitter: 0 to 1; up to half of the time is left out, so that what failed together does not come back together.
        most_s: the longest pause.
    """
    longest = min(most_s, first_s * 2.0 ** min(attempts - 1, 32))
    return timedelta(seconds=longest * (1 - jitter / 2))


def in_turn(lines: Mapping[int, Sequence[T]], most: int) -> list[tuple[int, T]]:
    """Return at most so many entries, one of each line in turn, each line's own order kept.

    Args:
        lines: what waits, by whose it is, in the order of their turns.
        most: how many there is room for.
    """
    chosen: list[tuple[int, T]] = []
    deepest = max(map(len, lines.values()), default=0)
    for depth in range(deepest):
        for whose, waiting in lines.items():
            if len(chosen) == most:
                return chosen
            if depth < len(waiting):
                chosen.append((whose, waiting[depth]))
    return chosen

"""The words of the line of work, inside the service."""

from collections.abc import Callable
from random import random
from typing import Any

import msgspec

from memroos_contracts.memory_work import JobLabel

PRIORITY: dict[JobLabel, int] = {
    JobLabel.EMBED: 10,  # what was said is to be found
    JobLabel.VECTOR: 20,
    JobLabel.DERIVE: 30,
    JobLabel.GRAPH: 40,
    JobLabel.EXTRACT: 50,
    JobLabel.REINDEX: 60,
    JobLabel.REEMBED: 70,
}
"""Where in line each kind of work stands; less is sooner."""

PER_ITEM = frozenset((JobLabel.EMBED, JobLabel.VECTOR, JobLabel.DERIVE, JobLabel.GRAPH))
"""Kinds of work whose cost lies in the items: their jobs are joined and cut in two. A model's lies in the calls."""


class Taken(msgspec.Struct, frozen=True):
    """A job that somebody holds for a while."""

    seq: int
    id: str
    label: JobLabel
    scope_seq: int
    items: tuple[int, ...]
    payload: dict[str, Any]
    done: int
    """How far somebody was who held it before; the work goes on there."""
    attempts: int
    """How often it failed."""
    token: int
    """Fences off whoever lost the lease: what they do to the job after that has no effect."""


class Plan(msgspec.Struct, frozen=True):
    """How often, and with what pauses, a job is tried."""

    attempts_max: int = 8
    backoff_s: float = 1.0
    """The pause after the first failure; it doubles each time, up to an hour."""
    jitter: Callable[[], float] = random
    """0 to 1: how much of the half that may be left out is left out."""


class LeaseLost(Exception):
    """Somebody else has the job by now; what is left of it is theirs."""

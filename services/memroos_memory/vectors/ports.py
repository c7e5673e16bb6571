"""Where vectors are searched, as everybody else sees it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from memroos_contracts.memory_work import IndexState
from memroos_memory.embedders.ports import Vectors


class Point(NamedTuple):
    """An item's place in the index; nothing of what it says is in there."""

    item_seq: int
    scope_seq: int
    vector: Vectors  # one row


class VectorIndex(Protocol):
    """Finds the nearest vectors within scopes. It is derived: what counts are the stored vectors.

    Scopes are numbers that the caller was found to see; no filter of anybody's is taken.

    Every method but `state` and `close` raises:
        IndexUnavailable: the index does not answer.
    """

    @property
    def identity(self) -> str:
        """Return whose vectors it holds: an embedder's identity."""
        ...

    async def upsert(self, points: Sequence[Point], *, identity: str | None = None) -> None:
        """Put points in, or in anew; safe to repeat.

        Args:
            points: what to put in.
            identity: who made their vectors; where given, and another embedder's are in the index by now, it refuses
                with `IndexUnavailable`.
        """
        ...

    async def remove(self, item_seqs: Sequence[int]) -> None:
        """Take points out; those that are not there are none."""
        ...

    async def search(self, vector: Vectors, scopes: Sequence[int], limit: int) -> list[tuple[int, float]]:
        """Return item numbers and cosines, nearest first; candidates, to be scored by the stored vectors."""
        ...

    async def count(self) -> int:
        """Return how many points are in it."""
        ...

    async def holds(self, points: Sequence[Point]) -> bool:
        """Check that points are found by their own vectors; where one is not, the index has to be made anew."""
        ...

    async def begin(self, identity: str, dimension: int) -> None:
        """Begin an index beside the one that answers; from now on changes go into both, where they fit."""
        ...

    async def fill(self, points: Sequence[Point], gone: Sequence[int] = ()) -> None:
        """Put points into the index that was begun, and take those that are gone out of it."""
        ...

    async def switch(self) -> None:
        """Let the index that was begun answer instead, and remove the other."""
        ...

    def state(self) -> IndexState:
        """Return how it stands; not ready where it has to be made anew."""
        ...

    def close(self) -> None:
        """Close it. May be repeated."""
        ...


def check_scopes(scopes: Sequence[int]) -> list[int]:
    """Return the scopes as numbers, each once.

    This is the only thing an index is narrowed by, and it is no filter language: a pattern, a nested condition or a
    missing value, with which mem0's filters reach into others' memories, is a mistake in this program and not a search.

    Raises:
        TypeError: something is not a plain number.
    """
    if isinstance(scopes, str | bytes | dict) or any(type(scope) is not int for scope in scopes):
        raise TypeError("Scopes are given as a sequence of numbers.")
    return sorted(set(scopes))

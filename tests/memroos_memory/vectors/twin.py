"""The index without an index: all vectors in memory, each compared. To compare others with."""

from collections.abc import Sequence

import numpy as np

from memroos_contracts.memory_errors import IndexUnavailable, WrongDimension
from memroos_contracts.memory_work import Index, IndexState
from memroos_memory.embedders.ports import Vectors
from memroos_memory.vectors.ports import Point, check_scopes


class PlainIndex:
    """A `VectorIndex` in memory."""

    def __init__(self, dimension: int, identity: str = "") -> None:
        self.identity = identity
        self._dimension = dimension
        self._points: dict[int, Point] = {}
        self._next: tuple[str, int, dict[int, Point]] | None = None

    async def upsert(self, points: Sequence[Point], *, identity: str | None = None) -> None:
        """Put points in, or in anew; safe to repeat."""
        if identity is not None and identity != self.identity:
            raise IndexUnavailable("The index holds another embedder's vectors by now.", index=Index.VECTOR.value)
        for point in points:
            if point.vector.shape != (self._dimension,):
                raise WrongDimension(got=int(point.vector.size), wanted=self._dimension)
        self._points |= {point.item_seq: point for point in points}
        if self._next is not None and self._next[:2] == (self.identity, self._dimension):
            self._next[2].update({point.item_seq: point for point in points})

    async def remove(self, item_seqs: Sequence[int]) -> None:
        """Take points out; those that are not there are none."""
        for seq in item_seqs:
            self._points.pop(seq, None)
            if self._next is not None:
                self._next[2].pop(seq, None)

    async def search(self, vector: Vectors, scopes: Sequence[int], limit: int) -> list[tuple[int, float]]:
        """Return item numbers and cosines, nearest first."""
        visible = frozenset(check_scopes(scopes))
        if vector.shape != (self._dimension,):
            raise WrongDimension(got=int(vector.size), wanted=self._dimension)
        found = [
            (point.item_seq, float(np.dot(vector, point.vector)))
            for point in self._points.values()
            if point.scope_seq in visible
        ]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:limit]

    async def count(self) -> int:
        """Return how many points are in it."""
        return len(self._points)

    async def holds(self, points: Sequence[Point]) -> bool:
        """Check that points are there."""
        return all(point.item_seq in self._points for point in points)

    async def begin(self, identity: str, dimension: int) -> None:
        """Begin an index beside the one that answers."""
        self._next = (identity, dimension, {})

    async def fill(self, points: Sequence[Point], gone: Sequence[int] = ()) -> None:
        """Put points into the index that was begun, and take those that are gone out of it."""
        assert self._next is not None
        for seq in gone:
            self._next[2].pop(seq, None)
        self._next[2].update({point.item_seq: point for point in points})

    async def switch(self) -> None:
        """Let the index that was begun answer instead."""
        assert self._next is not None
        self.identity, self._dimension, self._points = self._next
        self._next = None

    def state(self) -> IndexState:
        """Return how it stands: it is always ready."""
        return IndexState(index=Index.VECTOR, ready=True, items=len(self._points))

    def close(self) -> None:
        """Do nothing."""

"""The graph in memory: what the port means, in the plainest words."""

from collections.abc import Sequence
from datetime import datetime

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_contracts.memory_work import Index, IndexState
from memroos_memory.graph import GraphCount, GraphEntry, GraphHit, Neighbour
from memroos_memory.graph.port import HOPS_MAX, HUB
from memroos_memory.graph.ranking import Reached, Said, choose, micros_or_none, names_of, neighbour, rank, said

_Entity = tuple[int, str]


class MemoryGraph:
    """Implements `Graph` with a dictionary, for tests."""

    def __init__(self) -> None:
        self._items: dict[tuple[int, int], Said] = {}
        self._whole = False
        self._closed = False

    async def put(self, scope_seq: int, entries: Sequence[GraphEntry]) -> None:
        """Let the graph say what these items say, and nothing that they said before."""
        self._check()
        for item in said(entries):
            self._items[scope_seq, item.item_seq] = item

    async def remove(self, scope_seq: int, item_seqs: Sequence[int]) -> None:
        """Take these items out."""
        self._check()
        for item_seq in item_seqs:
            self._items.pop((scope_seq, item_seq), None)

    async def items_of(
        self,
        scopes: Sequence[int],
        entities: Sequence[str],
        *,
        hops: int = 1,
        limit: int = 100,
        at: datetime | None = None,
    ) -> list[GraphHit]:
        """Return the items that mention one of these entities, or one related to them, best first."""
        self._check()
        mentions = self._mentions()
        depths = {(scope, name): 0 for scope in scopes for name in names_of(entities) if (scope, name) in mentions}
        for depth in range(min(max(hops, 0), HOPS_MAX)):
            walked = [one for one, found in depths.items() if found == depth and len(mentions[one]) <= HUB]
            for here, there in self._steps(micros_or_none(at)):
                if here in walked:
                    depths.setdefault(there, depth + 1)
        reached = [Reached(depth, len(mentions[one]), *one) for one, depth in depths.items()]
        return rank(choose(reached), mentions, limit)

    async def neighbours(
        self, scopes: Sequence[int], entities: Sequence[str], *, limit: int = 100, at: datetime | None = None
    ) -> list[Neighbour]:
        """Return the relations from and to these entities."""
        self._check()
        proofs: dict[tuple[int, str, str, str, int | None, int | None], list[int]] = {}
        names = set(names_of(entities))
        for (scope, item_seq), item in sorted(self._items.items()):
            triple = item.triple
            if scope not in scopes or triple is None or not _holds(item, micros_or_none(at)):
                continue
            if triple.subject in names or triple.object in names:
                key = (scope, triple.subject, triple.relation, triple.object, item.valid_from, item.valid_to)
                proofs.setdefault(key, []).append(item_seq)
        never = -(2**63)
        ordered = sorted(proofs, key=lambda key: (*key[:4], *(never if at is None else at for at in key[4:])))
        return [neighbour(key, proofs[key]) for key in ordered[: max(limit, 0)]]

    async def reset(self) -> None:
        """Empty it."""
        self._check()
        self._whole = False
        self._items.clear()

    async def complete(self) -> None:
        """Take note that everything in the truth has been put."""
        self._check()
        self._whole = True

    async def count(self) -> GraphCount:
        """Return how much is in it."""
        self._check()
        relations = sum(item.triple is not None for item in self._items.values())
        return GraphCount(len(self._items), len(self._mentions()), relations)

    async def state(self) -> IndexState:
        """Tell how it stands; never raises."""
        if self._closed:
            return IndexState(Index.GRAPH, ready=False, items=0, detail="The graph is closed.")
        detail = "" if self._whole else "It is being rebuilt."
        return IndexState(Index.GRAPH, ready=self._whole, items=len(self._items), detail=detail)

    async def close(self) -> None:
        """Let go of everything."""
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise IndexUnavailable("The graph is closed.", index=Index.GRAPH.value)

    def _mentions(self) -> dict[_Entity, list[int]]:
        found: dict[_Entity, list[int]] = {}
        for (scope, item_seq), item in self._items.items():
            for name in item.entities:
                found.setdefault((scope, name), []).append(item_seq)
        return found

    def _steps(self, at: int | None) -> list[tuple[_Entity, _Entity]]:
        ways: list[tuple[_Entity, _Entity]] = []
        for (scope, _), item in self._items.items():
            if item.triple is not None and _holds(item, at):
                subject, object_ = (scope, item.triple.subject), (scope, item.triple.object)
                ways += [(subject, object_), (object_, subject)]
        return ways


def _holds(item: Said, at: int | None) -> bool:
    since = item.valid_from is None or at is None or item.valid_from <= at
    return since and (item.valid_to is None or at is None or item.valid_to > at)

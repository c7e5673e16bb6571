"""What a graph does, whatever keeps it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from memroos_contracts.memory_items import Triple
from memroos_contracts.memory_work import IndexState

HOPS_MAX = 3
HUB = 1_000
"""An entity that more items mention says nothing about any of them: it is no answer, and no way to one. This is also
what bounds the work of a question."""

REACHED_MAX = 256
"""Entities that count for one question, nearest first, then those that are mentioned least."""

ROWS_MAX = 20_000
"""Steps from entity to entity that are looked at for one question; beyond, the rest is left out."""

ENTITIES_MAX = 64
"""Entities of one item that are kept."""


class GraphEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What an item says about entities."""

    item_seq: int
    item_id: str
    entities: tuple[str, ...] = ()
    """Names of what it mentions; subject and object of the triple count without being named here."""
    triple: Triple | None = None
    """The relation that it proves."""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    """Not including this instant."""


class GraphHit(msgspec.Struct, frozen=True):
    """An item that mentions what was asked for, or something related to it."""

    item_seq: int
    weight: float
    """The sum over the entities that led to it, each counting less the more items mention it and half with each
    hop."""
    hops: int
    """From the question's nearest entity."""


class Neighbour(msgspec.Struct, frozen=True):
    """A relation, and what proves it."""

    scope_seq: int
    subject: str
    relation: str
    object: str
    valid_from: datetime | None
    valid_to: datetime | None
    items: tuple[int, ...]
    """`item_seq` of the items that prove it for this interval, ascending."""


class GraphCount(msgspec.Struct, frozen=True):
    """How much is in it."""

    items: int
    entities: int
    relations: int


class Graph(Protocol):
    """Entities, relations, and the items that prove them; derived from the truth.

    All but `state` and `close` raise IndexUnavailable while it cannot be reached; then nothing of that call is done.
    What `put`, `remove` and `reset` have answered is durable. All may be repeated.
    """

    async def put(self, scope_seq: int, entries: Sequence[GraphEntry]) -> None:
        """Let the graph say what these items say, and nothing that they said before.

        Of several entries for one item the last counts.
        """
        ...

    async def remove(self, scope_seq: int, item_seqs: Sequence[int]) -> None:
        """Take these items out, with the relations they prove and the entities nobody else mentions."""
        ...

    async def items_of(
        self,
        scopes: Sequence[int],
        entities: Sequence[str],
        *,
        hops: int = 1,
        limit: int = 100,
        at: datetime | None = None,
    ) -> list[GraphHit]:
        """Return the items that mention one of these entities, or one related to them, best first.

        Args:
            scopes: where to look; nothing else is seen.
            entities: names in any way of writing.
            hops: how many relations to follow, 0 to 3.
            limit: most hits.
            at: follow only relations that are valid then; all where left out.
        """
        ...

    async def neighbours(
        self, scopes: Sequence[int], entities: Sequence[str], *, limit: int = 100, at: datetime | None = None
    ) -> list[Neighbour]:
        """Return the relations from and to these entities, by scope, subject, relation, object and interval."""
        ...

    async def reset(self) -> None:
        """Empty it; it is incomplete until `complete`."""
        ...

    async def complete(self) -> None:
        """Take note that everything in the truth has been put."""
        ...

    async def count(self) -> GraphCount:
        """Return how much is in it."""
        ...

    async def state(self) -> IndexState:
        """Tell how it stands; never raises."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...

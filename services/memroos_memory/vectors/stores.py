"""Stores of mem0's, made by its factory: the embedded one of ours, and its own for a Qdrant server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_contracts.memory_work import Index
from memroos_memory.embedders import mem0_setup
from memroos_memory.settings import MemorySettings

SCOPE = "scope"
"""The only field of a point."""

EDGE = "memroos_edge"
_EDGE_CLASS = "memroos_memory.vectors.edge_store.EdgeStore"


class Store(Protocol):
    """What is asked of a store: what mem0 asks, and what it lacks. Blocks, and raises whatever it likes."""

    def insert(self, vectors: Any, payloads: Any = None, ids: Any = None) -> None:
        """Put points in, or in anew."""
        ...

    def search(self, query: str, vectors: Any, top_k: int = 5, filters: Any = None) -> list[Any]:
        """Return hits with `id` and `score`, nearest first."""
        ...

    def delete_many(self, ids: Sequence[int]) -> None:
        """Take points out; those that are not there are none."""
        ...

    def count(self) -> int:
        """Return how many points there are."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

    def delete_col(self) -> None:
        """Let go of it, and remove what it holds."""
        ...


class ServerStore:
    """mem0's store on a Qdrant server, with the calls it lacks."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._client = store.client
        # mem0 makes indexes for its own fields; without one, a server looks at every point for each search.
        self._client.create_payload_index(store.collection_name, field_name=SCOPE, field_schema="integer")

    def insert(self, vectors: Any, payloads: Any = None, ids: Any = None) -> None:
        """Put points in, or in anew."""
        self._store.insert(vectors, payloads, ids)

    def search(self, query: str, vectors: Any, top_k: int = 5, filters: Any = None) -> list[Any]:
        """Return hits with `id` and `score`, nearest first."""
        found: list[Any] = self._store.search(query, vectors, top_k=top_k, filters=filters)
        return found

    def delete_many(self, ids: Sequence[int]) -> None:
        """Take points out; those that are not there are none."""
        self._client.delete(self._store.collection_name, points_selector=[int(seq) for seq in ids])

    def count(self) -> int:
        """Return how many points there are."""
        return int(self._client.count(self._store.collection_name, exact=True).count)

    def dimension(self) -> int:
        """Return the length of the vectors that the collection was made for."""
        return int(self._client.get_collection(self._store.collection_name).config.params.vectors.size)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def delete_col(self) -> None:
        """Remove the collection, and close the connection."""
        self._store.delete_col()
        self._client.close()


def open_edge(folder: Path, name: str, dimension: int) -> Store:
    """Open the embedded store in a folder, and make it where there is none."""
    factory = mem0_setup.part("mem0.utils.factory").VectorStoreFactory
    factory.provider_to_class[EDGE] = _EDGE_CLASS
    config = {"collection_name": name, "embedding_model_dims": dimension, "path": str(folder)}
    store: Store = factory.create(EDGE, config)
    return store


def open_server(settings: MemorySettings, name: str, dimension: int, *, client: Any = None) -> Store:
    """Open a collection of the Qdrant server, and make it where there is none.

    Raises:
        IndexUnavailable: the collection is for vectors of another length.
    """
    key = settings.qdrant_key.reveal() if settings.qdrant_key else None
    factory = mem0_setup.part("mem0.utils.factory").VectorStoreFactory
    connection = {"client": client} if client is not None else {"url": settings.qdrant_url, "api_key": key}
    made = factory.create("qdrant", {"collection_name": name, "embedding_model_dims": dimension, **connection})
    store = ServerStore(made)
    if (found := store.dimension()) != dimension:
        raise IndexUnavailable(f"The collection {name} holds vectors of {found} numbers.", index=Index.VECTOR.value)
    return store

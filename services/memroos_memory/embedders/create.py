"""Which embedder it is: the one the settings name, or an earlier one by its identity."""

import asyncio
from collections.abc import Sequence

import msgspec
import numpy as np

from memroos_contracts.memory_errors import EmbedderFailed
from memroos_memory.embedders import providers
from memroos_memory.embedders.hashing import HashEncoder
from memroos_memory.embedders.minilm import MiniLmEncoder
from memroos_memory.embedders.ports import Embedder, Encoder, Vectors
from memroos_memory.embedders.queue import QueuedEmbedder
from memroos_memory.settings import MemorySettings


def create_embedder(settings: MemorySettings) -> QueuedEmbedder:
    """Return the embedder that the settings name.

    Raises:
        EmbedderFailed: what it needs is not installed.
    """
    encoder: Encoder
    match settings.embedder:
        case "embedded":
            encoder = MiniLmEncoder()
        case "hash":
            encoder = HashEncoder(settings.embedder_dimension)
        case _:
            encoder = providers.provider_encoder(settings)
    return QueuedEmbedder(encoder, threads=settings.embedder_threads)


def embedder_of(identity: str, settings: MemorySettings) -> Embedder:
    """Return the embedder of an identity, to ask questions of vectors it made before the settings changed.

    One elsewhere is asked where the settings say, if they still name its provider; otherwise it is out of reach, and
    so is what its vectors could answer.
    """
    provider, _, rest = identity.partition("/")
    model, _, dimension = rest.rpartition("/")
    if provider == "embedded" and identity != MiniLmEncoder.identity:
        return UnreachableEmbedder(identity, int(dimension))
    if provider not in ("embedded", "hash") and provider != settings.embedder:
        return UnreachableEmbedder(identity, int(dimension))
    earlier = msgspec.structs.replace(
        settings, embedder=provider, embedder_model=model, embedder_dimension=int(dimension)
    )
    try:
        return create_embedder(earlier)
    except EmbedderFailed:  # no more installed
        return UnreachableEmbedder(identity, int(dimension))


class UnreachableEmbedder:
    """An embedder whose vectors are here, but which cannot be asked any more."""

    def __init__(self, identity: str, dimension: int) -> None:
        self.identity = identity
        self.dimension = dimension

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Raise `EmbedderFailed`, for any text."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        raise EmbedderFailed(
            f"{self.identity} is not configured any more; its successor's vectors are being made.",
            reason="not configured",
        )

    def close(self) -> None:
        """Do nothing."""


class CurrentEmbedder:
    """The embedder that answers now; another one can take its place while it is in use.

    Args:
        embedder: the one that answers.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def identity(self) -> str:
        """Return the identity of the one that answers now."""
        return self._embedder.identity

    @property
    def dimension(self) -> int:
        """Return the length of its vectors."""
        return self._embedder.dimension

    def now(self) -> Embedder:
        """Return the one that answers now, for work in which identity and vectors must belong together."""
        return self._embedder

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text, of length one."""
        return await self._embedder.embed(texts)

    async def switch(self, embedder: Embedder) -> None:
        """Let another one answer from now on, and close the one before."""
        before, self._embedder = self._embedder, embedder
        if before is not embedder:
            await asyncio.to_thread(before.close)

    def close(self) -> None:
        """Close the one that answers now."""
        self._embedder.close()

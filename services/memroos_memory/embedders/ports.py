"""What makes vectors out of texts, as everybody else sees it, and as each kind is written."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Makes vectors out of texts.

    Attributes:
        identity: provider, model and dimension: `embedded/all-MiniLM-L6-v2/384`. Vectors of two identities cannot be
            compared.
        dimension: length of a vector.
    """

    @property
    def identity(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text, of length one.

        Raises:
            EmbedderFailed: there is no usable answer.
            WrongDimension: the answer has another length than `dimension`.
        """
        ...

    def close(self) -> None:
        """End what runs in the background. May be repeated."""
        ...


class Encoder(Protocol):
    """One kind of embedder: blocks, and is called by the threads of a `QueuedEmbedder` only."""

    identity: str
    dimension: int
    batch: int
    """How many texts it takes best at once."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text, of any length."""
        ...

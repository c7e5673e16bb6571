"""Indexes of every kind, and vectors to put into them."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from memroos_memory.embedders import Vectors
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import Point, StoreIndex, open_index

T = TypeVar("T")

DIMENSION = 16
IDENTITY = f"hash/words/{DIMENSION}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Wait for something, as the loop would."""
    return asyncio.run(work)


def rows(number: int, dimension: int = DIMENSION, seed: int = 0) -> Vectors:
    """Vectors of length one, as they are after they were stored."""
    made = np.random.default_rng(seed).standard_normal((number, dimension)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made.astype(np.float16).astype(np.float32)


def points(vectors: Vectors, *, scopes: int = 1, first: int = 1) -> list[Point]:
    """The vectors as items, one after the other, spread over scopes."""
    return [Point(first + at, 1 + at % scopes, row) for at, row in enumerate(vectors)]


def settings(folder: Path) -> MemorySettings:
    """A memory service on a folder."""
    return MemorySettings(data_dir=folder, embedder="hash", embedder_dimension=DIMENSION)


def opened(folder: Path, expected: int = 0, identity: str = IDENTITY, dimension: int = DIMENSION) -> StoreIndex:
    """The embedded index of a folder."""
    return open_index(settings(folder), dimension, identity, expected)


def filled(folder: Path, some: Sequence[Point]) -> StoreIndex:
    """The embedded index of a folder, with points in it."""
    index = opened(folder)
    run(index.upsert(some))
    return index

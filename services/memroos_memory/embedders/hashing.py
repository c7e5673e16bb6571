"""Vectors out of hashed words, without a model: for tests, and for machines too small for one."""

import hashlib
from collections.abc import Sequence

import numpy as np

from memroos_kit.text.words import words_of
from memroos_memory.embedders.ports import Vectors


class HashEncoder:
    """Counts words, each in a place and with a sign that its hash gives: texts with common words are near."""

    batch = 256

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.identity = f"hash/words/{dimension}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text; a text without any word gets the row of the empty word."""
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in words_of(text) or [""]:
                hashed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
                row[hashed % self.dimension] += 1.0 if hashed >> 63 else -1.0
            if not row.any():  # words that cancel each other out
                row[0] = 1.0
        return rows

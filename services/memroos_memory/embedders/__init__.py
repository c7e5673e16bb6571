"""What makes vectors out of texts: a model inside this process, or one elsewhere through mem0's providers.

Whatever it is, it is asked through a line that puts requests together, and its vectors have length one.
"""

from memroos_memory.embedders.create import (
    CurrentEmbedder,
    UnreachableEmbedder,
    create_embedder,
    embedder_of,
)
from memroos_memory.embedders.ports import Embedder, Encoder, Vectors
from memroos_memory.embedders.queue import QueuedEmbedder

__all__ = [
    "CurrentEmbedder",
    "Embedder",
    "Encoder",
    "QueuedEmbedder",
    "UnreachableEmbedder",
    "Vectors",
    "create_embedder",
    "embedder_of",
    "text_of",
]


def text_of(speaker: str, text: str) -> str:
    """Return the text of an item as it is embedded: who said it belongs to it."""
    return f"{speaker}: {text}" if speaker else text

"""The way to the memory service."""

from memroos.memory.client.http import HttpMemoryStore

__all__ = ["HttpMemoryStore"]

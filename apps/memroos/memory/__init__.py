"""Memory, episodic part: what was said, made and done, kept as it was and searchable at once.

Each event stands in a stream, in order. A memory belongs to its author, to whom it was made for, and to the agent it
was addressed to; the people who run the workspace see all of it, except what is restricted. A ranking rests on the
reader's own scope alone.
"""

from memroos.memory.errors import NotYourStream
from memroos.memory.queries import find
from memroos.memory.service import (
    Event,
    append_event,
    disclose,
    ingest,
    list_events,
    list_own,
    read_event,
    recall,
    remember,
    remember_receipt,
    write_memory,
)
from memroos.memory.store import EpisodicStore, MemoryTwin

__all__ = [
    "append_event",
    "remember",
    "remember_receipt",
    "write_memory",
    "recall",
    "find",
    "disclose",
    "read_event",
    "list_events",
    "list_own",
    "ingest",
    "Event",
    "EpisodicStore",
    "MemoryTwin",
    "NotYourStream",
]

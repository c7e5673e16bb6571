"""Verbs of memory: `writing` keeps events, `reading` gives them out."""

from memroos.memory.service.reading import disclose, list_events, list_own, read_event, recall
from memroos.memory.service.writing import (
    TEXT_BYTES_MAX,
    Event,
    append_event,
    ingest,
    remember,
    remember_receipt,
    write_memory,
)

__all__ = [
    "TEXT_BYTES_MAX",
    "Event",
    "append_event",
    "disclose",
    "ingest",
    "list_events",
    "list_own",
    "read_event",
    "recall",
    "remember",
    "remember_receipt",
    "write_memory",
]

"""Verbs of memory.

`writing` keeps events, `reading` gives memories out, `removing` hides them, `effects` puts on record what the memory
service is asked to change, `traces` what was handed out, `handover` how far the log was brought there.
"""

from memroos.memory.service.reading import (
    disclose,
    disclose_context,
    disclose_history,
    disclose_item,
    disclose_items,
    list_events,
    list_own,
    read_event,
)
from memroos.memory.service.removing import remove_event
from memroos.memory.service.traces import read_traces
from memroos.memory.service.writing import (
    TEXT_BYTES_MAX,
    Event,
    append_event,
    remember,
    write_memories,
    write_memory,
)

__all__ = [
    "TEXT_BYTES_MAX",
    "Event",
    "append_event",
    "disclose",
    "disclose_context",
    "disclose_history",
    "disclose_item",
    "disclose_items",
    "list_events",
    "list_own",
    "read_event",
    "read_traces",
    "remember",
    "remove_event",
    "write_memories",
    "write_memory",
]

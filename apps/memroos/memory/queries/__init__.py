"""Reads of memory: `events` and the search for them.

What leaves here has not been decided upon yet: `service` asks policy and records it before content goes out.
"""

from memroos.memory.queries.events import (
    FOUND_BY,
    count_visible,
    item_of,
    list_of_author,
    list_stream,
    load,
    search,
)

__all__ = [
    "FOUND_BY",
    "count_visible",
    "item_of",
    "list_of_author",
    "list_stream",
    "load",
    "search",
]

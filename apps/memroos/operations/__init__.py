"""What the operator sees: read models over everything below.

Counts look across all slices at once, so they are read from the tables by name, in `queries.py` and nowhere else;
whatever concerns a single agent, task or approval is asked of its own slice.
"""

from memroos.operations.card_keys import list_card_keys, rotate_card_keys
from memroos.operations.errors import CardKeysNotKept
from memroos.operations.queries import Process, get_overview

__all__ = ["CardKeysNotKept", "Process", "get_overview", "list_card_keys", "rotate_card_keys"]

"""The truth: scopes, items and every version of them.

Each change of an item is an entry in the log of its scope; `item` is what follows from it. Nothing here decides who
may do what: the kernel has, and a viewer only says whose memories are looked at.
"""

from memroos_memory.items.authorizer import DecidedByKernel
from memroos_memory.items.changes import supersede, update
from memroos_memory.items.counts import inventory, stats
from memroos_memory.items.events import add_event
from memroos_memory.items.learned import Learned
from memroos_memory.items.learning import add_learned
from memroos_memory.items.listing import list_items
from memroos_memory.items.queries import get, history, learned_from, seq_of, views, views_at
from memroos_memory.items.removal import delete, remove_event
from memroos_memory.items.rollback import rollback
from memroos_memory.items.scopes import count_in, list_scopes, scope_for, scope_seq_of, visible_scopes
from memroos_memory.items.touched import JOURNAL, Touched

__all__ = [
    "JOURNAL",
    "DecidedByKernel",
    "Learned",
    "Touched",
    "add_event",
    "add_learned",
    "delete",
    "get",
    "history",
    "inventory",
    "learned_from",
    "list_items",
    "list_scopes",
    "remove_event",
    "rollback",
    "scope_for",
    "scope_seq_of",
    "count_in",
    "seq_of",
    "stats",
    "supersede",
    "update",
    "views",
    "views_at",
    "visible_scopes",
]

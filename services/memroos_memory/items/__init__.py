"""The truth: scopes, items and every version of them.

Each change of an item is an entry in the log of its scope; `item` is what follows from it. Nothing here decides who
may do what: the kernel has, and a viewer only says whose memories are looked at.
"""

from memroos_memory.items.announcer import Announcer, Touched
from memroos_memory.items.authorizer import DecidedByKernel
from memroos_memory.items.learned import Learned

__all__ = ["Announcer", "DecidedByKernel", "Learned", "Touched"]

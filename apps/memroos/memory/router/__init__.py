"""The doors' way to memory: the kernel's own log first, the memory service beside it.

`recalls` answers questions, `items` reads and changes what is remembered, `upkeep` looks after the service. The kernel
decides and records; the service is asked in between, never inside a transaction.
"""

from memroos.memory.router.items import Items
from memroos.memory.router.recalls import Recalls
from memroos.memory.router.recollection import Recollection, agent_actor
from memroos.memory.router.service import Service
from memroos.memory.router.upkeep import Upkeep

__all__ = ["Items", "Recalls", "Recollection", "Service", "Upkeep", "agent_actor"]

"""Memory: what was said, made and done, kept as it was, handed over to the memory service, and recalled.

Each event stands in a stream, in order, and is durable here before anything else happens to it. A memory belongs to its
author, to whom it was made for, and to the agent it was addressed to; the people who run the workspace see all of it,
except what is restricted. `HandOver` brings the log to the memory service; `Recalls`, `Items` and `Upkeep` ask it, and
do without it while it is away, as far as words alone lead.
"""

from memroos.memory.bell import Bell
from memroos.memory.client import HttpMemoryStore
from memroos.memory.errors import MemoryOutcomeUnknown, NotYourStream
from memroos.memory.queries.pending import count_backlog
from memroos.memory.queries.recollection import list_policies
from memroos.memory.router import Items, Recalls, Recollection, Service, Upkeep, agent_actor
from memroos.memory.service import (
    Event,
    append_event,
    disclose,
    list_events,
    list_own,
    read_event,
    read_traces,
    remember,
    remove_event,
    write_memories,
    write_memory,
)
from memroos.memory.service.recollection import delete_policy, put_policy
from memroos.memory.worker import HandOver, HandOverStanding, LookingBack, tidy_up

__all__ = [
    "Bell",
    "Event",
    "HandOver",
    "HandOverStanding",
    "HttpMemoryStore",
    "Items",
    "LookingBack",
    "MemoryOutcomeUnknown",
    "NotYourStream",
    "Recalls",
    "Recollection",
    "Service",
    "Upkeep",
    "agent_actor",
    "append_event",
    "count_backlog",
    "delete_policy",
    "disclose",
    "list_events",
    "list_own",
    "list_policies",
    "put_policy",
    "read_event",
    "read_traces",
    "remember",
    "remove_event",
    "tidy_up",
    "write_memories",
    "write_memory",
]

"""Who may find a memory.

A memory belongs to its author, to the principal for whom it was made, and to the agent it was addressed to. The people
who run a workspace find all of it, but what is restricted or secret: that stays with those it belongs to.
"""

from hashlib import blake2b

from memroos_contracts.identity import Actor, Role
from memroos_contracts.labels import is_private
from memroos_contracts.memory import MemoryEventView

EVERYTHING = ""
"""The reader for whom a workspace's memories are all there, but the private ones."""


def readers_of(event: MemoryEventView) -> list[str]:
    """Return for whom a memory counts: principals, and `EVERYTHING`."""
    agent = f"{Role.AGENT}:{event.agent_id}" if event.agent_id else ""
    readers = dict.fromkeys(name for name in (event.author, event.owner, agent) if name)
    return [*readers, *([] if is_private(event.label) else [EVERYTHING])]


def reader_of(actor: Actor) -> str:
    """Return as whom an actor reads: agents and services as themselves, people and the kernel as the workspace."""
    own = actor.role in {Role.AGENT, Role.SERVICE} and not _is_kernel(actor)
    return actor.principal if own else EVERYTHING


def agent_of(reader: str) -> str:
    """Return the id of the agent that a reader is; empty where it is none."""
    role, _, agent_id = reader.partition(":")
    return agent_id if role == Role.AGENT else ""


def can_read(actor: Actor, event: MemoryEventView) -> bool:
    """Answer whether a memory exists for somebody who asks for it by id.

    The kernel sees to all of them; everybody else finds by its id what a question would find, and what is their own.
    """
    return _is_kernel(actor) or not {reader_of(actor), actor.principal}.isdisjoint(readers_of(event))


def can_remove(actor: Actor, event: MemoryEventView) -> bool:
    """Answer whether somebody may ask for a memory's end: of what is private too, without having seen it."""
    return reader_of(actor) == EVERYTHING or can_read(actor, event)


def _is_kernel(actor: Actor) -> bool:
    return actor.role is Role.SERVICE and actor.id == "kernel"


def token(workspace: str, reader: str) -> str:
    """Return the word under which a reader's memories stand in the index; no other workspace has the same."""
    return "r" + blake2b(f"{workspace}\0{reader}".encode(), digest_size=10).hexdigest()

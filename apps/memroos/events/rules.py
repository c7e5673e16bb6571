"""Who sees which event, and what an event looks like on the wire."""

import msgspec

from memroos_contracts.events import EventView
from memroos_contracts.identity import Actor, Role, WorkspaceId
from memroos_kit.clock import from_micros

Row = tuple[int, str, int, str, str, str, str, str, str]
"""offset, id, at, workspace, type, subject, data, owner, agent: an event as it is stored."""

SEES_WORKSPACE = frozenset({Role.OPERATOR, Role.AUDITOR, Role.VIEWER})
"""Roles that see every event of their workspace; the others see what is their own or about them."""


class Filter(msgspec.Struct, frozen=True):
    """What a reader wants to see, and may."""

    workspace: WorkspaceId
    owner: str | None = None
    """Only events of this principal or about `agent`; None for those who see the whole workspace."""
    agent: str | None = None
    subject: str = ""
    """Only events about this; empty means any."""
    types: tuple[str, ...] = ()
    """Only these types; an entry such as `task` or `task.` stands for all that begin with it."""

    @classmethod
    def of(cls, actor: Actor, *, types: tuple[str, ...] = (), subject: str = "") -> "Filter":
        """Return the filter for an actor: it never shows more than the actor may see."""
        wide = actor.role in SEES_WORKSPACE
        return cls(
            workspace=actor.workspace,
            owner=None if wide else actor.principal,
            agent=None if wide else actor.agent,
            subject=subject,
            types=types,
        )

    def matches(self, row: Row) -> bool:
        """Tell whether a stored event is to be shown."""
        _, _, _, workspace, type_, subject, _, owner, agent = row
        return (
            workspace == self.workspace
            and (not self.subject or subject == self.subject)
            and (self.owner is None or owner == self.owner or (self.agent is not None and agent == self.agent))
            and self.takes(type_)
        )

    def takes(self, type_: str) -> bool:
        """Tell whether a type is among those asked for."""
        return not self.types or any(type_ == wish or type_.startswith(prefix_of(wish)) for wish in self.types)


def prefix_of(wish: str) -> str:
    """Return what a type begins with that a wish such as `task` or `task.` stands for."""
    return wish if wish.endswith(".") else f"{wish}."


def view(row: Row) -> EventView:
    """Return an event as callers see it."""
    offset, id_, at, workspace, type_, subject, data, owner, agent = row
    return EventView(
        offset, id_, WorkspaceId(workspace), type_, subject, msgspec.json.decode(data), owner, agent, from_micros(at)
    )


class _Wire(msgspec.Struct):
    """The same as `EventView`, with data that is already JSON."""

    offset: int
    id: str
    workspace_id: str
    type: str
    subject: str
    data: msgspec.Raw
    owner: str
    agent: str
    at: object


_encode = msgspec.json.Encoder().encode


def frame(row: Row) -> bytes:
    """Return an event as a server-sent event whose id is its offset."""
    offset, id_, at, workspace, type_, subject, data, owner, agent = row
    wire = _Wire(offset, id_, workspace, type_, subject, msgspec.Raw(data.encode()), owner, agent, from_micros(at))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (offset, _one_line(type_), _encode(wire))


def reset_frame(oldest: int) -> bytes:
    """Return the message that says: what you ask for is gone; read the present state, then go on from here."""
    return b'id: %d\nevent: reset\ndata: {"oldest":%d}\n\n' % (oldest - 1, oldest)


def position_frame(offset: int) -> bytes:
    """Return a message without data: it keeps the stream alive and moves the reader's last event id."""
    return b": keep-alive\nid: %d\n\n" % offset


def _one_line(text: str) -> bytes:
    return " ".join(text.split()).encode()

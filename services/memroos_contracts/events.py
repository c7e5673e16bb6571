"""The words of the event log."""

from datetime import datetime
from typing import Any

import msgspec

from memroos_contracts.identity import WorkspaceId


class EventView(msgspec.Struct, frozen=True):
    """Something that happened, for whoever wants to react to it."""

    offset: int
    """Its place in the log; never used twice."""
    id: str
    workspace_id: WorkspaceId
    type: str
    """`noun.past`, such as `task.released`."""
    subject: str
    """What it is about, such as a task's id."""
    data: dict[str, Any]
    owner: str
    """The principal that owns the subject; empty where the workspace does."""
    agent: str
    """The agent that it concerns, where there is one."""
    at: datetime


class EventLogPage(msgspec.Struct, frozen=True):
    """Part of the log, oldest first."""

    items: list[EventView]
    next_cursor: str | None
    """Pass it as `cursor` for what follows; None at the end of the log."""
    oldest: int
    """The oldest offset that is still kept."""
    newest: int
    """The offset of the newest event; 0 before the first."""

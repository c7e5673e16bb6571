"""The words of push notifications (A2A 1.0, 3.1.7 to 3.1.10 and 4.3)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType

import msgspec
from msgspec import Meta

from memroos_contracts.identity import TaskId, WorkspaceId

PushId = NewType("PushId", str)
ConfigId = Annotated[str, Meta(max_length=200)]


class PushState(StrEnum):
    """Whether notifications of a task still go to an address."""

    ACTIVE = "active"
    STOPPED = "stopped"  # it failed too often, or the receiver is gone; a replay starts it again
    DONE = "done"  # the task has ended and everything was delivered


class NewPushConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how to notify somebody about a task."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    id: ConfigId = ""
    """Yours; made when left out. Creating one with an id that you have used for this task replaces it."""
    token: Annotated[str, Meta(max_length=4096)] = ""
    """Sent back as `X-A2A-Notification-Token`; kept encrypted."""
    scheme: Annotated[str, Meta(max_length=64)] = ""
    credentials: Annotated[str, Meta(max_length=4096)] = ""
    """With `scheme`, the `Authorization` header of each notification; kept encrypted."""

    def __repr__(self) -> str:
        """Say nothing that is secret: this may stand in a log."""
        return f"NewPushConfig(id={self.id!r})"


class PushReplay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where to send again."""

    after_generation: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    """What came after this generation is sent again; 0 is everything, beginning with the task itself. Left out: go on
    where it stopped."""


class PushConfigView(msgspec.Struct, frozen=True):
    """Where a task's notifications go, and how far they have got."""

    id: PushId
    config_id: str
    """What its maker calls it, and A2A too; one of its kind among its owner's for this task."""
    task_id: TaskId
    workspace_id: WorkspaceId
    owner: str
    url: str
    has_token: bool
    scheme: str
    has_credentials: bool
    version: str
    """The A2A version in which notifications are written."""
    state: PushState
    delivered_generation: int
    """Everything up to here has been taken by the other side."""
    failures: int
    """In a row."""
    last_status: int | None
    """HTTP status of the last try, None where no answer came."""
    last_error: str
    last_try_at: datetime | None
    next_try_at: datetime | None
    created_at: datetime


class PushTryView(msgspec.Struct, frozen=True):
    """One try to deliver one event."""

    id: str
    generation: int
    at: datetime
    status: int | None
    """The HTTP status that came back, None where no answer came."""
    error: str
    """Why it does not count; empty where it was taken."""

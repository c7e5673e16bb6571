"""The words of the memory service's truth: items, their versions, scopes, and what can be done to them.

An item is whatever is remembered: an event as it was said (L0), or what was derived from events. Each change of an
item is a new version in the log of its scope; nothing is overwritten. Time has two axes: when something holds in the
world (`valid_from`, `valid_to`), and when the service knew it (`recorded_at`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory_filters import Filter

Text = Annotated[str, Meta(min_length=1, max_length=65_536)]
Name = Annotated[str, Meta(max_length=200)]
Instant = Annotated[datetime, Meta(tz=True)]
Confidence = Annotated[float, Meta(ge=0, le=1)]


class ItemKind(StrEnum):
    """What an item is."""

    EVENT = "event"  # as it was said, made or done
    FACT = "fact"
    STATE = "state"  # a fact of which there is one at a time: where somebody lives
    PREFERENCE = "preference"
    PROCEDURE = "procedure"
    SKILL = "skill"
    TOOL = "tool"
    SUMMARY = "summary"


class ItemStatus(StrEnum):
    """Where an item stands."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"  # something newer says otherwise; still there for "before" and `as_of`
    DELETED = "deleted"  # found by no read path; its versions stay in the log until they are erased


class Change(StrEnum):
    """What made a version."""

    ADD = "add"
    UPDATE = "update"
    SEEN = "seen"  # said again: more sources, a higher count
    SUPERSEDE = "supersede"
    CONTEST = "contest"  # something else says otherwise, and neither replaces the other
    DELETE = "delete"
    ROLLBACK = "rollback"


class Triple(msgspec.Struct, frozen=True):
    """Who, what, whom: a fact in the form in which it can be compared."""

    subject: str
    relation: str
    """In snake case: `lives_in`."""
    object: str


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is remembered, as it stands or as it stood."""

    id: str
    """An event keeps the id it has in the kernel (`mem_...`); what is derived has one of its own (`itm_...`)."""
    workspace_id: WorkspaceId
    scope_id: str = ""
    """Whose log it stands in (`scp_...`); empty where only the kernel's episodic store answered."""
    kind: ItemKind = ItemKind.EVENT
    event_kind: str = ""
    """For an event: message, artifact, memory, receipt."""
    text: str | None
    """None where policy leaves it out."""
    triple: Triple | None = None
    sources: tuple[str, ...] = ()
    """The events it rests on; never empty for what is derived."""
    stream: str = ""
    stream_seq: int = 0
    speaker: str = ""
    """Who said it, where that is not the author: the name of a person in a conversation."""
    author: str = ""
    owner: str = ""
    agent_id: str = ""
    user_id: str = ""
    run_id: str = ""
    task_id: str = ""
    context_id: str = ""
    data: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    label: Label = INTERNAL
    confidence: float = 1.0
    occurred_at: datetime | None = None
    """When it was said or happened."""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    """Not including this instant; None: it still holds, or nobody knows until when."""
    recorded_at: datetime
    """When this version was written."""
    status: ItemStatus = ItemStatus.ACTIVE
    supersedes: str = ""
    superseded_by: str = ""
    contested: bool = False
    """Whether another item says otherwise, and neither replaces the other."""
    contradicts: tuple[str, ...] = ()
    seen_count: int = 1
    echo: bool = False
    """Whether it repeats what recall had handed out before; nothing is learned from it."""
    digest: str = ""
    """`sha256:` and the hash of the text, hex."""
    version: int = 1
    log_seq: int = 0
    """The place of this version in its scope's log."""


class VersionView(msgspec.Struct, frozen=True):
    """One entry of a scope's log: an item as it was from then on."""

    item: ItemView
    change: Change
    actor: str
    """The principal that changed it; `service:memory` for the pipeline."""
    reason: str = ""
    operation: str = ""
    """What belongs together: all entries of one rollback have the same."""


class ItemChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of an item is to be otherwise; what is left out stays. The version before stays in its history."""

    text: Text | None = None
    label: Label | None = None
    confidence: Confidence | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    data: dict[str, Any] | None = None
    if_version: int | None = None
    """Refuse the change when the item is at another version."""
    reason: Name = ""


class Successor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds instead of an item: another item that is there, or a new text."""

    text: Text | None = None
    item_id: Name | None = None
    valid_from: Instant | None = None
    """From when; now where left out. The old item holds until then."""
    reason: Name = ""


class RollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to take a scope back to."""

    to_seq: Annotated[int, Meta(ge=0)]
    """The state after this entry of its log; where one operation made several entries, after the last of them. To undo
    a rollback, name the entry before it."""
    dry_run: bool = False
    reason: Name = ""


class RollbackReport(msgspec.Struct, frozen=True):
    """What a rollback did, or would do."""

    scope_id: str
    to_seq: int
    before_seq: int
    """The last entry before it; rolling back to this undoes it."""
    after_seq: int
    changed: list[str]
    """Ids of the items that stand otherwise now."""
    operation: str
    dry_run: bool = False


class ScopeView(msgspec.Struct, frozen=True):
    """A log of its own: what the same readers may see, about the same user."""

    id: str
    readers: tuple[str, ...]
    """The principals to whom it belongs."""
    private: bool
    """Restricted or secret: not for those who run the workspace."""
    user_id: str
    items: int
    last_seq: int
    created_at: datetime


class ItemQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which items to list, oldest first."""

    filter: Filter | None = None
    kinds: Annotated[tuple[ItemKind, ...], Meta(max_length=8)] = ()
    statuses: Annotated[tuple[ItemStatus, ...], Meta(max_length=3)] = (ItemStatus.ACTIVE,)
    """`deleted` is never listed."""
    scope_id: Name | None = None
    user_id: Name | None = None
    agent_id: Name | None = None
    as_of: Instant | None = None
    """What held at this time."""
    known_at: Instant | None = None
    """As the service knew it then."""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: str | None = None


class Viewer(msgspec.Struct, frozen=True):
    """On whose behalf the kernel asks the service; the service takes it from the kernel only."""

    workspace_id: WorkspaceId
    reader: str
    """The principal whose memories are asked; empty: all of the workspace but what is private."""
    principal: str = ""
    """Who acts, for the log."""

"""The words of memory: raw events per stream (L0), recall, and the port to a store that remembers."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import WorkspaceId

Text = Annotated[str, Meta(min_length=1, max_length=65_536)]
Name = Annotated[str, Meta(max_length=200)]
QueryText = Annotated[str, Meta(min_length=1, max_length=4_000)]
Instant = Annotated[datetime, Meta(tz=True)]
Limit = Annotated[int, Meta(ge=1, le=100)]


class MemoryKind(StrEnum):
    """What an event is."""

    MESSAGE = "message"  # what was said in a task
    ARTIFACT = "artifact"  # what a task produced
    MEMORY = "memory"  # what an agent wants to keep
    RECEIPT = "receipt"  # what an agent did


class Arm(StrEnum):
    """A way of finding memories."""

    LEXICAL = "lexical"
    VECTOR = "vector"
    GRAPH = "graph"
    TEMPORAL = "temporal"


class MemoryEventView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was said, made, done or noted: as it was, never changed."""

    id: str
    workspace_id: WorkspaceId
    stream: str
    stream_seq: int
    """Its place in the stream, from 1, without gaps."""
    kind: MemoryKind
    author: str
    """The principal it comes from."""
    owner: str = ""
    """The principal for whom it was done, where that is another."""
    agent_id: str = ""
    """The agent it was addressed to or is about."""
    user_id: str = ""
    run_id: str = ""
    task_id: str = ""
    context_id: str = ""
    text: str | None
    """None where policy leaves it out."""
    data: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    """Where it comes from: message, artifact, tool, document."""
    label: Label = INTERNAL
    digest: str
    """`sha256:` and the hash of the text, hex."""
    created_at: datetime


class NewMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent wants to be kept: a memory, or a receipt of what it did."""

    text: Text
    kind: MemoryKind = MemoryKind.MEMORY
    """`memory` or `receipt`."""
    action: Name = ""
    """For a receipt: what was done, such as `file.write`."""
    outcome: Name = ""
    """For a receipt: how it ended."""
    stream: Name = ""
    """A part of the caller's own stream, such as `notes`."""
    user_id: Name = ""
    """The person it is about or was done for."""
    run_id: Name = ""
    task_id: Name = ""
    context_id: Name = ""
    data: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    label: Label = INTERNAL


class RecallRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question to memory. Filters narrow what the caller may see; none can widen it."""

    query: QueryText
    limit: Limit = 10
    kinds: Annotated[tuple[MemoryKind, ...], Meta(max_length=8)] = ()
    stream: Name | None = None
    author: Name | None = None
    agent_id: Name | None = None
    user_id: Name | None = None
    run_id: Name | None = None
    task_id: Name | None = None
    context_id: Name | None = None
    since: Instant | None = None
    until: Instant | None = None
    """Not including this instant."""


class RecallItem(msgspec.Struct, frozen=True):
    """Something that was found, and why."""

    event: MemoryEventView
    score: float
    snippet: str
    """The passage in which most of the question's words stand."""
    sources: tuple[str, ...]
    """Ids of the events it rests on."""
    lexical: dict[str, float]
    """What each word of the question, as it is indexed, adds to the score."""


class RecallResult(msgspec.Struct, frozen=True):
    """What was found, best first."""

    items: list[RecallItem]
    arms: tuple[Arm, ...]
    """Which ways of finding were used."""
    missing: tuple[Arm, ...]
    """Which were not there: an answer may be less good than usual."""
    documents: int = 0
    """How many events the caller's scope holds."""


class RecallQuery(msgspec.Struct, frozen=True):
    """A question on behalf of somebody, as a store gets it."""

    workspace_id: WorkspaceId
    reader: str
    """The principal whose memories are asked; empty: all of the workspace but what is restricted."""
    request: RecallRequest


class IngestReport(msgspec.Struct, frozen=True):
    """What a store did with a batch of events."""

    stored: int
    known: int
    """How many it had already."""


class MemoryHealth(msgspec.Struct, frozen=True):
    """Whether a store can answer."""

    ready: bool
    arms: tuple[Arm, ...]
    events: int
    detail: str = ""


class MemoryStore(Protocol):
    """Keeps events and finds them again."""

    async def ingest(self, events: Sequence[MemoryEventView]) -> IngestReport:
        """Take over events, in this order. An event that is known by its id is left as it is, so it may be repeated."""
        ...

    async def recall(self, query: RecallQuery) -> RecallResult:
        """Find what answers a question among what its reader may see; nothing else has any influence on the answer."""
        ...

    async def health(self) -> MemoryHealth:
        """Tell whether it can answer; never raises."""
        ...

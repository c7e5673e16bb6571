"""The words of memory: raw events per stream (L0), how they come to the memory service, and recall.

What the service keeps beyond events is in `memory_items`, how it is filtered in `memory_filters`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory_filters import Filter
from memroos_contracts.memory_items import Instant, ItemKind, ItemView, Name, Text

QueryText = Annotated[str, Meta(min_length=1, max_length=4_000)]
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
    RECENCY = "recency"
    EPISODIC = "episodic"  # the kernel's own events: what answers while the service is away or behind


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
    speaker: str = ""
    """Who said it, where that is not the author: the name of a person in a conversation."""
    occurred_at: datetime | None = None
    """When it was said or happened, where that is not when it was recorded."""
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
    speaker: Name = ""
    """Who said it, by name, where a conversation of others is kept."""
    occurred_at: Instant | None = None
    """When it was said or happened; now where left out."""
    data: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    label: Label = INTERNAL


class NewMemories(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several memories, kept in this order: all of them or none."""

    memories: Annotated[tuple[NewMemory, ...], Meta(min_length=1, max_length=100)]


class KeptMemories(msgspec.Struct, frozen=True):
    """What was kept, in the same order."""

    items: list[MemoryEventView]


class RecallRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question to memory. Filters narrow what the caller may see; none can widen it."""

    query: QueryText
    limit: Limit = 10
    kinds: Annotated[tuple[MemoryKind, ...], Meta(max_length=8)] = ()
    """Only events of these kinds."""
    item_kinds: Annotated[tuple[ItemKind, ...], Meta(max_length=8)] = ()
    """Only items of these kinds, such as `fact`; left out: events, each with what was learned from it."""
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
    filter: Filter | None = None
    as_of: Instant | None = None
    """What held at this time."""
    known_at: Instant | None = None
    """As memory knew it then."""
    reference_time: Instant | None = None
    """What "yesterday" in the question counts from; now where left out."""
    window: Annotated[int, Meta(ge=0, le=5)] = 0
    """How many turns before and after each hit are given with it."""
    diversity: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """How much a hit that says the same as a better one is put back."""
    floor: bool = True
    """Whether an unrelated question gets an empty answer."""
    explain: bool = False


class ArmPart(msgspec.Struct, frozen=True):
    """What one way of finding thought of a hit."""

    rank: int
    """From 1; 0 where this arm did not find it by itself."""
    score: float
    """In the arm's own measure."""
    part: float
    """What that adds to the hit's score."""


class RecallItem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was found, and why."""

    item: ItemView
    score: float
    snippet: str
    """The passage in which most of the question's words stand."""
    sources: tuple[str, ...]
    """Ids of the events it rests on."""
    lexical: dict[str, float] = {}
    """What each word of the question, as it is indexed, adds to the lexical score."""
    facts: list[ItemView] = []
    """What was learned from it and bears on the question."""
    superseded_by: str = ""
    """The item that holds instead of what it says about the question."""
    neighbours: list[ItemView] = []
    """The turns around it, where a window was asked for."""
    arms: dict[Arm, ArmPart] = {}
    """Each arm's part, where an explanation was asked for."""


class RecallResult(msgspec.Struct, frozen=True):
    """What was found, best first."""

    items: list[RecallItem]
    arms: tuple[Arm, ...]
    """Which ways of finding were used."""
    missing: tuple[Arm, ...]
    """Which were not there: an answer may be less good than usual."""
    documents: int = 0
    """How many items the caller's scope holds."""
    pending: int = 0
    """How many events of those you may see the memory service has not taken over yet; they are searched by words
    only."""
    detail: str = ""
    """Why an arm is missing."""


class RecallQuery(msgspec.Struct, frozen=True):
    """A question on behalf of somebody, as the memory service gets it."""

    workspace_id: WorkspaceId
    reader: str
    """The principal whose memories are asked; empty: all of the workspace but what is restricted."""
    request: RecallRequest
    vector: tuple[float, ...] | None = None
    """The question's embedding, where it was computed before; for measurements."""
    principal: str = ""
    """To whom the answer goes: what is handed to it is not learned again from it."""


class ContextRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question whose answer is to be put into a prompt."""

    recall: RecallRequest
    token_budget: Annotated[int, Meta(ge=16, le=100_000)] = 800
    """Most tokens of the text, heading included; one is counted for four characters."""
    format: Literal["text", "markdown", "xml"] = "text"
    purpose: Name = ""


class ContextResult(msgspec.Struct, frozen=True):
    """A text that fits a budget, and what it rests on."""

    text: str
    """Empty where nothing was found that bears on the question."""
    tokens: int
    token_budget: int
    items: list[RecallItem]
    """What is in the text, in its order."""
    left_out: int
    """How many hits did not fit."""
    arms: tuple[Arm, ...]
    missing: tuple[Arm, ...]
    detail: str = ""


class IngestEvent(msgspec.Struct, frozen=True):
    """An event on its way to the service, with for whom it counts."""

    event: MemoryEventView
    readers: tuple[str, ...]
    """The principals to whom it belongs."""
    private: bool
    """Restricted or secret: not for those who run the workspace."""
    position: int
    """Its place in the kernel's log; the service reports how far it is."""


class Removal(msgspec.Struct, frozen=True):
    """An event that may not be found any more."""

    event_id: str
    workspace_id: WorkspaceId
    actor: str
    position: int
    reason: str = ""
    id: str = ""
    """Which removal it is: brought again it changes nothing, and after a rollback a new one removes again."""


class IngestReport(msgspec.Struct, frozen=True):
    """What the memory service did with a batch of events."""

    stored: int
    known: int
    """How many it had already."""

"""The words of the memory service's own work: jobs, dead letters, indexes, counts."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from memroos_contracts.memory import Arm
from memroos_contracts.memory_items import ItemKind, Name


class JobLabel(StrEnum):
    """What a job does; also its place in line."""

    EMBED = "embed"  # vectors for items
    DERIVE = "derive"  # facts by rules
    EXTRACT = "extract"  # facts by a model
    GRAPH = "graph"  # entities and relations into the graph
    VECTOR = "vector"  # vectors into the vector index
    REINDEX = "reindex"  # an index anew, out of the truth
    REEMBED = "reembed"  # vectors by another embedder


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"  # tried in vain as often as allowed; it waits for somebody to replay it


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the service's work."""

    id: str
    label: JobLabel
    state: JobState
    scope_id: str = ""
    """Empty for work on a whole index."""
    items: int = 0
    done: int = 0
    """How far it is, for work that takes long."""
    attempts: int = 0
    error: str = ""
    not_before: datetime | None = None
    created_at: datetime
    updated_at: datetime


class JobCounts(msgspec.Struct, frozen=True):
    """How much work there is."""

    waiting: int
    running: int
    dead: int


class ReplayReport(msgspec.Struct, frozen=True):
    """What was put back into line."""

    replayed: int


class Index(StrEnum):
    """What is derived from the truth and can be made anew."""

    LEXICAL = "lexical"
    VECTOR = "vector"
    GRAPH = "graph"


class ReindexRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which indexes to make anew; all where none is named."""

    indexes: Annotated[tuple[Index, ...], Meta(max_length=3)] = ()


class IndexState(msgspec.Struct, frozen=True):
    """How an index stands."""

    index: Index
    ready: bool
    items: int
    detail: str = ""


class EmbedderView(msgspec.Struct, frozen=True):
    """What makes vectors out of texts."""

    identity: str
    """Provider, model and dimension: `embedded/all-MiniLM-L6-v2/384`."""
    dimension: int
    state: str
    """`active`, `building` (its vectors are being made; the one before still answers) or `retired`."""
    vectors: int


class MemoryStats(msgspec.Struct, frozen=True, kw_only=True):
    """How the memory service stands, in what the caller may see; counts of others' memories are not in it."""

    ready: bool
    items: int = 0
    by_kind: dict[ItemKind, int] = {}
    superseded: int = 0
    contested: int = 0
    scopes: int = 0
    jobs: JobCounts | None = None
    indexes: list[IndexState] = []
    embedders: list[EmbedderView] = []
    arms: tuple[Arm, ...] = ()
    model: str = ""
    """The model that extracts facts; empty where rules do."""
    database_bytes: int = 0
    index_bytes: int = 0
    pending: int = 0
    """Events the service has not taken over yet."""
    detail: str = ""


class InventoryRow(msgspec.Struct, frozen=True):
    """How much is remembered for one scope."""

    scope_id: str
    readers: tuple[str, ...]
    user_id: str
    items: int
    by_kind: dict[ItemKind, int]
    characters: int
    oldest_at: datetime | None
    newest_at: datetime | None
    last_seq: int


class WaitRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wait until the work that is waiting now is done."""

    wait_s: Annotated[float, Meta(ge=0, le=60)] = 10.0
    scope_id: Name | None = None


class WaitReport(msgspec.Struct, frozen=True):
    """Whether it is done."""

    idle: bool
    jobs: JobCounts
    pending: int = 0

"""The memory service's tables; all are written by hot statements only.

`item_version` is the log: every change of an item, numbered within its scope, never changed. `item` is what follows
from it, the state as it stands; so are the lexical index and the vectors.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, LargeBinary, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from memroos_contracts.memory_items import Change, ItemKind, ItemStatus
from memroos_contracts.memory_work import JobLabel, JobState
from memroos_kit.db import Base as _KitBase
from memroos_kit.db import append_only, by_value
from memroos_kit.db.base import NAMING


class Base(DeclarativeBase):
    """The base of this service's tables; the kernel's are elsewhere."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = dict(_KitBase.type_annotation_map)


class Scope(Base):
    """What the same readers may see, about the same user: a log of its own, and statistics of its own."""

    __tablename__ = "scope"
    __table_args__ = (UniqueConstraint("workspace_id", "readers", "private", "user_id"),)

    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    readers: Mapped[str] = mapped_column(Text)  # JSON list, sorted
    private: Mapped[int]
    user_id: Mapped[str] = mapped_column(String(200))
    last_seq: Mapped[int]  # of its log
    items: Mapped[int]  # that are not deleted
    created_at: Mapped[datetime]


class ScopeReader(Base):
    """Who may see a scope: its readers and, unless it is private, the empty name for those who run the workspace."""

    __tablename__ = "scope_reader"
    __table_args__ = ({"sqlite_with_rowid": False},)

    workspace_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    reader: Mapped[str] = mapped_column(String(260), primary_key=True)
    scope_seq: Mapped[int] = mapped_column(primary_key=True)


class Item(Base):
    """An item as it stands."""

    __tablename__ = "item"
    __table_args__ = (
        Index("ix_item_stream", "scope_seq", "stream", "stream_seq"),
        Index("ix_item_scope", "scope_seq", "seq"),
        Index("ix_item_digest", "scope_seq", "digest"),
        Index(
            "ix_item_fact",
            *("scope_seq", "subject", "relation", "valid_from", "valid_to", "object"),
            sqlite_where=text("subject IS NOT NULL"),
        ),
        Index("ix_item_when", "scope_seq", "occurred_at"),
        Index("ix_item_superseded_by", "scope_seq", "superseded_by", sqlite_where=text("superseded_by <> ''")),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    scope_seq: Mapped[int]
    # what it is, from the beginning
    kind: Mapped[ItemKind] = mapped_column(by_value(ItemKind))
    event_kind: Mapped[str] = mapped_column(String(32))
    stream: Mapped[str] = mapped_column(String(260))
    stream_seq: Mapped[int]
    speaker: Mapped[str] = mapped_column(String(200))
    author: Mapped[str] = mapped_column(String(128))
    owner: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(200))
    run_id: Mapped[str] = mapped_column(String(200))
    task_id: Mapped[str] = mapped_column(String(200))
    context_id: Mapped[str] = mapped_column(String(200))
    source: Mapped[dict[str, Any] | None]
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime]  # when the service took it over: the `recorded_at` of version 1
    echo: Mapped[int]
    # as its newest version says
    version: Mapped[int]
    log_seq: Mapped[int]
    recorded_at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(80))
    subject: Mapped[str | None] = mapped_column(String(400))
    relation: Mapped[str | None] = mapped_column(String(200))
    object: Mapped[str | None] = mapped_column(Text)
    sources: Mapped[list[Any]]
    data: Mapped[dict[str, Any] | None]
    label: Mapped[str] = mapped_column(Text)  # JSON
    confidence: Mapped[float]
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    status: Mapped[ItemStatus] = mapped_column(by_value(ItemStatus))
    supersedes: Mapped[str] = mapped_column(String(64))
    superseded_by: Mapped[str] = mapped_column(String(64))
    contested: Mapped[int]
    contradicts: Mapped[list[Any]]
    seen_count: Mapped[int]
    # for the lexical arm
    words: Mapped[int]  # length of the text, in words as they are indexed
    meta_words: Mapped[int]  # of the speaker's name and the date


class ItemSource(Base):
    """That an item was once derived from an event; whether it still rests on it, the item says."""

    __tablename__ = "item_source"
    __table_args__ = ({"sqlite_with_rowid": False},)

    event_seq: Mapped[int] = mapped_column(primary_key=True)
    item_seq: Mapped[int] = mapped_column(primary_key=True)


class ItemVersion(Base):
    """One entry of a scope's log: an item as it was from then on."""

    __tablename__ = "item_version"
    __table_args__ = (
        UniqueConstraint("item_seq", "version"),
        {"sqlite_with_rowid": False},
    )

    scope_seq: Mapped[int] = mapped_column(primary_key=True)
    log_seq: Mapped[int] = mapped_column(primary_key=True)
    item_seq: Mapped[int]
    version: Mapped[int]
    change: Mapped[Change] = mapped_column(by_value(Change))
    actor: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)
    operation: Mapped[str] = mapped_column(String(80))
    recorded_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(Text)  # JSON of what can change, defaults left out


class Embedder(Base):
    """What makes vectors; one is active, one may be building."""

    __tablename__ = "embedder"

    seq: Mapped[int] = mapped_column(primary_key=True)
    identity: Mapped[str] = mapped_column(String(200), unique=True)
    dimension: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]


class ItemVector(Base):
    """An item's vector, as it counts: 16-bit floats, normalised, little-endian."""

    __tablename__ = "item_vector"
    __table_args__ = ({"sqlite_with_rowid": False},)

    embedder_seq: Mapped[int] = mapped_column(primary_key=True)
    item_seq: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(80))  # of the text it was made from
    value: Mapped[bytes] = mapped_column(LargeBinary)


_WAITING = text("state = 'waiting'")


class Job(Base):
    """A piece of work that is to be done, is being done, or could not be done."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_line", "state", "label", "priority", "scope_seq", "not_before", sqlite_where=_WAITING),
        Index("ix_job_scope", "scope_seq", "state"),
        Index("ix_job_state", "state", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    label: Mapped[JobLabel] = mapped_column(by_value(JobLabel))
    priority: Mapped[int]  # less is sooner
    scope_seq: Mapped[int]  # 0: of a whole index
    state: Mapped[JobState] = mapped_column(by_value(JobState))
    items: Mapped[list[Any]]  # item_seq
    payload: Mapped[dict[str, Any] | None]
    done: Mapped[int]
    attempts: Mapped[int]
    error: Mapped[str] = mapped_column(Text)
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    token: Mapped[int]  # fences off whoever lost the lease
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class EchoMark(Base):
    """That a sentence was handed out to somebody: said by them again, it is an echo."""

    __tablename__ = "echo_mark"
    __table_args__ = (Index("ix_echo_mark_at", "at"), {"sqlite_with_rowid": False})

    reader: Mapped[str] = mapped_column(String(260), primary_key=True)  # workspace and principal
    digest: Mapped[int] = mapped_column(primary_key=True)  # of the sentence's words, 63 bit
    at: Mapped[datetime]


class Intake(Base):
    """How far the kernel's log has been taken over."""

    __tablename__ = "intake"

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int]


class RecallEval(Base):
    """The outcome of a recall evaluation."""

    __tablename__ = "recall_eval"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64), index=True)
    result: Mapped[dict[str, Any]]
    embedder: Mapped[str] = mapped_column(String(200))
    program: Mapped[str] = mapped_column(String(40))
    by: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime]


# The index holds words as `memroos_kit.text.words` makes them, each after its scope's number and an `x` (`12xdog`), so
# that every scope has a vocabulary, and statistics, of its own. A row's id is the item's `seq`.
DDL: tuple[str, ...] = (
    *append_only("item_version"),
    "CREATE VIRTUAL TABLE lexical_index USING fts5(words, meta, content='', contentless_delete=1, "
    "detail=full, tokenize='ascii')",
    "CREATE VIRTUAL TABLE lexical_terms USING fts5vocab(lexical_index, instance)",
)

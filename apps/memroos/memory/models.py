"""Memory's tables; all are written by hot statements only."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from memroos_contracts.memory import MemoryKind
from memroos_kit.db import Base, append_only, by_value


class MemoryEvent(Base):
    """A raw event (L0), as it was."""

    __tablename__ = "memory_event"
    __table_args__ = (
        UniqueConstraint("workspace_id", "stream", "stream_seq"),
        Index("ix_memory_event_author", "workspace_id", "author", "seq"),
        Index("ix_memory_event_task", "task_id", sqlite_where=text("task_id <> ''")),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    stream: Mapped[str] = mapped_column(String(260))
    stream_seq: Mapped[int]
    kind: Mapped[MemoryKind] = mapped_column(by_value(MemoryKind))
    author: Mapped[str] = mapped_column(String(128))
    owner: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(200))
    run_id: Mapped[str] = mapped_column(String(200))
    task_id: Mapped[str] = mapped_column(String(200))
    context_id: Mapped[str] = mapped_column(String(200))
    speaker: Mapped[str] = mapped_column(String(200), server_default="")
    occurred_at: Mapped[datetime | None]
    text: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any] | None]
    source: Mapped[dict[str, Any] | None]
    label: Mapped[str] = mapped_column(Text)
    private: Mapped[int]  # restricted or secret: not for those who see the workspace
    digest: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]


class MemoryScope(Base):
    """How many events and words a reader's scope holds: what a ranking needs to know, of nobody else's."""

    __tablename__ = "memory_scope"
    __table_args__ = ({"sqlite_with_rowid": False},)

    token: Mapped[str] = mapped_column(String(32), primary_key=True)
    documents: Mapped[int]
    words: Mapped[int]


class MemoryRemoval(Base):
    """That somebody had a memory removed, and its place among the events that are handed over."""

    __tablename__ = "memory_removal"
    __table_args__ = ({"sqlite_autoincrement": True},)

    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    target_id: Mapped[str] = mapped_column(String(64))  # an event's id, or an item's
    after_seq: Mapped[int]  # the newest event at that time: the removal is handed over after it
    reader: Mapped[str] = mapped_column(String(260))  # as whom the actor reads, for an item
    actor: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]


class MemoryHidden(Base):
    """What was removed and not brought back: found by no read path, whatever the memory service still says."""

    __tablename__ = "memory_hidden"
    __table_args__ = ({"sqlite_with_rowid": False},)

    target_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    removal_seq: Mapped[int]


class MemoryHandover(Base):
    """How far the log of events is handed over to the memory service: the one row of the cursor."""

    __tablename__ = "memory_handover"

    id: Mapped[int] = mapped_column(primary_key=True)
    event_seq: Mapped[int]
    removal_seq: Mapped[int]
    moved_at: Mapped[datetime]


class MemoryAside(Base):
    """An event that the memory service refused; the log goes on without it, and it can be handed over again."""

    __tablename__ = "memory_aside"

    event_seq: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    error: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class MemoryEffect(Base):
    """What the memory service was, or is about to be, asked to change: on record before it is asked."""

    __tablename__ = "memory_effect"
    __table_args__ = (Index("ix_memory_effect_open", "created_at", sqlite_where=text("state = 'intended'")),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(Text)  # JSON, for the outcome's entry in the ledger
    action: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(64))
    asset: Mapped[str] = mapped_column(Text)  # JSON
    reader: Mapped[str] = mapped_column(String(260))
    decision_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class MemoryTrace(Base):
    """That memory was handed out, to whom, and what came of it."""

    __tablename__ = "memory_trace"
    __table_args__ = (
        Index("ix_memory_trace_workspace", "workspace_id", "id"),
        Index("ix_memory_trace_task", "task_id", sqlite_where=text("task_id <> ''")),
        Index("ix_memory_trace_agent", "agent_id", "id", sqlite_where=text("agent_id <> ''")),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    cause: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(64))
    task_id: Mapped[str] = mapped_column(String(200))
    purpose: Mapped[str] = mapped_column(Text)
    policy_id: Mapped[str] = mapped_column(String(40))
    query_digest: Mapped[str] = mapped_column(String(80))
    query: Mapped[str | None] = mapped_column(Text)
    arms: Mapped[list[str]]
    missing: Mapped[list[str]]
    hits: Mapped[list[Any]]
    tokens: Mapped[int]
    abstained: Mapped[str] = mapped_column(Text)
    took_us: Mapped[int]
    at: Mapped[datetime]


class RecollectionPolicy(Base):
    """What an agent is reminded of when a task for some purpose begins."""

    __tablename__ = "recollection_policy"
    __table_args__ = (UniqueConstraint("workspace_id", "agent_id", "purpose"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    agent_id: Mapped[str] = mapped_column(String(64))
    purpose: Mapped[str] = mapped_column(String(200))
    rule: Mapped[str] = mapped_column(Text)  # JSON
    version: Mapped[int]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(128))


# The index holds words as `memroos_kit.text.words` makes them, and for whom they count; not the text. It can be
# rebuilt from the events. `ascii` splits between the words that are put in, and changes nothing else about them.
DDL: tuple[str, ...] = (
    *append_only("memory_event"),
    *append_only("memory_removal"),
    "CREATE VIRTUAL TABLE memory_index USING fts5(readers, words, content='', detail=column, tokenize='ascii')",
)

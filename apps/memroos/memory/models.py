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


# The index holds words as `memroos_kit.text.words` makes them, and for whom they count; not the text. It can be
# rebuilt from the events. `ascii` splits between the words that are put in, and changes nothing else about them.
DDL: tuple[str, ...] = (
    *append_only("memory_event"),
    "CREATE VIRTUAL TABLE memory_index USING fts5(readers, words, content='', detail=column, tokenize='ascii')",
)

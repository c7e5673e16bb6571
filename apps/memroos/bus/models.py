"""The bus's tables; both are written by hot statements only."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from memroos_contracts.bus import InboxState
from memroos_kit.db import Base, by_value

READY = "state = 'queued' AND head = 1 AND not_before IS NULL"
WAITING = "state = 'queued' AND head = 0"
HEAD_OF_CONTEXT = "head = 1 AND context_id <> ''"


class InboxMessage(Base):
    """A message in an agent's inbox.

    `head` says that no earlier message of its context is open. Only a head is handed out, and each context has at
    most one (a unique index keeps that), so messages of a context come in order, one at a time. When a head is
    settled, the next in its context becomes the head.

    `due_at` is the next time at which something happens to the message by itself: a lease ends, a delay is over, its
    time to live has passed.
    """

    __tablename__ = "inbox_message"
    __table_args__ = (
        CheckConstraint("(state = 'leased') = (lease_until IS NOT NULL)", name="a_lease_has_an_end"),
        CheckConstraint("state <> 'leased' OR head = 1", name="only_a_head_is_leased"),
        CheckConstraint("(state IN ('queued', 'leased')) = (settled_at IS NULL)", name="settled_has_a_time"),
        Index("ix_inbox_message_ready", "agent_id", text("priority DESC"), "seq", sqlite_where=text(READY)),
        Index("ix_inbox_message_waiting", "agent_id", "context_id", "seq", sqlite_where=text(WAITING)),
        Index("uq_inbox_message_head", "agent_id", "context_id", unique=True, sqlite_where=text(HEAD_OF_CONTEXT)),
        Index("ix_inbox_message_due", "due_at", sqlite_where=text("due_at IS NOT NULL")),
        Index("ix_inbox_message_agent_due", "agent_id", "due_at", sqlite_where=text("due_at IS NOT NULL")),
        Index("ix_inbox_message_agent", "agent_id", "seq"),
        Index("ix_inbox_message_dead", "workspace_id", "seq", sqlite_where=text("state = 'dead'")),
        Index("ix_inbox_message_dead_task", "seq", sqlite_where=text("state = 'dead' AND task_id IS NOT NULL")),
        Index("ix_inbox_message_task", "task_id", sqlite_where=text("task_id IS NOT NULL")),
        Index("ix_inbox_message_settled", "settled_at", sqlite_where=text("settled_at IS NOT NULL")),
        Index(
            "uq_inbox_message_idempotency",
            "workspace_id",
            "sender",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(primary_key=True)  # the order of sending, whatever the clock did
    id: Mapped[str] = mapped_column(String(36), unique=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    agent_id: Mapped[str] = mapped_column(String(64))  # registry's key
    sender: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(64))
    context_id: Mapped[str] = mapped_column(String(200))
    label: Mapped[str] = mapped_column(Text)
    priority: Mapped[int]
    digest: Mapped[str] = mapped_column(String(80))
    size_bytes: Mapped[int]
    state: Mapped[InboxState] = mapped_column(by_value(InboxState))
    head: Mapped[int]
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    fencing_token: Mapped[int]  # grows with each lease and is never taken back
    created_at: Mapped[datetime]
    not_before: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    leased_by: Mapped[str | None] = mapped_column(String(64))  # the key that holds it
    due_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    replied_at: Mapped[datetime | None]
    reply_to: Mapped[str | None] = mapped_column(String(36))
    correlation_id: Mapped[str] = mapped_column(String(200))
    task_id: Mapped[str | None] = mapped_column(String(36))
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)


class InboxDepth(Base):
    """How many messages an inbox holds, so that quotas and statistics need no counting."""

    __tablename__ = "inbox_depth"
    __table_args__ = (
        CheckConstraint("queued >= 0 AND leased >= 0 AND dead >= 0", name="counts"),
        {"sqlite_with_rowid": False},
    )

    agent_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    queued: Mapped[int]
    leased: Mapped[int]
    dead: Mapped[int]

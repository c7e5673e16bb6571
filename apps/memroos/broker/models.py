"""The broker's tables; all written by hot statements."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, PrimaryKeyConstraint, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from memroos_kit.db import Base, append_only

NOT_COMPLETED = "state <> 'completed'"


class Task(Base):
    """A piece of work that one principal asked an agent to do."""

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint(
            "state IN ('submitted','working','input_required','auth_required','completed','failed','canceled',"
            "'rejected')",
            name="state_is_known",
        ),
        # A listing is a walk along one of these, never a scan.
        Index("ix_task_by_workspace", "workspace_id", "status_at", "id"),
        Index("ix_task_by_owner", "workspace_id", "owner", "status_at", "id"),
        Index("ix_task_by_agent", "workspace_id", "agent_id", "status_at", "id"),
        Index("ix_task_by_context", "workspace_id", "context_id", "status_at", "id"),
        # Most tasks are completed ones; any other state is rare among them and found without them.
        Index("ix_task_by_state", "workspace_id", "state", "status_at", "id", sqlite_where=text(NOT_COMPLETED)),
        Index("ix_task_deadline", "deadline_at", sqlite_where=text("open AND deadline_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    context_id: Mapped[str] = mapped_column(String(200))
    owner: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(40))  # registry's key
    agent: Mapped[str] = mapped_column(String(128))  # its name when the task was made
    state: Mapped[str] = mapped_column(String(20))
    open: Mapped[int] = mapped_column(Integer)  # 1 until a final state
    generation: Mapped[int] = mapped_column(Integer)
    skill: Mapped[str] = mapped_column(String(128))
    purpose: Mapped[str] = mapped_column(Text)
    route_reason: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    approval_id: Mapped[str | None] = mapped_column(String(40))
    status_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    status_at: Mapped[int] = mapped_column(BigInteger)
    deadline_at: Mapped[int | None] = mapped_column(BigInteger)
    accepted_generation: Mapped[int] = mapped_column(Integer)  # 0 until its agent took it
    message_only: Mapped[int] = mapped_column(Integer)  # 1: the agent answered with a message instead of a task
    traceparent: Mapped[str] = mapped_column(String(64))
    via: Mapped[str] = mapped_column(Text)  # brokers it came through, a JSON list
    agent_metadata: Mapped[str | None] = mapped_column(Text)  # what its agent says of the task as a whole, JSON


class TaskEvent(Base):
    """One entry of a task's log; a stream is this log from a generation on, then the live tail."""

    __tablename__ = "task_event"
    __table_args__ = (
        PrimaryKeyConstraint("task_id", "generation"),
        {"sqlite_with_rowid": False},
    )

    task_id: Mapped[str] = mapped_column(ForeignKey("task.id"))
    generation: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(10))
    body: Mapped[str] = mapped_column(Text)
    at: Mapped[int] = mapped_column(BigInteger)


class SentMessage(Base):
    """Which task a message went to, so that sending it again answers with the same one."""

    __tablename__ = "sent_message"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "owner", "message_id", "scope", "digest"),
        {"sqlite_with_rowid": False},
    )

    workspace_id: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(128))
    message_id: Mapped[str] = mapped_column(String(200))
    scope: Mapped[str] = mapped_column(String(260))  # the task or context it was sent to, empty for neither
    digest: Mapped[bytes]
    task_id: Mapped[str] = mapped_column(ForeignKey("task.id"))
    at: Mapped[int] = mapped_column(BigInteger)


class Delivery(Base):
    """A message on its way to an agent: the outbox, written with the task."""

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint("channel IN ('inbox','local','a2a')", name="channel_is_known"),
        CheckConstraint("state IN ('held','waiting','done')", name="state_is_known"),
        Index("ix_delivery_task", "task_id"),
        Index("ix_delivery_waiting", "channel", "due_at", sqlite_where=text("state = 'waiting'")),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("task.id"))
    generation: Mapped[int] = mapped_column(Integer)  # of the message event it carries
    channel: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10))
    inbox_message_id: Mapped[str | None] = mapped_column(String(40))
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[int] = mapped_column(BigInteger)


class RemoteTask(Base):
    """The other end of a task: what a remote agent calls it, and whether it has to be followed or canceled."""

    __tablename__ = "remote_task"
    __table_args__ = (
        CheckConstraint("state IN ('following','canceling','closed')", name="state_is_known"),
        Index("ix_remote_task_open", "due_at", sqlite_where=text("state <> 'closed'")),
        Index("ix_remote_task_by_agent", "agent_id", "remote_id"),
    )

    task_id: Mapped[str] = mapped_column(ForeignKey("task.id"), primary_key=True)
    agent_id: Mapped[str] = mapped_column(String(40))
    remote_id: Mapped[str] = mapped_column(String(200))  # empty until the agent has named it
    remote_context_id: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(12))
    failures: Mapped[int] = mapped_column(Integer)  # in a row
    due_at: Mapped[int] = mapped_column(BigInteger)
    heard_at: Mapped[int] = mapped_column(BigInteger)


class TaskCount(Base):
    """How many tasks there are, so that a listing can say its total without a scan."""

    __tablename__ = "task_count"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "owner", "agent_id", "state"),
        Index("ix_task_count_agent", "workspace_id", "agent_id", "state"),
        {"sqlite_with_rowid": False},
    )

    workspace_id: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    tasks: Mapped[int] = mapped_column(Integer)


class AgentLoad(Base):
    """How many open tasks an agent has, whoever sent them, so that neither a limit nor routing has to count."""

    __tablename__ = "agent_load"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "agent_id"),
        {"sqlite_with_rowid": False},
    )

    workspace_id: Mapped[str] = mapped_column(String(64))
    agent_id: Mapped[str] = mapped_column(String(40))
    open: Mapped[int] = mapped_column(Integer)
    in_flight: Mapped[int] = mapped_column(Integer)  # of these, those that wait for nobody else


DDL: tuple[str, ...] = append_only("task_event")

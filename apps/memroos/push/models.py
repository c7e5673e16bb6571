"""The tables of push notifications; both are written by hot statements only.

There is no queue beside the task's log: a configuration knows up to which generation the other side has taken it.
"""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from memroos_kit.db import Base

ACTIVE = "state = 'active'"


class PushConfig(Base):
    """Where notifications about a task go, and how far they have got."""

    __tablename__ = "push_config"
    __table_args__ = (
        CheckConstraint("state IN ('active','stopped','done')", name="state_is_known"),
        Unique("task_id", "owner", "config_id"),
        Index("ix_push_config_by_workspace", "workspace_id", "id"),
        Index("ix_push_config_by_owner", "workspace_id", "owner", "id"),
        Index("ix_push_config_by_state", "workspace_id", "state", "id"),
        Index("ix_push_config_active", "id", sqlite_where=text(ACTIVE)),
        Index("ix_push_config_active_by_owner", "workspace_id", "owner", sqlite_where=text(ACTIVE)),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    config_id: Mapped[str] = mapped_column(String(200))  # the caller's name for it
    task_id: Mapped[str] = mapped_column(ForeignKey("task.id"))
    workspace_id: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(128))
    url: Mapped[str] = mapped_column(Text)
    token: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed, bound to this row's id
    scheme: Mapped[str] = mapped_column(String(64))
    credentials: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed, bound to this row's id
    version: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(10))
    delivered_generation: Mapped[int] = mapped_column(Integer)  # 0: the task itself has to be sent first
    epoch: Mapped[int] = mapped_column(Integer)  # grows when it is replaced or replayed: older answers do not count
    failures: Mapped[int] = mapped_column(Integer)  # in a row
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str] = mapped_column(String(500))
    last_try_at: Mapped[int | None] = mapped_column(BigInteger)
    next_try_at: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[int] = mapped_column(BigInteger)


class PushTry(Base):
    """One try to deliver one event; of each configuration the last ones are kept."""

    __tablename__ = "push_try"
    __table_args__ = (Index("ix_push_try_by_config", "push_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    push_id: Mapped[str] = mapped_column(ForeignKey("push_config.id"))
    generation: Mapped[int] = mapped_column(Integer)
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(String(500))
    at: Mapped[int] = mapped_column(BigInteger)

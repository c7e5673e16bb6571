"""Governance's tables. `approval` is written through the ORM, `decision` by hot statements only."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from memroos_contracts.governance import Action, ApprovalState, Effect, ToolOutcome
from memroos_kit.db import Base, append_only, by_value


class Approval(Base):
    """A question to a human, bound to the digest of the exact action and arguments."""

    __tablename__ = "approval"
    __table_args__ = (
        CheckConstraint("(state = 'pending') = (answered_at IS NULL)", name="an_answer_has_a_time"),
        CheckConstraint("(state IN ('approved', 'rejected')) = (answered_by IS NOT NULL)", name="an_answer_has_a_name"),
        # Asking again while it waits finds the same approval.
        Index(
            "uq_approval_pending",
            "workspace_id",
            "requester",
            "digest",
            unique=True,
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_approval_due", "expires_at", sqlite_where=text("state = 'pending'")),
        Index("ix_approval_workspace_id_state", "workspace_id", "state", "id"),
        Index("ix_approval_workspace_id_requester", "workspace_id", "requester", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[ApprovalState] = mapped_column(by_value(ApprovalState))
    action: Mapped[str] = mapped_column(String(100))
    resumes: Mapped[Action] = mapped_column(by_value(Action))
    asset: Mapped[str] = mapped_column(String(600))
    purpose: Mapped[str] = mapped_column(Text)
    requester: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(64))  # the requesting agent; empty where it is none
    digest: Mapped[str] = mapped_column(String(64))
    arguments: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(Text)
    policies: Mapped[list[str]]
    decision_id: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None] = mapped_column(String(128))
    note: Mapped[str] = mapped_column(Text)


class OwnDecision(Base):
    """What policy said about an action that an agent does by itself, and what came of it.

    What was asked and what policy said never changes; the answer and the outcome are filled in once.
    """

    __tablename__ = "decision"
    __table_args__ = (
        CheckConstraint("(effect = 'hold') = (approval_id IS NOT NULL)", name="a_hold_has_an_approval"),
        CheckConstraint("(outcome IS NULL) = (reported_at IS NULL)", name="an_outcome_has_a_time"),
        Index("ix_decision_approval_id", "approval_id", sqlite_where=text("approval_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(128))  # the principal that asked
    agent_id: Mapped[str] = mapped_column(String(64))  # empty where it is none
    action: Mapped[str] = mapped_column(String(100))
    tool: Mapped[str] = mapped_column(String(200))
    asset_kind: Mapped[str] = mapped_column(String(500))
    asset_id: Mapped[str] = mapped_column(String(500))
    purpose: Mapped[str] = mapped_column(Text)
    labels: Mapped[str] = mapped_column(Text)  # JSON: what the agent's context had seen
    digest: Mapped[str] = mapped_column(String(64))
    effect: Mapped[Effect] = mapped_column(by_value(Effect))
    reason: Mapped[str] = mapped_column(Text)
    policies: Mapped[list[str]]
    policy_hash: Mapped[str] = mapped_column(String(64))
    approval_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime]

    answer: Mapped[ApprovalState | None] = mapped_column(by_value(ApprovalState))
    answered_by: Mapped[str | None] = mapped_column(String(128))
    answer_note: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime]  # of the hold; after a yes, of the permission
    outcome: Mapped[ToolOutcome | None] = mapped_column(by_value(ToolOutcome))
    outcome_digest: Mapped[str] = mapped_column(String(64))
    outcome_note: Mapped[str] = mapped_column(Text)
    reported_at: Mapped[datetime | None]


_FIXED = (
    "id",
    "workspace_id",
    "owner",
    "agent_id",
    "action",
    "tool",
    "asset_kind",
    "asset_id",
    "purpose",
    "labels",
    "digest",
    "effect",
    "reason",
    "policies",
    "policy_hash",
    "approval_id",
    "created_at",
)

DDL: tuple[str, ...] = append_only("decision", columns=_FIXED)

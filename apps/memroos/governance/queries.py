"""Reads: approvals by the people who answer and the principals who asked; an agent's decisions by itself."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, insert, select, update

from memroos.governance import rules
from memroos.governance.models import Approval, OwnDecision
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import (
    Action,
    ApprovalState,
    ApprovalView,
    Asset,
    Decision,
    DecisionView,
    Effect,
    Label,
    ToolOutcome,
)
from memroos_contracts.identity import ApprovalId, DecisionId, Role, WorkspaceId
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.clock import from_micros
from memroos_kit.db import Hot, Read

_OWN_ONLY = (Role.AGENT, Role.SERVICE)


# -- approvals -------------------------------------------------------------------------------------------------------


def load_approval(tx: Read, approval_id: ApprovalId) -> Approval:
    """Return an approval that the actor may know of.

    Raises:
        NotFound: there is none with this id in the actor's reach.
    """
    found = find_approval(tx, approval_id)
    if found is None or (tx.actor.role in _OWN_ONLY and found.requester != tx.actor.principal):
        raise NotFound(kind_of_object="approval", id=approval_id)
    return found


def find_approval(tx: Read, approval_id: ApprovalId) -> Approval | None:
    """Return an approval of the actor's workspace, whoever asked for it."""
    return tx.session.scalar(
        select(Approval).where(Approval.id == approval_id, Approval.workspace_id == tx.actor.workspace)
    )


def find_pending(tx: Read, digest: str) -> Approval | None:
    """Return what the actor already asked and nobody answered yet."""
    return tx.session.scalar(
        select(Approval).where(
            Approval.workspace_id == tx.actor.workspace,
            Approval.requester == tx.actor.principal,
            Approval.digest == digest,
            Approval.state == ApprovalState.PENDING,
        )
    )


def get_approval(tx: Read, approval_id: ApprovalId) -> ApprovalView:
    """Return an approval; those who may see states only get it without arguments.

    Raises:
        NotFound: there is none with this id, or the actor may not know of it.
        Denied: policy says no.
    """
    approval = load_approval(tx, approval_id)
    decision = tx.authorize(Action.APPROVAL_READ, asset_of(approval))
    return approval_view(approval, redacted=decision.effect is Effect.REDACT)


def list_approvals(
    tx: Read, *, state: ApprovalState | None = None, cursor: str | None = None, limit: int = 50
) -> Page[ApprovalView]:
    """Return approvals, newest first: all of the workspace to people, their own to agents and services.

    Args:
        state: only those in this state.
        limit: at most so many, 1 to 200.

    Raises:
        Denied: policy says no.
        InvalidCursor: the cursor is of another listing.
    """
    own = tx.actor.role in _OWN_ONLY
    asset = Asset("approval", "", owner=tx.actor.principal if own else "", agent=tx.actor.agent or "")
    decision = tx.authorize(Action.APPROVAL_READ, asset)
    kind = cursors.listing("approvals", state=state)
    query = select(Approval).where(Approval.workspace_id == tx.actor.workspace)
    if own:
        query = query.where(Approval.requester == tx.actor.principal)
    if state is not None:
        query = query.where(Approval.state == state)
    if cursor is not None:
        query = query.where(Approval.id < cursors.decode(kind, cursor, str)[0])
    found = tx.session.scalars(query.order_by(Approval.id.desc()).limit(limit + 1)).all()
    redacted = decision.effect is Effect.REDACT
    return Page(
        items=[approval_view(approval, redacted=redacted) for approval in found[:limit]],
        next_cursor=cursors.encode(kind, found[limit - 1].id) if len(found) > limit else None,
    )


def list_due(tx: Read, *, limit: int) -> list[tuple[WorkspaceId, ApprovalId]]:
    """Return approvals of all workspaces whose time is over, longest first; for the kernel's own use."""
    rows = tx.session.execute(
        select(Approval.workspace_id, Approval.id)
        .where(Approval.state == ApprovalState.PENDING, Approval.expires_at <= tx.now)
        .order_by(Approval.expires_at)
        .limit(limit)
    )
    return [(WorkspaceId(workspace), ApprovalId(approval)) for workspace, approval in rows]


def find_next_due(tx: Read) -> datetime | None:
    """Return when the next approval expires, over all workspaces; None where none is pending."""
    return tx.session.scalar(
        select(Approval.expires_at)
        .where(Approval.state == ApprovalState.PENDING)
        .order_by(Approval.expires_at)
        .limit(1)
    )


def asset_of(approval: Approval) -> Asset:
    """Return the approval as policy and the ledger see it."""
    return Asset("approval", approval.id, owner=approval.requester, agent=approval.agent_id)


def approval_view(approval: Approval, *, redacted: bool = False) -> ApprovalView:
    """Return what others see of a row.

    Args:
        redacted: leave out what was said: arguments, purpose, note.
    """
    return ApprovalView(
        id=ApprovalId(approval.id),
        workspace_id=WorkspaceId(approval.workspace_id),
        state=approval.state,
        action=approval.action,
        resumes=approval.resumes,
        asset=approval.asset,
        purpose="" if redacted else approval.purpose,
        requester=approval.requester,
        digest=approval.digest,
        arguments={} if redacted else approval.arguments,
        reason=approval.reason,
        policies=tuple(approval.policies),
        decision_id=DecisionId(approval.decision_id),
        created_at=approval.created_at,
        expires_at=approval.expires_at,
        answered_at=approval.answered_at,
        answered_by=approval.answered_by,
        note="" if redacted else approval.note,
        redacted=redacted,
    )


# -- decisions about agents' own actions -----------------------------------------------------------------------------


class DecisionRow(msgspec.Struct, frozen=True):
    """A row of `decision` as hot statements take and give it: instants in microseconds, lists as JSON."""

    id: str
    workspace_id: str
    owner: str
    agent_id: str
    action: str
    tool: str
    asset_kind: str
    asset_id: str
    purpose: str
    labels: str
    digest: str
    effect: str
    reason: str
    policies: str
    policy_hash: str
    approval_id: str | None
    created_at: int
    expires_at: int
    answer: str | None = None
    answered_by: str | None = None
    answer_note: str = ""
    outcome: str | None = None
    outcome_digest: str = ""
    outcome_note: str = ""
    reported_at: int | None = None

    @property
    def asset(self) -> Asset:
        """What the action is about."""
        label = msgspec.json.decode(self.labels, type=Label)
        return Asset(self.asset_kind, self.asset_id, agent=self.agent_id, label=label)

    @property
    def answered(self) -> ApprovalState | None:
        """How the human it waited for answered."""
        return None if self.answer is None else ApprovalState(self.answer)

    def as_asset(self) -> Asset:
        """Return the decision itself as policy and the ledger see it."""
        return Asset("decision", self.id, owner=self.owner, agent=self.agent_id)


_COLUMNS = tuple(getattr(OwnDecision, name) for name in DecisionRow.__struct_fields__)
_BY_ID = Hot(
    select(*_COLUMNS).where(OwnDecision.id == bindparam("id"), OwnDecision.workspace_id == bindparam("workspace_id"))
)
_WAITING_FOR = Hot(select(OwnDecision.id).where(OwnDecision.approval_id == bindparam("approval")))
INSERT = Hot(insert(OwnDecision))
ANSWER = Hot(
    update(OwnDecision)
    .where(OwnDecision.approval_id == bindparam("approval"))
    .values(
        answer=bindparam("answer"),
        answered_by=bindparam("answered_by"),
        answer_note=bindparam("answer_note"),
        expires_at=bindparam("expires_at"),
    )
)
REPORT = Hot(
    update(OwnDecision)
    .where(OwnDecision.id == bindparam("decision"))
    .values(
        outcome=bindparam("outcome"),
        outcome_digest=bindparam("outcome_digest"),
        outcome_note=bindparam("outcome_note"),
        reported_at=bindparam("reported_at"),
    )
)


def load_decision(tx: Read, decision_id: DecisionId) -> DecisionRow:
    """Return a decision that the actor may know of.

    Raises:
        NotFound: there is none with this id in the actor's reach.
    """
    row = tx.execute(_BY_ID, id=decision_id, workspace_id=tx.actor.workspace).fetchone()
    found = None if row is None else DecisionRow(*row)
    if found is None or (tx.actor.role in _OWN_ONLY and found.owner != tx.actor.principal):
        raise NotFound(kind_of_object="decision", id=decision_id)
    return found


def get_decision(tx: Read, decision_id: DecisionId) -> DecisionView:
    """Return how a decision about an agent's own action stands now.

    Raises:
        NotFound: there is none with this id, or the actor may not know of it.
        Denied: policy says no.
    """
    row = load_decision(tx, decision_id)
    tx.authorize(Action.DECISION_READ, row.as_asset())
    return decision_view(row, tx.now)


def find_waiting(tx: Read, decision: Decision) -> DecisionRow | None:
    """Return the actor's decision that waits for the same approval already, or None."""
    assert decision.approval_id is not None
    waiting = list_waiting_for(tx, decision.approval_id)
    return load_decision(tx, DecisionId(waiting[0])) if waiting else None


def list_waiting_for(tx: Read, approval_id: ApprovalId) -> Sequence[str]:
    """Return the ids of the decisions that an approval answers."""
    return [row[0] for row in tx.execute(_WAITING_FOR, approval=approval_id).fetchall()]


def decision_view(row: DecisionRow, now: datetime) -> DecisionView:
    """Return what others see of a row at an instant."""
    expires_at = from_micros(row.expires_at)
    effect = rules.effect_now(Effect(row.effect), row.answered, expires_at, now, used=row.outcome is not None)
    approved = row.answer == ApprovalState.APPROVED
    return DecisionView(
        id=DecisionId(row.id),
        effect=effect,
        action=row.action,
        tool=row.tool,
        asset=str(row.asset),
        reason=_reason(row, effect),
        policies=tuple(msgspec.json.decode(row.policies, type=list[str])),
        policy_hash=row.policy_hash,
        digest=row.digest,
        created_at=from_micros(row.created_at),
        expires_at=expires_at,
        approval_id=None if row.approval_id is None else ApprovalId(row.approval_id),
        approved_by=row.answered_by if approved else None,
        outcome=None if row.outcome is None else ToolOutcome(row.outcome),
        outcome_digest=row.outcome_digest,
        reported_at=None if row.reported_at is None else from_micros(row.reported_at),
    )


def _reason(row: DecisionRow, effect: Effect) -> str:
    note = f" They say: {row.answer_note}" if row.answer_note else ""
    if effect is Effect.DENY and rules.was_permitted(Effect(row.effect), row.answered):
        return "The permission was not used in time. Ask again."
    if row.answer == ApprovalState.APPROVED:
        return f"{row.answered_by} approved it.{note}"
    if row.answer == ApprovalState.REJECTED:
        return f"{row.answered_by} rejected it.{note}"
    if effect is Effect.DENY and row.effect == Effect.HOLD:
        return "Nobody answered in time. Ask again."
    return row.reason

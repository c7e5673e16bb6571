"""Verbs: agents ask about their own actions and report what came of them; operators answer approvals."""

from datetime import datetime

import msgspec

from memroos import audit, events
from memroos.governance import approvals, queries, rules
from memroos.governance.errors import (
    AlreadyAnswered,
    ApprovalExpired,
    ApprovalWithdrawn,
    DecisionNotPermitted,
    OutcomeAlreadyReported,
    SelfApproval,
)
from memroos.governance.gate import Gate
from memroos.governance.models import Approval
from memroos.governance.queries import DecisionRow
from memroos.governance.rules import KERNEL_ACTIONS, GovernanceEvent
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import (
    Action,
    ApprovalState,
    ApprovalView,
    Asset,
    Decision,
    DecisionRequest,
    DecisionView,
    Effect,
    OutcomeReport,
    PolicySetView,
)
from memroos_contracts.identity import ApprovalId, DecisionId
from memroos_contracts.pages import Page
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Read, Tx

# -- what agents do by themselves ------------------------------------------------------------------------------------


def ask(tx: Tx, request: DecisionRequest, *, gate: Gate) -> DecisionView:
    """Decide whether the actor may do something by itself, with exactly these arguments.

    A denial is an answer, not an error. A hold waits for a human; the decision then changes to allow or deny. Who is
    allowed may do this one thing once, before `expires_at`, and reports what came of it. Asking again what still waits
    gives the decision that waits, so that one yes permits one thing.

    Raises:
        InvalidRequest: the action is one of the kernel's own, which the kernel's verbs decide about.
    """
    if request.action in KERNEL_ACTIONS:
        raise InvalidRequest(
            f"{request.action} is an action of the kernel: call it, and policy decides then.",
            fields={"action": "one of the kernel's own actions"},
        )
    decision = gate.decide_own_action(tx, request)
    held = decision.effect is Effect.HOLD
    if held and (waiting := queries.find_waiting(tx, decision)) is not None:
        return queries.decision_view(waiting, tx.now)
    row = DecisionRow(
        id=decision.id,
        workspace_id=tx.actor.workspace,
        owner=tx.actor.principal,
        agent_id=tx.actor.agent or "",
        action=request.action,
        tool=request.tool,
        asset_kind=decision.asset.kind,
        asset_id=decision.asset.id,
        purpose=request.purpose,
        labels=msgspec.json.encode(request.labels, order="sorted").decode(),
        digest=rules.digest_of(request.action, str(decision.asset), request.arguments, tool=request.tool),
        effect=decision.effect.value,
        reason=decision.reason,
        policies=msgspec.json.encode(decision.policies).decode(),
        policy_hash=decision.policy_hash,
        approval_id=decision.approval_id,
        created_at=to_micros(tx.now),
        expires_at=to_micros(_hold_ends(tx, decision) if held else tx.now + gate.terms.decision_ttl),
    )
    tx.execute(queries.INSERT, **msgspec.structs.asdict(row))
    return queries.decision_view(row, tx.now)


def report(tx: Tx, decision_id: DecisionId, outcome: OutcomeReport) -> DecisionView:
    """Record what came of a permitted action, once; the same report again changes nothing.

    A report that comes after the permission ended is recorded too: what happened, happened.

    Raises:
        NotFound: there is no such decision, or the actor may not know of it.
        Denied: policy says no.
        DecisionNotPermitted: the decision permitted nothing.
        OutcomeAlreadyReported: another outcome was reported before.
    """
    row = queries.load_decision(tx, decision_id)
    tx.authorize(Action.DECISION_REPORT, row.as_asset())
    if not rules.was_permitted(Effect(row.effect), row.answered):
        effect = queries.decision_view(row, tx.now).effect
        raise DecisionNotPermitted(decision=decision_id, effect=effect.value)
    wanted = (outcome.outcome.value, outcome.detail_digest, outcome.note)
    if row.outcome is not None:
        if (row.outcome, row.outcome_digest, row.outcome_note) == wanted:
            return queries.decision_view(row, tx.now)
        reported_at = "" if row.reported_at is None else from_micros(row.reported_at).isoformat()
        raise OutcomeAlreadyReported(decision=decision_id, outcome=row.outcome, reported_at=reported_at)

    row = msgspec.structs.replace(
        row, outcome=wanted[0], outcome_digest=wanted[1], outcome_note=wanted[2], reported_at=to_micros(tx.now)
    )
    tx.execute(
        queries.REPORT,
        decision=row.id,
        outcome=row.outcome,
        outcome_digest=row.outcome_digest,
        outcome_note=row.outcome_note,
        reported_at=row.reported_at,
    )
    _announce_outcome(tx, row)
    return queries.decision_view(row, tx.now)


def _announce_outcome(tx: Tx, row: DecisionRow) -> None:
    """Tell the ledger what came of the decision that was asked for, not of the right to report."""
    audit.record(
        tx,
        GovernanceEvent.DECISION_REPORTED.value,
        row.asset,
        decision_id=DecisionId(row.id),
        did=row.action,
        tool=row.tool,
        digest=row.digest,
        result=row.outcome,
        result_digest=row.outcome_digest,
        in_time=row.reported_at is not None and row.reported_at < row.expires_at,
    )
    events.publish(
        tx,
        GovernanceEvent.DECISION_REPORTED.value,
        subject=row.id,
        data={"decision": row.id, "action": row.action, "outcome": row.outcome},
        owner=row.owner,
        agent=row.agent_id,
    )


def _hold_ends(tx: Tx, decision: Decision) -> datetime:
    assert decision.approval_id is not None
    return queries.load_approval(tx, decision.approval_id).expires_at


# -- what operators answer -------------------------------------------------------------------------------------------


def approve(tx: Tx, approval_id: ApprovalId, *, gate: Gate, note: str = "") -> ApprovalView:
    """Say yes: what was held goes on, in this transaction.

    Raises:
        NotFound: there is no such approval in the actor's workspace.
        Denied: policy does not let this actor answer.
        SelfApproval: the actor asked this itself, or acts for who asked.
        AlreadyAnswered: somebody was faster.
        ApprovalExpired: its time is over.
    """
    return _answer(tx, approval_id, ApprovalState.APPROVED, gate, note)


def reject(tx: Tx, approval_id: ApprovalId, *, gate: Gate, note: str = "") -> ApprovalView:
    """Say no: what was held ends, in this transaction.

    Raises:
        NotFound: there is no such approval in the actor's workspace.
        Denied: policy does not let this actor answer.
        SelfApproval: the actor asked this itself, or acts for who asked.
        AlreadyAnswered: somebody was faster.
        ApprovalExpired: its time is over.
    """
    return _answer(tx, approval_id, ApprovalState.REJECTED, gate, note)


def read_approval(tx: Tx, approval_id: ApprovalId) -> ApprovalView:
    """Return an approval, and put on record who has seen its arguments before they leave.

    Raises:
        NotFound: there is none with this id, or the actor may not know of it.
        Denied: policy says no.
    """
    view = queries.get_approval(tx, approval_id)
    audit.record(tx, GovernanceEvent.APPROVAL_READ, tx.decisions[-1].asset, redacted=view.redacted)
    return view


def read_approvals(
    tx: Tx, *, state: ApprovalState | None = None, cursor: str | None = None, limit: int = 50
) -> Page[ApprovalView]:
    """Return approvals as `list_approvals` does, and put on record whose arguments were seen; an empty list is not.

    Raises:
        Denied: policy says no.
        InvalidCursor: the cursor is of another listing.
    """
    page = queries.list_approvals(tx, state=state, cursor=cursor, limit=limit)
    if page.items:
        read = [str(item.id) for item in page.items]
        redacted = page.items[0].redacted
        audit.record(tx, GovernanceEvent.APPROVAL_READ, tx.decisions[-1].asset, read=read, redacted=redacted)
    return page


def expire(tx: Tx, approval_id: ApprovalId, *, gate: Gate) -> bool:
    """End an approval whose time is over; return whether it still waited. The kernel's own step, may be repeated."""
    approval = queries.find_approval(tx, approval_id)
    if approval is None or approval.state is not ApprovalState.PENDING or tx.now < approval.expires_at:
        return False
    approvals.settle(tx, approval, ApprovalState.EXPIRED, terms=gate.terms)
    return True


def withdraw(tx: Tx, approval_id: ApprovalId) -> None:
    """Take back a question because what it was about has ended. Safe to repeat; an answer that was given stays."""
    approval = queries.find_approval(tx, approval_id)
    if approval is not None and approval.state is ApprovalState.PENDING:
        approvals.withdraw(tx, approval)


def _answer(tx: Tx, approval_id: ApprovalId, state: ApprovalState, gate: Gate, note: str) -> ApprovalView:
    approval = queries.load_approval(tx, approval_id)
    tx.authorize(Action.APPROVAL_ANSWER, queries.asset_of(approval), purpose=note)
    if approval.requester in (tx.actor.principal, *tx.actor.on_behalf_of):
        raise SelfApproval(approval=approval_id, requester=approval.requester)
    if approval.state is ApprovalState.WITHDRAWN:
        raise ApprovalWithdrawn(approval=approval_id)
    if approval.state is ApprovalState.EXPIRED or (
        approval.state is ApprovalState.PENDING and approval.expires_at <= tx.now
    ):
        raise ApprovalExpired(approval=approval_id, expired_at=approval.expires_at.isoformat())
    if approval.state is not ApprovalState.PENDING:
        raise _already_answered(approval)
    return approvals.settle(tx, approval, state, terms=gate.terms, answered_by=tx.actor.principal, note=note)


def _already_answered(approval: Approval) -> AlreadyAnswered:
    at = "" if approval.answered_at is None else approval.answered_at.isoformat()
    return AlreadyAnswered(
        f"{approval.answered_by} already {approval.state} it at {at}. Your answer changed nothing.",
        approval=approval.id,
        state=approval.state.value,
        answered_by=approval.answered_by,
        answered_at=at,
    )


# -- policies --------------------------------------------------------------------------------------------------------


def get_policy_set(tx: Read, *, gate: Gate) -> PolicySetView:
    """Return the policies in effect.

    Raises:
        Denied: policy says no.
    """
    tx.authorize(Action.POLICY_READ, Asset("policy", gate.policy.hash))
    return gate.policy.view

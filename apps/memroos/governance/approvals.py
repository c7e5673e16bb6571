"""The life of an approval: opened by a hold, settled once, and then whoever waited goes on."""

from collections.abc import Callable
from datetime import timedelta

import msgspec

from memroos import audit, events
from memroos.governance import queries, rules
from memroos.governance.models import Approval
from memroos.governance.rules import GovernanceEvent
from memroos_contracts.governance import Action, ApprovalState, ApprovalView, Decision, Json
from memroos_contracts.identity import ApprovalId
from memroos_kit.clock import to_micros
from memroos_kit.db import Tx

Resumer = Callable[[Tx, ApprovalView], None]
"""Lets what was held go on, or end, after the answer; runs in the answer's transaction."""

Resumers = dict[Action, Resumer]


class Terms(msgspec.Struct, frozen=True):
    """How long things last, and who goes on after an answer."""

    approval_ttl: timedelta
    decision_ttl: timedelta
    resumers: Resumers


def find_open(tx: Tx, digest: str, terms: Terms) -> ApprovalId | None:
    """Return the approval that waits for an equal question of this actor; one that is overdue ends here."""
    waiting = queries.find_pending(tx, digest)
    if waiting is None:
        return None
    if waiting.expires_at <= tx.now:
        settle(tx, waiting, ApprovalState.EXPIRED, terms=terms)
        return None
    return ApprovalId(waiting.id)


def open_for(
    tx: Tx, decision: Decision, *, resumes: Action, arguments: dict[str, Json], digest: str, terms: Terms
) -> None:
    """Open the approval that a decision waits for, under the id that the decision names."""
    assert decision.approval_id is not None
    approval = Approval(
        id=decision.approval_id,
        workspace_id=tx.actor.workspace,
        state=ApprovalState.PENDING,
        action=decision.action,
        resumes=resumes,
        asset=str(decision.asset),
        purpose=decision.purpose,
        requester=tx.actor.principal,
        agent_id=tx.actor.agent or "",
        digest=digest,
        arguments=arguments,
        reason=decision.reason,
        policies=list(decision.policies),
        decision_id=decision.id,
        created_at=tx.now,
        expires_at=tx.now + terms.approval_ttl,
        answered_at=None,
        answered_by=None,
        note="",
    )
    tx.session.add(approval)
    tx.session.flush()
    _announce(tx, approval, GovernanceEvent.APPROVAL_CREATED)


def settle(
    tx: Tx, approval: Approval, state: ApprovalState, *, terms: Terms, answered_by: str | None = None, note: str = ""
) -> ApprovalView:
    """Give a pending approval its one answer, and let what waited for it go on, all in this transaction."""
    assert approval.state is ApprovalState.PENDING, "an approval is answered once"
    approval.state, approval.answered_at = state, tx.now
    approval.answered_by, approval.note = answered_by, note
    tx.session.flush()
    _announce(tx, approval, rules.ANSWER_EVENT[state])
    view = queries.approval_view(approval)
    if view.resumes is Action.TOOL_USE:
        _answer_decisions(tx, view, terms.decision_ttl, approval.agent_id)
    else:
        terms.resumers[view.resumes](tx, view)
    return view


def withdraw(tx: Tx, approval: Approval) -> None:
    """End a pending approval that nobody has to answer any more; nothing goes on because of it."""
    approval.state, approval.answered_at = ApprovalState.WITHDRAWN, tx.now
    tx.session.flush()
    _announce(tx, approval, rules.GovernanceEvent.APPROVAL_WITHDRAWN)


def _answer_decisions(tx: Tx, approval: ApprovalView, decision_ttl: timedelta, agent_id: str) -> None:
    """Tell the agent's decisions; a permission is good for a while from now, whenever it was asked for."""
    approved = approval.state is ApprovalState.APPROVED
    tx.execute(
        queries.ANSWER,
        approval=approval.id,
        answer=approval.state.value,
        answered_by=approval.answered_by,
        answer_note=approval.note,
        expires_at=to_micros(tx.now + decision_ttl if approved else approval.expires_at),
    )
    for decision_id in queries.list_waiting_for(tx, approval.id):
        events.publish(
            tx,
            GovernanceEvent.DECISION_ANSWERED,
            subject=decision_id,
            data={"decision": decision_id, "approval": approval.id, "state": approval.state.value},
            owner=approval.requester,
            agent=agent_id,
        )


def _announce(tx: Tx, approval: Approval, event: GovernanceEvent) -> None:
    """Tell the ledger and the event log, in the same transaction as the change. The arguments stay here."""
    audit.record(
        tx,
        event.value,
        queries.asset_of(approval),
        approved_action=approval.action,
        about=approval.asset,
        digest=approval.digest,
        requester=approval.requester,
        asked_by_decision=approval.decision_id,
    )
    events.publish(
        tx,
        event.value,
        subject=approval.id,
        data={
            "approval": approval.id,
            "state": approval.state.value,
            "action": approval.action,
            "asset": approval.asset,
            "decision": approval.decision_id,
        },
        owner=approval.requester,
        agent=approval.agent_id,
    )

"""What actors do in these tests, in one call each."""

from tests.actors import (
    AGENT,
    OPERATOR,
)

from memroos import governance
from memroos.governance import (
    Gate,
)
from memroos_contracts.governance import (
    ApprovalView,
    DecisionRequest,
    DecisionView,
    OutcomeReport,
    ToolOutcome,
)
from memroos_contracts.identity import Actor, ApprovalId
from memroos_kit.db import Database

WRITE = DecisionRequest(
    action="file.write", tool="files", arguments={"path": "report.md", "text": "Done."}, purpose="publish the report"
)
READ = DecisionRequest(action="file.read", tool="files", arguments={"path": "report.md"})
DONE = OutcomeReport(ToolOutcome.DONE, detail_digest="ab" * 32, note="42 bytes")


def ask(db: Database, gate: Gate, request: DecisionRequest = WRITE, actor: Actor = AGENT) -> DecisionView:
    """Ask as an agent."""
    return db.write_now(actor, governance.ask, request, gate=gate)


def see(db: Database, decision: DecisionView, actor: Actor = AGENT) -> DecisionView:
    """Look at a decision."""
    return db.read_now(actor, governance.get_decision, decision.id)


def held(db: Database, gate: Gate, request: DecisionRequest = WRITE) -> tuple[DecisionView, ApprovalId]:
    """Ask something that is held."""
    decision = ask(db, gate, request)
    assert decision.approval_id is not None
    return decision, decision.approval_id


def approve(db: Database, gate: Gate, approval_id: ApprovalId, actor: Actor = OPERATOR, note: str = "") -> ApprovalView:
    """Say yes."""
    return db.write_now(actor, governance.approve, approval_id, gate=gate, note=note)


def reject(db: Database, gate: Gate, approval_id: ApprovalId, note: str = "") -> ApprovalView:
    """Say no."""
    return db.write_now(OPERATOR, governance.reject, approval_id, gate=gate, note=note)


def report(db: Database, decision: DecisionView, outcome: OutcomeReport = DONE, actor: Actor = AGENT) -> DecisionView:
    """Report what came of it."""
    return db.write_now(actor, governance.report, decision.id, outcome)

"""Approvals over REST: what waits for a human, and the answers."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from memroos import governance
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import AnswerRequest, ApprovalState, ApprovalView
from memroos_contracts.identity import Actor, ApprovalId
from memroos_contracts.pages import Page
from memroos_kit.db import Database

PAGE_MAX = 100

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Gate = NamedDependency[governance.Gate]


class ApprovalController(Controller):
    """The questions that policy puts to a human."""

    path = "/api/approvals"
    tags = ("approvals",)

    @get("/", operation_id="listApprovals")
    async def list_approvals(
        self,
        db: Db,
        actor: Caller,
        approval_state: FromQuery[ApprovalState | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[ApprovalView]:
        """List approvals, newest first; agents see their own. The ledger keeps who saw what is asked."""
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidRequest(f"limit: between 1 and {PAGE_MAX}.", fields={"limit": f"between 1 and {PAGE_MAX}"})
        return await db.write(actor, governance.read_approvals, state=approval_state, limit=limit, cursor=cursor)

    @get("/{approval:str}", operation_id="getApproval")
    async def get_approval(self, approval: FromPath[str], db: Db, actor: Caller) -> ApprovalView:
        """Show what exactly somebody wants to do, why policy holds it, and how it was answered.

        The ledger keeps who saw it.
        """
        return await db.write(actor, governance.read_approval, ApprovalId(approval))

    @post("/{approval:str}/approve", operation_id="approveRequest", status_code=200)
    async def approve_request(
        self, approval: FromPath[str], data: JSONBody[AnswerRequest], db: Db, actor: Caller, gate: Gate
    ) -> ApprovalView:
        """Say yes: what was held goes on."""
        return await db.write(actor, governance.approve, ApprovalId(approval), gate=gate, note=data.note)

    @post("/{approval:str}/reject", operation_id="rejectRequest", status_code=200)
    async def reject_request(
        self, approval: FromPath[str], data: JSONBody[AnswerRequest], db: Db, actor: Caller, gate: Gate
    ) -> ApprovalView:
        """Say no: what was held ends."""
        return await db.write(actor, governance.reject, ApprovalId(approval), gate=gate, note=data.note)

"""Approvals: questions that wait for a person, and the policies that asked them."""

from memroos_client.call import Call, path, query
from memroos_contracts.governance import AnswerRequest, ApprovalState, ApprovalView, PolicySetView
from memroos_contracts.pages import Page


def listing(
    *, state: ApprovalState | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[ApprovalView]]:
    """List approvals, the newest first."""
    wanted = query(approval_state=state, limit=limit, cursor=cursor)
    return Call(method="GET", path=path("approvals"), query=wanted, returns=Page[ApprovalView])


def get(approval: str) -> Call[ApprovalView]:
    """Get one approval."""
    return Call(method="GET", path=path("approvals", approval), returns=ApprovalView)


def approve(approval: str, *, note: str = "") -> Call[ApprovalView]:
    """Say yes; what was held goes on."""
    return Call(
        method="POST", path=path("approvals", approval, "approve"), body=AnswerRequest(note), returns=ApprovalView
    )


def reject(approval: str, *, note: str = "") -> Call[ApprovalView]:
    """Say no."""
    return Call(
        method="POST", path=path("approvals", approval, "reject"), body=AnswerRequest(note), returns=ApprovalView
    )


def policies() -> Call[PolicySetView]:
    """Get the policies that are in effect."""
    return Call(method="GET", path=path("policies"), returns=PolicySetView)

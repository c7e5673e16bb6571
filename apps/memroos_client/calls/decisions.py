"""Decisions: what an agent may do by itself, outside the kernel."""

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.governance import DecisionRequest, DecisionView, OutcomeReport


def ask(request: DecisionRequest, *, idempotency_key: str | None = None) -> Call[DecisionView]:
    """Ask whether the calling agent may do this."""
    return Call(
        method="POST",
        path=path("decisions"),
        body=request,
        idempotency_key=idempotency_key or new_key(),
        returns=DecisionView,
    )


def get(decision: str, *, wait_s: int = 0) -> Call[DecisionView]:
    """Say how a decision stands; while it is held, wait for the answer, up to `wait_s` seconds."""
    return Call(
        method="GET",
        path=path("decisions", decision),
        query=query(wait_s=wait_s or None),
        wait_s=wait_s,
        returns=DecisionView,
    )


def report(decision: str, outcome: OutcomeReport) -> Call[DecisionView]:
    """Report what came of it."""
    return Call(method="POST", path=path("decisions", decision, "outcome"), body=outcome, returns=DecisionView)

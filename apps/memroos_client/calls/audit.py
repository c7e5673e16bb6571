"""The ledger: what was decided and what came of it, with proofs."""

from datetime import datetime

from memroos_client.call import Call, path, query
from memroos_contracts.audit import (
    AuditEventView,
    AuditHead,
    AuditKey,
    AuditKind,
    ConsistencyProof,
    InclusionProof,
    Outcome,
)
from memroos_contracts.pages import Page


def listing(  # noqa: PLR0913 - the filters of a listing
    *,
    kind: AuditKind | None = None,
    action: str | None = None,
    actor: str | None = None,
    asset: str | None = None,
    outcome: Outcome | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[AuditEventView]]:
    """List events, the newest first; with `after`, oldest first from there on.

    Args:
        action: what was asked or happened, exactly.
        actor: a principal, such as `agent:agt_...`.
        asset: such as `task:task_...`.
        after: only events behind this place in the ledger.
    """
    wanted = query(
        event_kind=kind,
        action=action,
        principal=actor,
        asset=asset,
        outcome=outcome,
        since=since,
        until=until,
        after=after,
        limit=limit,
        cursor=cursor,
    )
    return Call(method="GET", path=path("audit"), query=wanted, returns=Page[AuditEventView])


def get(event: str) -> Call[AuditEventView]:
    """Get one event."""
    return Call(method="GET", path=path("audit", event), returns=AuditEventView)


def by_decision(decision: str) -> Call[Page[AuditEventView]]:
    """List what was recorded of one decision: itself, then what came of it."""
    return Call(method="GET", path=path("audit", "decisions", decision), returns=Page[AuditEventView])


def head() -> Call[AuditHead]:
    """Get the newest signed head."""
    return Call(method="GET", path=path("audit", "head"), returns=AuditHead)


def prove_inclusion(event: str) -> Call[InclusionProof]:
    """Get evidence that an event is one of those the newest head speaks about."""
    return Call(
        method="GET", path=path("audit", "proofs", "inclusion"), query=query(event=event), returns=InclusionProof
    )


def prove_consistency(first: int, second: int | None = None) -> Call[ConsistencyProof]:
    """Get evidence that the ledger only grew between two sizes; the second is that of the newest head when left out."""
    return Call(
        method="GET",
        path=path("audit", "proofs", "consistency"),
        query=query(first=first, second=second),
        returns=ConsistencyProof,
    )


def key() -> Call[AuditKey]:
    """Get the public key that heads are signed with."""
    return Call(method="GET", path=path("audit", "key"), returns=AuditKey)

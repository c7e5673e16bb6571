"""The ledger over REST: what happened, and the evidence for it."""

from datetime import datetime

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from memroos import audit
from memroos_contracts.audit import (
    AuditEventView,
    AuditHead,
    AuditKey,
    AuditKind,
    ConsistencyProof,
    InclusionProof,
    Outcome,
)
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.identity import Actor, AuditEventId, DecisionId
from memroos_contracts.pages import Page
from memroos_kit.db import Database

PAGE_MAX = 100

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]


class AuditController(Controller):
    """The ledger, read-only."""

    path = "/api/audit"
    tags = ("audit",)

    @get("/", operation_id="listAuditEvents")
    async def list_audit_events(
        self,
        db: Db,
        actor: Caller,
        event_kind: FromQuery[AuditKind | None] = None,
        action: FromQuery[str | None] = None,
        principal: FromQuery[str | None] = None,
        asset: FromQuery[str | None] = None,
        outcome: FromQuery[Outcome | None] = None,
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
        after: FromQuery[int | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[AuditEventView]:
        """List events, newest first; with `after` (a sequence number) oldest first from there on."""
        wanted = audit.AuditFilter(
            kind=event_kind,
            action=action,
            actor=principal,
            asset=asset,
            outcome=outcome,
            since=_aware("since", since),
            until=_aware("until", until),
        )
        return await db.read(actor, audit.list_audit_events, wanted, after=after, limit=_limit(limit), cursor=cursor)

    @get("/head", operation_id="getAuditHead")
    async def get_audit_head(self, db: Db, actor: Caller) -> AuditHead:
        """Return the newest signed head: keep it elsewhere, and nobody can rewrite what it covers unseen."""
        return db.read_inline(actor, audit.get_head)

    @get("/key", operation_id="getAuditKey")
    async def get_audit_key(self, db: Db, actor: Caller, ledger: NamedDependency[audit.Ledger]) -> AuditKey:
        """Return the public key that the heads are signed with."""
        return db.read_inline(actor, audit.get_key, ledger.verifier)

    @get("/proofs/inclusion", operation_id="proveAuditInclusion")
    async def prove_audit_inclusion(self, db: Db, actor: Caller, event: FromQuery[str]) -> InclusionProof:
        """Return the evidence that the newest signed head covers an event."""
        return await db.read(actor, audit.prove_inclusion, AuditEventId(event))

    @get("/proofs/consistency", operation_id="proveAuditConsistency")
    async def prove_audit_consistency(
        self, db: Db, actor: Caller, first: FromQuery[int], second: FromQuery[int | None] = None
    ) -> ConsistencyProof:
        """Return the evidence that the ledger only grew from one size to another, by default to the newest head's."""
        return await db.read(actor, audit.prove_consistency, first, second)

    @get("/decisions/{decision:str}", operation_id="listAuditByDecision")
    async def list_audit_by_decision(self, decision: FromPath[str], db: Db, actor: Caller) -> Page[AuditEventView]:
        """List what was recorded of one decision: itself, then what came of it."""
        return Page(await db.read(actor, audit.list_by_decision, DecisionId(decision)))

    @get("/{event:str}", operation_id="getAuditEvent")
    async def get_audit_event(self, event: FromPath[str], db: Db, actor: Caller) -> AuditEventView:
        """Return one event."""
        return await db.read(actor, audit.get_audit_event, AuditEventId(event))


def _limit(limit: int) -> int:
    if not 1 <= limit <= PAGE_MAX:
        raise InvalidRequest(f"limit: between 1 and {PAGE_MAX}.", fields={"limit": f"between 1 and {PAGE_MAX}"})
    return limit


def _aware(field: str, instant: datetime | None) -> datetime | None:
    if instant is not None and instant.tzinfo is None:
        raise InvalidRequest(f"{field}: say the time zone, such as a Z at the end.", fields={field: "a time zone"})
    return instant

"""Reading the ledger: events, signed heads and proofs."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from memroos.audit.errors import NoSuchTreeSize, NotSealedYet
from memroos.audit.models import audit_event, audit_head
from memroos.audit.rules import tree
from memroos.audit.rules.body import decision_event_id, decode
from memroos.audit.rules.note import Verifier
from memroos_contracts.audit import (
    AuditActor,
    AuditAsset,
    AuditEventView,
    AuditHead,
    AuditKey,
    AuditKind,
    ConsistencyProof,
    InclusionProof,
    Outcome,
)
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import AuditEventId, DecisionId, WorkspaceId
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read

LEDGER = Asset(kind="ledger", id="events")
LEDGER_HEAD = Asset(kind="ledger_head", id="head")

_COLUMNS = (audit_event.c.seq, audit_event.c.body, audit_event.c.hashes)
_BY_ID = Hot(
    select(*_COLUMNS).where(audit_event.c.id == bindparam("id"), audit_event.c.workspace_id == bindparam("workspace"))
)
_BY_DECISION = Hot(
    select(*_COLUMNS)
    .where(
        audit_event.c.decision_id == bindparam("decision"),
        audit_event.c.kind == AuditKind.OUTCOME.value,
        audit_event.c.workspace_id == bindparam("workspace"),
    )
    .order_by(audit_event.c.seq)
    .limit(100)
)
_HASHES = Hot(select(audit_event.c.hashes).where(audit_event.c.seq == bindparam("seq")))
_HEAD = Hot(
    select(audit_head.c.size, audit_head.c.root, audit_head.c.at, audit_head.c.note)
    .order_by(audit_head.c.size.desc())
    .limit(1)
)


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to list; None means any."""

    kind: AuditKind | None = None
    action: str | None = None
    """What was asked or happened, exactly."""
    actor: str | None = None
    """Who, as a principal: `agent:agt_...`."""
    asset: str | None = None
    """On what: `task:task_...`."""
    outcome: Outcome | None = None
    since: datetime | None = None
    """Not before this instant."""
    until: datetime | None = None
    """Before this instant."""


_ANY = AuditFilter()
_NEWEST = 2**63 - 1


def list_audit_events(
    tx: Read, wanted: AuditFilter = _ANY, *, after: int | None = None, cursor: str | None = None, limit: int = 50
) -> Page[AuditEventView]:
    """Return events of the actor's workspace, newest first.

    Args:
        after: turn the order: oldest first, from behind this sequence number on; for following the ledger.
        cursor: where the page before ended.
        limit: how many at most.

    Raises:
        Denied: the actor may not read the ledger.
        InvalidCursor: the cursor belongs to another listing.
    """
    tx.authorize(Action.AUDIT_READ, LEDGER)
    given = {name: _stored(value) for name in _CONDITIONS if (value := getattr(wanted, name)) is not None}
    forward = after is not None
    listing = cursors.listing("audit", forward=forward, **given)
    place = _NEWEST if after is None else min(max(after, 0), _NEWEST)  # a number of any size comes from outside
    if cursor is not None:
        (place,) = cursors.decode(listing, cursor, int)
    statement = _page(frozenset(given), forward=forward)
    rows = tx.execute(statement, workspace=tx.actor.workspace, place=place, limit=limit + 1, **given).fetchall()
    items = [_view(row) for row in rows[:limit]]
    return Page(items, cursors.encode(listing, items[-1].seq) if len(rows) > limit else None)


def _stored(value: str | datetime) -> str | int:
    return to_micros(value) if isinstance(value, datetime) else str(value)


_CONDITIONS: dict[str, Callable[[], Any]] = {
    "kind": lambda: audit_event.c.kind == bindparam("kind"),
    "action": lambda: audit_event.c.action == bindparam("action"),
    "actor": lambda: audit_event.c.actor == bindparam("actor"),
    "asset": lambda: audit_event.c.asset == bindparam("asset"),
    "outcome": lambda: audit_event.c.outcome == bindparam("outcome"),
    "since": lambda: audit_event.c.at >= bindparam("since"),
    "until": lambda: audit_event.c.at < bindparam("until"),
}


@lru_cache(maxsize=256)
def _page(filters: frozenset[str], *, forward: bool) -> Hot:
    """Return the statement for a set of filters; there are few sets, and each is compiled once."""
    seq = audit_event.c.seq
    return Hot(
        select(*_COLUMNS)
        .where(audit_event.c.workspace_id == bindparam("workspace"))
        .where(*[_CONDITIONS[name]() for name in sorted(filters)])
        .where(seq > bindparam("place") if forward else seq < bindparam("place"))
        .order_by(seq if forward else seq.desc())
        .limit(bindparam("limit"))
    )


def get_audit_event(tx: Read, event_id: AuditEventId) -> AuditEventView:
    """Return one event.

    Raises:
        Denied: the actor may not read the ledger.
        NotFound: no event of this workspace has this id.
    """
    tx.authorize(Action.AUDIT_READ, LEDGER)
    return _view(_load(tx, event_id))


def list_by_decision(tx: Read, decision_id: DecisionId) -> list[AuditEventView]:
    """Return a decision's event, then its outcomes in order; empty when there is no such decision.

    Raises:
        Denied: the actor may not read the ledger.
    """
    tx.authorize(Action.AUDIT_READ, LEDGER)
    workspace = tx.actor.workspace
    decision = tx.execute(_BY_ID, id=decision_event_id(decision_id), workspace=workspace).fetchall()
    outcomes = tx.execute(_BY_DECISION, decision=decision_id, workspace=workspace).fetchall()
    return [_view(row) for row in (*decision, *outcomes)]


def get_head(tx: Read) -> AuditHead:
    """Return the newest signed head.

    Raises:
        Denied: the actor may not see how the ledger stands.
        NotSealedYet: nothing has been signed yet.
    """
    tx.authorize(Action.OPERATIONS_READ, LEDGER_HEAD)
    return _load_head(tx)


def get_key(tx: Read, verifier: Verifier) -> AuditKey:
    """Return the public key that the heads are signed with.

    Raises:
        Denied: the actor may not see how the ledger stands.
    """
    tx.authorize(Action.OPERATIONS_READ, LEDGER_HEAD)
    return AuditKey(origin=verifier.name, verifier=str(verifier))


def prove_inclusion(tx: Read, event_id: AuditEventId) -> InclusionProof:
    """Return the evidence that the newest signed head covers an event.

    Raises:
        Denied: the actor may not read the ledger.
        NotFound: no event of this workspace has this id.
        NotSealedYet: the event is newer than the newest head.
    """
    tx.authorize(Action.AUDIT_READ, LEDGER)
    seq, body, leaf = _load(tx, event_id)
    head = _load_head(tx)
    if seq > head.size:
        raise NotSealedYet(retry_after_s=1)
    path = tree.inclusion_proof(seq - 1, head.size, _look_up(tx))
    return InclusionProof(
        event=event_id,
        body=body,
        leaf_index=seq - 1,
        tree_size=head.size,
        leaf_hash=leaf.hex(),
        hashes=[node.hex() for node in path],
        root=head.root,
        head=head,
    )


def prove_consistency(tx: Read, first: int, second: int | None = None) -> ConsistencyProof:
    """Return the evidence that the ledger of the second size begins with that of the first.

    Args:
        first: the older size; whoever keeps a head asks with its size.
        second: the newer size; that of the newest head when left out.

    Raises:
        Denied: the actor may not read the ledger.
        NoSuchTreeSize: not `0 <= first <= second <=` the newest head's size.
        NotSealedYet: nothing has been signed yet.
    """
    tx.authorize(Action.AUDIT_READ, LEDGER)
    head = _load_head(tx)
    second = head.size if second is None else second
    if not 0 <= first <= second <= head.size:
        raise NoSuchTreeSize(size=head.size)
    look_up = _look_up(tx)
    return ConsistencyProof(
        first=first,
        second=second,
        first_root=tree.root_of(tree.load_frontier(first, look_up), first).hex(),
        second_root=tree.root_of(tree.load_frontier(second, look_up), second).hex(),
        hashes=[node.hex() for node in tree.consistency_proof(first, second, look_up)],
    )


def _load(tx: Read, event_id: AuditEventId) -> tuple[int, str, bytes]:
    row = tx.execute(_BY_ID, id=event_id, workspace=tx.actor.workspace).fetchone()
    if row is None:
        raise NotFound(f"No event {event_id} is visible to you.", kind_of_object="audit_event", id=event_id)
    return row[0], row[1], tree.pick(row[2], 0)


def _load_head(tx: Read) -> AuditHead:
    row = tx.execute(_HEAD).fetchone()
    if row is None:
        raise NotSealedYet("Nothing has been signed yet.", retry_after_s=1)
    size, root, at, note = row
    return AuditHead(size, bytes(root).hex(), from_micros(at), note)


def _look_up(tx: Read) -> tree.NodeLookup:
    def look_up(level: int, index: int) -> bytes:
        return tree.pick(tx.execute(_HASHES, seq=tree.home_of(level, index)).fetchone()[0], level)

    return look_up


def _view(row: tuple[int, str, bytes]) -> AuditEventView:
    seq, text, hashes = row
    body = decode(text)
    actor, asset = body.actor, body.asset
    return AuditEventView(
        seq=seq,
        id=AuditEventId(body.id),
        at=from_micros(body.at),
        workspace_id=WorkspaceId(body.workspace),
        kind=body.kind,
        action=body.action,
        actor=AuditActor(actor.role, actor.id, actor.key, list(actor.on_behalf_of)),
        asset=AuditAsset(asset.kind, asset.id, asset.owner, asset.agent, asset.label, asset.tags),
        decision_id=None if body.decision is None else DecisionId(body.decision),
        outcome=body.outcome,
        facts=body.facts,
        leaf_hash=tree.pick(hashes, 0).hex(),
    )

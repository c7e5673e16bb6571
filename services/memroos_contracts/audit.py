"""The words of the ledger: events, signed heads, proofs, and what a verification found."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from memroos_contracts.identity import AuditEventId, DecisionId, WorkspaceId

Fact = str | int | bool | None | list[str]
"""What an event may say about itself: no floats, whose text form differs between systems."""


class AuditKind(StrEnum):
    """What an event records."""

    DECISION = "decision"  # what policy said
    OUTCOME = "outcome"  # what came of it


class Outcome(StrEnum):
    """How an action ended."""

    OK = "ok"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"  # an effect outside the database that a crash interrupted; a worker finds out


class AuditActor(msgspec.Struct, frozen=True):
    """Who acted."""

    role: str
    id: str
    key: str | None = None
    on_behalf_of: list[str] = []


class AuditAsset(msgspec.Struct, frozen=True):
    """What it was about."""

    kind: str
    id: str
    owner: str = ""
    agent: str = ""
    label: str = "internal"
    tags: list[str] = []


class AuditEventView(msgspec.Struct, frozen=True):
    """One event of the ledger."""

    seq: int
    """Its place, from 1, without gaps, in the order of the commits."""
    id: AuditEventId
    at: datetime
    workspace_id: WorkspaceId
    kind: AuditKind
    action: str
    """For a decision what was asked (`task.send`), for an outcome what happened (`task.created`)."""
    actor: AuditActor
    asset: AuditAsset
    decision_id: DecisionId | None
    """Pairs an outcome with its decision."""
    outcome: str
    """How it ended; empty for a decision, whose `facts` say the effect."""
    facts: dict[str, Any]
    leaf_hash: str
    """SHA-256 of a zero byte and the canonical JSON, hex."""


class AuditHead(msgspec.Struct, frozen=True):
    """A signed statement about the first `size` events."""

    size: int
    root: str
    """The tree's root hash (RFC 6962, 2.1), hex."""
    at: datetime
    note: str
    """The signed checkpoint (C2SP signed note): hand this to a witness."""


class InclusionProof(msgspec.Struct, frozen=True):
    """Evidence that an event is one of those a signed head speaks about."""

    event: AuditEventId
    body: str
    """The event's canonical JSON; hash it with a zero byte in front."""
    leaf_index: int
    """The event's place, from 0."""
    tree_size: int
    leaf_hash: str
    hashes: list[str]
    """The audit path (RFC 6962, 2.1.1), hex, lowest first."""
    root: str
    head: AuditHead


class ConsistencyProof(msgspec.Struct, frozen=True):
    """Evidence that a ledger only grew between two sizes."""

    first: int
    second: int
    first_root: str
    second_root: str
    hashes: list[str]
    """The proof nodes (RFC 6962, 2.1.2), hex."""


class AuditKey(msgspec.Struct, frozen=True):
    """The public key that the ledger's heads are signed with."""

    origin: str
    verifier: str
    """`<name>+<key hash>+<key>`, as C2SP signed notes write it."""


class Misfit(msgspec.Struct, frozen=True):
    """The first place where a ledger does not fit."""

    seq: int
    """The first event that does not fit, or that is missing."""
    reason: str
    event: AuditEventId | None = None
    until_seq: int | None = None
    """Set when only a range can be told: it is one of the events from `seq` to here."""


class VerifyReport(msgspec.Struct, frozen=True):
    """What a verification of a whole ledger found."""

    ok: bool
    events: int
    """How many events were checked."""
    heads: int
    """How many signed heads were checked."""
    witnessed: int
    """How many heads of the witness file were checked."""
    sealed: int
    """How many events the last good head covers."""
    root: str
    """The root hash over all events, hex; empty where something does not fit."""
    signatures_checked: bool
    """False where no public key was at hand."""
    misfit: Misfit | None = None

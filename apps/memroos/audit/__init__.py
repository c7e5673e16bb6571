"""The ledger: what was decided and what came of it, append-only and sealed.

An event is written in the same transaction as the change it tells of, or the change does not happen. Events are
numbered in the order of the commits, hashed into the Merkle tree of RFC 6962, and covered by signed heads, so that a
changed, missing or reordered event is found by whoever holds a head and the public key.
"""

from memroos.audit.errors import LedgerDamaged, LedgerKeyInvalid, LedgerUnreadable, NoSuchTreeSize, NotSealedYet
from memroos.audit.queries import (
    AuditFilter,
    get_audit_event,
    get_head,
    get_key,
    list_audit_events,
    list_by_decision,
    prove_consistency,
    prove_inclusion,
)
from memroos.audit.rules.body import digest
from memroos.audit.rules.note import Signer, Verifier, read_checkpoint
from memroos.audit.rules.tree import hash_leaf, includes
from memroos.audit.service import (
    KEY_FILE,
    PUBLIC_KEY_FILE,
    FailureRecorder,
    Ledger,
    ensure_signer,
    read_verifier,
    record,
    record_decision,
    seal,
)
from memroos.audit.verification import verify

__all__ = [
    "record",
    "record_decision",
    "digest",
    "seal",
    "list_audit_events",
    "AuditFilter",
    "get_key",
    "get_audit_event",
    "list_by_decision",
    "get_head",
    "prove_inclusion",
    "prove_consistency",
    "verify",
    "read_verifier",
    "Ledger",
    "FailureRecorder",
    "Signer",
    "Verifier",
    "read_checkpoint",
    "hash_leaf",
    "includes",
    "ensure_signer",
    "KEY_FILE",
    "PUBLIC_KEY_FILE",
    "LedgerDamaged",
    "LedgerKeyInvalid",
    "LedgerUnreadable",
    "NoSuchTreeSize",
    "NotSealedYet",
]

"""The ledger: what was decided and what came of it, append-only and sealed.

An event is written in the same transaction as the change it tells of, or the change does not happen. Events are
numbered in the order of the commits, hashed into the Merkle tree of RFC 6962, and covered by signed heads, so that a
changed, missing or reordered event is found by whoever holds a head and the public key.
"""

from memroos.audit.errors import LedgerDamaged, LedgerKeyInvalid, LedgerUnreadable, NoSuchTreeSize, NotSealedYet
from memroos.audit.rules.body import digest
from memroos.audit.rules.note import Signer, Verifier
from memroos.audit.service import (
    KEY_FILE,
    PUBLIC_KEY_FILE,
    FailureRecorder,
    Ledger,
    ensure_signer,
    record,
    record_decision,
    seal,
)

__all__ = [
    "record",
    "record_decision",
    "digest",
    "seal",
    "Ledger",
    "FailureRecorder",
    "Signer",
    "Verifier",
    "ensure_signer",
    "KEY_FILE",
    "PUBLIC_KEY_FILE",
    "LedgerDamaged",
    "LedgerKeyInvalid",
    "LedgerUnreadable",
    "NoSuchTreeSize",
    "NotSealedYet",
]

"""Checking what the ledger says without believing the kernel: pure arithmetic over a proof and a public key."""

from typing import Any

import msgspec

from memroos import audit
from memroos_contracts.audit import InclusionProof


class _Body(msgspec.Struct):
    """The part of an event's canonical JSON that the demo looks at."""

    facts: dict[str, Any]


def find_fault(proof: InclusionProof, verifier: str, digest: str) -> str:
    """Check a proof with nothing but the ledger's public key; return what does not fit, empty where all does.

    Args:
        proof: that an event is one of those a signed head speaks about.
        verifier: the public key.
        digest: SHA-256 that the event has to name as the result, hex.
    """
    try:
        head = audit.read_checkpoint(audit.Verifier.parse(verifier).open(proof.head.note))
        body = msgspec.json.decode(proof.body, type=_Body)
        path = [bytes.fromhex(step) for step in proof.hashes]
    except ValueError as error:
        return str(error)
    if body.facts.get("result_digest") != digest:
        return "the event is about another file"
    if head.size != proof.tree_size:
        return "the signed head is of another size"
    if not audit.includes(audit.hash_leaf(proof.body.encode()), proof.leaf_index, head.size, path, head.root):
        return "the hashes do not lead to the root that was signed"
    return ""

"""The demo believes a proof only where the arithmetic and the signature hold."""

from datetime import UTC, datetime

import msgspec
import pytest

from memroos.audit.rules import note, tree
from memroos.demo.proof import find_fault
from memroos_contracts.audit import AuditHead, InclusionProof
from memroos_contracts.identity import AuditEventId

DIGEST = "ab" * 32
SIGNER = note.Signer.generate("ledger.example")
KEY = str(SIGNER.verifier)
BODIES = [f'{{"action":"a.b","facts":{{"result_digest":"{number:064x}"}}}}' for number in range(6)]
BODIES.insert(4, f'{{"action":"decision.reported","facts":{{"result_digest":"{DIGEST}"}}}}')


def proof_of(index: int, *, signer: note.Signer = SIGNER, size: int = len(BODIES)) -> InclusionProof:
    """Return the proof that a ledger of the bodies gives for one of them."""
    leaves = [tree.hash_leaf(body.encode()) for body in BODIES]
    frontier = [b""] * tree.LEVELS
    completed = tree.append(frontier, 0, leaves)
    path = tree.inclusion_proof(
        index, len(leaves), lambda level, at: tree.pick(completed[tree.home_of(level, at) - 1], level)
    )
    root = tree.root_of(frontier, len(leaves))
    text = note.checkpoint_text(note.Checkpoint("ledger.example", size, root))
    return InclusionProof(
        event=AuditEventId("aud_1"),
        body=BODIES[index],
        leaf_index=index,
        tree_size=len(leaves),
        leaf_hash=leaves[index].hex(),
        hashes=[step.hex() for step in path],
        root=root.hex(),
        head=AuditHead(size=size, root=root.hex(), at=datetime(2026, 1, 1, tzinfo=UTC), note=signer.sign(text)),
    )


def test_a_good_proof_has_no_fault() -> None:
    assert find_fault(proof_of(4), KEY, DIGEST) == ""


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"body": BODIES[4].replace("reported", "released")}, "the hashes do not lead to the root that was signed"),
        ({"leaf_index": 3}, "the hashes do not lead to the root that was signed"),
        ({"hashes": ["00" * 32] * 3}, "the hashes do not lead to the root that was signed"),
        ({"hashes": ["no hash"]}, "non-hexadecimal"),
        ({"tree_size": 6}, "the signed head is of another size"),
        ({"body": BODIES[3]}, "the event is about another file"),
        ({"body": "{}"}, "facts"),
    ],
)
def test_whatever_is_changed_is_found(changes: dict[str, object], fault: str) -> None:
    changed = msgspec.structs.replace(proof_of(4), **changes)

    assert fault in find_fault(changed, KEY, DIGEST)


def test_a_head_that_another_key_signed_is_no_head() -> None:
    forged = proof_of(4, signer=note.Signer.generate("ledger.example"))

    assert find_fault(forged, KEY, DIGEST).startswith("no signature of ledger.example")


def test_an_event_about_another_file_proves_nothing() -> None:
    assert find_fault(proof_of(4), KEY, "cd" * 32) == "the event is about another file"

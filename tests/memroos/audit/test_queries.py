"""What happened can be found, and proved to somebody who trusts only a signed head."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.actors import AGENT, AUDITOR, KERNEL, OPERATOR, STRANGER
from tests.conftest import START, Policy
from tests.memroos.audit.conftest import TASK, Fill, TaskFull, create

from memroos import audit
from memroos.audit.rules import tree
from memroos.audit.rules.note import read_checkpoint
from memroos_contracts.audit import AuditKind, Outcome
from memroos_contracts.errors import Denied, InvalidCursor, NotFound
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import AuditEventId, DecisionId
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database


def seqs(db: Database, wanted: audit.AuditFilter | None = None, **page: Any) -> list[int]:
    found = db.read_now(AUDITOR, audit.list_audit_events, wanted or audit.AuditFilter(), **page)
    return [event.seq for event in found.items]


# -- finding ----------------------------------------------------------------------------------------------------


def test_the_newest_come_first(db: Database, fill: Fill) -> None:
    fill(3)

    assert seqs(db) == [6, 5, 4, 3, 2, 1]


def test_following_goes_forward(db: Database, fill: Fill) -> None:
    fill(3)

    assert seqs(db, after=2) == [3, 4, 5, 6]
    assert seqs(db, after=6) == []


@pytest.mark.parametrize("after", [None, 0])
def test_pages_join_without_gap_or_repeat(after: int | None, db: Database, fill: Fill) -> None:
    fill(5)
    wanted = audit.AuditFilter(kind=AuditKind.OUTCOME)

    pages, cursor = [], None
    while True:
        page = db.read_now(AUDITOR, audit.list_audit_events, wanted, after=after, cursor=cursor, limit=2)
        pages.append([event.seq for event in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break

    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(seq for page in pages for seq in page) == [2, 4, 6, 8, 10]


def test_a_cursor_of_other_filters_is_refused(db: Database, fill: Fill) -> None:
    fill(2)
    page = db.read_now(AUDITOR, audit.list_audit_events, audit.AuditFilter(), limit=1)

    with pytest.raises(InvalidCursor):
        db.read_now(AUDITOR, audit.list_audit_events, audit.AuditFilter(action="task.send"), cursor=page.next_cursor)


def test_filters_narrow_the_list(db: Database, clock: ManualClock, policy: Policy) -> None:
    db.write_now(OPERATOR, create)  # 1, 2
    clock.advance(seconds=60)
    with pytest.raises(TaskFull):
        db.write_now(AGENT, create, fail=TaskFull())  # 3, 4
    db.write_now(AGENT, lambda tx: audit.record(tx, "agent.created", Asset("agent", "agt_9")))  # 5

    minute = START + timedelta(seconds=60)
    assert seqs(db, audit.AuditFilter(kind=AuditKind.DECISION)) == [3, 1]
    assert seqs(db, audit.AuditFilter(action="task.created")) == [2]
    assert seqs(db, audit.AuditFilter(actor=AGENT.principal)) == [5, 4, 3]
    assert seqs(db, audit.AuditFilter(asset="agent:agt_9")) == [5]
    assert seqs(db, audit.AuditFilter(outcome=Outcome.FAILED)) == [4]
    assert seqs(db, audit.AuditFilter(since=minute)) == [5, 4, 3]
    assert seqs(db, audit.AuditFilter(until=minute)) == [2, 1]
    assert seqs(db, audit.AuditFilter(actor=AGENT.principal, kind=AuditKind.OUTCOME, since=minute)) == [5, 4]


def test_an_event_is_shown_as_it_was_recorded(db: Database, clock: ManualClock) -> None:
    event_id = db.write_now(AGENT, create, 7)

    event = db.read_now(AUDITOR, audit.get_audit_event, event_id)

    assert (event.seq, event.id, event.at, event.action) == (2, event_id, clock.now(), "task.created")
    assert (event.actor.role, event.actor.id, event.actor.key) == ("agent", AGENT.id, AGENT.key)
    assert (event.asset.kind, event.asset.id, event.asset.owner) == ("task", "task_1", TASK.owner)
    assert (event.kind, event.outcome, event.facts) == (AuditKind.OUTCOME, "ok", {"number": 7})


def test_a_decision_is_listed_with_what_came_of_it(db: Database) -> None:
    event_id = db.write_now(OPERATOR, create)
    decision = db.read_now(AUDITOR, audit.get_audit_event, event_id).decision_id
    assert decision is not None
    db.write_now(OPERATOR, create)
    db.write_now(OPERATOR, lambda tx: audit.record(tx, "tool.used", TASK, decision_id=decision))

    listed = db.read_now(AUDITOR, audit.list_by_decision, decision)

    assert [event.seq for event in listed] == [1, 2, 5]
    assert db.read_now(AUDITOR, audit.list_by_decision, DecisionId("dec_unknown")) == []


# -- what does not exist for others -------------------------------------------------------------------------------


def test_events_of_another_workspace_do_not_exist(db: Database, fill: Fill) -> None:
    event_id = db.write_now(OPERATOR, create)
    decision = db.read_now(OPERATOR, audit.get_audit_event, event_id).decision_id
    assert decision is not None
    db.write_now(KERNEL, audit.seal)

    assert db.read_now(STRANGER, audit.list_audit_events).items == []
    assert db.read_now(STRANGER, audit.list_by_decision, decision) == []
    for query in (audit.get_audit_event, audit.prove_inclusion):
        with pytest.raises(NotFound):
            db.read_now(STRANGER, query, event_id)


def test_an_unknown_event_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        db.read_now(AUDITOR, audit.get_audit_event, AuditEventId("aud_unknown"))


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        (audit.list_audit_events, ()),
        (audit.get_audit_event, ("aud_1",)),
        (audit.list_by_decision, ("dec_1",)),
        (audit.prove_inclusion, ("aud_1",)),
        (audit.prove_consistency, (0,)),
    ],
)
def test_the_ledger_is_only_for_those_who_may_read_it(
    query: Any, arguments: tuple[Any, ...], db: Database, policy: Policy
) -> None:
    policy.deny(Action.AUDIT_READ)

    with pytest.raises(Denied):
        db.read_now(AGENT, query, *arguments)


def test_heads_are_for_those_who_may_see_how_things_stand(
    db: Database, policy: Policy, signer: audit.Signer, fill: Fill
) -> None:
    fill(5)
    policy.deny(Action.AUDIT_READ)
    assert db.read_now(AUDITOR, audit.get_head).size == 10
    assert db.read_now(AUDITOR, audit.get_key, signer.verifier).verifier == str(signer.verifier)

    policy.deny(Action.OPERATIONS_READ)

    with pytest.raises(Denied):
        db.read_now(AUDITOR, audit.get_head)
    with pytest.raises(Denied):
        db.read_now(AUDITOR, audit.get_key, signer.verifier)


# -- proving ------------------------------------------------------------------------------------------------------


def test_the_head_is_the_newest(db: Database, fill: Fill, signer: audit.Signer) -> None:
    fill(12)

    head = db.read_now(AUDITOR, audit.get_head)

    checkpoint = read_checkpoint(signer.verifier.open(head.note))
    assert (head.size, checkpoint.size, checkpoint.root.hex()) == (20, 20, head.root)


def test_without_a_head_there_is_nothing_to_prove(db: Database) -> None:
    event = db.write_now(OPERATOR, create)

    with pytest.raises(audit.NotSealedYet):
        db.read_now(AUDITOR, audit.get_head)
    with pytest.raises(audit.NotSealedYet):
        db.read_now(AUDITOR, audit.prove_inclusion, event)
    with pytest.raises(audit.NotSealedYet):
        db.read_now(AUDITOR, audit.prove_consistency, 0)


def test_an_event_newer_than_the_head_is_not_proved_yet(db: Database, fill: Fill) -> None:
    fill(5)
    event = db.write_now(OPERATOR, create)

    with pytest.raises(audit.NotSealedYet) as caught:
        db.read_now(AUDITOR, audit.prove_inclusion, event)

    assert caught.value.retry_after_s == 1


def test_every_event_is_proved_to_whoever_holds_the_public_key(db: Database, fill: Fill, signer: audit.Signer) -> None:
    fill(15)
    listed = db.read_now(AUDITOR, audit.list_audit_events, limit=100).items
    assert len(listed) == 30

    for event in listed:
        proof = db.read_now(AUDITOR, audit.prove_inclusion, event.id)

        head = read_checkpoint(signer.verifier.open(proof.head.note))
        leaf = tree.hash_leaf(proof.body.encode())
        path = [bytes.fromhex(node) for node in proof.hashes]
        assert leaf.hex() == proof.leaf_hash == event.leaf_hash
        assert event.id in proof.body
        assert tree.includes(leaf, proof.leaf_index, head.size, path, head.root)
        assert (proof.tree_size, proof.root) == (head.size, head.root.hex())


def test_growth_is_proved_to_whoever_kept_an_older_head(db: Database, fill: Fill) -> None:
    heads = []
    for _ in range(4):
        fill(5)
        heads.append(db.read_now(AUDITOR, audit.get_head))

    for number, older in enumerate(heads):
        for newer in heads[number:]:
            proof = db.read_now(AUDITOR, audit.prove_consistency, older.size, newer.size)

            assert (proof.first_root, proof.second_root) == (older.root, newer.root)
            assert tree.extends(
                proof.first,
                proof.second,
                [bytes.fromhex(node) for node in proof.hashes],
                first_root=bytes.fromhex(older.root),
                second_root=bytes.fromhex(newer.root),
            )


def test_growth_is_proved_up_to_the_newest_head_by_default(db: Database, fill: Fill) -> None:
    fill(10)

    proof = db.read_now(AUDITOR, audit.prove_consistency, 0)

    assert (proof.first, proof.second, proof.hashes) == (0, 20, [])
    assert proof.first_root == tree.EMPTY_ROOT.hex()


@pytest.mark.parametrize(("first", "second"), [(-1, 5), (6, 5), (1, 11), (11, None)])
def test_a_size_the_ledger_never_had_is_refused(
    first: int, second: int | None, db: Database, fill: Fill, db_path: Path
) -> None:
    fill(5)

    with pytest.raises(audit.NoSuchTreeSize) as caught:
        db.read_now(AUDITOR, audit.prove_consistency, first, second)

    assert caught.value.facts == {"size": 10}

"""Who sees which approvals."""

import pytest
from tests.actors import (
    AGENT,
    AUDITOR,
    OPERATOR,
    OTHER_AGENT,
    STRANGE_AGENT,
    STRANGER,
    VIEWER,
)
from tests.memroos.governance.acting import WRITE, approve, held
from tests.memroos.governance.looking import ledger_of

from memroos import governance
from memroos.governance import (
    Gate,
)
from memroos_contracts.errors import Denied, InvalidCursor, NotFound
from memroos_contracts.governance import (
    ApprovalState,
    DecisionRequest,
)
from memroos_contracts.identity import Actor, ApprovalId, Role
from memroos_kit.db import Database


def _ask_many(db: Database, gate: Gate, count: int) -> list[ApprovalId]:
    return [held(db, gate, DecisionRequest("file.write", "files", {"n": n}))[1] for n in range(count)]


def test_a_listing_is_newest_first_and_goes_on_where_it_stopped(db: Database, gate: Gate) -> None:
    ids = _ask_many(db, gate, 5)

    first = db.read_now(OPERATOR, governance.list_approvals, limit=2)
    second = db.read_now(OPERATOR, governance.list_approvals, limit=2, cursor=first.next_cursor)
    third = db.read_now(OPERATOR, governance.list_approvals, limit=2, cursor=second.next_cursor)

    assert [a.id for page in (first, second, third) for a in page.items] == ids[::-1]
    assert third.next_cursor is None


def test_a_listing_by_state_takes_only_its_own_cursors(db: Database, gate: Gate) -> None:
    ids = _ask_many(db, gate, 3)
    approve(db, gate, ids[1])

    pending = db.read_now(OPERATOR, governance.list_approvals, state=ApprovalState.PENDING, limit=1)

    assert [a.id for a in pending.items] == [ids[2]]
    with pytest.raises(InvalidCursor):
        db.read_now(OPERATOR, governance.list_approvals, cursor=pending.next_cursor)
    rest = db.read_now(
        OPERATOR, governance.list_approvals, state=ApprovalState.PENDING, cursor=pending.next_cursor, limit=1
    )
    assert ([a.id for a in rest.items], rest.next_cursor) == ([ids[0]], None)


def test_agents_list_what_they_asked_and_others_see_nothing(db: Database, gate: Gate) -> None:
    ids = _ask_many(db, gate, 2)

    assert [a.id for a in db.read_now(AGENT, governance.list_approvals).items] == ids[::-1]
    for actor in (OTHER_AGENT, STRANGER, STRANGE_AGENT):
        assert db.read_now(actor, governance.list_approvals).items == []


def test_a_viewer_sees_that_something_waits_but_not_what_it_says(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)

    [listed] = db.read_now(VIEWER, governance.list_approvals).items
    seen = db.read_now(VIEWER, governance.get_approval, approval_id)

    assert listed == seen
    assert (seen.redacted, seen.arguments, seen.purpose, seen.action) == (True, {}, "", "file.write")
    assert db.read_now(AUDITOR, governance.get_approval, approval_id).arguments == WRITE.arguments


def test_the_requester_sees_its_approval_and_others_do_not(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)

    assert db.read_now(AGENT, governance.get_approval, approval_id).id == approval_id
    for actor in (OTHER_AGENT, STRANGER, STRANGE_AGENT):
        with pytest.raises(NotFound):
            db.read_now(actor, governance.get_approval, approval_id)


def test_a_key_without_the_scope_sees_no_approvals(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)
    narrow = Actor(Role.OPERATOR, "key_n", scopes=frozenset({"task."}))

    with pytest.raises(Denied):
        db.read_now(narrow, governance.get_approval, approval_id)
    with pytest.raises(Denied):
        db.read_now(narrow, governance.list_approvals)


def test_who_saw_what_is_asked_is_on_record_before_they_see_it(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)
    before = len(ledger_of(db))

    seen = db.write_now(AUDITOR, governance.read_approval, approval_id)
    listed = db.write_now(VIEWER, governance.read_approvals)

    decided, read, decided_again, read_all = ledger_of(db)[before:]
    assert (seen.arguments, listed.items[0].arguments) == (WRITE.arguments, {})
    assert (decided.kind, read.action, read.actor) == ("decision", "approval.read", AUDITOR.principal)
    assert (read.asset, read.facts["redacted"]) == (f"approval:{approval_id}", False)
    assert (decided_again.kind, read_all.actor) == ("decision", VIEWER.principal)
    assert (read_all.facts["read"], read_all.facts["redacted"]) == ([approval_id], True)


def test_an_empty_list_of_approvals_shows_nothing_and_says_so_to_nobody(db: Database) -> None:
    assert db.write_now(OPERATOR, governance.read_approvals).items == []

    assert [entry.kind for entry in ledger_of(db)] == ["decision"]

"""The gate decides, records, holds and remembers."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.actors import AGENT, AUDITOR, KERNEL, OPERATOR, OTHER_AGENT, VIEWER
from tests.memroos.governance.looking import approvals_of, ledger_of

from memroos.governance import Gate, Policy
from memroos_contracts.errors import Denied
from memroos_contracts.governance import (
    Action,
    ApprovalState,
    ApprovalView,
    Asset,
    Decision,
    Effect,
    Label,
    Sensitivity,
)
from memroos_contracts.identity import Actor, Role
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Read, Tx

TASK = Asset("task", "task_1", owner=AGENT.principal, agent=OTHER_AGENT.id)
RESTRICTED = Asset("agent", "agt_2", agent=OTHER_AGENT.id, label=Label(Sensitivity.RESTRICTED))


def act(
    tx: Tx, action: Action, asset: Asset = TASK, *, holdable: bool = False, arguments: Any = None, purpose: str = ""
) -> Decision:
    """A verb that does nothing but ask."""
    return tx.authorize(action, asset, holdable=holdable, arguments=arguments, purpose=purpose)


def look(tx: Read, action: Action, asset: Asset = TASK) -> tuple[Decision, int]:
    """A query that does nothing but ask."""
    return tx.authorize(action, asset), len(tx.decisions)


def send(tx: Tx, /, **arguments: Any) -> Decision:
    """A verb that policy holds for agents."""
    return tx.authorize(Action.TASK_SEND, RESTRICTED, purpose="to compare", arguments=arguments, holdable=True)


def test_an_allowed_verb_gets_a_decision_that_the_ledger_has(db: Database, gate: Gate) -> None:
    decision = db.write_now(AGENT, act, Action.TASK_READ)

    assert (decision.effect, decision.policies) == (Effect.ALLOW, ("agents-follow-their-tasks",))
    assert decision.policy_hash == gate.policy.hash
    [event] = ledger_of(db)
    assert (event.kind, event.action, event.decision) == ("decision", "task.read", decision.id)
    assert event.facts["effect"] == "allow"
    assert event.facts["policies"] == ["agents-follow-their-tasks"]


def test_a_denied_verb_raises_and_leaves_its_decision_and_outcome(db: Database) -> None:
    with pytest.raises(Denied, match="No policy permits it") as denied:
        db.write_now(AGENT, act, Action.AGENT_CREATE)

    decision, outcome = ledger_of(db)
    assert denied.value.facts == {"action": "agent.create", "decision": decision.decision}
    assert (decision.kind, decision.facts["effect"]) == ("decision", "deny")
    assert (outcome.kind, outcome.outcome, outcome.decision) == ("outcome", "denied", decision.decision)


def test_a_read_is_decided_but_not_recorded(db: Database) -> None:
    decision, count = db.read_now(AGENT, look, Action.TASK_READ)

    assert (decision.effect, decision.id, count) == (Effect.ALLOW, "", 1)
    assert ledger_of(db) == []


def test_a_denied_read_names_the_decision_that_the_ledger_holds(db: Database) -> None:
    with pytest.raises(Denied) as denied:
        db.read_now(AGENT, look, Action.AUDIT_READ)

    decided, ended = ledger_of(db)
    assert (decided.kind, decided.facts["effect"], ended.outcome) == ("decision", "deny", "denied")
    assert denied.value.facts == {"action": "audit.read", "decision": decided.decision}


def test_a_redaction_is_a_denial_where_the_verb_cannot_leave_out(db: Database, shipped: Policy) -> None:
    with pytest.raises(Denied, match="Only its state may be seen"):
        db.read_now(VIEWER, look, Action.TASK_READ)
    assert db.read_now(VIEWER, look, Action.INBOX_READ)[0].effect is Effect.REDACT
    assert not db.read_now(VIEWER, _permits, Action.TASK_READ)
    assert db.read_now(VIEWER, _permits, Action.INBOX_READ)


def _permits(tx: Read, action: Action, asset: Asset = TASK) -> bool:
    return tx.permits(action, asset)


def test_permits_says_what_authorize_would_and_records_nothing(db: Database) -> None:
    def choose(tx: Tx) -> list[bool]:
        return [tx.permits(a, RESTRICTED) for a in (Action.TASK_SEND, Action.PEER_READ, Action.AGENT_CREATE)]

    assert db.write_now(AGENT, choose) == [True, True, False]  # the first after a human's answer
    assert ledger_of(db) == []


# -- holds -----------------------------------------------------------------------------------------------------------


def test_a_hold_opens_an_approval_in_the_same_transaction(db: Database, clock: ManualClock) -> None:
    decision = db.write_now(AGENT, send, text="hello")

    [approval] = approvals_of(db)
    assert decision.held
    assert approval.id == decision.approval_id
    assert approval.state is ApprovalState.PENDING
    assert (approval.requester, approval.action, approval.resumes) == (AGENT.principal, "task.send", Action.TASK_SEND)
    assert (approval.asset, approval.arguments, approval.purpose) == ("agent:agt_2", {"text": "hello"}, "to compare")
    assert approval.policies == ("restricted-content-is-passed-on-by-a-person",)
    assert approval.decision_id == decision.id
    assert approval.expires_at == clock.now() + timedelta(hours=24)


def test_the_ledger_tells_of_a_hold_and_of_what_waits_but_not_of_its_arguments(db: Database) -> None:
    decision = db.write_now(AGENT, send, text="hello hello")

    held, waits = ledger_of(db)
    assert (held.facts["effect"], held.facts["approval"]) == ("hold", decision.approval_id)
    assert (waits.action, waits.decision) == ("approval.created", decision.id)
    assert waits.facts["digest"] == approvals_of(db)[0].digest
    assert "hello" not in f"{held} {waits}"


def test_asking_again_while_it_waits_finds_the_same_approval(db: Database) -> None:
    first = db.write_now(AGENT, send, text="hello", to=1)
    again = db.write_now(AGENT, send, to=1, text="hello")

    assert again.approval_id == first.approval_id
    assert again.id != first.id
    assert len(approvals_of(db)) == 1


def test_other_arguments_or_another_requester_need_an_approval_of_their_own(db: Database) -> None:
    ids = {
        db.write_now(AGENT, send, text="hello").approval_id,
        db.write_now(AGENT, send, text="hullo").approval_id,
        db.write_now(OTHER_AGENT, send, text="hello").approval_id,
    }

    assert len(ids) == 3


def test_asking_again_after_the_time_opens_a_new_one_and_ends_the_old(
    db: Database, clock: ManualClock, resumed: list[ApprovalView]
) -> None:
    first = db.write_now(AGENT, send, text="hello")
    clock.advance(seconds=24 * 3600)

    again = db.write_now(AGENT, send, text="hello")

    assert again.approval_id != first.approval_id
    assert [a.state for a in approvals_of(db)] == [ApprovalState.PENDING, ApprovalState.EXPIRED]
    assert [a.id for a in resumed] == [first.approval_id]


def test_a_hold_is_a_denial_where_the_verb_cannot_wait(db: Database) -> None:
    with pytest.raises(Denied, match="needs approval"):
        db.write_now(AGENT, act, Action.TASK_SEND, RESTRICTED)

    assert approvals_of(db) == []
    assert [event.outcome for event in ledger_of(db)] == ["", "denied"]
    assert ledger_of(db)[0].facts["effect"] == "deny"


def test_a_read_cannot_wait_even_if_it_says_so(db: Database) -> None:
    def query(tx: Read) -> Decision:
        return tx.authorize(Action.TASK_SEND, RESTRICTED, holdable=True)

    with pytest.raises(Denied, match="needs approval"):
        db.read_now(AGENT, query)


def test_a_hold_that_nobody_could_resume_is_a_mistake_of_ours(db: Database) -> None:
    with pytest.raises(LookupError, match=r"inbox\.send"):
        db.write_now(AGENT, act, Action.INBOX_SEND, RESTRICTED, holdable=True)

    assert approvals_of(db) == []


def test_a_verb_that_fails_after_its_hold_leaves_no_approval(db: Database) -> None:
    def hold_and_fail(tx: Tx) -> None:
        send(tx, text="hello")
        raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        db.write_now(AGENT, hold_and_fail)

    assert approvals_of(db) == []
    assert [event.outcome for event in ledger_of(db)] == ["", "failed"]


def test_arguments_may_be_anything_a_view_can_hold(db: Database, clock: ManualClock) -> None:
    decision = db.write_now(AGENT, send, label=Label(tags=frozenset({"pii"})), at=clock.now(), kind=Action.TASK_SEND)

    [approval] = approvals_of(db)
    assert approval.id == decision.approval_id
    assert approval.arguments["label"] == {"sensitivity": "internal", "tags": ["pii"]}
    assert approval.arguments["kind"] == "task.send"


# -- the cache -------------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_for_all_assets_that_are_alike(db: Database, gate: Gate) -> None:
    first = db.write_now(AGENT, act, Action.TASK_READ)
    second = db.write_now(AGENT, act, Action.TASK_READ, Asset("task", "task_2", owner=AGENT.principal, agent="agt_x"))

    assert (first.cached, second.cached) == (False, True)
    assert (gate.hits, gate.misses) == (1, 1)
    assert [event.facts["cached"] for event in ledger_of(db)] == [False, True]


@pytest.mark.parametrize(
    ("actor", "action", "asset"),
    [
        (OPERATOR, Action.TASK_READ, TASK),
        (AUDITOR, Action.TASK_LIST, TASK),
        (Actor(Role.AGENT, AGENT.id, agent=AGENT.agent, scopes=frozenset({"task."})), Action.TASK_READ, TASK),
        (KERNEL, Action.TASK_READ, TASK),
        (AGENT, Action.TASK_CANCEL, TASK),
        (AGENT, Action.TASK_READ, Asset("thing", "task_1", owner=AGENT.principal, agent=OTHER_AGENT.id)),
        (AGENT, Action.TASK_READ, Asset("task", "task_1", owner=AGENT.principal, agent=AGENT.id)),
        (AGENT, Action.TASK_READ, Asset("task", "task_1", AGENT.principal, OTHER_AGENT.id, state="held")),
        (AGENT, Action.TASK_READ, Asset("task", "task_1", AGENT.principal, OTHER_AGENT.id, RESTRICTED.label)),
    ],
)
def test_no_answer_serves_another_question(
    db: Database, gate: Gate, actor: Actor, action: Action, asset: Asset
) -> None:
    db.write_now(AGENT, act, Action.TASK_READ)

    assert not db.write_now(actor, act, action, asset).cached
    assert db.write_now(actor, act, action, asset).cached


def test_a_purpose_makes_no_difference_where_no_policy_looks_at_it(db: Database) -> None:
    db.write_now(AGENT, act, Action.TASK_READ, purpose="one")
    again = db.write_now(AGENT, act, Action.TASK_READ, purpose="two")

    assert (again.cached, again.purpose) == (True, "two")


def test_another_policy_set_answers_anew(db: Database, gate: Gate) -> None:
    before = db.write_now(AGENT, act, Action.TASK_READ)

    gate.use(Policy({"none.cedar": ""}))

    with pytest.raises(Denied):
        db.write_now(AGENT, act, Action.TASK_READ)
    assert ledger_of(db)[-2].facts["policy_hash"] == gate.policy.hash != before.policy_hash


def test_the_cache_forgets_what_was_not_used_for_longest(db: Database, shipped: Policy) -> None:
    gate = Gate(shipped, cache_size=2)

    def asks(tx: Read, *kinds: str) -> list[bool]:
        return [gate.authorize(tx, Action.PEER_READ, Asset(kind, "1")).cached for kind in kinds]

    assert db.read_now(AGENT, asks, "a", "b", "a", "c", "a", "b") == [False, False, True, False, True, False]


def test_threads_that_ask_at_once_get_the_same_answers(shipped: Policy, db: Database) -> None:
    gate = Gate(shipped, cache_size=3)
    wrong: list[str] = []

    def asks(tx: Read) -> None:
        for n in range(200):
            decision = gate.authorize(tx, Action.PEER_READ, Asset(f"kind{n % 7}", "1"))
            if decision.policies != ("agents-may-see-peers",):
                wrong.append(decision.reason)

    threads = [threading.Thread(target=db.read_now, args=(AGENT, asks)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert gate.hits + gate.misses == 800


def test_the_database_itself_keeps_one_pending_approval_per_question(db: Database) -> None:
    db.write_now(AGENT, send, text="hello")

    def double(tx: Tx) -> None:
        columns = ", ".join(c for c in _columns(tx) if c != "id")
        tx.session.execute(text(f"INSERT INTO approval (id, {columns}) SELECT 'apr_x', {columns} FROM approval"))

    with pytest.raises(Exception, match="UNIQUE constraint failed"):
        db.write_now(KERNEL, double)


def _columns(tx: Tx) -> list[str]:
    return [row[1] for row in tx.session.execute(text("PRAGMA table_info(approval)"))]

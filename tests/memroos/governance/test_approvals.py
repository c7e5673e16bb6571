"""Operators answer, the clock answers for them, and whoever waited goes on: once."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.actors import (
    AGENT,
    AUDITOR,
    KERNEL,
    OPERATOR,
    OTHER_AGENT,
    STRANGE_AGENT,
    STRANGER,
    VIEWER,
)
from tests.memroos.governance.acting import WRITE, approve, ask, held, reject, see
from tests.memroos.governance.looking import approvals_of, events_of, ledger_of

from memroos import governance
from memroos.governance import (
    AlreadyAnswered,
    ApprovalExpired,
    Gate,
    Policy,
    SelfApproval,
)
from memroos_contracts.errors import Denied, NotFound
from memroos_contracts.governance import (
    Action,
    ApprovalState,
    ApprovalView,
    Asset,
    DecisionRequest,
    Effect,
    Label,
    Sensitivity,
)
from memroos_contracts.identity import Actor, ApprovalId, Role
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx

RESTRICTED = Asset("agent", "agt_2", agent=OTHER_AGENT.id, label=Label(Sensitivity.RESTRICTED))


# -- withdrawing -----------------------------------------------------------------------------------------------------


def test_a_question_that_is_withdrawn_takes_no_answer_and_says_so(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)

    for _ in range(2):
        db.write_now(KERNEL, governance.withdraw, approval_id)

    with pytest.raises(governance.ApprovalWithdrawn):
        approve(db, gate, approval_id)
    assert [one.asset for one in ledger_of(db) if one.action == "approval.withdrawn"] == [f"approval:{approval_id}"]


def test_withdrawing_changes_no_answer(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)
    approve(db, gate, approval_id)

    db.write_now(KERNEL, governance.withdraw, approval_id)

    assert [one.state for one in approvals_of(db)] == [ApprovalState.APPROVED]


# -- answering -------------------------------------------------------------------------------------------------------


def test_a_yes_permits_exactly_what_was_asked_and_says_who(db: Database, gate: Gate, clock: ManualClock) -> None:
    decision, approval_id = held(db, gate)
    clock.advance(hours=3)

    approval = approve(db, gate, approval_id, note="go ahead")

    assert (approval.state, approval.answered_by, approval.note) == (
        ApprovalState.APPROVED,
        OPERATOR.principal,
        "go ahead",
    )
    assert approval.answered_at == clock.now()
    now = see(db, decision)
    assert (now.effect, now.approved_by, now.digest) == (Effect.ALLOW, OPERATOR.principal, decision.digest)
    assert now.expires_at == clock.now() + timedelta(hours=1)
    assert "go ahead" in now.reason


def test_a_no_denies_and_says_why(db: Database, gate: Gate) -> None:
    decision, approval_id = held(db, gate)

    assert reject(db, gate, approval_id, note="not on a Friday").state is ApprovalState.REJECTED

    now = see(db, decision)
    assert (now.effect, now.approved_by) == (Effect.DENY, None)
    assert now.reason == f"{OPERATOR.principal} rejected it. They say: not on a Friday"


def test_an_answer_is_told_to_the_ledger_the_requester_and_who_waits(db: Database, gate: Gate) -> None:
    decision, approval_id = held(db, gate)
    approve(db, gate, approval_id)

    assert [e.action for e in ledger_of(db)] == [
        "file.write",
        "approval.created",
        "approval.answer",
        "approval.approved",
    ]
    answer, outcome = ledger_of(db)[2:]
    assert (outcome.decision, outcome.actor) == (answer.decision, OPERATOR.principal)
    assert outcome.facts["requester"] == AGENT.principal
    assert outcome.facts["asked_by_decision"] == decision.id
    told = events_of(db)
    assert [(e.type, e.subject) for e in told] == [
        ("approval.created", approval_id),
        ("approval.approved", approval_id),
        ("decision.answered", decision.id),
    ]
    assert {(e.owner, e.agent) for e in told} == {(AGENT.principal, AGENT.id)}
    assert told[1].data["state"] == told[2].data["state"] == "approved"


@pytest.mark.parametrize("second", ["approve", "reject"])
def test_a_second_answer_changes_nothing_and_says_who_answered(db: Database, gate: Gate, second: str) -> None:
    decision, approval_id = held(db, gate)
    reject(db, gate, approval_id, note="no")
    before, told = see(db, decision), len(events_of(db))
    somebody = Actor(Role.OPERATOR, "key_second")

    with pytest.raises(AlreadyAnswered, match=r"operator:key_operator already rejected it") as answered:
        db.write_now(somebody, getattr(governance, second), approval_id, gate=gate)

    assert answered.value.facts["state"] == "rejected"
    assert answered.value.facts["answered_by"] == OPERATOR.principal
    assert (see(db, decision), len(events_of(db))) == (before, told)


def test_nobody_answers_their_own_question(db: Database, gate: Gate) -> None:
    wide = Gate(
        Policy({"all.cedar": '@id("all") @effect("hold") permit(principal, action == Action::"tool.use", resource);'}),
        resumers={},
    )
    decision = ask(db, wide, WRITE, actor=OPERATOR)
    assert decision.approval_id is not None

    with pytest.raises(SelfApproval, match="Nobody answers their own question"):
        approve(db, gate, decision.approval_id)

    assert approvals_of(db)[0].state is ApprovalState.PENDING
    assert ledger_of(db)[-1].outcome == "denied"


def test_who_acts_for_the_requester_does_not_answer_either(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)
    puppet = Actor(Role.OPERATOR, "key_puppet", on_behalf_of=(AGENT.principal,))

    with pytest.raises(SelfApproval):
        approve(db, gate, approval_id, puppet)


@pytest.mark.parametrize(
    ("actor", "error"),
    [
        (AGENT, Denied),
        (VIEWER, Denied),
        (AUDITOR, Denied),
        (OTHER_AGENT, NotFound),
        (STRANGER, NotFound),
        (STRANGE_AGENT, NotFound),
        (KERNEL, NotFound),
    ],
)
def test_only_an_operator_of_the_workspace_answers(
    db: Database, gate: Gate, actor: Actor, error: type[Exception]
) -> None:
    decision, approval_id = held(db, gate)

    with pytest.raises(error):
        approve(db, gate, approval_id, actor)

    assert see(db, decision).effect is Effect.HOLD


def test_an_unknown_approval_is_not_found(db: Database, gate: Gate) -> None:
    with pytest.raises(NotFound):
        approve(db, gate, ApprovalId("apr_unknown"))


@pytest.mark.parametrize("swept", [False, True])
def test_an_answer_after_the_time_changes_nothing(db: Database, gate: Gate, clock: ManualClock, *, swept: bool) -> None:
    decision, approval_id = held(db, gate)
    clock.advance(hours=24)
    if swept:
        assert db.write_now(KERNEL, governance.expire, approval_id, gate=gate)

    with pytest.raises(ApprovalExpired):
        approve(db, gate, approval_id)

    assert see(db, decision).effect is Effect.DENY
    assert see(db, decision).reason == "Nobody answered in time. Ask again."


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(answers=st.lists(st.sampled_from(["approve", "reject", "expire", "wait"]), max_size=6))
def test_whatever_comes_only_the_first_answer_counts(
    db: Database, gate: Gate, clock: ManualClock, answers: list[str]
) -> None:
    decision, approval_id = held(db, gate, DecisionRequest("file.write", "t", {"n": str(clock.now()), "a": answers}))
    taken: list[str] = []
    overdue = False
    for answer in answers:
        if answer == "wait":
            clock.advance(hours=25)
            overdue = True
        elif answer == "expire":
            if db.write_now(KERNEL, governance.expire, approval_id, gate=gate):
                taken.append("expired")
        else:
            try:
                db.write_now(OPERATOR, getattr(governance, answer), approval_id, gate=gate)
                assert not overdue
                taken.append({"approve": "approved", "reject": "rejected"}[answer])
            except (AlreadyAnswered, ApprovalExpired):
                pass

    assert len(taken) <= 1
    states = [e.data["state"] for e in events_of(db) if e.type == "decision.answered" and e.subject == decision.id]
    assert states == taken


# -- resuming --------------------------------------------------------------------------------------------------------


def _send(tx: Tx) -> ApprovalId | None:
    return tx.authorize(Action.TASK_SEND, RESTRICTED, arguments={"n": 1}, holdable=True).approval_id


@pytest.mark.parametrize(("answer", "state"), [("approve", "approved"), ("reject", "rejected"), ("expire", "expired")])
def test_every_answer_calls_the_resumer_once_in_its_transaction(
    db: Database, gate: Gate, clock: ManualClock, resumed: list[ApprovalView], answer: str, state: str
) -> None:
    approval_id = db.write_now(AGENT, _send)
    assert approval_id is not None
    if answer == "expire":
        clock.advance(hours=24)

    db.write_now(KERNEL if answer == "expire" else OPERATOR, getattr(governance, answer), approval_id, gate=gate)

    assert [(a.id, a.state, a.arguments) for a in resumed] == [(approval_id, ApprovalState(state), {"n": 1})]


def test_an_answer_whose_resumer_fails_was_not_given(db: Database, gate: Gate) -> None:
    approval_id = db.write_now(AGENT, _send)
    assert approval_id is not None

    def fail(tx: Tx, approval: ApprovalView) -> None:
        raise ValueError(approval.id)

    gate.terms.resumers[Action.TASK_SEND] = fail

    with pytest.raises(ValueError, match=approval_id):
        approve(db, gate, approval_id)

    assert approvals_of(db)[0].state is ApprovalState.PENDING
    assert [e.type for e in events_of(db)] == ["approval.created"]


def test_an_agents_own_action_never_calls_a_resumer(db: Database, gate: Gate, resumed: list[ApprovalView]) -> None:
    _, approval_id = held(db, gate)

    approve(db, gate, approval_id)

    assert resumed == []


# -- expiring --------------------------------------------------------------------------------------------------------


def test_expiry_ends_what_is_due_once_and_nothing_else(db: Database, gate: Gate, clock: ManualClock) -> None:
    _, approval_id = held(db, gate)

    assert not db.write_now(KERNEL, governance.expire, approval_id, gate=gate)
    clock.advance(hours=24)
    assert db.write_now(KERNEL, governance.expire, approval_id, gate=gate)
    assert not db.write_now(KERNEL, governance.expire, approval_id, gate=gate)
    assert not db.write_now(KERNEL, governance.expire, ApprovalId("apr_unknown"), gate=gate)

    [approval] = approvals_of(db)
    assert (approval.state, approval.answered_by) == (ApprovalState.EXPIRED, None)
    assert [e.type for e in events_of(db)] == ["approval.created", "approval.expired", "decision.answered"]


def test_a_permission_that_is_not_used_ends(db: Database, gate: Gate, clock: ManualClock) -> None:
    decision, approval_id = held(db, gate)
    approve(db, gate, approval_id)

    clock.advance(minutes=59)
    assert see(db, decision).effect is Effect.ALLOW
    clock.advance(minutes=1)
    assert see(db, decision).effect is Effect.DENY
    assert see(db, decision).reason == "The permission was not used in time. Ask again."


def test_twenty_answers_at_once_and_one_counts(db: Database, gate: Gate) -> None:
    _, approval_id = held(db, gate)

    async def all_at_once() -> list[ApprovalView | BaseException]:
        db.attach(asyncio.get_running_loop())
        answers = [
            db.write(
                Actor(Role.OPERATOR, f"key_{n}"),
                governance.approve if n % 2 else governance.reject,
                approval_id,
                gate=gate,
            )
            for n in range(20)
        ]
        return await asyncio.gather(*answers, return_exceptions=True)

    results = asyncio.run(all_at_once())
    db.attach(None)

    assert sum(isinstance(result, ApprovalView) for result in results) == 1
    assert sum(isinstance(result, AlreadyAnswered) for result in results) == 19

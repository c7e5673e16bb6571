"""Agents ask and report, operators answer, and everything happens once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
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
from tests.memroos.governance.looking import approvals_of, events_of, ledger_of

from memroos import governance
from memroos.governance import (
    AlreadyAnswered,
    ApprovalExpired,
    DecisionNotPermitted,
    Gate,
    OutcomeAlreadyReported,
    Policy,
    SelfApproval,
    rules,
)
from memroos_contracts.errors import Denied, InvalidCursor, InvalidRequest, NotFound
from memroos_contracts.governance import (
    Action,
    ApprovalState,
    ApprovalView,
    Asset,
    DecisionRequest,
    DecisionView,
    Effect,
    Label,
    OutcomeReport,
    Sensitivity,
    ToolOutcome,
)
from memroos_contracts.identity import Actor, ApprovalId, DecisionId, Role
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx

WRITE = DecisionRequest(
    action="file.write", tool="files", arguments={"path": "report.md", "text": "Done."}, purpose="publish the report"
)
READ = DecisionRequest(action="file.read", tool="files", arguments={"path": "report.md"})
DONE = OutcomeReport(ToolOutcome.DONE, detail_digest="ab" * 32, note="42 bytes")
RESTRICTED = Asset("agent", "agt_2", agent=OTHER_AGENT.id, label=Label(Sensitivity.RESTRICTED))


def ask(db: Database, gate: Gate, request: DecisionRequest = WRITE, actor: Actor = AGENT) -> DecisionView:
    """Ask as an agent."""
    return db.write_now(actor, governance.ask, request, gate=gate)


def see(db: Database, decision: DecisionView, actor: Actor = AGENT) -> DecisionView:
    """Look at a decision."""
    return db.read_now(actor, governance.get_decision, decision.id)


def held(db: Database, gate: Gate, request: DecisionRequest = WRITE) -> tuple[DecisionView, ApprovalId]:
    """Ask something that is held."""
    decision = ask(db, gate, request)
    assert decision.approval_id is not None
    return decision, decision.approval_id


def approve(db: Database, gate: Gate, approval_id: ApprovalId, actor: Actor = OPERATOR, note: str = "") -> ApprovalView:
    """Say yes."""
    return db.write_now(actor, governance.approve, approval_id, gate=gate, note=note)


def reject(db: Database, gate: Gate, approval_id: ApprovalId, note: str = "") -> ApprovalView:
    """Say no."""
    return db.write_now(OPERATOR, governance.reject, approval_id, gate=gate, note=note)


def report(db: Database, decision: DecisionView, outcome: OutcomeReport = DONE, actor: Actor = AGENT) -> DecisionView:
    """Report what came of it."""
    return db.write_now(actor, governance.report, decision.id, outcome)


# -- asking ----------------------------------------------------------------------------------------------------------


def test_a_reading_tool_may_be_used_at_once_and_for_a_while(db: Database, gate: Gate, clock: ManualClock) -> None:
    decision = ask(db, gate, READ)

    assert (decision.effect, decision.approval_id) == (Effect.ALLOW, None)
    assert decision.policies == ("reading-tools-may-be-used",)
    assert decision.policy_hash == gate.policy.hash
    assert decision.expires_at == clock.now() + timedelta(hours=1)
    assert decision.digest == rules.digest_of("file.read", "tool:files", READ.arguments)
    assert see(db, decision) == decision


def test_a_denial_is_an_answer_and_is_kept(db: Database, gate: Gate) -> None:
    decision = ask(db, gate, DecisionRequest("email.send", "mail", labels=Label(tags=frozenset({"secret"}))))

    assert (decision.effect, decision.policies) == (Effect.DENY, ("secrets-stay-inside",))
    assert "secret" in decision.reason
    assert see(db, decision) == decision
    assert [(e.kind, e.action, e.facts["effect"]) for e in ledger_of(db)] == [("decision", "email.send", "deny")]


def test_writing_outside_is_held_and_names_its_approval(db: Database, gate: Gate, clock: ManualClock) -> None:
    decision, approval_id = held(db, gate)

    [approval] = approvals_of(db)
    assert (decision.effect, decision.reason) == (Effect.HOLD, "It changes something outside of the system.")
    assert decision.expires_at == approval.expires_at == clock.now() + timedelta(hours=24)
    assert (approval.id, approval.action, approval.resumes) == (approval_id, "file.write", Action.TOOL_USE)
    assert approval.arguments == WRITE.arguments
    assert approval.digest == decision.digest
    assert approval.decision_id == decision.id


def test_the_arguments_stand_in_the_approval_and_nowhere_else(db: Database, gate: Gate) -> None:
    ask(db, gate, DecisionRequest("file.write", "files", {"text": "the-content"}))
    ask(db, gate, DecisionRequest("file.read", "files", {"text": "the-content"}))

    def tables_with_content(tx: Any) -> list[str]:
        names = [row[0] for row in tx.session.execute(text("SELECT name FROM sqlite_schema WHERE type = 'table'"))]
        return [n for n in names if "the-content" in str(tx.session.execute(text(f'SELECT * FROM "{n}"')).all())]

    assert db.read_now(KERNEL, tables_with_content) == ["approval"]


@pytest.mark.parametrize("action", ["task.send", "agent.create", "tool.use"])
def test_the_kernels_own_actions_are_not_asked_about(db: Database, gate: Gate, action: str) -> None:
    with pytest.raises(InvalidRequest, match="action of the kernel"):
        ask(db, gate, DecisionRequest(action, "kernel"))

    assert ledger_of(db) == []


def test_two_decisions_that_ask_the_same_get_the_one_answer(db: Database, gate: Gate) -> None:
    first, approval_id = held(db, gate)
    second, same_approval = held(db, gate)

    assert (first.id == second.id, approval_id == same_approval) == (False, True)
    approve(db, gate, approval_id)
    assert [see(db, first).effect, see(db, second).effect] == [Effect.ALLOW, Effect.ALLOW]


def test_a_key_with_other_scopes_is_denied(db: Database, gate: Gate) -> None:
    narrow = Actor(Role.AGENT, AGENT.id, agent=AGENT.agent, scopes=frozenset({"task."}))

    assert ask(db, gate, READ, actor=narrow).effect is Effect.DENY


# -- seeing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", [OTHER_AGENT, STRANGE_AGENT, STRANGER, KERNEL])
def test_a_foreign_decision_does_not_exist(db: Database, gate: Gate, actor: Actor) -> None:
    decision = ask(db, gate, READ)

    with pytest.raises(NotFound):
        see(db, decision, actor)
    with pytest.raises(NotFound):
        report(db, decision, actor=actor)
    with pytest.raises(NotFound):
        db.read_now(AGENT, governance.get_decision, DecisionId("dec_unknown"))


def test_people_see_decisions_as_policy_lets_them(db: Database, gate: Gate) -> None:
    decision = ask(db, gate, READ)

    assert see(db, decision, OPERATOR) == see(db, decision, AUDITOR) == decision
    with pytest.raises(Denied):
        see(db, decision, VIEWER)


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


# -- reporting -------------------------------------------------------------------------------------------------------


def test_an_outcome_is_kept_and_paired_with_its_decision_in_the_ledger(
    db: Database, gate: Gate, clock: ManualClock
) -> None:
    decision = ask(db, gate, READ)
    clock.advance(seconds=5)

    reported = report(db, decision)

    assert (reported.outcome, reported.outcome_digest) == (ToolOutcome.DONE, "ab" * 32)
    assert reported.reported_at == clock.now()
    outcome = ledger_of(db)[-1]
    assert (outcome.kind, outcome.action, outcome.decision) == ("outcome", "decision.reported", decision.id)
    assert outcome.facts["did"] == "file.read"
    assert outcome.facts["result"] == "done"
    assert outcome.facts["in_time"] is True
    assert events_of(db)[-1].type == "decision.reported"


def test_the_same_report_again_changes_nothing(db: Database, gate: Gate, clock: ManualClock) -> None:
    decision = ask(db, gate, READ)
    first = report(db, decision)
    clock.advance(seconds=5)

    assert report(db, decision) == first
    assert [e.action for e in ledger_of(db)].count("decision.reported") == 1


@pytest.mark.parametrize(
    "other",
    [
        OutcomeReport(ToolOutcome.FAILED, DONE.detail_digest, DONE.note),
        OutcomeReport(ToolOutcome.DONE, "cd" * 32, DONE.note),
        OutcomeReport(ToolOutcome.DONE, DONE.detail_digest, "43 bytes"),
    ],
)
def test_a_different_report_is_refused(db: Database, gate: Gate, other: OutcomeReport) -> None:
    decision = ask(db, gate, READ)
    report(db, decision)

    with pytest.raises(OutcomeAlreadyReported) as refused:
        report(db, decision, other)

    assert refused.value.facts["outcome"] == "done"
    assert see(db, decision).outcome_digest == "ab" * 32


def test_nothing_can_have_come_of_what_was_not_permitted(db: Database, gate: Gate) -> None:
    denied = ask(db, gate, DecisionRequest("file.write", "files", labels=Label(Sensitivity.RESTRICTED)))
    waiting, approval_id = held(db, gate)

    for decision, effect in ((denied, "deny"), (waiting, "hold")):
        with pytest.raises(DecisionNotPermitted) as refused:
            report(db, decision)
        assert refused.value.facts == {"decision": decision.id, "effect": effect}
    reject(db, gate, approval_id)
    with pytest.raises(DecisionNotPermitted):
        report(db, waiting)


def test_a_late_report_is_recorded_as_late(db: Database, gate: Gate, clock: ManualClock) -> None:
    decision = ask(db, gate, READ)
    clock.advance(hours=2)

    report(db, decision)

    assert ledger_of(db)[-1].facts["in_time"] is False
    assert see(db, decision).outcome is ToolOutcome.DONE


def test_people_do_not_report_for_an_agent(db: Database, gate: Gate) -> None:
    decision = ask(db, gate, READ)

    for actor in (AUDITOR, VIEWER):
        with pytest.raises(Denied):
            report(db, decision, actor=actor)


def test_what_was_asked_and_decided_cannot_be_rewritten(db: Database, gate: Gate) -> None:
    ask(db, gate, READ)

    def change(tx: Tx, statement: str) -> None:
        tx.session.execute(text(statement))

    for statement in (
        "UPDATE decision SET digest = ''",
        "UPDATE decision SET effect = 'allow'",
        "DELETE FROM decision",
    ):
        with pytest.raises(Exception, match="append-only"):
            db.write_now(KERNEL, change, statement)


# -- listing approvals -----------------------------------------------------------------------------------------------


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


# -- policies --------------------------------------------------------------------------------------------------------


def test_operators_and_auditors_read_the_policies_in_effect(db: Database, gate: Gate) -> None:
    seen = db.read_now(OPERATOR, governance.get_policy_set, gate=gate)

    assert seen == db.read_now(AUDITOR, governance.get_policy_set, gate=gate)
    assert seen.hash == gate.policy.hash
    by_id = {p.id: p for p in seen.policies}
    assert by_id["outside-effects-wait-for-a-person"].effect == "permit with hold"
    assert by_id["nothing-crosses-workspaces"].effect == "forbid"
    assert 'context.action == "file.write"' in by_id["outside-effects-wait-for-a-person"].text


@pytest.mark.parametrize("actor", [AGENT, VIEWER])
def test_others_do_not(db: Database, gate: Gate, actor: Actor) -> None:
    with pytest.raises(Denied):
        db.read_now(actor, governance.get_policy_set, gate=gate)


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

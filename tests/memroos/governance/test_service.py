"""Agents ask and report, and everything is theirs alone and happens once."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
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
from tests.memroos.governance.acting import DONE, READ, WRITE, approve, ask, held, reject, report, see
from tests.memroos.governance.looking import approvals_of, events_of, ledger_of

from memroos import governance
from memroos.governance import (
    DecisionNotPermitted,
    Gate,
    OutcomeAlreadyReported,
    rules,
)
from memroos_contracts.errors import Denied, InvalidRequest, NotFound
from memroos_contracts.governance import (
    Action,
    DecisionRequest,
    Effect,
    Label,
    OutcomeReport,
    Sensitivity,
    ToolOutcome,
)
from memroos_contracts.identity import Actor, DecisionId, Role
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx

# -- asking ----------------------------------------------------------------------------------------------------------


def test_a_reading_tool_may_be_used_at_once_and_for_a_while(db: Database, gate: Gate, clock: ManualClock) -> None:
    decision = ask(db, gate, READ)

    assert (decision.effect, decision.approval_id) == (Effect.ALLOW, None)
    assert decision.policies == ("reading-tools-may-be-used",)
    assert decision.policy_hash == gate.policy.hash
    assert decision.expires_at == clock.now() + timedelta(hours=1)
    assert decision.digest == rules.digest_of("file.read", "tool:files", READ.arguments, tool="files")
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


def test_asking_again_what_still_waits_gives_the_same_decision_so_one_yes_permits_one_thing(
    db: Database, gate: Gate
) -> None:
    first, approval_id = held(db, gate)
    second, same_approval = held(db, gate)

    assert (first.id == second.id, approval_id == same_approval) == (True, True)
    approve(db, gate, approval_id)
    assert see(db, first).effect is Effect.ALLOW
    third, another = held(db, gate)
    assert (third.id == first.id, another == approval_id, third.effect) == (False, False, Effect.HOLD)


def test_a_yes_to_one_tool_is_no_yes_to_another(db: Database, gate: Gate) -> None:
    request = DecisionRequest("file.write", "editor", {"text": "x"}, asset="file:report.md")
    _, by_editor = held(db, gate, request)
    other, by_shell = held(db, gate, msgspec.structs.replace(request, tool="shell"))

    approve(db, gate, by_editor)

    assert by_shell != by_editor
    assert see(db, other).effect is Effect.HOLD


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

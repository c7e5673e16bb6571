"""The shipped policies say what they mean, each is needed, and a set with mistakes never takes effect."""

import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cedarpy
import pytest
from tests.actors import AGENT, AUDITOR, KERNEL, OPERATOR, OTHER_AGENT, OTHER_WORKSPACE, VIEWER

from memroos.governance import Policy, PolicyRefused, rules
from memroos.governance import policy as policies
from memroos.governance.rules import OwnAction, Verdict
from memroos_contracts.governance import INTERNAL, Action, Asset, Effect, Label, Sensitivity
from memroos_contracts.identity import Actor, Role

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "policies.md"

MEMORY = Actor(role=Role.SERVICE, id="memory")
RESTRICTED = Label(Sensitivity.RESTRICTED)
SECRET = Label(tags=frozenset({"secret"}))

MINE = Asset("thing", "1", owner=AGENT.principal)
FOR_ME = Asset("thing", "2", owner=OPERATOR.principal, agent=AGENT.id)
FOREIGN = Asset("thing", "3", owner=OTHER_AGENT.principal, agent=OTHER_AGENT.id)
NOBODYS = Asset("thing", "*")


def ask(policy: Policy, actor: Actor, action: str, asset: Asset = NOBODYS) -> Verdict:
    """Return what a set says about one of the kernel's actions."""
    return policy.evaluate(policy.key(rules.question(actor, action, asset)))


def use(policy: Policy, actor: Actor, own_action: str, label: Label = INTERNAL) -> Verdict:
    """Return what a set says about an actor's own action."""
    asset = Asset("tool", "t", agent=actor.agent or "", label=label)
    question = rules.question(actor, Action.TOOL_USE.value, asset, own_action=OwnAction("t", own_action))
    return policy.evaluate(policy.key(question))


class Case(NamedTuple):
    """What one policy is for: with it this is the effect, without it another."""

    effect: Effect
    actor: Actor
    action: str
    asset: Asset = NOBODYS
    label: Label = INTERNAL


CASES = {
    "operators-may-administer": Case(Effect.ALLOW, OPERATOR, "agent.create"),
    "auditors-may-read-evidence": Case(Effect.ALLOW, AUDITOR, "audit.read"),
    "people-may-see-states": Case(Effect.ALLOW, VIEWER, "operations.read"),
    "viewers-see-work-without-content": Case(Effect.REDACT, VIEWER, "task.read"),
    "viewers-see-approvals-without-content": Case(Effect.REDACT, VIEWER, "approval.read"),
    "agents-tend-themselves": Case(Effect.ALLOW, AGENT, "agent.heartbeat", FOR_ME),
    "agents-renew-their-key": Case(Effect.ALLOW, AGENT, "key.rotate", MINE),
    "agents-may-see-peers": Case(Effect.ALLOW, AGENT, "peer.read"),
    "agents-may-send-work": Case(
        Effect.ALLOW, AGENT, "task.send", Asset("agent", "a", agent=OTHER_AGENT.id, state="active")
    ),
    "agents-follow-their-tasks": Case(Effect.ALLOW, AGENT, "task.read", MINE),
    "agents-may-list-their-tasks": Case(Effect.ALLOW, AGENT, "task.list"),
    "agents-may-cancel-what-they-asked-for": Case(Effect.ALLOW, AGENT, "task.cancel", MINE),
    "agents-are-notified-of-what-they-asked-for": Case(Effect.ALLOW, AGENT, "push.create", MINE),
    "agents-work-on-what-is-addressed-to-them": Case(Effect.ALLOW, AGENT, "task.work", FOR_ME),
    "agents-use-their-inbox": Case(Effect.ALLOW, AGENT, "inbox.receive", FOR_ME),
    "agents-follow-what-they-sent": Case(Effect.ALLOW, AGENT, "inbox.read", MINE),
    "agents-use-their-memory": Case(Effect.ALLOW, AGENT, "memory.recall", MINE),
    "agents-change-their-own-memory": Case(Effect.ALLOW, AGENT, "memory.delete", MINE),
    "agents-follow-their-decisions": Case(Effect.ALLOW, AGENT, "decision.report", MINE),
    "agents-may-follow-events": Case(Effect.ALLOW, AGENT, "event.read"),
    "the-kernel-does-the-systems-work": Case(Effect.ALLOW, KERNEL, "inbox.requeue"),
    "services-do-their-part": Case(Effect.ALLOW, MEMORY, "memory.read"),
    "services-change-their-own-memory": Case(
        Effect.ALLOW, MEMORY, "memory.rollback", Asset("scope", "s", owner=MEMORY.principal)
    ),
    "services-are-notified-of-what-they-asked-for": Case(
        Effect.ALLOW, MEMORY, "push.replay", Asset("push", "p", owner=MEMORY.principal)
    ),
    "services-follow-their-decisions": Case(
        Effect.ALLOW, MEMORY, "decision.read", Asset("decision", "d", owner=MEMORY.principal)
    ),
    "nothing-crosses-workspaces": Case(
        Effect.DENY, OPERATOR, "workspace.read", Asset("workspace", "w", workspace=OTHER_WORKSPACE)
    ),
    "agents-out-of-service-get-no-work": Case(
        Effect.DENY, OPERATOR, "task.send", Asset("agent", "a", agent="a", state="quarantined")
    ),
    # The first rule alone would let an agent read it; see the policy set below.
    "restricted-content-is-passed-on-by-a-person": Case(
        Effect.HOLD, AGENT, "task.send", Asset("agent", "a", agent=OTHER_AGENT.id, label=RESTRICTED)
    ),
    "restricted-content-leaves-by-no-webhook": Case(
        Effect.DENY, AGENT, "push.create", Asset("push", "p", owner=AGENT.principal, label=SECRET)
    ),
    "reading-tools-may-be-used": Case(Effect.ALLOW, AGENT, "file.read"),
    "outside-effects-wait-for-a-person": Case(Effect.HOLD, AGENT, "file.write"),
    "unknown-tools-wait-for-a-person": Case(Effect.HOLD, AGENT, "rocket.launch"),
    "secrets-stay-inside": Case(Effect.DENY, AGENT, "file.write", label=SECRET),
}
BY_ITSELF = {
    # It guards against permits that are wider than the shipped ones: a set with one shows it.
    "restricted-content-stays-with-its-owner",
}


def _decide(policy: Policy, case: Case) -> Verdict:
    if case.action in rules.KERNEL_ACTIONS:
        return ask(policy, case.actor, case.action, case.asset)
    return use(policy, case.actor, case.action, case.label)


def _without(policy: Policy, policy_id: str) -> Policy:
    rest = [p.text for p in policy.view.policies if p.id != policy_id]
    assert len(rest) == len(policy.view.policies) - 1
    return Policy({"rest.cedar": "\n".join(rest)})


def test_every_shipped_policy_has_its_case(shipped: Policy) -> None:
    assert {p.id for p in shipped.view.policies} == CASES.keys() | BY_ITSELF


@pytest.mark.parametrize("policy_id", CASES)
def test_a_shipped_policy_decides_its_case_and_is_missed(policy_id: str, shipped: Policy) -> None:
    verdict = _decide(shipped, CASES[policy_id])

    assert verdict.effect is CASES[policy_id].effect
    assert verdict.policies == (policy_id,)
    assert _decide(_without(shipped, policy_id), CASES[policy_id]).effect is not CASES[policy_id].effect


def test_restricted_content_stays_with_its_owner_whatever_else_is_permitted() -> None:
    wide = {"wide.cedar": '@id("agents-may-read-all") permit(principal is Agent, action, resource);'}
    asset = Asset("memory", "m", owner=OTHER_AGENT.principal, label=SECRET)
    policy = Policy(policies.shipped_texts(), wide)

    assert ask(policy, AGENT, "memory.read", asset).policies == ("restricted-content-stays-with-its-owner",)
    assert ask(policy, OTHER_AGENT, "memory.read", asset).effect is Effect.ALLOW
    without = _without(policy, "restricted-content-stays-with-its-owner")
    assert ask(without, AGENT, "memory.read", asset).effect is Effect.ALLOW


# What each role may do at all, by the relation to the asset. Everything that is not here is denied.
PEOPLE = {"workspace.read", "agent.read", "peer.read", "task.list", "event.read", "operations.read", "memory.list"}
AGENT_ANY = {
    "peer.read", "workspace.read", "task.send", "inbox.send", "task.list", "event.read",
}  # fmt: skip
AGENT_BOTH = AGENT_ANY | {
    "agent.read", "agent.heartbeat", "task.read", "inbox.read", "memory.write", "memory.read", "memory.recall",
    "memory.list", "decision.read", "decision.report", "approval.read", "key.read", "key.rotate",
}  # fmt: skip
SERVICE_ANY = {
    "workspace.read", "agent.read", "peer.read", "event.read", "task.send", "task.read", "task.list", "task.cancel",
    "task.work", "inbox.send", "inbox.receive", "inbox.settle", "inbox.read", "memory.write", "memory.read",
    "memory.recall", "memory.list",
}  # fmt: skip
MEMORY_CHANGES = {"memory.change", "memory.delete", "memory.rollback"}
PUSH = {"push.create", "push.read", "push.delete", "push.replay"}
KERNEL_VERBS = [action for action in Action if action is not Action.TOOL_USE]
MATRIX: dict[str, tuple[Actor, Asset, set[str], set[str]]] = {
    "operator": (OPERATOR, FOREIGN, {a.value for a in KERNEL_VERBS}, set()),
    "auditor": (
        AUDITOR,
        FOREIGN,
        PEOPLE
        | {"audit.read", "decision.read", "approval.read", "policy.read", "key.read", "task.read", "inbox.read"}
        | {"push.read", "memory.read", "memory.recall", "memory.trace"},
        set(),
    ),
    "viewer": (VIEWER, FOREIGN, PEOPLE, {"task.read", "inbox.read", "approval.read"}),
    "agent, own": (AGENT, MINE, AGENT_BOTH | {"task.cancel"} | PUSH | MEMORY_CHANGES, set()),
    "agent, addressed": (
        AGENT,
        FOR_ME,
        AGENT_BOTH | {"task.work", "inbox.receive", "inbox.settle", "inbox.requeue"},
        set(),
    ),
    "agent, foreign": (AGENT, FOREIGN, AGENT_ANY, set()),
    "kernel": (KERNEL, FOREIGN, {a.value for a in KERNEL_VERBS} - {"approval.answer"}, set()),
    "service": (MEMORY, FOREIGN, SERVICE_ANY, set()),
}


@pytest.mark.parametrize(("who", "action"), list(product(MATRIX, KERNEL_VERBS)))
def test_a_role_may_do_this_and_nothing_else(who: str, action: Action, shipped: Policy) -> None:
    actor, asset, allowed, redacted = MATRIX[who]

    effect = ask(shipped, actor, action.value, asset).effect

    if action in redacted:
        assert effect is Effect.REDACT
    else:
        assert effect is (Effect.ALLOW if action in allowed else Effect.DENY)


@pytest.mark.parametrize("own_action", ["file.read", "mail.list", "http.get", "web.search"])
def test_reading_tools_may_be_used(own_action: str, shipped: Policy) -> None:
    assert use(shipped, AGENT, own_action).effect is Effect.ALLOW


@pytest.mark.parametrize(
    "own_action", ["file.write", "email.send", "http.post", "shell.run", "payment.make", "payment.read", "file.reads"]
)
def test_what_has_effects_outside_waits_for_a_person(own_action: str, shipped: Policy) -> None:
    assert use(shipped, AGENT, own_action).effect is Effect.HOLD


@pytest.mark.parametrize("label", [RESTRICTED, SECRET])
def test_who_has_seen_secrets_reads_inside_only(label: Label, shipped: Policy) -> None:
    assert use(shipped, AGENT, "file.read", label).effect is Effect.ALLOW
    for own_action in ("file.write", "http.get", "web.search", "rocket.launch"):
        assert use(shipped, AGENT, own_action, label).effect is Effect.DENY


@pytest.mark.parametrize("actor", [AUDITOR, VIEWER])
def test_only_those_who_work_use_tools(actor: Actor, shipped: Policy) -> None:
    assert use(shipped, actor, "file.read").effect is Effect.DENY


@pytest.mark.parametrize("state", ["draft", "quarantined"])
def test_nobody_sends_work_to_an_agent_out_of_service(state: str, shipped: Policy) -> None:
    for actor, action in product((OPERATOR, AGENT, KERNEL), ("task.send", "inbox.send")):
        assert ask(shipped, actor, action, Asset("agent", "a", agent="a", state=state)).effect is Effect.DENY


def test_a_restricted_task_goes_on_where_a_person_let_it_go(shipped: Policy) -> None:
    task = Asset("task", "t", owner=AGENT.principal, agent=OTHER_AGENT.id, label=RESTRICTED)

    assert ask(shipped, AGENT, "task.send", task).effect is Effect.ALLOW
    assert ask(shipped, OTHER_AGENT, "task.read", task).effect is Effect.ALLOW


def test_scopes_only_narrow_what_a_role_may_do(shipped: Policy) -> None:
    narrow = Actor(role=Role.AGENT, id="agt_n", scopes=frozenset({"task.", "audit.read"}))

    assert ask(shipped, narrow, "task.list").effect is Effect.ALLOW
    assert ask(shipped, narrow, "peer.read") == Verdict(Effect.DENY, (), "The key's scopes do not cover it.")
    assert ask(shipped, narrow, "audit.read").effect is Effect.DENY
    assert use(shipped, narrow, "file.read").effect is Effect.DENY


def test_what_no_policy_permits_is_denied_and_says_so(shipped: Policy) -> None:
    assert ask(shipped, AGENT, "agent.create") == Verdict(Effect.DENY, (), "No policy permits it.")


def test_the_schema_knows_every_action_and_no_other() -> None:
    text = str(policies.schema())

    assert set(re.findall(r'"([a-z]+\.[a-z]+)"', text)) == {action.value for action in Action}


def test_every_question_fits_the_schema(shipped: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, schema = cedarpy.is_authorized, policies.schema()
    seen: list[cedarpy.AuthzResult] = []

    def checked(request: dict[str, object], rules_: cedarpy.PolicySet, entities: str) -> cedarpy.AuthzResult:
        seen.append(plain(request, rules_, entities, schema))
        return seen[-1]

    monkeypatch.setattr(cedarpy, "is_authorized", checked)
    for actor, action in product((OPERATOR, AUDITOR, VIEWER, AGENT, KERNEL, MEMORY), KERNEL_VERBS):
        ask(shipped, actor, action.value, FOREIGN)
    use(shipped, AGENT, "file.write", SECRET)

    assert len(seen) > len(KERNEL_VERBS)
    assert not [answer.diagnostics.errors for answer in seen if answer.diagnostics.errors]


# -- loading ---------------------------------------------------------------------------------------------------------

PERMIT = '@id("one") permit(principal, action, resource);'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("permit(principal", "bad.cedar: "),
        ("permit(principal, action, resource);", "every policy needs an @id"),
        ('@id("Has Spaces") permit(principal, action, resource);', "every policy needs an @id"),
        ('@id("a") permit(principal == ?principal, action, resource);', "templates"),
        ('@id("a") @effect("maybe") permit(principal, action, resource);', "a: only a permit may have @effect"),
        ('@id("a") @effect permit(principal, action, resource);', "a: only a permit may have @effect"),
        ('@id("a") @effect("hold") forbid(principal, action, resource);', "a: only a permit may have @effect"),
        ('@id("a") @efect("hold") permit(principal, action, resource);', "a: unknown annotation @efect"),
        (PERMIT + PERMIT, "two policies have the id one"),
        ('@id("a") permit(principal, action, resource) when { resource.is_mine };', "a: for policy `a`, attribute"),
        ('@id("a") permit(principal, action == Action::"task.eat", resource);', "a: "),
        ('@id("a") permit(principal is Robot, action, resource);', "a: "),
        ('@id("a") permit(principal, action, resource) when { context.tool == "x" };', "a: for policy `a`, attribute"),
    ],
)
def test_a_set_with_a_mistake_is_refused_and_the_mistake_named(text: str, message: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        Policy({"bad.cedar": text})

    problems = refused.value.facts["problems"]
    assert isinstance(problems, list)
    assert any(message in problem for problem in problems)
    assert message in str(refused.value)


def test_an_author_sees_the_mistakes_of_all_files_at_once() -> None:
    with pytest.raises(PolicyRefused) as refused:
        Policy({"a.cedar": "permit(", "b.cedar": "permit(principal, action, resource);", "c.cedar": PERMIT})

    problems = refused.value.facts["problems"]
    assert isinstance(problems, list)
    assert [problem[:7] for problem in problems] == ["a.cedar", "b.cedar"]


def test_an_empty_set_denies_everything() -> None:
    assert ask(Policy({}), OPERATOR, "task.read").effect is Effect.DENY


def test_a_policy_of_the_operators_folder_replaces_the_shipped_one(tmp_path: Path, shipped: Policy) -> None:
    (tmp_path / "mine.cedar").write_text(
        '@id("outside-effects-wait-for-a-person") permit(principal is Agent, action == Action::"tool.use", resource)'
        ' when { context.action == "file.write" };'
    )
    (tmp_path / "notes.txt").write_text("no policy")

    policy = Policy.load(tmp_path)

    assert use(policy, AGENT, "file.write").effect is Effect.ALLOW
    assert use(policy, AGENT, "rocket.launch").effect is Effect.HOLD
    assert {p.id: p.origin for p in policy.view.policies if p.origin != "shipped"} == {
        "outside-effects-wait-for-a-person": "mine.cedar"
    }
    assert policy.hash != shipped.hash


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyRefused, match="cannot be read"):
        Policy.load(tmp_path / "missing")


def test_the_page_about_policies_lists_the_shipped_ones_and_its_example_works(shipped: Policy) -> None:
    page = PAGE.read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (permit[a-z ]*|forbid) \|", page, re.MULTILINE))
    [example] = re.findall(r"```cedar\n(.*?)```", page, re.DOTALL)

    assert rows == {p.id: p.effect for p in shipped.view.policies}
    policy = Policy(policies.shipped_texts(), {"mine.cedar": example})
    asset = Asset("tool", "t", agent=AGENT.id)
    effects = {
        tool: policy.evaluate(rules.question(AGENT, "tool.use", asset, own_action=OwnAction(tool, "file.write"))).effect
        for tool in ("report-writer", "files")
    }
    assert effects == {"report-writer": Effect.ALLOW, "files": Effect.HOLD}


def test_the_hash_follows_the_meaning_and_not_the_layout() -> None:
    one = Policy({"a.cedar": '@id("a") permit(principal, action, resource); ' + PERMIT})
    same = Policy({"b.cedar": "// why\n" + PERMIT, "a.cedar": '@id("a")\npermit (principal, action, resource);'})
    other = Policy({"a.cedar": '@id("a") permit(principal, action, resource);'})

    assert one.hash == same.hash
    assert len({one.hash, other.hash, Policy({}).hash}) == 3
    assert len(one.hash) == 64


def test_a_policy_is_shown_as_it_was_written() -> None:
    one = '// First; with a "quote".\n@id("one")\n@reason("A; b // c")\npermit (principal, action, resource);'
    two = '@id("two") forbid (principal, action, resource) when { resource.kind == "a\\";//" };'

    seen = Policy({"a.cedar": f"{one}\n\n{two} // the end"}).view.policies

    assert [p.text for p in seen] == [one, two]
    assert [p.reason for p in seen] == ["A; b // c", ""]


def test_what_an_effect_annotation_says_is_part_of_the_hash() -> None:
    assert Policy({"a": PERMIT}).hash != Policy({"a": '@effect("hold")' + PERMIT}).hash


def test_a_policy_that_fails_denies() -> None:
    text = (
        PERMIT + '@id("overflows") permit(principal, action, resource) when'
        ' { 9223372036854775807 + 1 == 0 || resource.kind == "x" };'
    )

    verdict = ask(Policy({"a.cedar": text}), OPERATOR, "task.read")

    assert verdict.effect is Effect.DENY
    assert "failed" in verdict.reason


def test_a_forbid_wins_over_every_permit() -> None:
    policy = Policy({"a": PERMIT + '@id("no") @reason("Because.") forbid(principal, action, resource);'})

    assert ask(policy, OPERATOR, "task.read") == Verdict(Effect.DENY, ("no",), "Because.")


def test_a_hold_wins_over_a_plain_permit_and_alone_is_named() -> None:
    policy = Policy({"a": PERMIT + '@id("two") @effect("hold") @reason("Wait.") permit(principal, action, resource);'})

    assert ask(policy, OPERATOR, "task.read") == Verdict(Effect.HOLD, ("two",), "Wait.")


def test_the_purpose_counts_only_where_a_policy_looks_at_it(shipped: Policy) -> None:
    question = rules.question(OPERATOR, "task.read", NOBODYS, purpose="audit of May")
    curious = Policy(
        {"a": '@id("a") permit(principal, action, resource) when { context.purpose like "audit*" };'},
    )

    assert shipped.key(question).purpose == ""
    assert curious.key(question) is question
    assert curious.evaluate(curious.key(question)).effect is Effect.ALLOW
    assert ask(curious, OPERATOR, "task.read").effect is Effect.DENY


@pytest.mark.parametrize(
    "scope",
    [
        "principal, action, resource",
        "principal is Agent, action, resource",
        'principal == Service::"kernel", action, resource',
        'principal, action == Action::"task.read", resource',
        'principal, action in [Action::"task.read", Action::"audit.read"], resource',
        "principal, action, resource is Asset",
    ],
)
def test_leaving_out_policies_by_their_scope_changes_no_answer(scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'@id("a") permit({scope});'
    sliced, whole = Policy({"a": text}), Policy({"a": text})
    questions = list(product((OPERATOR, AGENT, KERNEL, MEMORY), ("task.read", "audit.read", "peer.read")))

    answers = [ask(sliced, actor, action) for actor, action in questions]

    monkeypatch.setattr(policies, "_fits", lambda *_: True)
    assert answers == [ask(whole, actor, action) for actor, action in questions]


def test_hostile_text_is_a_value_and_nothing_else(shipped: Policy) -> None:
    hostile = 'x"; permit(principal, action, resource); //\n\u2028'

    assert ask(shipped, AGENT, "agent.create", Asset(hostile, "1", state=hostile)).effect is Effect.DENY
    assert use(shipped, AGENT, hostile).effect is Effect.HOLD

"""Effects combine strictly, digests bind exactly, and nothing expired permits."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.actors import AGENT, KERNEL, OPERATOR, OTHER_AGENT, OTHER_WORKSPACE

from memroos.governance import rules
from memroos_contracts.governance import ApprovalState, Asset, DecisionRequest, Effect, Label, Sensitivity
from memroos_contracts.identity import Actor, Role, WorkspaceId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
PERMITS = st.lists(st.sampled_from([Effect.ALLOW, Effect.HOLD, Effect.REDACT]))
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(), JSON, max_size=4)
ACTIONS = st.from_regex(r"[a-z]{1,8}\.[a-z]{1,8}", fullmatch=True)


@given(PERMITS)
def test_a_hold_wins_over_a_redaction_and_that_over_a_plain_permit(permits: list[Effect]) -> None:
    effect = rules.decide_effect(permits)

    strictest = [e for e in (Effect.HOLD, Effect.REDACT, Effect.ALLOW) if e in permits]
    assert effect is (strictest[0] if strictest else Effect.DENY)


@given(PERMITS, st.sampled_from([Effect.ALLOW, Effect.HOLD, Effect.REDACT]))
def test_one_more_permit_never_makes_a_hold_disappear(permits: list[Effect], another: Effect) -> None:
    if rules.decide_effect(permits) is Effect.HOLD:
        assert rules.decide_effect([*permits, another]) is Effect.HOLD


@given(ACTIONS, st.text(), ARGUMENTS)
def test_equal_questions_have_equal_digests_whatever_the_order_of_their_arguments(
    action: str, asset: str, arguments: dict[str, Any]
) -> None:
    backwards = dict(reversed(arguments.items()))

    assert rules.digest_of(action, asset, arguments) == rules.digest_of(action, asset, backwards)


@given(ACTIONS, st.text(), ARGUMENTS, ARGUMENTS)
def test_other_arguments_have_another_digest(
    action: str, asset: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    same = rules.digest_of(action, asset, one) == rules.digest_of(action, asset, other)

    assert same == _equal_json(one, other)


def test_a_digest_binds_action_and_asset_too() -> None:
    digest = rules.digest_of("file.write", "file:a", {"text": "x"})

    assert digest != rules.digest_of("file.read", "file:a", {"text": "x"})
    assert digest != rules.digest_of("file.write", "file:b", {"text": "x"})
    assert len(digest) == 64


@given(st.frozensets(ACTIONS, min_size=1), ACTIONS)
def test_a_scope_allows_its_own_action_and_with_a_dot_its_noun(scopes: frozenset[str], action: str) -> None:
    noun = action.partition(".")[0]

    assert rules.scopes_allow(scopes, action) == (action in scopes)
    assert rules.scopes_allow(scopes | {f"{noun}."}, action)
    assert rules.scopes_allow(frozenset(), action)


def test_a_scope_is_not_a_prefix_of_other_nouns() -> None:
    assert not rules.scopes_allow({"task"}, "task.send")
    assert not rules.scopes_allow({"ta."}, "task.send")


EFFECTS = st.sampled_from(Effect)
ANSWERS = st.sampled_from([None, ApprovalState.APPROVED, ApprovalState.REJECTED, ApprovalState.EXPIRED])


@given(EFFECTS, ANSWERS, MOMENTS, MOMENTS, st.booleans())
def test_nothing_is_allowed_without_a_permission_at_some_time(
    effect: Effect, answer: ApprovalState | None, ends: datetime, now: datetime, used: bool
) -> None:
    stands = rules.effect_now(effect, answer, ends, now, used=used)

    if stands in (Effect.ALLOW, Effect.REDACT):
        assert rules.was_permitted(effect, answer)
        assert used or now < ends
    if stands is Effect.HOLD:
        assert answer is None
        assert now < ends


@given(EFFECTS, ANSWERS, MOMENTS)
def test_what_is_denied_stays_denied(effect: Effect, answer: ApprovalState | None, ends: datetime) -> None:
    early = rules.effect_now(effect, answer, ends, ends - timedelta(days=1), used=False)
    late = rules.effect_now(effect, answer, ends, ends + timedelta(days=1), used=False)

    assert late is Effect.DENY
    if early is Effect.DENY:
        assert late is Effect.DENY


def test_a_permission_ends_at_its_instant_and_not_before() -> None:
    ends = NOW + timedelta(seconds=1)

    assert rules.effect_now(Effect.ALLOW, None, ends, ends - timedelta(microseconds=1), used=False) is Effect.ALLOW
    assert rules.effect_now(Effect.ALLOW, None, ends, ends, used=False) is Effect.DENY
    assert rules.effect_now(Effect.ALLOW, None, ends, ends, used=True) is Effect.ALLOW


def test_policy_sees_whose_an_asset_is_but_not_which_one() -> None:
    mine = Asset("task", "task_1", owner=AGENT.principal, agent=AGENT.id)
    also_mine = Asset("task", "task_2", owner=AGENT.principal, agent=AGENT.id)

    question = rules.question(AGENT, "task.read", mine)

    assert question == rules.question(AGENT, "task.read", also_mine)
    assert (question.is_own, question.is_assigned, question.same_workspace) == (True, True, True)
    other = rules.question(OTHER_AGENT, "task.read", mine)
    assert (other.is_own, other.is_assigned) == (False, False)


def test_an_asset_that_nobody_owns_is_nobodys_own() -> None:
    question = rules.question(OPERATOR, "task.read", Asset("task", "task_1"))

    assert (question.is_own, question.is_assigned) == (False, False)


def test_acting_for_somebody_makes_nothing_ones_own() -> None:
    helper = Actor(role=Role.AGENT, id="agt_h", on_behalf_of=(AGENT.principal,))

    assert not rules.question(helper, "task.read", Asset("task", "task_1", owner=AGENT.principal)).is_own


def test_an_asset_of_another_workspace_is_seen_as_such() -> None:
    asset = Asset("workspace", "elsewhere", workspace=OTHER_WORKSPACE)

    assert not rules.question(OPERATOR, "workspace.read", asset).same_workspace
    assert rules.question(
        Actor(Role.OPERATOR, "key_1", WorkspaceId(OTHER_WORKSPACE)), "workspace.read", asset
    ).same_workspace


def test_only_services_are_known_by_name() -> None:
    assert rules.question(KERNEL, "task.read", Asset("task", "t")).service == "kernel"
    assert rules.question(AGENT, "task.read", Asset("task", "t")).service == ""


def test_what_an_agent_does_is_about_what_it_names_or_about_the_tool() -> None:
    label = Label(Sensitivity.RESTRICTED, frozenset({"pii"}))

    named = rules.asset_of_own_action(AGENT, DecisionRequest("file.write", "fs", asset="file:a:b", labels=label))
    bare = rules.asset_of_own_action(AGENT, DecisionRequest("file.write", "fs", asset="report"))
    tool = rules.asset_of_own_action(AGENT, DecisionRequest("file.write", "fs"))

    assert (named.kind, named.id, named.owner, named.label) == ("file", "a:b", "", label)
    assert (bare.kind, bare.id) == ("asset", "report")
    assert (tool.kind, tool.id, tool.agent) == ("tool", "fs", AGENT.id)


def _equal_json(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON; Python takes true for 1."""
    return repr(_sorted(one)) == repr(_sorted(other))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _sorted(value[key])) for key in sorted(value)]
    return [_sorted(part) for part in value] if isinstance(value, list) else value

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.registry.rules import agents as rules
from memroos_contracts.governance import Action
from memroos_contracts.identity import DEFAULT_WORKSPACE, AgentId, KeyId, Role, WorkspaceId
from memroos_contracts.registry import (
    AgentKind,
    AgentSkill,
    AgentState,
    KeyState,
    Liveness,
    NewAgent,
    NewKey,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY_ID = KeyId("key_01JABCDEFGHJKMNPQRSTVWXYZ0")
SECRETS = st.integers(min_value=0, max_value=2**256 - 1)
SCOPES = st.sampled_from([*Action, *{f"{action.partition('.')[0]}." for action in Action}])
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def skill(name: str, *tags: str) -> AgentSkill:
    return AgentSkill(id=name, name=name, tags=tags)


# -- agents ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(AgentState), max_size=20))
def test_no_walk_leaves_retirement_and_none_returns_to_draft(wishes: list[AgentState]) -> None:
    here = AgentState.DRAFT
    for wish in wishes:
        if rules.can_move(here, wish):
            assert here is not AgentState.RETIRED
            assert wish not in (AgentState.DRAFT, here)
            here = wish


@pytest.mark.parametrize("state", [AgentState.DRAFT, AgentState.ACTIVE, AgentState.QUARANTINED])
def test_whoever_is_not_retired_can_be_retired_and_can_be_or_is_shut_out(state: AgentState) -> None:
    assert rules.can_move(state, AgentState.RETIRED)
    assert rules.can_move(state, AgentState.QUARANTINED) or state is AgentState.QUARANTINED
    assert rules.can_move(state, AgentState.ACTIVE) or state is AgentState.ACTIVE


def test_only_drafts_and_active_agents_get_in() -> None:
    assert [state for state in AgentState if rules.is_admitted(state)] == [AgentState.DRAFT, AgentState.ACTIVE]


@pytest.mark.parametrize("name", ["a", "scout", "scout-2", "0", "a" * 64])
def test_a_name_that_can_stand_in_an_address_is_taken(name: str) -> None:
    assert rules.is_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a b", "a_b", "agt_01", "a\n", "ä", "a/b", "a.b", "a" * 65, "%61", "a\0"]
)
def test_a_name_that_cannot_is_not(name: str) -> None:
    assert not rules.is_name(name)


@given(st.text())
def test_no_name_looks_like_an_id(text: str) -> None:
    assert not rules.is_name(f"agt_{text}")


def test_only_the_default_workspace_sees_the_others() -> None:
    assert rules.can_see_workspaces(DEFAULT_WORKSPACE)
    assert not rules.can_see_workspaces(WorkspaceId("ws_1"))


@pytest.mark.parametrize(
    "url", ["http://a", "https://agents.example/a2a", "http://127.0.0.1:9000/x?y=1", "https://[::1]:8443/"]
)
def test_an_endpoint_is_an_http_address(url: str) -> None:
    assert rules.is_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "agents.example",
        "ftp://a",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user:word@a",
        "http://@a",
        "http://a#fragment",
        "http://a#",
        "http://a:99999",
        "http://a:b",
        "http://a\r\nHost: b",
        "http://a b",
        "http://[::1",
    ],
)
def test_anything_else_is_no_endpoint(url: str) -> None:
    assert not rules.is_endpoint(url)


@given(st.text())
def test_whatever_is_sent_as_an_endpoint_is_judged_without_an_error(url: str) -> None:
    rules.is_endpoint(url)
    rules.is_endpoint(f"http://{url}")


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        (NewAgent(name="scout", kind=AgentKind.REST), set()),
        (NewAgent(name="scout", kind=AgentKind.A2A, endpoint_url="https://a.example/"), set()),
        (NewAgent(name="Scout", kind=AgentKind.REST), {"name"}),
        (NewAgent(name="default", kind=AgentKind.REST), {"name"}),
        (NewAgent(name="scout", kind=AgentKind.REST, state=AgentState.RETIRED), {"state"}),
        (NewAgent(name="scout", kind=AgentKind.REST, state=AgentState.QUARANTINED), {"state"}),
        (NewAgent(name="scout", kind=AgentKind.REST, endpoint_url="https://a.example/"), {"endpoint_url"}),
        (NewAgent(name="scout", kind=AgentKind.A2A, endpoint_url="nowhere"), {"endpoint_url"}),
        (NewAgent(name="scout", kind=AgentKind.REST, skills=(skill("a"), skill("a"))), {"skills"}),
    ],
)
def test_what_is_wrong_with_a_new_agent_is_said_by_field(new: NewAgent, fields: set[str]) -> None:
    assert set(rules.problems_of_new(new)) == fields


def test_all_tags_have_to_stand_on_one_skill() -> None:
    skills = (skill("search", "web"), skill("translate", "german"))

    assert rules.offers(skills, None, ())
    assert rules.offers(skills, "search", ())
    assert rules.offers(skills, "search", ("web",))
    assert rules.offers(skills, None, ("german",))
    assert not rules.offers(skills, None, ("web", "german"))
    assert not rules.offers(skills, "search", ("german",))
    assert not rules.offers(skills, "write", ())
    assert rules.offers((), None, ())


# -- liveness --------------------------------------------------------------------------------------------------------


@given(seen=INSTANTS, interval_s=st.integers(1, 3600), later=st.timedeltas(timedelta(0), timedelta(days=1)))
def test_an_agent_is_live_for_three_intervals_and_silent_after(
    seen: datetime, interval_s: int, later: timedelta
) -> None:
    found = rules.decide_liveness(AgentKind.REST, seen, interval_s, seen + later)

    assert found is (Liveness.LIVE if later < 3 * timedelta(seconds=interval_s) else Liveness.SILENT)
    assert (found is Liveness.SILENT) == (seen + later >= rules.silent_at(seen, interval_s))


def test_an_agent_that_never_sent_a_heartbeat_is_unknown() -> None:
    assert rules.decide_liveness(AgentKind.A2A, None, 30, NOW) is Liveness.UNKNOWN


@pytest.mark.parametrize("seen", [None, NOW - timedelta(days=1)])
def test_what_runs_inside_the_kernel_is_always_there(seen: datetime | None) -> None:
    assert rules.decide_liveness(AgentKind.LOCAL, seen, 30, NOW) is Liveness.LIVE


# -- keys ------------------------------------------------------------------------------------------------------------


@given(role=st.sampled_from(Role), secret=SECRETS)
def test_a_key_says_what_it_is_and_fits_its_checksum(role: Role, secret: int) -> None:
    key = rules.compose_key(role, KEY_ID, secret)

    assert key.startswith(f"mr_{role}_01J")
    assert len(key) == len(f"mr_{role}_") + 26 + 1 + 43 + 6
    assert rules.is_plausible(key)
    assert rules.read_key(key) == (role, KEY_ID)
    assert key.rpartition("_")[2].isalnum()


@given(first=SECRETS, second=SECRETS)
def test_two_secrets_never_make_the_same_key(first: int, second: int) -> None:
    keys = {rules.compose_key(Role.AGENT, KEY_ID, secret) for secret in (first, second)}

    assert len(keys) == len({first, second})


@given(secret=SECRETS, place=st.integers(0, 10_000), other=st.characters(codec="ascii"))
def test_one_wrong_character_is_noticed_before_anything_is_looked_up(secret: int, place: int, other: str) -> None:
    key = rules.compose_key(Role.AGENT, KEY_ID, secret)
    place = place % (len(key) - 3) + 3  # not in the prefix: without it, it is no key of our form
    wrong = key[:place] + other + key[place + 1 :]

    assert rules.is_plausible(wrong) == (wrong == key)


@pytest.mark.parametrize("bearer", ["mr_", "mr_agent", "mr_agent_01_x", "ä" * 40, "a" * 513, "mr_" + "a" * 400])
def test_what_cannot_be_a_key_is_not_looked_up(bearer: str) -> None:
    assert not rules.is_plausible(bearer)


def test_a_role_that_does_not_exist_is_not_read_from_a_key() -> None:
    body = rules.compose_key(Role.AGENT, KEY_ID, 1)[:-6].replace("agent", "owner")
    forged = body + rules._checksum(body)

    assert rules.is_plausible(forged)
    assert rules.read_key(forged) is None


@given(st.text())
def test_whatever_is_sent_as_a_key_is_judged_without_an_error(bearer: str) -> None:
    rules.read_key(bearer)
    if rules.is_plausible(bearer):
        assert len(rules.digest(bearer)) == 32


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("short", "at least 32"),
        ("abcdefghijklmnopqrstuvwxyz01234", "31 characters"),
        ("a" * 64, "different characters"),
        ("ab" * 32, "different characters"),
        ("0123456789abcdef 0123456789abcdef", "spaces"),
        ("0123456789abcdef\n0123456789abcdef", "spaces"),
        ("0123456789abcdéf0123456789abcdef", "outside ASCII"),
        ("0123456789" * 60, "longer than 512"),
        ("mr_operator_0123456789abcdefghijklmnopq", "checksum"),
        (rules.compose_key(Role.OPERATOR, KEY_ID, 7)[:-1], "checksum"),
        (rules.compose_key(Role.VIEWER, KEY_ID, 7), "role viewer"),
    ],
)
def test_a_weak_operator_key_is_refused_with_the_reason(key: str, said: str) -> None:
    assert said in (rules.find_weakness(key) or "")


@pytest.mark.parametrize(
    "key",
    [
        "0123456789abcdef0123456789abcdef",
        "correct-horse-battery-staple-9177",
        rules.compose_key(Role.OPERATOR, KEY_ID, 7),
    ],
)
def test_a_long_key_with_enough_different_characters_is_good(key: str) -> None:
    assert rules.find_weakness(key) is None


@given(expires=st.none() | INSTANTS, revoked=st.none() | INSTANTS, now=INSTANTS)
def test_a_key_is_active_exactly_while_it_is_neither_revoked_nor_past_its_end(
    expires: datetime | None, revoked: datetime | None, now: datetime
) -> None:
    state = rules.decide_key_state(expires, revoked, now)

    assert (state is KeyState.ACTIVE) == (revoked is None and (expires is None or now < expires))
    assert (state is KeyState.REVOKED) == (revoked is not None)


@given(st.lists(st.none() | INSTANTS))
def test_the_earliest_end_is_never_after_any_of_them(ends: list[datetime | None]) -> None:
    found = rules.earliest(*ends)

    assert (found is None) == (not any(ends))
    assert all(end is None or (found is not None and found <= end) for end in ends)


def test_who_acts_with_a_key() -> None:
    assert rules.actor_id(Role.AGENT, KEY_ID, "a key", AgentId("agt_1")) == "agt_1"
    assert rules.actor_id(Role.SERVICE, KEY_ID, "memory", None) == "memory"
    assert rules.actor_id(Role.VIEWER, KEY_ID, "a key", None) == KEY_ID


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        (NewKey(role=Role.VIEWER), set()),
        (NewKey(role=Role.AGENT, agent="scout"), set()),
        (NewKey(role=Role.SERVICE, name="memory"), set()),
        (NewKey(role=Role.AGENT), {"agent"}),
        (NewKey(role=Role.OPERATOR, agent="scout"), {"agent"}),
        (NewKey(role=Role.SERVICE), {"name"}),
        (NewKey(role=Role.SERVICE, name="kernel"), {"name"}),
        (NewKey(role=Role.SERVICE, name="Memory:x"), {"name"}),
        (NewKey(role=Role.VIEWER, scopes=("task.read", "nonsense")), {"scopes"}),
        (NewKey(role=Role.VIEWER, scopes=("task",)), {"scopes"}),
    ],
)
def test_what_is_wrong_with_a_new_key_is_said_by_field(new: NewKey, fields: set[str]) -> None:
    assert set(rules.problems_of_new_key(new)) == fields


# -- scopes ----------------------------------------------------------------------------------------------------------


@given(st.sampled_from(Action))
def test_no_scopes_restrict_nothing(action: Action) -> None:
    assert rules.scope_allows((), action)


@given(scope=SCOPES, action=st.sampled_from(Action))
def test_a_scope_allows_its_action_or_those_of_its_noun_and_no_other(scope: str, action: Action) -> None:
    noun = action.value.partition(".")[0] + "."

    assert rules.scope_allows((scope,), action) == (scope in (action, noun))


def test_the_beginning_of_a_word_is_no_scope() -> None:
    assert not rules.scope_allows(("memory.re",), Action.MEMORY_READ)
    assert not rules.scope_allows(("mem",), Action.MEMORY_READ)
    assert not rules.scope_allows(("memory",), Action.MEMORY_READ)
    assert not rules.is_scope("memory.re")
    assert not rules.is_scope(".")
    assert not rules.is_scope("")


@given(inner=st.sets(SCOPES), outer=st.sets(SCOPES), action=st.sampled_from(Action))
def test_scopes_that_lie_within_others_allow_nothing_that_those_do_not(
    inner: set[str], outer: set[str], action: Action
) -> None:
    if rules.are_within(inner, outer) and rules.scope_allows(inner, action):
        assert rules.scope_allows(outer, action)


@given(st.sets(SCOPES))
def test_scopes_lie_within_themselves_and_within_none(scopes: set[str]) -> None:
    assert rules.are_within(scopes, scopes)
    assert rules.are_within(scopes, ())
    assert not scopes or not rules.are_within((), scopes)

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER
from tests.conftest import Policy

from memroos import registry
from memroos.registry import AgentCannotMove, AgentChanged, AgentNameTaken, AgentRetired
from memroos_contracts.errors import Denied, InvalidRequest, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.registry import (
    AgentChange,
    AgentKind,
    AgentSkill,
    AgentState,
    AgentView,
    Liveness,
    NewAgent,
    NewKeyView,
)
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once

Rows = Callable[[], list[tuple[Any, ...]]]

SEARCH = AgentSkill(id="search", name="Search", tags=("web", "fast"))
WRITE = AgentSkill(id="write", name="Write")
NEW = NewAgent(
    name="planner",
    kind=AgentKind.A2A,
    title="Planner",
    description="Plans.",
    skills=(SEARCH, WRITE),
    endpoint_url="https://planner.example/a2a",
    max_concurrency=3,
    labels={"team": "blue"},
)


# -- create ----------------------------------------------------------------------------------------------------------


def test_a_new_agent_is_a_draft_with_everything_that_was_stated(db: Database, clock: ManualClock) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)

    assert made.id.startswith("agt_")
    assert made == AgentView(
        id=made.id,
        workspace_id=OPERATOR.workspace,
        name="planner",
        title="Planner",
        description="Plans.",
        kind=AgentKind.A2A,
        state=AgentState.DRAFT,
        state_reason="",
        version=1,
        skills=(SEARCH, WRITE),
        endpoint_url="https://planner.example/a2a",
        max_concurrency=3,
        labels={"team": "blue"},
        liveness=Liveness.UNKNOWN,
        last_seen_at=None,
        status="",
        load=0.0,
        created_at=clock.now(),
        updated_at=clock.now(),
        created_by="operator:key_operator",
    )
    assert db.read_now(OPERATOR, registry.get_agent, made.id) == made


def test_a_new_agent_is_announced(db: Database, outcomes: Rows, published: Rows) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)

    assert outcomes() == [("agent.created", "ok", True)]
    assert [(type_, subject, data["state"]) for type_, subject, data in published()] == [
        ("agent.created", made.id, "draft")
    ]


def test_an_agent_that_is_to_be_active_at_once_needs_both_decisions(
    db: Database, policy: Policy, outcomes: Rows, published: Rows
) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NewAgent("scout", AgentKind.REST, state=AgentState.ACTIVE))

    assert made.state is AgentState.ACTIVE
    assert [action for action, _ in policy.asked] == [Action.AGENT_CREATE, Action.AGENT_ACTIVATE]
    assert outcomes() == [("agent.created", "ok", True), ("agent.activated", "ok", True)]
    assert [row[0] for row in published()] == ["agent.created", "agent.activated"]


def test_who_may_create_but_not_activate_makes_no_active_agent(db: Database, policy: Policy, published: Rows) -> None:
    policy.deny(Action.AGENT_ACTIVATE)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, registry.create_agent, NewAgent("scout", AgentKind.REST, state=AgentState.ACTIVE))

    with pytest.raises(NotFound):
        db.read_now(OPERATOR, registry.get_agent, "scout")
    assert published() == []


def test_a_denied_registration_changes_nothing_and_is_recorded(
    db: Database, policy: Policy, outcomes: Rows, published: Rows
) -> None:
    policy.deny(Action.AGENT_CREATE)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, registry.create_agent, NEW)

    assert db.read_now(OPERATOR, registry.list_agents).items == []
    assert outcomes() == [("agent.create", "denied", True)]
    assert published() == []


def test_what_does_not_fit_together_is_refused_by_field(db: Database) -> None:
    with pytest.raises(InvalidRequest) as refused:
        db.write_now(OPERATOR, registry.create_agent, NewAgent("Scout", AgentKind.REST, endpoint_url="http://a"))

    fields = refused.value.facts["fields"]
    assert isinstance(fields, dict)
    assert set(fields) == {"name", "endpoint_url"}


def test_a_name_is_given_once_in_a_workspace(db: Database) -> None:
    db.write_now(OPERATOR, registry.create_agent, NEW)
    db.write_now(STRANGER, registry.create_agent, NEW)

    with pytest.raises(AgentNameTaken):
        db.write_now(OPERATOR, registry.create_agent, NEW)


def test_the_name_of_a_retired_agent_stays_taken(db: Database) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)
    db.write_now(OPERATOR, registry.retire_agent, made.id)

    with pytest.raises(AgentNameTaken):
        db.write_now(OPERATOR, registry.create_agent, NEW)


def test_of_two_that_take_a_name_at_once_one_gets_it(db: Database) -> None:
    async def both() -> tuple[AgentView | BaseException, AgentView | BaseException]:
        return await asyncio.gather(
            db.write(OPERATOR, registry.create_agent, NEW),
            db.write(OPERATOR, registry.create_agent, NEW),
            return_exceptions=True,
        )

    first, second = asyncio.run(both())

    assert isinstance(first, AgentView)
    assert isinstance(second, AgentNameTaken)
    assert len(db.read_now(OPERATOR, registry.list_agents).items) == 1


def test_a_repeated_registration_answers_with_the_same_agent(db: Database) -> None:
    key = Idempotency(key="once", operation="createAgent", digest="0" * 64)

    first = db.write_now(OPERATOR, once, key, AgentView, registry.create_agent, NEW)
    second = db.write_now(OPERATOR, once, key, AgentView, registry.create_agent, NEW)

    assert second == first


# -- local agents ----------------------------------------------------------------------------------------------------

ECHO = NewAgent(name="echo", kind=AgentKind.LOCAL, skills=(SEARCH,))


def test_a_local_agent_is_there_live_and_active_after_each_start(db: Database, outcomes: Rows) -> None:
    first = db.write_now(KERNEL, registry.ensure_local_agent, ECHO)
    second = db.write_now(KERNEL, registry.ensure_local_agent, ECHO)

    assert first.state is AgentState.ACTIVE
    assert first.liveness is Liveness.LIVE
    assert second == first
    assert [row[0] for row in outcomes()] == ["agent.created", "agent.activated"]
    assert db.read_now(OPERATOR, registry.find_agents, skill="search") == [first]


def test_a_local_agent_learns_new_skills_at_the_next_start(db: Database) -> None:
    db.write_now(KERNEL, registry.ensure_local_agent, ECHO)
    changed = db.write_now(
        KERNEL, registry.ensure_local_agent, NewAgent(name="echo", kind=AgentKind.LOCAL, skills=(WRITE,))
    )

    assert changed.skills == (WRITE,)
    assert changed.version == 2
    assert db.read_now(OPERATOR, registry.find_agents, skill="search") == []


def test_a_start_does_not_lift_a_quarantine(db: Database) -> None:
    made = db.write_now(KERNEL, registry.ensure_local_agent, ECHO)
    db.write_now(OPERATOR, registry.quarantine_agent, made.id, reason="it loops")

    assert db.write_now(KERNEL, registry.ensure_local_agent, ECHO).state is AgentState.QUARANTINED


def test_a_local_agent_takes_no_name_of_another_kind(db: Database) -> None:
    db.write_now(OPERATOR, registry.create_agent, NewAgent(name="echo", kind=AgentKind.REST))

    with pytest.raises(AgentNameTaken):
        db.write_now(KERNEL, registry.ensure_local_agent, ECHO)


def test_only_local_agents_are_registered_without_a_decision(db: Database) -> None:
    with pytest.raises(InvalidRequest):
        db.write_now(KERNEL, registry.ensure_local_agent, NewAgent(name="echo", kind=AgentKind.REST))


# -- update ----------------------------------------------------------------------------------------------------------


def test_a_change_leaves_what_it_does_not_name(
    db: Database, clock: ManualClock, published: Rows, facts: Callable[[], dict[str, Any]]
) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)
    clock.advance(seconds=5)

    changed = db.write_now(
        OPERATOR, registry.update_agent, "planner", AgentChange(title="Chief", labels={}), version=made.version
    )

    assert (changed.title, changed.labels, changed.version) == ("Chief", {}, 2)
    assert (changed.description, changed.skills, changed.endpoint_url) == (
        made.description,
        made.skills,
        made.endpoint_url,
    )
    assert changed.updated_at == clock.now()
    assert published()[-1][0] == "agent.updated"
    assert facts() == {"fields": ["labels", "title"]}


def test_changed_skills_change_the_routing(db: Database, scout: AgentView) -> None:
    db.write_now(OPERATOR, registry.update_agent, scout.id, AgentChange(skills=(SEARCH,)))
    assert [a.id for a in db.read_now(OPERATOR, registry.find_agents, skill="search", tags=["web"])] == [scout.id]

    db.write_now(OPERATOR, registry.update_agent, scout.id, AgentChange(skills=(WRITE,)))
    assert db.read_now(OPERATOR, registry.find_agents, skill="search") == []
    assert db.read_now(OPERATOR, registry.find_agents, tags=["web"]) == []
    assert [a.skills for a in db.read_now(OPERATOR, registry.find_agents, skill="write")] == [(WRITE,)]


def test_of_two_changes_to_one_version_the_second_is_refused(db: Database, scout: AgentView) -> None:
    async def both() -> tuple[AgentView | BaseException, AgentView | BaseException]:
        return await asyncio.gather(
            db.write(OPERATOR, registry.update_agent, scout.id, AgentChange(title="A"), version=scout.version),
            db.write(OPERATOR, registry.update_agent, scout.id, AgentChange(title="B"), version=scout.version),
            return_exceptions=True,
        )

    first, second = asyncio.run(both())

    assert isinstance(first, AgentView)
    assert isinstance(second, AgentChanged)
    assert second.facts == {"agent": scout.id, "version": scout.version + 1}
    assert db.read_now(OPERATOR, registry.get_agent, scout.id).title == "A"


def test_a_change_has_to_fit_the_agents_kind(db: Database, scout: AgentView) -> None:
    with pytest.raises(InvalidRequest) as refused:
        db.write_now(OPERATOR, registry.update_agent, scout.id, AgentChange(endpoint_url="https://a.example"))

    assert refused.value.facts["fields"] == {"endpoint_url": "only agents of kind a2a have an endpoint"}
    assert db.read_now(OPERATOR, registry.get_agent, scout.id) == scout


def test_a_retired_agent_takes_no_change(db: Database, scout: AgentView) -> None:
    db.write_now(OPERATOR, registry.retire_agent, scout.id)

    with pytest.raises(AgentRetired):
        db.write_now(OPERATOR, registry.update_agent, scout.id, AgentChange(title="A"))


def test_a_denied_change_changes_nothing(db: Database, policy: Policy, scout: AgentView, outcomes: Rows) -> None:
    policy.deny(Action.AGENT_UPDATE)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, registry.update_agent, scout.id, AgentChange(title="A"))

    assert db.read_now(OPERATOR, registry.get_agent, scout.id) == scout
    assert outcomes()[-1] == ("agent.update", "denied", True)


# -- states ----------------------------------------------------------------------------------------------------------


def test_a_draft_is_activated_quarantined_activated_again_and_retired(
    db: Database, clock: ManualClock, published: Rows
) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)

    active = db.write_now(OPERATOR, registry.activate_agent, made.id)
    shut_out = db.write_now(OPERATOR, registry.quarantine_agent, "planner", reason="it leaks")
    back = db.write_now(OPERATOR, registry.activate_agent, made.id, reason="fixed")
    gone = db.write_now(OPERATOR, registry.retire_agent, made.id)

    assert [a.state for a in (active, shut_out, back, gone)] == ["active", "quarantined", "active", "retired"]
    assert [a.version for a in (made, active, shut_out, back, gone)] == [1, 2, 3, 4, 5]
    assert shut_out.state_reason == "it leaks"
    assert back.state_reason == "fixed"
    assert [row[0] for row in published()] == [
        "agent.created", "agent.activated", "agent.quarantined", "agent.activated", "agent.retired",
    ]  # fmt: skip


MOVES: list[tuple[Action, str, Any]] = [
    (Action.AGENT_ACTIVATE, "agent.activated", registry.activate_agent),
    (Action.AGENT_QUARANTINE, "agent.quarantined", registry.quarantine_agent),
    (Action.AGENT_RETIRE, "agent.retired", registry.retire_agent),
]


@pytest.mark.parametrize(("event", "verb"), [(event, verb) for _, event, verb in MOVES])
def test_a_repeated_move_changes_nothing_and_the_ledger_says_so(
    db: Database,
    event: str,
    verb: Any,
    published: Rows,
    outcomes: Rows,
    facts: Callable[[], dict[str, Any]],
) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)
    first = db.write_now(OPERATOR, verb, made.id, reason="a")
    announced = published()

    second = db.write_now(OPERATOR, verb, made.id, reason="b")

    assert second == first
    assert published() == announced
    assert outcomes()[-1] == (event, "ok", True)
    assert facts() == {"changed": False}


@pytest.mark.parametrize(("action", "verb"), [(action, verb) for action, _, verb in MOVES])
def test_a_denied_move_changes_nothing(db: Database, policy: Policy, action: Action, verb: Any) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)
    policy.deny(action)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, verb, made.id, reason="")

    assert db.read_now(OPERATOR, registry.get_agent, made.id) == made


@pytest.mark.parametrize("verb", [registry.activate_agent, registry.quarantine_agent])
def test_nobody_comes_back_from_retirement(db: Database, verb: Any) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NEW)
    db.write_now(OPERATOR, registry.retire_agent, made.id)

    with pytest.raises(AgentCannotMove) as refused:
        db.write_now(OPERATOR, verb, made.id, reason="")

    assert refused.value.facts["state"] == "retired"


@pytest.mark.parametrize("agent", ["agt_01NOBODY", "nobody", "planner", "", "*", "agt_%"])
@pytest.mark.parametrize(
    ("verb", "rest"),
    [
        (registry.update_agent, {"change": AgentChange()}),
        (registry.activate_agent, {}),
        (registry.quarantine_agent, {"reason": ""}),
        (registry.retire_agent, {}),
    ],
)
def test_unknown_and_foreign_agents_answer_the_same(db: Database, verb: Any, rest: dict[str, Any], agent: str) -> None:
    foreign = db.write_now(STRANGER, registry.create_agent, NEW)

    for name in (agent, foreign.id):
        with pytest.raises(NotFound) as unknown:
            db.write_now(OPERATOR, verb, name, **rest)
        assert unknown.value.facts == {"kind_of_object": "agent", "id": name}


def test_quarantine_tells_the_streams_of_every_key(db: Database, scouts_key: NewKeyView, published: Rows) -> None:
    assert scouts_key.key.agent_id is not None
    db.write_now(OPERATOR, registry.quarantine_agent, scouts_key.key.agent_id, reason="it leaks")

    assert ("key.suspended", scouts_key.key.id, {"key": scouts_key.key.id}) in published()


def test_retirement_revokes_every_key(db: Database, scouts_key: NewKeyView, published: Rows) -> None:
    assert scouts_key.key.agent_id is not None
    db.write_now(OPERATOR, registry.retire_agent, scouts_key.key.agent_id)

    [key] = db.read_now(OPERATOR, registry.list_keys).items
    assert (key.state, key.revoke_reason) == ("revoked", "the agent is retired")
    assert published()[-1][:2] == ("key.revoked", key.id)

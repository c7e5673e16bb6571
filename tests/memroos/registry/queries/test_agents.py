import pytest
from tests.actors import AGENT, KERNEL, OPERATOR, STRANGER, VIEWER, agent_actor
from tests.conftest import Policy

from memroos import registry
from memroos.registry import queries
from memroos_contracts.errors import Denied, InvalidCursor, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor, Role
from memroos_contracts.registry import (
    AgentFilter,
    AgentKind,
    AgentSkill,
    AgentState,
    AgentView,
    Heartbeat,
    Liveness,
    NewAgent,
    NewKey,
    NewKeyView,
    NewWorkspace,
)
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database

SEARCH = AgentSkill(id="search", name="Search", tags=("web", "fast"))
TRANSLATE = AgentSkill(id="translate", name="Translate", tags=("german",))


def make(
    db: Database,
    name: str,
    *skills: AgentSkill,
    kind: AgentKind = AgentKind.REST,
    state: AgentState = AgentState.ACTIVE,
    actor: Actor = OPERATOR,
) -> AgentView:
    return db.write_now(actor, registry.create_agent, NewAgent(name=name, kind=kind, state=state, skills=skills))


def names(agents: list[AgentView]) -> list[str]:
    return [agent.name for agent in agents]


# -- one agent -------------------------------------------------------------------------------------------------------


def test_an_agent_is_found_by_id_and_by_name_inline_too(db: Database) -> None:
    made = make(db, "scout", SEARCH)

    assert db.read_now(OPERATOR, registry.get_agent, made.id) == made
    assert db.read_now(OPERATOR, registry.get_agent, "scout") == made
    assert db.read_inline(OPERATOR, registry.get_agent, "scout") == made
    assert db.read_now(OPERATOR, registry.find_agent, "nobody") is None


@pytest.mark.parametrize("agent", ["nobody", "agt_01NOBODY", "", "scout' --"])
def test_unknown_agents_are_not_found(db: Database, agent: str) -> None:
    for query in (registry.get_agent, registry.read_agent):
        with pytest.raises(NotFound) as unknown:
            db.read_now(OPERATOR, query, agent)
        assert unknown.value.facts == {"kind_of_object": "agent", "id": agent}


def test_foreign_agents_are_not_found(db: Database) -> None:
    made = make(db, "scout")

    for query in (registry.get_agent, registry.read_agent):
        for name in (made.id, "scout"):
            with pytest.raises(NotFound):
                db.read_now(STRANGER, query, name)


def test_an_agent_reads_itself_and_no_other(db: Database) -> None:
    scout, other = make(db, "scout"), make(db, "other")

    assert db.read_now(agent_actor(scout.id), registry.read_agent, "scout") == scout
    with pytest.raises(NotFound):
        db.read_now(agent_actor(scout.id), registry.read_agent, other.id)


def test_who_may_not_read_agents_is_denied(db: Database, policy: Policy) -> None:
    make(db, "scout")
    policy.deny(Action.AGENT_READ, Action.PEER_READ, Action.KEY_READ, Action.WORKSPACE_READ)

    with pytest.raises(Denied):
        db.read_now(VIEWER, registry.read_agent, "scout")
    for query in (registry.list_agents, registry.list_peers, registry.list_keys, registry.list_workspaces):
        with pytest.raises(Denied):
            db.read_now(VIEWER, query)


# -- routing ---------------------------------------------------------------------------------------------------------


def test_candidates_are_active_and_have_the_skill_with_all_the_tags(db: Database) -> None:
    both = make(db, "both", SEARCH, TRANSLATE)
    make(db, "translator", TRANSLATE)
    make(db, "draft", SEARCH, state=AgentState.DRAFT)
    make(db, "theirs", SEARCH, actor=STRANGER)
    gone = make(db, "gone", SEARCH)
    db.write_now(OPERATOR, registry.quarantine_agent, gone.id, reason="")

    def found(skill: str | None = None, *tags: str) -> list[str]:
        return names(db.read_now(OPERATOR, registry.find_agents, skill=skill, tags=tags))

    assert found("search") == ["both"]
    assert found("search", "web", "fast") == ["both"]
    assert found(None, "german") == ["both", "translator"]
    assert found("search", "german") == []
    assert found(None, "web", "german") == []
    assert found("write") == []
    assert found(None, "") == []
    assert found() == ["both", "translator"]
    assert db.read_now(OPERATOR, registry.find_agents, skill="search") == [both]


def test_candidates_come_with_liveness_and_load(db: Database, clock: ManualClock) -> None:
    made = make(db, "scout", SEARCH)
    make(db, "quiet", SEARCH)
    db.write_now(agent_actor(made.id), registry.record_heartbeat, Heartbeat(load=0.25))

    found = db.read_now(OPERATOR, registry.find_agents, skill="search")

    assert [(a.name, a.liveness, a.load) for a in found] == [
        ("scout", Liveness.LIVE, 0.25),
        ("quiet", Liveness.UNKNOWN, 0.0),
    ]


# -- lists -----------------------------------------------------------------------------------------------------------


def test_agents_are_listed_newest_first_and_page_by_page(db: Database) -> None:
    for number in range(5):
        make(db, f"agent-{number}")
    make(db, "theirs", actor=STRANGER)

    seen, cursor = [], None
    while True:
        page = db.read_now(OPERATOR, registry.list_agents, limit=2, cursor=cursor)
        seen += names(page.items)
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == [f"agent-{number}" for number in (4, 3, 2, 1, 0)]


def test_a_full_last_page_says_that_it_is_the_last(db: Database) -> None:
    make(db, "one")
    make(db, "two")

    assert db.read_now(OPERATOR, registry.list_agents, limit=2).next_cursor is None


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (AgentFilter(), ["c", "b", "a"]),
        (AgentFilter(state=AgentState.DRAFT), ["b"]),
        (AgentFilter(kind=AgentKind.GRAPH), ["c"]),
        (AgentFilter(skill="search"), ["b", "a"]),
        (AgentFilter(tag="german"), ["a"]),
        (AgentFilter(state=AgentState.ACTIVE, skill="search"), ["a"]),
        (AgentFilter(skill="nothing"), []),
    ],
)
def test_a_listing_can_be_narrowed(db: Database, which: AgentFilter, expected: list[str]) -> None:
    make(db, "a", SEARCH, TRANSLATE)
    make(db, "b", SEARCH, state=AgentState.DRAFT)
    make(db, "c", kind=AgentKind.GRAPH)

    assert names(db.read_now(OPERATOR, registry.list_agents, which).items) == expected


def test_a_cursor_belongs_to_its_listing(db: Database) -> None:
    make(db, "one")
    make(db, "two")
    cursor = db.read_now(OPERATOR, registry.list_agents, limit=1).next_cursor
    assert cursor is not None

    with pytest.raises(InvalidCursor):
        db.read_now(OPERATOR, registry.list_agents, AgentFilter(state=AgentState.DRAFT), cursor=cursor)
    for query in (registry.list_peers, registry.list_keys, registry.list_workspaces):
        with pytest.raises(InvalidCursor):
            db.read_now(OPERATOR, query, cursor=cursor)


def test_peers_are_the_other_active_agents_by_name_without_their_endpoints(db: Database) -> None:
    me = make(db, "me", SEARCH)
    for name in ("cora", "ann", "bob"):
        make(db, name, TRANSLATE)
    make(db, "draft", state=AgentState.DRAFT)
    make(db, "theirs", actor=STRANGER)

    first = db.read_now(agent_actor(me.id), registry.list_peers, limit=2)
    rest = db.read_now(agent_actor(me.id), registry.list_peers, limit=2, cursor=first.next_cursor)

    assert [peer.name for peer in [*first.items, *rest.items]] == ["ann", "bob", "cora"]
    assert rest.next_cursor is None
    assert set(first.items[0].__struct_fields__) == {"id", "name", "title", "skills", "liveness"}
    assert first.items[0].skills == (TRANSLATE,)


def test_an_operator_sees_all_active_agents_as_peers(db: Database) -> None:
    make(db, "one")

    assert [peer.name for peer in db.read_now(OPERATOR, registry.list_peers).items] == ["one"]


def test_keys_are_listed_page_by_page_and_by_agent(db: Database, scout: AgentView, scouts_key: NewKeyView) -> None:
    other = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.VIEWER))

    first = db.read_now(OPERATOR, registry.list_keys, limit=1)
    second = db.read_now(OPERATOR, registry.list_keys, limit=1, cursor=first.next_cursor)

    assert [key.id for key in [*first.items, *second.items]] == [other.key.id, scouts_key.key.id]
    assert second.next_cursor is None
    assert db.read_now(OPERATOR, registry.list_keys, agent="scout").items == [scouts_key.key]
    with pytest.raises(NotFound):
        db.read_now(OPERATOR, registry.list_keys, agent="nobody")
    with pytest.raises(NotFound):
        db.read_now(STRANGER, registry.list_keys, agent="scout")


def test_an_agent_sees_the_key_it_uses_and_no_other(db: Database, scout: AgentView, scouts_key: NewKeyView) -> None:
    second = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.AGENT, agent="scout"))
    me = Actor(role=Role.AGENT, id=scout.id, agent=scout.id, key=second.key.id)

    assert db.read_now(me, registry.list_keys).items == [second.key]


def test_workspaces_are_seen_by_the_default_one_and_otherwise_only_by_themselves(db: Database) -> None:
    db.write_now(KERNEL, registry.ensure_default_workspace)
    north = db.write_now(OPERATOR, registry.create_workspace, NewWorkspace(name="north")).workspace
    inside = Actor(role=Role.OPERATOR, id="key_n", workspace=north.id)

    first = db.read_now(OPERATOR, registry.list_workspaces, limit=1)
    second = db.read_now(OPERATOR, registry.list_workspaces, limit=1, cursor=first.next_cursor)

    assert [w.name for w in [*first.items, *second.items]] == ["default", "north"]
    assert second.next_cursor is None
    assert db.read_now(inside, registry.list_workspaces).items == [north]


# -- the caller, and what is due -------------------------------------------------------------------------------------


def test_a_caller_learns_who_it_is(db: Database) -> None:
    made = make(db, "scout")

    me = db.read_now(agent_actor(made.id), registry.whoami)
    person = db.read_now(VIEWER, registry.whoami)
    gone = db.read_now(AGENT, registry.whoami)

    assert (me.principal, me.agent, me.key) == (f"agent:{made.id}", made, agent_actor(made.id).key)
    assert (person.role, person.principal, person.agent) == (Role.VIEWER, "viewer:key_viewer", None)
    assert gone.agent is None


def test_only_workspaces_with_something_to_say_are_due(db: Database, clock: ManualClock) -> None:
    here, there = make(db, "here"), make(db, "there", actor=STRANGER)
    db.write_now(agent_actor(here.id), registry.record_heartbeat, Heartbeat())
    new = NewKey(role=Role.AGENT, agent=there.id, expires_in_s=60)
    db.write_now(STRANGER, registry.create_key, new)
    assert db.read_now(KERNEL, queries.list_due) == []

    clock.advance(seconds=60)
    assert db.read_now(KERNEL, queries.list_due) == [STRANGER.workspace]
    clock.advance(seconds=30)
    assert sorted(db.read_now(KERNEL, queries.list_due)) == [OPERATOR.workspace, STRANGER.workspace]

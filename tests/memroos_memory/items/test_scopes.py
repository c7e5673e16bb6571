import pytest
from tests.memroos_memory.items.conftest import ANN, BOB, Memory

from memroos_contracts.errors import NotFound
from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_kit.db import Database
from memroos_memory import items
from memroos_memory.actor import SERVICE

OPERATOR = ""


def scope(db: Database, *readers: str, private: bool = False, user_id: str = "", workspace: str = "default") -> int:
    return db.write_now(
        SERVICE, items.scope_for, workspace=workspace, readers=readers, private=private, user_id=user_id
    )


def visible(db: Database, reader: str, workspace: str = DEFAULT_WORKSPACE) -> list[int]:
    return db.read_now(SERVICE, items.visible_scopes, workspace, reader)


def test_the_same_readers_in_any_order_have_one_scope(db: Database) -> None:
    assert scope(db, ANN, BOB) == scope(db, BOB, ANN, BOB)


def test_other_readers_privacy_users_and_workspaces_have_scopes_of_their_own(db: Database) -> None:
    numbers = [
        scope(db, ANN),
        scope(db, ANN, BOB),
        scope(db, ANN, private=True),
        scope(db, ANN, user_id="u1"),
        scope(db, ANN, workspace="another"),
    ]

    assert len(set(numbers)) == 5


def test_readers_see_their_scopes_and_who_runs_the_workspace_all_but_the_private(db: Database) -> None:
    hers, both, private = scope(db, ANN), scope(db, ANN, BOB), scope(db, ANN, private=True)
    elsewhere = scope(db, ANN, workspace="another")

    assert visible(db, ANN) == [hers, both, private]
    assert visible(db, BOB) == [both]
    assert visible(db, OPERATOR) == [hers, both]
    assert visible(db, ANN, "another") == visible(db, OPERATOR, "another") == [elsewhere]
    assert visible(db, "agent:agt_nobody") == []


def test_scopes_are_narrowed_by_user_and_by_id(db: Database) -> None:
    scope(db, ANN)
    of_user = scope(db, ANN, user_id="u1")
    view = db.read_now(SERVICE, items.scopes.scope_view, of_user)

    assert db.read_now(SERVICE, items.visible_scopes, "default", ANN, user_id="u1") == [of_user]
    assert db.read_now(SERVICE, items.visible_scopes, "default", ANN, scope_id=view.id) == [of_user]
    assert db.read_now(SERVICE, items.visible_scopes, "default", BOB, scope_id=view.id) == []


def test_a_scope_tells_whose_it_is_and_how_far_its_log_is(memory: Memory) -> None:
    memory.say("1", readers=[BOB, ANN], private=True, user_id="u1")
    memory.say("2", readers=[BOB, ANN], private=True, user_id="u1")
    memory.write(items.delete, "mem_2")

    (view,) = memory.read(items.list_scopes)

    assert (view.readers, view.private, view.user_id) == ((ANN, BOB), True, "u1")
    assert (view.items, view.last_seq) == (1, 3)
    assert view == memory.db.read_now(SERVICE, items.scopes.scope_view, 1)
    assert memory.db.read_now(SERVICE, items.count_in, [1, 1, 99]) == 1
    assert memory.db.read_now(SERVICE, items.count_in, []) == 0


def test_a_scope_of_others_is_unknown(memory: Memory) -> None:
    memory.say("1")

    assert memory.read(items.scope_seq_of, memory.scope_id) == 1
    for eyes in (memory.as_seen_by(BOB), memory.as_seen_by(ANN, "another")):
        with pytest.raises(NotFound):
            eyes.read(items.scope_seq_of, memory.scope_id)
        assert eyes.read(items.list_scopes) == []


def test_each_scope_has_a_log_of_its_own(memory: Memory) -> None:
    memory.say("1", user_id="u1")
    memory.say("2", user_id="u2")
    memory.say("3", user_id="u1")

    assert [memory.get(f"mem_{number}").log_seq for number in (1, 2, 3)] == [1, 1, 2]

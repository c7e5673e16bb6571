from typing import Any

import msgspec
import pytest
from tests.cursors import assert_says_nothing_of_others
from tests.memroos_memory.items.conftest import ANN, BOB, START, Memory, day
from tests.memroos_memory.items.test_learning import lives

from memroos_contracts.errors import InvalidCursor, NotFound
from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.memory_filters import Contains, Eq, Filter
from memroos_contracts.memory_items import ItemChange, ItemKind, ItemQuery, ItemStatus, ItemView, Successor, Triple
from memroos_kit.db import Database
from memroos_memory import filters, items
from memroos_memory.actor import SERVICE

# -- narrowing ---------------------------------------------------------------------------------------------------------


def test_items_are_listed_oldest_first_by_kind_agent_user_and_scope(memory: Memory) -> None:
    memory.say("1", agent_id="agt_1")
    memory.say("2", user_id="u1")
    fact = memory.learn("mem_1", "a fact")

    assert memory.ids() == ["mem_1", "mem_2", fact.id]
    assert memory.ids(kinds=(ItemKind.FACT,)) == [fact.id]
    assert memory.ids(agent_id="agt_1") == ["mem_1", fact.id]
    assert memory.ids(user_id="u1") == ["mem_2"]
    assert memory.ids(scope_id=memory.get("mem_2").scope_id) == ["mem_2"]


def test_superseded_items_are_listed_when_they_are_asked_for(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.supersede, "mem_1", Successor(text="instead"))

    assert memory.texts() == ["instead"]
    assert memory.ids(statuses=(ItemStatus.SUPERSEDED,)) == ["mem_1"]


def test_nothing_is_an_answer(memory: Memory) -> None:
    assert memory.ids() == []
    assert memory.ids(user_id="nobody") == []


def test_a_scope_of_others_answers_like_one_that_is_not_there(memory: Memory) -> None:
    memory.say("1")

    for scope_id in (memory.scope_id, "scp_none"):
        with pytest.raises(NotFound) as refused:
            memory.as_seen_by(BOB).ids(scope_id=scope_id)
        assert refused.value.facts == {"kind_of_object": "scope", "id": scope_id}


def test_a_filter_narrows_the_list_and_cannot_widen_it(memory: Memory) -> None:
    memory.say("1", "the walrus sings", speaker="Ann")
    memory.say("2", "the walrus sings", speaker="Bob")
    memory.say("3", "the walrus sings", speaker="Ann", readers=[BOB])

    assert memory.ids(filters.compile(Eq("speaker", "Ann"))) == ["mem_1"]
    assert memory.ids(Or("1 = 1 OR 1 = 1")) == ["mem_1", "mem_2"]


class Or(msgspec.Struct):
    """A condition that would let everything through, were it not taken as a whole."""

    sql: str
    parameters: dict[str, Any] = {}


# -- pages -------------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_across_scopes_until_the_end(memory: Memory) -> None:
    for number in range(7):
        memory.say(str(number), user_id=f"u{number % 3}")
    seen: list[str] = []
    cursor: str | None = None

    for _ in range(4):
        page = memory.read(items.list_items, ItemQuery(limit=2, cursor=cursor))
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        assert_says_nothing_of_others(cursor)

    assert seen == [f"mem_{number}" for number in range(7)]
    assert cursor is None


@pytest.mark.parametrize(
    "other",
    [
        {"kinds": (ItemKind.EVENT,)},
        {"statuses": (ItemStatus.SUPERSEDED,)},
        {"agent_id": "agt_1"},
        {"user_id": "u1"},
        {"as_of": day(1)},
        {"known_at": day(1)},
        {"filter": Eq("speaker", "Ann")},
    ],
)
def test_a_cursor_of_another_query_is_refused(memory: Memory, other: dict[str, Any]) -> None:
    memory.say("1")
    memory.say("2")
    cursor = memory.read(items.list_items, ItemQuery(limit=1)).next_cursor

    with pytest.raises(InvalidCursor):
        memory.ids(limit=1, cursor=cursor, **other)


def test_a_cursor_of_somebody_else_is_refused(memory: Memory) -> None:
    memory.say("1", readers=[ANN, BOB])
    memory.say("2", readers=[ANN, BOB])
    cursor = memory.read(items.list_items, ItemQuery(limit=1)).next_cursor

    with pytest.raises(InvalidCursor):
        memory.as_seen_by(BOB).ids(limit=1, cursor=cursor)


# -- time --------------------------------------------------------------------------------------------------------------


def test_what_held_at_a_time_is_listed_whatever_holds_now(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("5", at=day(5))
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_5", "Rome")

    def cities(at: int) -> list[str]:
        return memory.ids(kinds=(ItemKind.STATE,), as_of=day(at))

    assert [cities(at) for at in (0, 1, 4, 5, 99)] == [[], [berlin.id], [berlin.id], [rome.id], [rome.id]]
    assert memory.ids(kinds=(ItemKind.EVENT,), as_of=day(4)) == ["mem_1"]


def test_the_two_axes_of_time_are_asked_apart(memory: Memory) -> None:
    """On day 1 Ann lives in Berlin; on day 5 in Rome, which is learned only later."""
    memory.say("1", at=day(1))
    memory.say("5", at=day(5))
    berlin = lives(memory, "mem_1", "Berlin")
    early = memory.clock.now()
    rome = lives(memory, "mem_5", "Rome")
    late = memory.clock.now()

    def cities(**query: Any) -> list[str]:
        return memory.ids(kinds=(ItemKind.STATE,), **query)

    assert cities(as_of=day(9), known_at=early) == [berlin.id]
    assert cities(as_of=day(9), known_at=late) == [rome.id]
    assert cities(as_of=day(2), known_at=early) == cities(as_of=day(2), known_at=late) == [berlin.id]
    assert cities(known_at=early) == [berlin.id]
    assert cities(known_at=START) == []


def test_an_item_is_listed_as_it_was_known(memory: Memory) -> None:
    label = Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"}))
    memory.say("1", "first", data={"n": 1, "deep": {"x": [1.5]}}, source={"tool": "t"}, label=label)
    memory.say("2", "another", label=label)
    memory.learn("mem_2", "a fact", Triple("a", "b", "c"), confidence=0.5, valid_to=day(30))
    then = memory.clock.now()
    was = memory.read(items.list_items, ItemQuery()).items
    memory.write(items.update, "mem_1", ItemChange(text="second", data={"n": 2}, label=Label(), confidence=0.1))
    memory.write(items.supersede, "mem_1", Successor(text="third"))

    assert memory.read(items.list_items, ItemQuery(known_at=then)).items == was
    assert memory.texts(known_at=then) == ["first", "another", "a fact"]


@pytest.mark.parametrize("then", [False, True])
@pytest.mark.parametrize(
    "condition",
    [
        Contains("text", "first"),
        Eq("data.n", 1),
        Eq("tag", "pii"),
        Eq("sensitivity", "confidential"),
        Eq("contested", False),
        Eq("confidence", 1.0),
        Eq("status", "active"),
        Eq("seen_count", 1),
    ],
)
def test_a_filter_goes_by_what_was_known_then(memory: Memory, condition: Filter, then: bool) -> None:
    label = Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"}))
    memory.say("1", "the first", data={"n": 1}, label=label)
    known_at = memory.clock.now()
    memory.write(items.update, "mem_1", ItemChange(text="later", data={"n": 2}, label=Label(), confidence=0.5))
    compiled = filters.compile(condition)
    item = memory.read(items.list_items, ItemQuery(known_at=known_at if then else None)).items[0]

    found = memory.ids(compiled, known_at=known_at if then else None)

    assert found == (["mem_1"] if filters.matches(condition, item) else [])
    assert not then or found


def test_items_by_number_are_as_they_stand_or_as_they_were_known(memory: Memory, db: Database) -> None:
    memory.say("1", "first")
    seq = db.read_now(SERVICE, items.seq_of, "mem_1") or 0
    then = memory.clock.now()
    memory.write(items.update, "mem_1", ItemChange(text="second"))

    now: dict[int, ItemView] = db.read_now(SERVICE, items.views, [seq, 99])
    was: dict[int, ItemView] = db.read_now(SERVICE, items.views_at, [seq, 99], known_at=then)

    assert (now[seq], list(now)) == (memory.get("mem_1"), [seq])
    assert (was[seq].text, was[seq].version, list(was)) == ("first", 1, [seq])
    assert db.read_now(SERVICE, items.views_at, [seq], known_at=START) == {}

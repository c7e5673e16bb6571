import pytest
from tests.cursors import assert_says_nothing_of_others
from tests.memroos_memory.items.conftest import ANN, BOB, Memory, day
from tests.memroos_memory.items.test_learning import lives

from memroos_contracts.errors import InvalidCursor
from memroos_contracts.memory_items import ItemKind
from memroos_contracts.memory_work import MemoryStats
from memroos_memory import items


def test_counts_are_of_what_the_viewer_sees_and_of_nothing_else(memory: Memory) -> None:
    for number in (1, 1, 5):
        memory.say(str(number), at=day(number))
    memory.say("2", at=day(1))
    lives(memory, "mem_1", "Berlin")
    lives(memory, "mem_2", "Bonn")  # from the same day on: contested
    lives(memory, "mem_5", "Rome")
    memory.say("bob", readers=[BOB])
    memory.say("private", readers=[BOB], private=True)
    memory.say("gone")
    memory.write(items.delete, "mem_gone")

    assert memory.read(items.stats) == MemoryStats(
        ready=True, items=6, by_kind={ItemKind.EVENT: 3, ItemKind.STATE: 3}, superseded=2, contested=2, scopes=1
    )
    assert memory.as_seen_by("").read(items.stats).items == 7
    assert memory.as_seen_by(BOB).read(items.stats).items == 2
    assert memory.as_seen_by(ANN, "another").read(items.stats) == MemoryStats(ready=True)


def test_the_inventory_says_what_each_scope_holds(memory: Memory) -> None:
    memory.say("1", "four", user_id="u1", at=day(1))
    memory.say("2", "fifth", user_id="u1", at=day(7))
    memory.learn("mem_1", "six sx")
    memory.say("3", "other", user_id="u2")
    memory.say("4", "another's", readers=[BOB])

    first, second = memory.read(items.inventory).items

    assert (first.user_id, first.items, first.characters, first.last_seq) == ("u1", 3, 15, 3)
    assert first.by_kind == {ItemKind.EVENT: 2, ItemKind.FACT: 1}
    assert (first.oldest_at, first.newest_at) == (day(1), day(7))
    assert first.scope_id == memory.get("mem_1").scope_id
    assert (second.user_id, second.readers, second.items) == ("u2", (ANN,), 1)


def test_an_emptied_scope_is_in_the_inventory_with_nothing(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.delete, "mem_1")

    (row,) = memory.read(items.inventory).items

    assert (row.items, row.characters, row.oldest_at, row.last_seq) == (0, 0, None, 2)


def test_the_inventory_comes_in_pages_that_belong_to_its_viewer(memory: Memory) -> None:
    for number in range(3):
        memory.say(str(number), readers=[ANN, BOB], user_id=f"u{number}")

    first = memory.read(items.inventory, limit=2)
    rest = memory.read(items.inventory, cursor=first.next_cursor, limit=2)

    assert [row.user_id for row in (*first.items, *rest.items)] == ["u0", "u1", "u2"]
    assert rest.next_cursor is None
    assert_says_nothing_of_others(first.next_cursor)
    with pytest.raises(InvalidCursor):
        memory.as_seen_by(BOB).read(items.inventory, cursor=first.next_cursor)

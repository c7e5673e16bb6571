"""What was replaced: a new address comes first, the old one is found where it is asked for, the rest stays."""

from datetime import timedelta

import pytest
from tests.memroos_memory.recall.conftest import AGENT, Asked

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory_items import ItemKind, Successor, Triple, Viewer
from memroos_kit.clock import ManualClock
from memroos_memory import items
from memroos_memory.actor import SERVICE

OLD = "I live in Lisbon, at Rua Augusta 12. My bicycle is a red Peugeot."
NEW = "I moved, my flat is at Karl-Marx-Allee 90 in Berlin now."
WHERE = "Where does Ann live?"


class Moved:
    """A memory of somebody who moved."""

    def __init__(self, memory: Asked, clock: ManualClock) -> None:
        self.memory = memory
        (self.old,) = memory.hear([("Ann", OLD)])
        memory.hear([("Bob", "The bakery opens at seven."), ("Bob", "Rain is forecast for the weekend.")])
        self.lisbon = memory.learn(
            self.old, "Ann lives in Lisbon", Triple("Ann", "lives_in", "Lisbon"), functional=True,
            valid_from=clock.now(),
        )  # fmt: skip
        self.bicycle = memory.learn(
            self.old, "Ann's bicycle is a red Peugeot", Triple("Ann", "owns_bicycle", "red Peugeot"),
            kind=ItemKind.FACT,
        )  # fmt: skip
        self.between = clock.now() + timedelta(days=1)
        clock.advance(seconds=86_400 * 30)
        (self.new,) = memory.hear([("Ann", NEW)])
        memory.hear([("Bob", "The tram is late again."), ("Ann", "Somebody stole the doorbell.")])
        self.berlin = memory.learn(
            self.new, "Ann lives in Berlin", Triple("Ann", "lives_in", "Berlin"), functional=True,
            valid_from=clock.now(),
        )  # fmt: skip


@pytest.fixture
def moved(memory: Asked, clock: ManualClock) -> Moved:
    return Moved(memory, clock)


def test_a_changed_address_comes_first_and_the_old_one_says_by_what_it_was_replaced(moved: Moved) -> None:
    first, second = moved.memory.ask(WHERE).items[:2]

    assert [first.item.id, second.item.id] == [moved.new, moved.old]
    assert first.facts[0].id == moved.berlin.id
    assert (first.superseded_by, second.superseded_by) == ("", moved.berlin.id)


def test_what_replaces_comes_first_even_where_only_the_old_words_are_asked_for(moved: Moved) -> None:
    assert moved.memory.ids("Does Ann live in Lisbon, in Rua Augusta?")[:2] == [moved.new, moved.old]


def test_the_old_address_is_found_as_of_its_time(moved: Moved) -> None:
    found = moved.memory.ask(WHERE, as_of=moved.between).items

    assert found[0].item.id == moved.old
    assert found[0].superseded_by == ""
    assert moved.new not in [hit.item.id for hit in found]


def test_the_old_address_is_found_by_asking_what_was_before(moved: Moved) -> None:
    found = moved.memory.ask("Where did Ann live before?").items

    assert found[0].item.id == moved.old
    assert found[0].facts[0].id == moved.lisbon.id


def test_what_was_known_before_the_move_is_the_old_address(moved: Moved) -> None:
    found = moved.memory.ask(WHERE, known_at=moved.between).items

    assert found[0].item.id == moved.old
    assert (found[0].superseded_by, found[0].facts[0].valid_to) == ("", None)


def test_unrelated_facts_of_the_same_message_stay(moved: Moved) -> None:
    found = moved.memory.ask("What colour is Ann's bicycle?").items

    assert found[0].item.id == moved.old
    assert found[0].superseded_by == ""
    assert found[0].facts[0].id == moved.bicycle.id


def test_a_replaced_fact_does_not_rank_by_itself_unless_it_is_asked_for(moved: Moved) -> None:
    def facts(question: str, **more: object) -> list[str]:
        kinds = (ItemKind.STATE, ItemKind.FACT)
        return moved.memory.ids(question, item_kinds=kinds, floor=False, **more)

    assert moved.lisbon.id not in facts(WHERE)
    assert moved.berlin.id in facts(WHERE)
    assert moved.lisbon.id in facts("Where did Ann live before?")
    assert moved.lisbon.id in facts(WHERE, as_of=moved.between)
    assert moved.berlin.id not in facts(WHERE, as_of=moved.between)


def test_what_replaces_is_not_put_where_the_filter_leaves_it_out(moved: Moved) -> None:
    assert moved.memory.ids(WHERE, until=moved.between)[0] == moved.old
    assert moved.new not in moved.memory.ids(WHERE, until=moved.between)


def test_what_somebody_corrected_by_hand_marks_the_words_it_replaces(moved: Moved) -> None:
    by_hand = moved.memory.db.write_now(
        SERVICE,
        items.supersede,
        Viewer(DEFAULT_WORKSPACE, AGENT, AGENT),
        moved.berlin.id,
        Successor(text="Ann lives in Potsdam."),
    )

    first = moved.memory.ask(WHERE).items[0]

    assert first.item.id == moved.new
    assert first.superseded_by == by_hand.id
    assert by_hand.id in [fact.id for fact in first.facts]

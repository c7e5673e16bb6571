import pytest
from tests.memroos_memory.items.conftest import BOB, Memory, day

from memroos_contracts.errors import InvalidRequest, NotFound
from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.memory_errors import ItemChanged, ItemGone
from memroos_contracts.memory_items import Change, ItemChange, ItemKind, ItemStatus, Successor
from memroos_memory import items
from memroos_memory.items.log import digest_of

# -- update ------------------------------------------------------------------------------------------------------------


def test_a_change_is_another_version_and_the_one_before_stays(memory: Memory) -> None:
    memory.say("1")
    fact = memory.learn("mem_1", "Ann likes tea")

    after = memory.write(items.update, fact.id, ItemChange(text="Ann likes green tea", reason="she said so"))

    assert after == memory.get(fact.id)
    assert (after.text, after.digest, after.version) == ("Ann likes green tea", digest_of("Ann likes green tea"), 2)
    assert after.log_seq == memory.last_seq
    first, second = memory.read(items.history, fact.id)
    assert (first.item, first.change) == (fact, Change.ADD)
    assert (second.item, second.change, second.reason) == (after, Change.UPDATE, "she said so")
    assert second.actor == memory.viewer.principal


def test_what_is_left_out_of_a_change_stays(memory: Memory) -> None:
    memory.say("1", data={"n": 1}, label=Label(Sensitivity.PUBLIC))
    before = memory.get("mem_1")

    after = memory.write(items.update, "mem_1", ItemChange(confidence=0.25, valid_to=day(3)))

    assert (after.confidence, after.valid_to) == (0.25, day(3))
    assert (after.text, after.data, after.label, after.valid_from) == (
        before.text, before.data, before.label, before.valid_from,
    )  # fmt: skip


def test_label_and_data_can_be_changed(memory: Memory) -> None:
    memory.say("1")

    memory.write(items.update, "mem_1", ItemChange(label=Label(Sensitivity.PUBLIC), data={"a": [1, {"b": None}]}))

    assert memory.get("mem_1").label == Label(Sensitivity.PUBLIC)
    assert memory.get("mem_1").data == {"a": [1, {"b": None}]}


def test_what_was_learned_is_no_less_strict_than_what_it_rests_on(memory: Memory) -> None:
    memory.say("1", label=Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"})))
    fact = memory.learn("mem_1", "Ann likes tea")

    for label in (
        Label(Sensitivity.PUBLIC),
        Label(Sensitivity.CONFIDENTIAL),
        Label(Sensitivity.INTERNAL, fact.label.tags),
    ):
        with pytest.raises(InvalidRequest) as refused:
            memory.write(items.update, fact.id, ItemChange(label=label))
        assert "label" in str(refused.value.facts["fields"])

    assert memory.get(fact.id).label == fact.label
    memory.write(items.update, fact.id, ItemChange(confidence=0.5))
    stricter = Label(Sensitivity.CONFIDENTIAL, frozenset({"pii", "export"}))
    assert memory.write(items.update, fact.id, ItemChange(label=stricter)).label == stricter


SECRET = Label(Sensitivity.INTERNAL, frozenset({"secret"}))


@pytest.mark.parametrize("label", [Label(Sensitivity.RESTRICTED), SECRET])
def test_what_others_can_see_does_not_become_private(memory: Memory, label: Label) -> None:
    memory.say("1")
    memory.say("2", private=True)

    with pytest.raises(InvalidRequest):
        memory.write(items.update, "mem_1", ItemChange(label=label))

    assert memory.write(items.update, "mem_2", ItemChange(label=label)).label == label


def test_a_stricter_label_of_an_event_is_that_of_what_was_learned_from_it(memory: Memory) -> None:
    memory.say("1")
    fact = memory.learn("mem_1", "a fact")

    memory.write(items.update, "mem_1", ItemChange(label=Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"}))))
    memory.write(items.update, "mem_1", ItemChange(label=Label(Sensitivity.PUBLIC)))

    assert memory.get(fact.id).label == Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"}))


def test_a_changed_text_is_found_by_its_new_words_and_by_no_old_one(memory: Memory) -> None:
    memory.say("1", "the walrus sings")

    memory.write(items.update, "mem_1", ItemChange(text="the otter sings"))

    assert memory.indexed("walrus") == []
    assert memory.indexed("otter") == memory.indexed("sings") != []


def test_a_change_that_changes_nothing_makes_no_version(memory: Memory) -> None:
    memory.say("1")

    memory.write(items.update, "mem_1", ItemChange(text=memory.get("mem_1").text))

    assert memory.get("mem_1").version == 1


def test_a_change_of_another_version_than_expected_is_refused(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.update, "mem_1", ItemChange(text="two", if_version=1))

    with pytest.raises(ItemChanged) as refused:
        memory.write(items.update, "mem_1", ItemChange(text="three", if_version=1))

    assert refused.value.facts == {"id": "mem_1", "version": 2}
    assert memory.get("mem_1").text == "two"


def test_the_same_operation_changes_an_item_once(memory: Memory) -> None:
    memory.say("1")
    first = memory.write(items.update, "mem_1", ItemChange(text="two", if_version=1), "op_1")
    memory.write(items.update, "mem_1", ItemChange(text="three"), "op_2")

    again = memory.write(items.update, "mem_1", ItemChange(text="two", if_version=1), "op_1")

    assert (first.version, again.version, again.text) == (2, 3, "three")


def test_what_would_end_before_it_begins_is_refused(memory: Memory) -> None:
    memory.say("1", at=day(5))

    with pytest.raises(InvalidRequest):
        memory.write(items.update, "mem_1", ItemChange(valid_to=day(4)))


def test_what_was_deleted_cannot_be_changed(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.delete, "mem_1")

    with pytest.raises(ItemGone):
        memory.write(items.update, "mem_1", ItemChange(text="two"))


@pytest.mark.parametrize("item_id", ["mem_1", "mem_none"])
def test_what_belongs_to_others_answers_like_what_is_not_there(memory: Memory, item_id: str) -> None:
    memory.say("1")
    bob = memory.as_seen_by(BOB)

    for verb, word in (
        (items.update, ItemChange(text="mine")),
        (items.supersede, Successor(text="mine")),
        (items.delete, "no reason"),
    ):
        with pytest.raises(NotFound) as refused:
            bob.write(verb, item_id, word)
        assert refused.value.facts == {"kind_of_object": "memory", "id": item_id}
    for query in (items.get, items.history):
        with pytest.raises(NotFound):
            bob.read(query, item_id)


# -- supersede ---------------------------------------------------------------------------------------------------------


def test_a_new_text_takes_the_place_of_an_item_from_then_on(memory: Memory) -> None:
    memory.say("1", at=day(1), label=Label(Sensitivity.CONFIDENTIAL))
    old = memory.learn("mem_1", "Ann lives in Berlin", kind=ItemKind.STATE)

    new = memory.write(
        items.supersede, old.id, Successor(text="Ann lives in Rome", valid_from=day(5), reason="moved"), "op_1"
    )

    old = memory.get(old.id)
    assert (old.status, old.superseded_by, old.valid_from, old.valid_to) == (
        ItemStatus.SUPERSEDED, new.id, day(1), day(5),
    )  # fmt: skip
    assert (new.text, new.supersedes, new.valid_from, new.valid_to) == ("Ann lives in Rome", old.id, day(5), None)
    assert (new.kind, new.sources, new.label) == (ItemKind.STATE, ("mem_1",), Label(Sensitivity.CONFIDENTIAL))
    entries = [memory.read(items.history, one)[-1] for one in (old.id, new.id)]
    assert [(one.change, one.operation, one.reason) for one in entries] == [
        (Change.SUPERSEDE, "op_1", "moved"),
        (Change.ADD, "op_1", "moved"),
    ]


def test_what_takes_the_place_of_an_event_stands_in_its_place_and_rests_on_it(memory: Memory) -> None:
    memory.say("1", "We meet on Monday", stream="talk", stream_seq=3)

    new = memory.write(items.supersede, "mem_1", Successor(text="We meet on Tuesday"))

    assert (new.kind, new.sources, new.valid_from) == (ItemKind.EVENT, ("mem_1",), memory.clock.now())
    assert (new.event_kind, new.stream, new.stream_seq) == ("memory", "talk", 3)
    assert memory.get("mem_1").text == "We meet on Monday"


def test_another_item_can_take_the_place(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(4))

    new = memory.write(items.supersede, "mem_1", Successor(item_id="mem_2"))

    assert (new.id, new.supersedes, new.valid_from) == ("mem_2", "mem_1", day(4))
    assert (memory.get("mem_1").superseded_by, memory.get("mem_1").valid_to) == ("mem_2", day(4))


def test_an_item_that_holds_longer_takes_the_place_from_now_on(memory: Memory) -> None:
    memory.say("1", at=day(4))
    memory.say("2", at=day(1))
    memory.clock.advance(days=9)

    new = memory.write(items.supersede, "mem_1", Successor(item_id="mem_2"))

    assert new.valid_from == memory.get("mem_1").valid_to == memory.clock.now()


@pytest.mark.parametrize("successor", [Successor(text="Rome"), Successor(item_id="mem_2")])
def test_the_same_operation_supersedes_once(memory: Memory, successor: Successor) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(2))
    first = memory.write(items.supersede, "mem_1", successor, "op_1")
    before = memory.last_seq

    assert memory.write(items.supersede, "mem_1", successor, "op_1") == first

    assert memory.last_seq == before


def test_what_is_superseded_already_is_not_superseded_by_something_else(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.supersede, "mem_1", Successor(text="Rome"))

    with pytest.raises(ItemChanged):
        memory.write(items.supersede, "mem_1", Successor(text="Oslo"))


@pytest.mark.parametrize(
    "successor",
    [
        Successor(),
        Successor(text="Rome", item_id="mem_2"),
        Successor(text="Rome", valid_from=day(0)),  # before the old one began
        Successor(item_id="mem_1"),
        Successor(item_id="mem_3"),  # of another scope
    ],
)
def test_what_cannot_take_the_place_is_refused_and_nothing_changes(memory: Memory, successor: Successor) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(2))
    memory.say("3", at=day(3), user_id="u2")

    with pytest.raises(InvalidRequest):
        memory.write(items.supersede, "mem_1", successor)

    assert memory.get("mem_1").status is ItemStatus.ACTIVE
    assert len(memory.whole()) == 3


def test_nothing_takes_the_place_of_what_took_its_own(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(2))
    memory.write(items.supersede, "mem_1", Successor(item_id="mem_2"))

    with pytest.raises(InvalidRequest):
        memory.write(items.supersede, "mem_2", Successor(item_id="mem_1", valid_from=day(3)))


def test_a_successor_that_was_deleted_or_belongs_to_others_is_refused(memory: Memory) -> None:
    memory.say("1")
    memory.say("2")
    memory.say("3", readers=[BOB])
    memory.write(items.delete, "mem_2")

    with pytest.raises(ItemGone):
        memory.write(items.supersede, "mem_1", Successor(item_id="mem_2"))
    with pytest.raises(NotFound):
        memory.write(items.supersede, "mem_1", Successor(item_id="mem_3"))


def test_a_successor_that_holds_no_more_is_refused(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(2))
    memory.write(items.update, "mem_2", ItemChange(valid_to=day(3)))

    with pytest.raises(InvalidRequest):
        memory.write(items.supersede, "mem_1", Successor(item_id="mem_2", valid_from=day(4)))

import pytest
from tests.memroos_memory.items.conftest import ANN, Memory, day, event

from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.memory_items import Change, ItemKind, ItemStatus, ItemView, Successor, Triple
from memroos_memory import items
from memroos_memory.actor import SERVICE
from memroos_memory.items import learning


def lives(memory: Memory, source: str, city: str, since: int | None = None, until: int | None = None) -> ItemView:
    """Learn where Ann lives, from which day on."""
    return memory.learn(
        source,
        f"Ann lives in {city}",
        Triple("ann", "lives_in", city.lower()),
        kind=ItemKind.STATE,
        functional=True,
        valid_from=None if since is None else day(since),
        valid_to=None if until is None else day(until),
    )


def span(memory: Memory, item: ItemView) -> tuple[object, object, ItemStatus]:
    now = memory.get(item.id)
    return now.valid_from, now.valid_to, now.status


# -- one thing ---------------------------------------------------------------------------------------------------------


def test_what_is_learned_rests_on_its_event_and_takes_over_who_said_it_when(memory: Memory) -> None:
    memory.say("1", "I like tea", speaker="Ann", user_id="u1", at=day(3), stream_seq=9)

    fact = memory.learn("mem_1", "Ann likes tea", Triple("ann", "likes", "tea"), confidence=0.7)

    assert fact == memory.get(fact.id)
    assert (fact.kind, fact.text, fact.triple) == (ItemKind.FACT, "Ann likes tea", Triple("ann", "likes", "tea"))
    assert (fact.sources, fact.confidence, fact.valid_from, fact.valid_to) == (("mem_1",), 0.7, day(3), None)
    assert (fact.speaker, fact.user_id, fact.stream, fact.stream_seq) == ("Ann", "u1", "talk", 9)
    assert fact.scope_id == memory.get("mem_1").scope_id
    assert memory.read(items.history, fact.id)[0].actor == "service:memory"


def test_it_has_the_strictest_label_of_what_it_rests_on(memory: Memory) -> None:
    memory.say("1", label=Label(Sensitivity.PUBLIC, frozenset({"eu"})))
    memory.say("2", label=Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"})))

    fact = memory.learn("mem_1", "a fact", sources=("mem_2",))

    assert fact.label == Label(Sensitivity.CONFIDENTIAL, frozenset({"eu", "pii"}))


def test_sources_that_are_not_there_or_of_others_are_left_out(memory: Memory) -> None:
    memory.say("1")
    memory.say("2", readers=["agent:agt_bob"])

    fact = memory.learn("mem_1", "a fact", sources=("mem_1", "mem_2", "mem_made_up"))

    assert fact.sources == ("mem_1",)


def test_what_follows_from_what_was_derived_rests_on_the_same_events(memory: Memory) -> None:
    memory.say("1")
    memory.say("2")
    fact = memory.learn("mem_1", "a fact", sources=("mem_2",))

    summary = memory.learn(fact.id, "a summary", kind=ItemKind.SUMMARY)

    assert summary.sources == ("mem_1", "mem_2")


# -- said again --------------------------------------------------------------------------------------------------------


def test_what_is_learned_twice_from_the_same_event_stays_as_it_is(memory: Memory) -> None:
    memory.say("1")
    fact = memory.learn("mem_1", "Ann likes tea")
    before = memory.last_seq

    assert memory.learn("mem_1", "Ann likes tea") == fact

    assert memory.last_seq == before


def test_what_is_said_again_counts_once_more_and_rests_on_both(memory: Memory) -> None:
    memory.say("1")
    memory.say("2")
    fact = memory.learn("mem_1", "Ann likes tea", confidence=0.5)

    again = memory.learn("mem_2", "Ann likes tea", confidence=0.8)

    assert (again.id, again.seen_count, again.sources, again.confidence) == (fact.id, 2, ("mem_1", "mem_2"), 0.8)
    assert [one.change for one in memory.read(items.history, fact.id)] == [Change.ADD, Change.SEEN]
    assert memory.ids(kinds=("fact",)) == [fact.id]


def test_the_same_triple_in_other_words_is_the_same(memory: Memory) -> None:
    memory.say("1")
    memory.say("2")
    fact = memory.learn("mem_1", "Ann likes tea", Triple("ann", "likes", "tea"))

    assert memory.learn("mem_2", "Tea is what Ann likes", Triple("ann", "likes", "Tea")).id == fact.id


def test_the_same_words_in_another_scope_are_another_item(memory: Memory) -> None:
    memory.say("1")
    memory.say("2", user_id="u2")
    fact = memory.learn("mem_1", "Ann likes tea")

    assert memory.learn("mem_2", "Ann likes tea").id != fact.id


def test_an_event_with_the_same_words_is_not_what_was_learned(memory: Memory) -> None:
    memory.say("1", "Ann likes tea")

    assert memory.learn("mem_1", "Ann likes tea").kind is ItemKind.FACT


def test_what_is_said_very_often_names_its_first_event_and_the_newest(memory: Memory) -> None:
    count = learning.SOURCES_MAX + 3
    for number in range(count):
        memory.say(str(number))
        fact = memory.learn(f"mem_{number}", "Ann likes tea")
    before = memory.last_seq

    memory.learn("mem_1", "Ann likes tea")  # not named any more, and not counted twice

    assert memory.get(fact.id).seen_count == count
    assert memory.get(fact.id).sources == ("mem_0", *(f"mem_{number}" for number in range(4, count)))
    assert memory.last_seq == before


# -- one value at a time -----------------------------------------------------------------------------------------------


def test_a_newer_value_supersedes_and_ends_the_one_before(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(5))
    berlin = lives(memory, "mem_1", "Berlin")

    rome = lives(memory, "mem_2", "Rome")

    assert span(memory, berlin) == (day(1), day(5), ItemStatus.SUPERSEDED)
    assert span(memory, rome) == (day(5), None, ItemStatus.ACTIVE)
    assert memory.get(berlin.id).superseded_by == rome.id
    assert rome.supersedes == berlin.id
    assert not rome.contested


def test_a_value_that_is_learned_late_takes_its_place_in_between(memory: Memory) -> None:
    for number in (1, 5, 9):
        memory.say(str(number), at=day(number))
    berlin, oslo = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_9", "Oslo")

    rome = lives(memory, "mem_5", "Rome")

    assert span(memory, berlin) == (day(1), day(5), ItemStatus.SUPERSEDED)
    assert span(memory, rome) == (day(5), day(9), ItemStatus.SUPERSEDED)
    assert span(memory, oslo) == (day(9), None, ItemStatus.ACTIVE)
    chain = [memory.get(one.id) for one in (berlin, rome, oslo)]
    assert [one.superseded_by for one in chain] == [rome.id, oslo.id, ""]
    assert [one.supersedes for one in chain] == ["", berlin.id, rome.id]


def test_a_value_from_before_all_others_is_superseded_at_once(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("5", at=day(5))
    rome = lives(memory, "mem_5", "Rome")

    berlin = lives(memory, "mem_1", "Berlin")

    assert span(memory, berlin) == (day(1), day(5), ItemStatus.SUPERSEDED)
    assert memory.get(rome.id).supersedes == berlin.id


def test_who_moves_back_lives_there_anew(memory: Memory) -> None:
    for number in (1, 5, 9):
        memory.say(str(number), at=day(number))
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_5", "Rome")

    back = lives(memory, "mem_9", "Berlin")

    assert back.id != berlin.id
    assert back.supersedes == rome.id
    assert span(memory, berlin) == (day(1), day(5), ItemStatus.SUPERSEDED)


def test_later_proof_of_what_held_before_counts_for_that(memory: Memory) -> None:
    for number in (1, 2, 5):
        memory.say(str(number), at=day(number))
    berlin = lives(memory, "mem_1", "Berlin")
    lives(memory, "mem_5", "Rome")

    assert lives(memory, "mem_2", "Berlin").id == berlin.id

    assert span(memory, berlin) == (day(1), day(5), ItemStatus.SUPERSEDED)


def test_proof_that_a_value_began_sooner_ends_the_one_before_sooner(memory: Memory) -> None:
    for number in (1, 3, 5):
        memory.say(str(number), at=day(number))
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_5", "Rome")

    assert lives(memory, "mem_3", "Rome").id == rome.id

    assert span(memory, rome) == (day(3), None, ItemStatus.ACTIVE)
    assert span(memory, berlin) == (day(1), day(3), ItemStatus.SUPERSEDED)


def test_two_values_from_the_same_instant_contradict_each_other_and_both_stay(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(1))
    berlin = lives(memory, "mem_1", "Berlin")

    rome = lives(memory, "mem_2", "Rome")

    berlin = memory.get(berlin.id)
    assert (berlin.contested, berlin.contradicts, berlin.status) == (True, (rome.id,), ItemStatus.ACTIVE)
    assert (rome.contested, rome.contradicts, rome.status) == (True, (berlin.id,), ItemStatus.ACTIVE)
    assert memory.read(items.history, berlin.id)[-1].change is Change.CONTEST


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_of_two_turns_with_one_time_the_later_one_holds_in_whichever_order_they_are_learned(
    memory: Memory, order: tuple[str, str]
) -> None:
    city = {"1": "Berlin", "2": "Rome"}
    for number in city:
        memory.say(number, at=day(1), stream_seq=int(number))

    ids = {number: lives(memory, f"mem_{number}", city[number]).id for number in order}

    berlin, rome = memory.get(ids["1"]), memory.get(ids["2"])
    assert (berlin.status, berlin.superseded_by, berlin.contested) == (ItemStatus.SUPERSEDED, rome.id, False)
    assert (rome.status, rome.supersedes, rome.contested) == (ItemStatus.ACTIVE, berlin.id, False)


def test_two_turns_of_different_conversations_with_one_time_contradict_each_other(memory: Memory) -> None:
    memory.say("1", at=day(1), stream="breakfast", stream_seq=1)
    memory.say("2", at=day(1), stream="lunch", stream_seq=2)

    assert [lives(memory, "mem_1", "Berlin").contested, lives(memory, "mem_2", "Rome").contested] == [False, True]


def test_a_contradiction_of_many_stays_within_bounds(memory: Memory) -> None:
    for number in range(learning.CONTRADICTIONS_MAX + 2):
        memory.say(str(number), at=day(1))
        last = lives(memory, f"mem_{number}", f"City {number}")

    assert len(last.contradicts) == learning.CONTRADICTIONS_MAX
    assert memory.get(last.contradicts[-1]).contradicts[-1] == last.id


def test_what_comes_after_a_contradiction_supersedes_both_sides(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(1))
    memory.say("5", at=day(5))
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_2", "Rome")

    oslo = lives(memory, "mem_5", "Oslo")

    assert [memory.get(one.id).superseded_by for one in (berlin, rome)] == [oslo.id, oslo.id]


def test_what_is_over_already_ends_nothing(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("9", at=day(9))
    berlin = lives(memory, "mem_1", "Berlin")

    rome = lives(memory, "mem_9", "Rome", since=2, until=4)

    assert span(memory, berlin) == (day(1), None, ItemStatus.ACTIVE)
    assert span(memory, rome) == (day(2), day(4), ItemStatus.ACTIVE)


def test_values_of_a_relation_that_may_have_many_stand_side_by_side(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("5", at=day(5))
    tea = memory.learn("mem_1", "Ann likes tea", Triple("ann", "likes", "tea"))

    memory.learn("mem_5", "Ann likes jazz", Triple("ann", "likes", "jazz"))

    assert memory.get(tea.id).status is ItemStatus.ACTIVE


def test_what_somebody_put_in_the_place_of_a_value_is_superseded_too(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("9", at=day(9))
    berlin = lives(memory, "mem_1", "Berlin")
    by_hand = memory.write(items.supersede, berlin.id, Successor(text="Ann lives in Potsdam", valid_from=day(2)))

    oslo = lives(memory, "mem_9", "Oslo")

    assert memory.get(by_hand.id).superseded_by == oslo.id


# -- nothing to rest on ------------------------------------------------------------------------------------------------


def test_nothing_is_learned_from_an_event_that_was_deleted_meanwhile(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.delete, "mem_1")

    assert memory.try_to_learn("mem_1", "a fact") is None


def test_what_was_deleted_is_not_learned_again_from_the_same_event(memory: Memory) -> None:
    memory.say("1")
    fact = memory.learn("mem_1", "a fact")
    memory.write(items.delete, fact.id)

    assert memory.try_to_learn("mem_1", "a fact") is None


def test_what_was_deleted_is_learned_anew_when_it_is_said_anew(memory: Memory) -> None:
    memory.say("1")
    fact = memory.learn("mem_1", "a fact")
    memory.write(items.delete, fact.id)
    memory.say("2")

    assert memory.learn("mem_2", "a fact").id != fact.id


def test_an_event_of_another_scope_proves_nothing(memory: Memory) -> None:
    memory.hear(event("1", "mine"))
    seq = memory.hear(event("2", "another's", readers=["agent:agt_bob"]))
    scope = memory.read(lambda tx, viewer: items.scope_seq_of(tx, viewer, memory.scope_id))

    assert (
        memory.db.write_now(SERVICE, items.add_learned, scope, items.Learned(text="a fact"), from_seq=seq or 0) is None
    )


@pytest.mark.parametrize("kind", [ItemKind.PREFERENCE, ItemKind.PROCEDURE, ItemKind.SUMMARY])
def test_whatever_kind_is_learned_is_kept(memory: Memory, kind: ItemKind) -> None:
    memory.say("1")

    assert memory.learn("mem_1", "a thing", kind=kind).kind is kind
    assert memory.as_seen_by(ANN).ids(kinds=(kind,)) != []

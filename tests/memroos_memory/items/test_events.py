from tests.memroos_memory.items.conftest import ANN, START, Memory, day, event

from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.memory_items import Change, ItemKind, ItemStatus
from memroos_memory import items


def test_an_event_becomes_an_item_with_its_own_id_and_all_its_words(memory: Memory) -> None:
    label = Label(Sensitivity.CONFIDENTIAL, frozenset({"pii", "eu"}))
    one = event(
        "1", "I live in Berlin", speaker="Ann", user_id="u1", run_id="r1", task_id="t1", context_id="c1",
        agent_id="agt_1", owner="operator:key_1", data={"n": 1}, source={"tool": "x"}, label=label, stream_seq=7,
    )  # fmt: skip

    memory.hear(one)

    item = memory.get("mem_1")
    assert (item.kind, item.event_kind, item.text, item.label) == (ItemKind.EVENT, "memory", "I live in Berlin", label)
    assert (item.speaker, item.user_id, item.run_id, item.task_id, item.context_id) == ("Ann", "u1", "r1", "t1", "c1")
    assert (item.agent_id, item.owner, item.author) == ("agt_1", "operator:key_1", ANN)
    assert (item.data, item.source, item.stream, item.stream_seq) == ({"n": 1}, {"tool": "x"}, "talk", 7)
    assert (item.occurred_at, item.valid_from, item.valid_to) == (START, START, None)
    assert (item.status, item.version, item.log_seq, item.seen_count) == (ItemStatus.ACTIVE, 1, 1, 1)
    assert item.digest == one.event.digest
    assert item.recorded_at == memory.clock.now()


def test_an_event_that_is_known_is_left_as_it_is(memory: Memory) -> None:
    memory.hear(event("1", "I live in Berlin"))

    assert memory.hear(event("1", "something else")) is None

    assert memory.get("mem_1").text == "I live in Berlin"
    assert memory.last_seq == 1


def test_events_stand_in_the_log_in_the_order_in_which_they_came(memory: Memory) -> None:
    for number in range(3):
        memory.hear(event(str(number), f"turn {number}", stream_seq=number))

    assert memory.ids() == ["mem_0", "mem_1", "mem_2"]
    assert [memory.get(f"mem_{number}").log_seq for number in range(3)] == [1, 2, 3]


def test_the_words_the_speaker_and_the_day_of_an_event_are_indexed_at_once(memory: Memory) -> None:
    seq = memory.hear(event("1", "the walrus sings", speaker="Zelda", at=day(0)))

    assert memory.indexed("walrus") == memory.indexed("zelda") == memory.indexed("2026") == [seq]


def test_an_echo_is_marked(memory: Memory) -> None:
    memory.hear(event("1", "as you said before"), echo=True)

    assert memory.get("mem_1").echo


def test_the_log_tells_who_said_it(memory: Memory) -> None:
    memory.say("1")

    (version,) = memory.read(items.history, "mem_1")

    assert (version.change, version.actor, version.item) == (Change.ADD, ANN, memory.get("mem_1"))

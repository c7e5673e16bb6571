import pytest
from tests.memroos_memory.items.conftest import ANN, Memory, day, event
from tests.memroos_memory.items.test_learning import lives, span

from memroos_contracts.errors import NotFound
from memroos_contracts.identity import DEFAULT_WORKSPACE, WorkspaceId
from memroos_contracts.memory import Removal
from memroos_contracts.memory_errors import ItemGone
from memroos_contracts.memory_items import Change, ItemStatus, RollbackRequest, Successor
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_memory import items
from memroos_memory.actor import SERVICE
from memroos_memory.items.queries import rows_of


def remove(
    memory: Memory, event_id: str, *, position: int = 9, workspace: str = DEFAULT_WORKSPACE, id_: str = ""
) -> None:
    """Have the kernel's removal arrive."""
    memory.clock.advance(seconds=1)
    removal = Removal(event_id, WorkspaceId(workspace), "operator:key_1", position, "asked to", id_)
    memory.db.write_now(SERVICE, items.remove_event, removal)


def seqs(memory: Memory, *ids: str) -> list[int]:
    return [memory.db.read_now(SERVICE, items.seq_of, one) or 0 for one in ids]


# -- delete ------------------------------------------------------------------------------------------------------------


def test_what_is_deleted_is_on_no_read_path(memory: Memory, clock: ManualClock) -> None:
    memory.say("1", "the walrus sings")
    before = clock.now()
    (seq,) = seqs(memory, "mem_1")

    memory.write(items.delete, "mem_1", "a mistake")

    for query in (items.get, items.history):
        with pytest.raises(ItemGone):
            memory.read(query, "mem_1")
    assert memory.ids(statuses=("active", "superseded", "deleted")) == []
    assert memory.ids(known_at=before) == memory.ids(as_of=before) == []
    assert memory.indexed("walrus") == []
    assert memory.db.read_now(SERVICE, items.views, [seq]) == {}
    assert memory.db.read_now(SERVICE, items.views_at, [seq], known_at=before) == {}
    assert memory.read(items.stats).items == memory.read(items.list_scopes)[0].items == 0
    assert memory.read(items.inventory).items[0].items == 0


def test_the_versions_of_what_is_deleted_stay_in_the_log(memory: Memory) -> None:
    memory.say("1", "the walrus sings")
    memory.write(items.delete, "mem_1", "a mistake")

    memory.write(items.rollback, memory.scope_id, RollbackRequest(to_seq=1))

    assert [(one.change, one.reason) for one in memory.read(items.history, "mem_1")] == [
        (Change.ADD, ""), (Change.DELETE, "a mistake"), (Change.ROLLBACK, ""),
    ]  # fmt: skip
    assert memory.indexed("walrus") == seqs(memory, "mem_1")


def test_what_was_brought_back_can_be_removed_again_before_anything_else_happens(memory: Memory) -> None:
    memory.say("1")
    remove(memory, "mem_1", id_="mrm_1")
    memory.write(items.rollback, memory.scope_id, RollbackRequest(to_seq=1))
    remove(memory, "mem_1", id_="mrm_1")  # comes a second time, and changes nothing
    assert memory.ids() == ["mem_1"]

    remove(memory, "mem_1", id_="mrm_2")

    assert memory.ids() == []


def test_what_rests_on_a_deleted_event_alone_goes_with_it_and_what_rests_on_more_stays(memory: Memory) -> None:
    memory.say("1")
    memory.say("2")
    alone = memory.learn("mem_1", "only here")
    both = memory.learn("mem_1", "here and there", sources=("mem_2",))

    memory.write(items.delete, "mem_1", operation="op_1")

    with pytest.raises(ItemGone):
        memory.get(alone.id)
    assert memory.get(both.id).sources == ("mem_2",)
    assert memory.read(items.history, both.id)[-1].operation == "op_1"


def test_what_an_item_superseded_holds_again_when_it_goes(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("5", at=day(5))
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_5", "Rome")

    memory.write(items.delete, rome.id)

    assert span(memory, berlin) == (day(1), None, ItemStatus.ACTIVE)
    assert memory.get(berlin.id).superseded_by == ""


def test_what_stands_before_and_after_a_deleted_item_meets(memory: Memory) -> None:
    for number in (1, 5, 9):
        memory.say(str(number), at=day(number))
    berlin, rome, oslo = (
        lives(memory, f"mem_{number}", city) for number, city in ((1, "Berlin"), (5, "Rome"), (9, "Oslo"))
    )

    memory.write(items.delete, rome.id)

    assert span(memory, berlin) == (day(1), day(9), ItemStatus.SUPERSEDED)
    assert memory.get(berlin.id).superseded_by == oslo.id
    assert memory.get(oslo.id).supersedes == berlin.id


def test_the_first_of_a_chain_leaves_no_trace_in_its_successor(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("5", at=day(5))
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_5", "Rome")

    memory.write(items.delete, berlin.id)

    assert memory.get(rome.id).supersedes == ""


def test_what_was_contradicted_by_a_deleted_item_is_contested_no_more(memory: Memory) -> None:
    memory.say("0", at=day(0))
    memory.say("1", at=day(1))
    memory.say("2", at=day(1))
    oslo = lives(memory, "mem_0", "Oslo")
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_2", "Rome")

    memory.write(items.delete, berlin.id)

    left = memory.get(rome.id)
    assert (left.contested, left.contradicts, left.supersedes) == (False, (), oslo.id)
    assert span(memory, oslo) == (day(0), day(1), ItemStatus.SUPERSEDED)


def test_an_event_that_was_replaced_by_hand_stands_again(memory: Memory) -> None:
    memory.say("1")
    new = memory.write(items.supersede, "mem_1", Successor(text="instead"))

    memory.write(items.delete, new.id)

    assert memory.get("mem_1").status is ItemStatus.ACTIVE


def test_of_two_that_contradict_the_one_that_gave_way_holds_again_when_the_other_goes(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("2", at=day(1))
    berlin, rome = lives(memory, "mem_1", "Berlin"), lives(memory, "mem_2", "Rome")
    memory.write(items.supersede, berlin.id, Successor(item_id=rome.id))

    memory.write(items.delete, rome.id)

    left = memory.get(berlin.id)
    assert (left.status, left.superseded_by, left.contested) == (ItemStatus.ACTIVE, "", False)


def test_deleting_twice_says_that_it_is_gone(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.delete, "mem_1")

    with pytest.raises(ItemGone):
        memory.write(items.delete, "mem_1")


def test_the_same_operation_deletes_once(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.delete, "mem_1", operation="op_1")
    before = memory.last_seq

    memory.write(items.delete, "mem_1", operation="op_1")

    assert memory.last_seq == before


def test_the_same_operation_does_not_delete_what_a_rollback_brought_back(memory: Memory) -> None:
    memory.say("1")
    memory.write(items.delete, "mem_1", operation="op_1")
    memory.write(items.rollback, memory.scope_id, RollbackRequest(to_seq=1))

    memory.write(items.delete, "mem_1", operation="op_1")

    assert memory.get("mem_1").status is ItemStatus.ACTIVE


# -- the kernel's removals ---------------------------------------------------------------------------------------------


def test_a_removed_event_and_what_rests_on_it_disappear(memory: Memory) -> None:
    memory.say("1", "the walrus sings")
    fact = memory.learn("mem_1", "A walrus sings")

    remove(memory, "mem_1")

    for item_id in ("mem_1", fact.id):
        with pytest.raises(ItemGone):
            memory.get(item_id)
    assert memory.indexed("walrus") == []


def test_a_removal_that_arrives_again_changes_nothing(memory: Memory) -> None:
    memory.say("1")
    remove(memory, "mem_1")
    before = memory.last_seq

    remove(memory, "mem_1")
    remove(memory, "mem_1", position=10)

    assert memory.last_seq == before


def test_a_removal_that_was_rolled_back_is_not_done_by_its_repetition(memory: Memory) -> None:
    memory.say("1")
    remove(memory, "mem_1")
    memory.write(items.rollback, memory.scope_id, RollbackRequest(to_seq=1))

    remove(memory, "mem_1")

    assert memory.get("mem_1").status is ItemStatus.ACTIVE


def test_an_event_that_is_handed_over_again_after_its_removal_stays_removed(memory: Memory) -> None:
    memory.say("1")
    remove(memory, "mem_1")

    assert memory.hear(event("1", "this is 1")) is None

    with pytest.raises(ItemGone):
        memory.get("mem_1")


def test_a_removal_of_something_unknown_or_of_another_workspace_does_nothing(memory: Memory) -> None:
    memory.say("1")

    remove(memory, "mem_none")
    remove(memory, "mem_1", workspace="another")

    assert memory.get("mem_1").status is ItemStatus.ACTIVE


# -- what rests on what ------------------------------------------------------------------------------------------------


def test_what_was_learned_from_events_is_told_per_event(memory: Memory, db: Database) -> None:
    memory.say("1")
    memory.say("2")
    one = memory.learn("mem_1", "one")
    two = memory.learn("mem_1", "two", sources=("mem_2",))
    gone = memory.learn("mem_2", "gone")
    memory.write(items.delete, gone.id)
    first, second, fact, other = seqs(memory, "mem_1", "mem_2", one.id, two.id)

    found = db.read_now(SERVICE, items.learned_from, [first, second])

    assert found == {first: [fact, other], second: [other]}
    assert db.read_now(SERVICE, rows_of, [first])[0].author == ANN


def test_foreign_items_cannot_be_deleted(memory: Memory) -> None:
    memory.say("1")

    with pytest.raises(NotFound):
        memory.as_seen_by(ANN, "another").write(items.delete, "mem_1")

import pytest
from tests.memroos_memory.items.conftest import MEMORY, Memory, event

from memroos_contracts.memory_items import Change, ItemStatus, Successor
from memroos_kit.db import Database, Tx
from memroos_memory import items


def touch(tx: Tx, *, fail: bool = False) -> None:
    tx.journal("items").append(items.Touched(1, 2, Change.ADD, ItemStatus.ACTIVE))
    if fail:
        raise ValueError("no")


def test_listeners_hear_what_was_committed_before_the_caller_is_answered(
    db: Database, announcer: items.Announcer
) -> None:
    heard: list[items.Touched] = []
    announcer.listen(heard.extend)

    db.write_now(MEMORY, touch)

    assert heard == [items.Touched(1, 2, Change.ADD, ItemStatus.ACTIVE)]


def test_what_was_rolled_back_is_not_announced(db: Database, announcer: items.Announcer) -> None:
    heard: list[items.Touched] = []
    announcer.listen(heard.extend)

    with pytest.raises(ValueError, match="no"):
        db.write_now(MEMORY, touch, fail=True)

    assert heard == []


def test_every_change_is_announced_with_how_the_item_stands_then(memory: Memory, announcer: items.Announcer) -> None:
    heard: list[items.Touched] = []
    announcer.listen(heard.extend)

    memory.say("1")
    memory.hear(event("1", "known already"))
    fact = memory.learn("mem_1", "a fact")
    memory.write(items.supersede, fact.id, Successor(text="another"))
    memory.write(items.delete, "mem_1")

    assert [(one.item_seq, one.change, one.status) for one in heard[:4]] == [
        (1, Change.ADD, ItemStatus.ACTIVE),
        (2, Change.ADD, ItemStatus.ACTIVE),
        (3, Change.ADD, ItemStatus.ACTIVE),
        (2, Change.SUPERSEDE, ItemStatus.SUPERSEDED),
    ]
    assert {one.item_seq: one.status for one in heard} == dict.fromkeys((1, 2, 3), ItemStatus.DELETED)
    assert {one.scope_seq for one in heard} == {1}

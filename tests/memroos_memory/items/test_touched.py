from collections.abc import Callable
from typing import Any

from tests.memroos_memory.items.conftest import Memory, event

from memroos_contracts.memory_items import Change, ItemStatus, Successor
from memroos_kit.db import Tx
from memroos_memory import items
from memroos_memory.actor import SERVICE


def touched_by(memory: Memory, verb: Callable[..., Any], *args: Any) -> list[items.Touched]:
    """Do something, and return what its own unit of work is told of it."""

    def work(tx: Tx) -> list[items.Touched]:
        verb(tx, *args)
        return tx.journal(items.JOURNAL)

    return memory.db.write_now(SERVICE, work)


def test_every_change_is_announced_with_how_the_item_stands_then(memory: Memory) -> None:
    said = touched_by(memory, items.add_event, event("1", "a talk"))
    again = touched_by(memory, items.add_event, event("1", "known already"))
    fact = memory.learn("mem_1", "a fact")
    superseded = touched_by(memory, items.supersede, memory.viewer, fact.id, Successor(text="another"))
    deleted = touched_by(memory, items.delete, memory.viewer, "mem_1")

    assert said == [(1, 1, Change.ADD, ItemStatus.ACTIVE)]
    assert again == []
    assert superseded == [(1, 3, Change.ADD, ItemStatus.ACTIVE), (1, 2, Change.SUPERSEDE, ItemStatus.SUPERSEDED)]
    assert {one.item_seq: one.status for one in deleted} == dict.fromkeys((1, 2, 3), ItemStatus.DELETED)

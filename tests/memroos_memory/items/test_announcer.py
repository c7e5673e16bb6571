import pytest

from memroos_contracts.identity import service_actor
from memroos_contracts.memory_items import Change, ItemStatus
from memroos_kit.db import Database, Tx
from memroos_memory import items

MEMORY = service_actor("memory")


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

"""What a unit of work has done to items, for whoever puts into line what follows from it."""

from typing import Any, NamedTuple

from memroos_contracts.memory_items import Change, ItemStatus
from memroos_kit.db import Cursor

JOURNAL = "items"


class Touched(NamedTuple):
    """That an item has a new version, announced with `tx.journal("items").append(...)`."""

    scope_seq: int
    item_seq: int
    change: Change
    status: ItemStatus
    """As it stands now."""


class Announcer:
    """The database's journal of touched items, which is read in their own transaction: nothing is written."""

    name = JOURNAL

    def write(self, cursor: Cursor, entries: list[Any]) -> None:
        """Write nothing; the versions are there already."""

    def publish(self, pending: Any) -> None:
        """Tell nobody: the jobs that follow are in the transaction."""

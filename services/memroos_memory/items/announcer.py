"""Tells the indexes in memory what a committed batch changed."""

from collections.abc import Callable
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


Listener = Callable[[list[Touched]], None]


class Announcer:
    """The database's journal of touched items: nothing is written, the listeners are called after the COMMIT.

    They are called in the writer thread, before those who wait for the change are answered, so that whoever was
    answered finds what it wrote. A listener must not fail: the others would not be called.
    """

    name = JOURNAL

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Have a function called with what each batch touched, in order; at start, before anything is written."""
        self._listeners.append(listener)

    def write(self, cursor: Cursor, entries: list[Any]) -> list[Touched]:  # noqa: ARG002 - the journal's form
        """Keep what was touched until it is committed."""
        return entries

    def publish(self, pending: list[Touched]) -> None:
        """Tell the listeners."""
        for listener in self._listeners:
            listener(pending)

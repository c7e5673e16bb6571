"""What a unit of work has done to items, for whoever puts into line what follows from it."""

from typing import NamedTuple

from memroos_contracts.memory_items import Change, ItemStatus

JOURNAL = "items"
"""What `Tx.journal` holds of them; read in their own transaction, and written nowhere."""


class Touched(NamedTuple):
    """That an item has a new version, announced with `tx.journal(JOURNAL).append(...)`."""

    scope_seq: int
    item_seq: int
    change: Change
    status: ItemStatus
    """As it stands now."""

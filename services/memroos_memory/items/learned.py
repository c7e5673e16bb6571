"""What was derived from events, before it is an item."""

from datetime import datetime

import msgspec

from memroos_contracts.memory_items import ItemKind, Triple


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """Something that follows from what was said.

    Attributes:
        functional: whether there is one value at a time, as of where somebody lives: a newer one supersedes.
        valid_from: since when it holds; None: since it was said.
        valid_to: not including this instant; None: it still holds, or nobody knows until when.
        sources: ids of the events it rests on; the event it was learned from is added where it is missing.
    """

    kind: ItemKind = ItemKind.FACT
    text: str
    triple: Triple | None = None
    confidence: float = 1.0
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    functional: bool = False
    sources: tuple[str, ...] = ()

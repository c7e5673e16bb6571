"""What the kernel hands over, a few at a time, and what is corrected of it."""

from collections.abc import Sequence

from memroos_contracts.memory import IngestEvent, IngestReport, Removal
from memroos_contracts.memory_items import ItemChange, ItemView, Viewer
from memroos_contracts.memory_work import JobLabel
from memroos_kit.db import Database
from memroos_memory import work
from memroos_memory.actor import SERVICE
from memroos_memory.echo import EchoMarks

REMOVALS_AT_ONCE = 16
"""Removals in one transaction, so that nobody waits long for the writer."""


class Intake:
    """Takes over events, their corrections and removals.

    Args:
        echo: what was handed out a moment ago, and is not written yet.
        learn: how facts are found.
    """

    def __init__(self, db: Database, echo: EchoMarks, learn: JobLabel) -> None:
        self._db = db
        self._echo = echo
        self._learn = learn

    async def take_events(self, events: Sequence[IngestEvent]) -> IngestReport:
        """Take over events in this order; an event that is known is left as it is."""
        return await work.ingest(self._db, events, echo=self._echo, learn=self._learn)

    async def correct(self, viewer: Viewer, item_id: str, change: ItemChange, *, operation: str) -> ItemView:
        """Write another version of an item; what an event says now is learned."""
        return await self._db.write(
            SERVICE, work.correct, viewer, item_id, change, operation=operation, learn=self._learn
        )

    async def take_removals(self, removals: Sequence[Removal]) -> None:
        """Let events be found no more; may be repeated."""
        for start in range(0, len(removals), REMOVALS_AT_ONCE):
            await self._db.write(SERVICE, work.take_removals, removals[start : start + REMOVALS_AT_ONCE])

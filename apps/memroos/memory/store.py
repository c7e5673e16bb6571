"""Implementations of the `MemoryStore` port inside the kernel: over its own database, and in memory for tests."""

from collections import Counter
from collections.abc import Sequence

from memroos.memory import queries, service
from memroos.memory.rules import readers
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import service_actor
from memroos_contracts.memory import (
    IngestEvent,
    IngestReport,
    MemoryEventView,
    MemoryHealth,
    MemoryStore,
    RecallQuery,
    RecallRequest,
    RecallResult,
)
from memroos_kit.db import Database
from memroos_kit.text import bm25, words

_KERNEL = service_actor("kernel")
INGEST_AT_ONCE = 20
"""Events in one verb: a few milliseconds of the writer's time."""


class EpisodicStore(MemoryStore):
    """The kernel's own events as a store: what recall rests on while no memory service runs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def ingest(self, events: Sequence[IngestEvent]) -> IngestReport:
        """Take over events in order; known ones stay as they are."""
        plain = [one.event for one in events]
        chunks = [plain[at : at + INGEST_AT_ONCE] for at in range(0, len(plain), INGEST_AT_ONCE)]
        reports = [await self._db.write(_KERNEL, service.ingest, chunk) for chunk in chunks]
        return IngestReport(sum(report.stored for report in reports), sum(report.known for report in reports))

    async def recall(self, query: RecallQuery) -> RecallResult:
        """Find what answers a question among what its reader may see."""
        return await self._db.read(_KERNEL, queries.search, query)

    async def health(self) -> MemoryHealth:
        """Tell whether the database answers."""
        try:
            events = await self._db.read(_KERNEL, queries.count_events)
        except (MemroosError, RuntimeError) as error:
            return MemoryHealth(ready=False, arms=(), events=0, detail=str(error))
        return MemoryHealth(ready=True, arms=queries.FOUND_BY, events=events)


class MemoryTwin(MemoryStore):
    """A store in memory that answers like the real ones: for tests of whatever speaks to a store."""

    def __init__(self) -> None:
        self._events: dict[str, MemoryEventView] = {}

    async def ingest(self, events: Sequence[IngestEvent]) -> IngestReport:
        """Take over events in order; known ones stay as they are."""
        new = {one.event.id: one.event for one in events if one.event.id not in self._events}
        self._events |= new
        return IngestReport(len(new), len(events) - len(new))

    async def recall(self, query: RecallQuery) -> RecallResult:
        """Find what answers a question among what its reader may see."""
        documents = {
            event.id: words.words_of(event.text or "")
            for event in self._events.values()
            if event.workspace_id == query.workspace_id and query.reader in readers.readers_of(event)
        }
        scope = bm25.ScopeStats(len(documents), sum(map(len, documents.values())))
        having = Counter(word for found in documents.values() for word in set(found))
        frequencies = {word: having[word] for word in words.words_to_find(query.request.query) if having[word]}
        scored = [(bm25.bm25(found, frequencies, scope), self._events[key]) for key, found in documents.items()]
        items = [
            queries.recall_item(event, sum(parts.values()), parts)
            for parts, event in reversed(scored)
            if parts and _fits(event, query.request)
        ]
        items.sort(key=lambda item: -item.score)
        return RecallResult(items[: query.request.limit], queries.FOUND_BY, queries.MISSING, len(documents))

    async def health(self) -> MemoryHealth:
        """Tell how much it holds."""
        return MemoryHealth(ready=True, arms=queries.FOUND_BY, events=len(self._events))


def _fits(event: MemoryEventView, request: RecallRequest) -> bool:
    names = ("stream", "author", "agent_id", "user_id", "run_id", "task_id", "context_id")
    return (
        all(getattr(request, name) in (None, getattr(event, name)) for name in names)
        and (not request.kinds or event.kind in request.kinds)
        and (request.since is None or request.since <= (event.occurred_at or event.created_at))
        and (request.until is None or (event.occurred_at or event.created_at) < request.until)
    )

"""The search for events in a few lines, over a list: what the one over the database is compared with."""

from collections import Counter
from collections.abc import Iterable

from memroos.memory.queries.events import FOUND_BY, MISSING, recall_item
from memroos.memory.rules import readers
from memroos_contracts.memory import MemoryEventView, RecallQuery, RecallRequest, RecallResult
from memroos_kit.text import bm25, words


class MemoryTwin:
    """Events, and the search for them."""

    def __init__(self) -> None:
        self.events: dict[str, MemoryEventView] = {}

    def keep(self, events: Iterable[MemoryEventView]) -> None:
        """Take over events in order; known ones stay as they are."""
        for event in events:
            self.events.setdefault(event.id, event)

    def recall(self, query: RecallQuery) -> RecallResult:
        """Find what answers a question among what its reader may see."""
        documents = {
            event.id: words.words_of(event.text or "")
            for event in self.events.values()
            if event.workspace_id == query.workspace_id and query.reader in readers.readers_of(event)
        }
        scope = bm25.ScopeStats(len(documents), sum(map(len, documents.values())))
        having = Counter(word for found in documents.values() for word in set(found))
        frequencies = {word: having[word] for word in words.words_to_find(query.request.query) if having[word]}
        scored = [(bm25.bm25(found, frequencies, scope), self.events[key]) for key, found in documents.items()]
        items = [
            recall_item(event, sum(parts.values()), parts)
            for parts, event in reversed(scored)
            if parts and _fits(event, query.request)
        ]
        items.sort(key=lambda item: -item.score)
        return RecallResult(items[: query.request.limit], FOUND_BY, MISSING, len(documents))


def _fits(event: MemoryEventView, request: RecallRequest) -> bool:
    names = ("stream", "author", "agent_id", "user_id", "run_id", "task_id", "context_id")
    return (
        all(getattr(request, name) in (None, getattr(event, name)) for name in names)
        and (not request.kinds or event.kind in request.kinds)
        and (request.since is None or request.since <= (event.occurred_at or event.created_at))
        and (request.until is None or (event.occurred_at or event.created_at) < request.until)
    )

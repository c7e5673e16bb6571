"""A memory that can be asked: its database, an embedder, an index, a graph, and what it was told."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.memroos_memory.vectors.twin import PlainIndex

from memroos_contracts.identity import DEFAULT_WORKSPACE, WorkspaceId
from memroos_contracts.memory import (
    ContextRequest,
    ContextResult,
    IngestEvent,
    MemoryEventView,
    MemoryKind,
    RecallItem,
    RecallQuery,
    RecallRequest,
    RecallResult,
)
from memroos_contracts.memory_items import ItemKind, ItemView, Triple
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Read, Tx
from memroos_memory import derive, items
from memroos_memory.actor import SERVICE
from memroos_memory.echo import EchoMarks
from memroos_memory.embedders import Embedder, QueuedEmbedder, create_embedder, text_of
from memroos_memory.graph import Graph, GraphEntry, SqliteGraph
from memroos_memory.items.log import digest_of
from memroos_memory.items.queries import rows_of
from memroos_memory.lexical import Postings
from memroos_memory.recall import Recall
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import Point, VectorIndex, stored

AGENT = "agent:agt_a"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Asked:
    """A memory, what it is told, and what it answers."""

    def __init__(self, db: Database, clock: ManualClock, embedder: Embedder, folder: Path) -> None:
        self.db = db
        self.clock = clock
        self.embedder = embedder
        self.index: VectorIndex = PlainIndex(embedder.dimension, embedder.identity)
        self.graph: Graph = SqliteGraph(folder / "graph.db")
        self.echo = EchoMarks(db)
        self.recall = self.anew()
        self._said = 0

    def anew(self, **more: Any) -> Recall:
        """Recall as after a start."""
        return Recall(self.db, Postings(), self.embedder, self.index, self.graph, self.echo, **more)

    def hear(self, turns: Sequence[tuple[str, str]], **more: Any) -> list[str]:
        """Take over what was said, with vectors and graph; return the ids."""
        return asyncio.run(self._hear([self._event(speaker, said, **more) for speaker, said in turns]))

    def _event(
        self, speaker: str, said: str, *, at: datetime | None = None, reader: str = AGENT, **more: Any
    ) -> IngestEvent:
        self._said += 1
        self.clock.advance(seconds=1)
        view = MemoryEventView(
            id=f"mem_{self._said:06}", workspace_id=WorkspaceId(more.pop("workspace", DEFAULT_WORKSPACE)),
            stream=more.pop("stream", "talk"), stream_seq=self._said, kind=MemoryKind.MEMORY, author=reader,
            speaker=speaker, text=said, digest=digest_of(said), occurred_at=at or self.clock.now(),
            created_at=self.clock.now(), **more,
        )  # fmt: skip
        return IngestEvent(view, (reader,), private=False, position=self._said)

    async def _hear(self, events: list[IngestEvent]) -> list[str]:
        vectors = await self.embedder.embed([text_of(one.event.speaker, one.event.text or "") for one in events])

        def keep(tx: Tx) -> list[tuple[int, int]]:
            row = stored.ensure_embedder(tx, self.embedder.identity, self.embedder.dimension)
            seqs = [seq for one in events if (seq := items.add_event(tx, one)) is not None]
            stored.put(
                tx, row.seq, [(seq, one.event.digest, v) for seq, one, v in zip(seqs, events, vectors, strict=True)]
            )
            return [(found.scope_seq, found.seq) for found in rows_of(tx, seqs)]

        places = await self.db.write(SERVICE, keep)
        await self.index.upsert([Point(seq, scope, v) for (scope, seq), v in zip(places, vectors, strict=True)])
        for (scope, seq), one in zip(places, events, strict=True):
            names = tuple(derive.entities(f"{one.event.speaker}: {one.event.text}"))
            await self.graph.put(scope, [GraphEntry(item_seq=seq, item_id=one.event.id, entities=names)])
        return [one.event.id for one in events]

    def learn(self, source: str, text: str, triple: Triple, **more: Any) -> ItemView:
        """Learn something from an event."""

        def verb(tx: Tx) -> ItemView:
            seq = items.seq_of(tx, source)
            assert seq is not None
            (row,) = rows_of(tx, [seq])
            lesson = items.Learned(kind=more.pop("kind", ItemKind.STATE), text=text, triple=triple, **more)
            found = items.add_learned(tx, row.scope_seq, lesson, from_seq=seq)
            assert found is not None
            return found

        self.clock.advance(seconds=1)
        return self.db.write_now(SERVICE, verb)

    def ask(self, question: str, *, reader: str = AGENT, recall: Recall | None = None, **more: Any) -> RecallResult:
        """Ask."""
        workspace = WorkspaceId(more.pop("workspace", DEFAULT_WORKSPACE))
        vector = more.pop("vector", None)
        query = RecallQuery(workspace, reader, RecallRequest(question, **more), vector=vector, principal=AGENT)
        return asyncio.run((recall or self.recall).recall(query))

    def ids(self, question: str, **more: Any) -> list[str]:
        """Ask, and return the ids of what was found."""
        return [hit.item.id for hit in self.ask(question, **more).items]

    def recall_without_trace(self, question: str) -> list[RecallItem]:
        """Ask as nobody in particular, so that nothing is noted as handed out."""
        query = RecallQuery(DEFAULT_WORKSPACE, AGENT, RecallRequest(question))
        return asyncio.run(self.recall.recall(query)).items

    def context(self, question: str, **more: Any) -> ContextResult:
        """Ask for a text."""
        request = ContextRequest(RecallRequest(question, **more.pop("recall", {})), **more)
        return asyncio.run(
            self.recall.context(RecallQuery(DEFAULT_WORKSPACE, AGENT, request.recall, principal=AGENT), request)
        )

    def read(self, query: Any, *args: Any) -> Any:
        """Read the database."""

        def run(tx: Read) -> Any:
            return query(tx, *args)

        return self.db.read_now(SERVICE, run)


def minutes(number: float) -> datetime:
    """An instant so many minutes after the beginning."""
    return START + timedelta(minutes=number)


@pytest.fixture(scope="session")
def model() -> Iterator[QueuedEmbedder]:
    """The embedder that comes with the service."""
    embedder = create_embedder(MemorySettings())
    yield embedder
    embedder.close()


@pytest.fixture
def memory(db: Database, clock: ManualClock, model: QueuedEmbedder, tmp_path: Path) -> Iterator[Asked]:
    """An empty memory of one agent."""
    made = Asked(db, clock, model, tmp_path)
    yield made
    asyncio.run(made.graph.close())

"""A service without its door: the database, what is derived from it, and the worker."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.memroos_memory.vectors.twin import PlainIndex

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory import IngestEvent, MemoryEventView, MemoryKind
from memroos_contracts.memory_items import ItemKind, ItemQuery, ItemView, Triple, Viewer
from memroos_contracts.memory_work import JobCounts, JobLabel
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Read
from memroos_memory import items, jobs, work
from memroos_memory.actor import SERVICE
from memroos_memory.embedders import CurrentEmbedder, create_embedder
from memroos_memory.graph import SqliteGraph
from memroos_memory.items import Learned
from memroos_memory.items.log import digest_of
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import stored

AGENT = "agent:agt_a"
VIEWER = Viewer(DEFAULT_WORKSPACE, AGENT, AGENT)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = MemorySettings(embedder="hash", embedder_dimension=32)
ORDER = (JobLabel.EMBED, JobLabel.DERIVE, JobLabel.EMBED, JobLabel.VECTOR, JobLabel.GRAPH)
_VECTORS = Hot(text("SELECT count(*) FROM item_vector"))


def said(n: int, words: str, *, author: str = AGENT, speaker: str = "Ann", **more: Any) -> IngestEvent:
    """The n-th event of a stream."""
    view = MemoryEventView(
        id=f"mem_{n:05}",
        workspace_id=DEFAULT_WORKSPACE,
        stream=more.pop("stream", "talk"),
        stream_seq=n,
        kind=MemoryKind.MEMORY,
        author=author,
        speaker=speaker,
        text=words,
        digest=digest_of(words),
        created_at=START + timedelta(minutes=n),
        **more,
    )
    return IngestEvent(view, (author,), private=False, position=n)


def lives_in(text: str, *, speaker: str, author: str, occurred_at: datetime) -> list[Learned]:
    """One rule: who says where they live teaches it."""
    _, found, place = text.partition("I live in ")
    if not found:
        return []
    place = place.split(".")[0]
    triple = Triple(speaker or author, "lives_in", place)
    return [Learned(kind=ItemKind.STATE, text=f"{speaker} lives in {place}", triple=triple, functional=True)]


class Service:
    """What tests ask of the service."""

    def __init__(self, db: Database, bell: jobs.Bell, folder: Path) -> None:
        self.db = db
        self.bell = bell
        self.embedder = CurrentEmbedder(create_embedder(SETTINGS))
        self.index = PlainIndex(SETTINGS.embedder_dimension, self.embedder.identity)
        self.graph = SqliteGraph(folder / "graph.db")

    def worker(self, more: Mapping[JobLabel, work.Handle] | None = None) -> work.Worker:
        """A worker over all of it, as after a start."""
        return work.create_worker(
            work.Parts(
                db=self.db,
                bell=self.bell,
                embedder=self.embedder,
                vectors=self.index,
                graph=self.graph,
                settings=SETTINGS,
                more={JobLabel.DERIVE: work.deriving(self.db, lives_in), **(more or {})},
            )
        )

    def take(self, *events: IngestEvent, **more: Any) -> None:
        """Take events over."""
        self.db.write_now(SERVICE, work.take_events, events, **more)

    def do(self, labels: Sequence[JobLabel] = ORDER) -> None:
        """Do what is due, kind by kind, until nothing is."""
        asyncio.run(self._do(labels))

    async def _do(self, labels: Sequence[JobLabel]) -> None:
        worker = self.worker()
        while sum([await worker.step([label]) for label in labels]):
            pass

    def run(self, verb: Any, *args: Any) -> Any:
        """Do something to items, with what follows."""
        return self.db.write_now(SERVICE, work.carry_out, verb, *args)

    def facts(self) -> list[ItemView]:
        """What was learned."""
        kinds = tuple(kind for kind in ItemKind if kind is not ItemKind.EVENT)
        return self.kept(kinds)

    def events(self) -> list[ItemView]:
        """What was said."""
        return self.kept((ItemKind.EVENT,))

    def kept(self, kinds: tuple[ItemKind, ...]) -> list[ItemView]:
        """Items, whatever became of them."""
        query = ItemQuery(kinds=kinds, statuses=("active", "superseded"), limit=100)  # type: ignore[arg-type]  # by value
        return self.db.read_now(SERVICE, items.list_items, VIEWER, query).items

    def seq(self, n: int) -> int:
        """The number of the n-th event."""
        found = self.db.read_now(SERVICE, items.seq_of, f"mem_{n:05}")
        assert found is not None
        return found

    @property
    def counts(self) -> JobCounts:
        """How much is in line."""
        return self.db.read_now(SERVICE, jobs.counts)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database holds, whoever may see it."""
        hot = Hot(text(query))

        def ask(tx: Read) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in tx.execute(hot).fetchall()]

        return self.db.read_now(SERVICE, ask)

    def replay_all(self) -> None:
        """Put all dead letters back into line, as those who run the workspace can."""
        self.db.write_now(SERVICE, jobs.replay, Viewer(DEFAULT_WORKSPACE, "", "operator:key_1"))

    @property
    def vectors(self) -> int:
        """How many vectors are kept."""

        def query(tx: Read) -> int:
            return int(tx.execute(_VECTORS).fetchone()[0])

        return self.db.read_now(SERVICE, query)

    def labels(self) -> list[JobLabel]:
        """What is in line, oldest first."""
        found = self.db.read_now(SERVICE, jobs.list_jobs, VIEWER, limit=100).items
        return [job.label for job in reversed(found) if job.state == "waiting"]


@pytest.fixture
def bell() -> jobs.Bell:
    """The journal that rings when the line changes."""
    return jobs.Bell()


@pytest.fixture
def db(db_path: Path, clock: ManualClock, bell: jobs.Bell) -> Iterator[Database]:
    """A memory database whose line can be listened to."""
    database = Database(db_path, authorizer=items.DecidedByKernel(), journals=[bell], clock=clock)
    yield database
    database.close()


@pytest.fixture
def service(db: Database, bell: jobs.Bell, tmp_path: Path) -> Iterator[Service]:
    """The service without its door."""
    made = Service(db, bell, tmp_path)
    yield made
    made.embedder.close()
    asyncio.run(made.graph.close())


__all__ = ["AGENT", "SERVICE", "START", "VIEWER", "Service", "lives_in", "said", "stored"]

"""A change of the embedder is followed in the background; the one before answers until the other can."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.memroos_memory.work.conftest import SERVICE, VIEWER, said

from memroos_contracts.memory import Removal
from memroos_contracts.memory_errors import EmbedderFailed
from memroos_contracts.memory_items import Viewer
from memroos_contracts.memory_work import JobLabel, JobState, JobView
from memroos_kit.db import Database
from memroos_memory import items, jobs, work
from memroos_memory.embedders import UnreachableEmbedder, Vectors
from memroos_memory.graph import SqliteGraph
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import stored
from memroos_memory.work import reembed, reindex

OPERATOR = Viewer(VIEWER.workspace_id, "", "operator:key_1")
OLD, NEW = "hash/words/256", "hash/words/128"
ALL = (JobLabel.EMBED, JobLabel.VECTOR, JobLabel.GRAPH, JobLabel.REEMBED)


class System:
    """A memory service that can be stopped and started with other settings."""

    def __init__(self, db: Database, bell: jobs.Bell, folder: Path) -> None:
        self.db = db
        self.bell = bell
        self.settings = MemorySettings(
            data_dir=folder, embedder="hash", embedder_dimension=256, job_attempts=1, job_backoff_s=0.01
        )
        self.graph = SqliteGraph(folder / "graph.db")
        self.opened: work.Opened | None = None

    def start(self, **changes: Any) -> work.Opened:
        """Start again, with other settings."""
        self.stop()
        self.settings = msgspec.structs.replace(self.settings, **changes)
        self.opened = work.open_vectors(self.db, self.settings)
        return self.opened

    def stop(self) -> None:
        """Close what was opened, as at the end of the process."""
        if self.opened is not None:
            self.opened.embedder.close()
            self.opened.vectors.close()
            if self.opened.successor is not None:
                self.opened.successor.close()

    def worker(self) -> work.Worker:
        """A worker over what was opened."""
        assert self.opened is not None
        return work.create_worker(
            work.Parts(
                db=self.db,
                bell=self.bell,
                embedder=self.opened.embedder,
                vectors=self.opened.vectors,
                graph=self.graph,
                settings=self.settings,
                more=work.whole_index_work(self.db, self.opened, self.graph),
            )
        )

    def do(self, *labels: JobLabel) -> None:
        """Do what is in line."""

        async def all_of_it() -> None:
            worker = self.worker()
            while sum([await worker.step([label]) for label in labels or ALL]):
                pass

        asyncio.run(all_of_it())

    def say(self, numbers: Sequence[int]) -> None:
        """Have events taken over."""
        events = [said(n, f"Thing number {n} is word{n}.") for n in numbers]
        self.db.write_now(SERVICE, work.take_events, events)

    def found(self, n: int) -> int:
        """The nearest item to what the n-th event said."""
        assert self.opened is not None
        opened = self.opened

        async def ask() -> int:
            (vector,) = await opened.embedder.embed([f"Ann: Thing number {n} is word{n}."])
            return (await opened.vectors.search(vector, [1], 1))[0][0]

        return asyncio.run(ask())

    def states(self) -> dict[str, tuple[str, int]]:
        """Each embedder's state and number of vectors."""
        rows = self.db.read_now(SERVICE, stored.embedders)
        return {row.identity: (row.state, self.db.read_now(SERVICE, stored.count, row.seq)) for row in rows}

    def in_line(self) -> int:
        """How much work on all vectors is in line."""
        found = self.db.read_now(SERVICE, jobs.list_jobs, OPERATOR, state=JobState.WAITING).items
        return len([job for job in found if job.label is JobLabel.REEMBED])

    def job(self) -> JobView:
        """The newest work on all vectors."""
        found = self.db.read_now(SERVICE, jobs.list_jobs, OPERATOR).items
        return next(job for job in found if job.label is JobLabel.REEMBED)


@pytest.fixture
def system(db: Database, bell: jobs.Bell, tmp_path: Path) -> Iterator[System]:
    """A service with ten things said, embedded and indexed."""
    made = System(db, bell, tmp_path)
    made.start()
    made.say(range(1, 11))
    made.do()
    yield made
    made.stop()
    asyncio.run(made.graph.close())


def test_the_embedder_before_answers_until_all_is_embedded_anew(system: System) -> None:
    opened = system.start(embedder_dimension=128)

    assert opened.embedder.identity == opened.vectors.identity == OLD
    assert opened.vectors.state().ready
    assert [system.found(n) for n in range(1, 11)] == list(range(1, 11))

    system.do()

    assert opened.embedder.identity == opened.vectors.identity == NEW
    assert opened.vectors.state().ready
    assert [system.found(n) for n in range(1, 11)] == list(range(1, 11))
    assert system.states() == {OLD: ("retired", 0), NEW: ("active", 10)}
    assert system.job().state is JobState.DONE
    assert system.job().done == system.job().items > 0


def test_the_next_start_finds_everything_in_its_place(system: System) -> None:
    system.start(embedder_dimension=128)
    system.do()

    opened = system.start()

    assert opened.successor is None
    assert opened.embedder.identity == opened.vectors.identity == NEW
    assert opened.vectors.state().ready
    assert system.found(3) == 3
    assert [path.name for path in system.settings.folder.iterdir() if "damaged" in path.name] == []


def test_a_start_without_a_change_has_nothing_embedded_again(system: System) -> None:
    opened = system.start()

    assert opened.successor is None
    assert system.in_line() == 0


def test_a_start_that_follows_another_asks_for_the_work_once(system: System) -> None:
    system.start(embedder_dimension=128)
    system.start()

    assert system.in_line() == 1


class Breaking:
    """An embedder that fails after so many requests."""

    def __init__(self, inner: Any, good: int) -> None:
        self.identity, self.dimension = inner.identity, inner.dimension
        self._inner = inner
        self.good = good
        self.texts = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed, as long as it is able to."""
        if self.good == 0:
            raise EmbedderFailed(reason="it is away")
        self.good -= 1
        self.texts += len(texts)
        rows: Vectors = await self._inner.embed(texts)
        return rows

    def close(self) -> None:
        """Close what it stands before."""
        self._inner.close()


def breaking(system: System, good: int) -> Breaking:
    assert system.opened is not None
    embedder = Breaking(system.opened.successor, good)
    system.opened = system.opened._replace(successor=embedder)
    return embedder


def test_what_was_embedded_before_a_kill_is_not_embedded_again(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reembed, "TEXTS_AT_ONCE", 2)
    system.start(embedder_dimension=128)
    breaking(system, good=3)
    system.do()
    assert system.states() == {OLD: ("active", 10), NEW: ("building", 6)}

    system.start()
    rest = breaking(system, good=-1)
    system.do()

    assert rest.texts == 4
    assert [system.found(n) for n in range(1, 11)] == list(range(1, 11))
    assert system.states() == {OLD: ("retired", 0), NEW: ("active", 10)}


def test_an_embedder_that_fails_leaves_the_one_before_in_its_place(system: System) -> None:
    opened = system.start(embedder_dimension=128)
    embedder = breaking(system, good=0)
    system.do()

    assert system.job().state is JobState.DEAD
    assert "it is away" in system.job().error
    assert system.found(4) == 4
    assert opened.embedder.identity == OLD

    embedder.good = -1
    system.db.write_now(SERVICE, jobs.replay, OPERATOR, system.job().id)
    system.do()

    assert opened.embedder.identity == NEW
    assert system.found(4) == 4


def test_what_is_said_and_deleted_meanwhile_is_followed(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reembed, "TEXTS_AT_ONCE", 2)
    opened = system.start(embedder_dimension=128)
    worker = system.worker()
    fill = opened.vectors.fill
    new = iter(range(20, 26))

    async def fill_and_say(*args: Any) -> None:
        """At each step somebody says something, which is embedded by whoever answers now, and something is deleted."""
        await fill(*args)
        if (n := next(new, None)) is not None:
            removal = Removal(f"mem_{n - 19:05}", VIEWER.workspace_id, "operator:key_1", n)
            await system.db.write(SERVICE, work.take_removals, [removal])
            await system.db.write(SERVICE, work.take_events, [said(n, f"Thing number {n} is word{n}.")])
            while await worker.step([JobLabel.EMBED, JobLabel.VECTOR]):
                pass

    monkeypatch.setattr(opened.vectors, "fill", fill_and_say)
    system.do()

    left = [*range(7, 11), *range(20, 26)]
    assert next(new, None) is None
    assert system.states() == {OLD: ("retired", 0), NEW: ("active", 10)}
    assert asyncio.run(opened.vectors.count()) == 10
    kept = [system.db.read_now(SERVICE, items.seq_of, f"mem_{n:05}") for n in left]
    assert [system.found(n) for n in left] == kept


def test_vectors_are_made_by_the_next_one_where_the_one_before_is_out_of_reach(system: System) -> None:
    system.do()
    system.start(embedder="openai", embedder_url="http://127.0.0.1:9/v1", embedder_model="m", embedder_dimension=256)
    assert system.opened is not None
    made_elsewhere = Breaking(UnreachableEmbedder("openai/m/256", 256), 0)
    row = system.db.read_now(SERVICE, stored.find_building)
    assert row is not None
    assert row.identity == made_elsewhere.identity
    system.db.write_now(SERVICE, stored.activate, row.seq)
    vectors = [(n, "sha256:1", np.full(256, 0.1, np.float32)) for n in range(1, 11)]
    system.db.write_now(SERVICE, stored.put, row.seq, vectors)

    opened = system.start(embedder="hash", embedder_dimension=128)
    assert isinstance(opened.embedder.now(), UnreachableEmbedder)
    system.say([30])
    system.do()

    assert opened.embedder.identity == NEW
    assert system.states()[NEW] == ("active", 11)
    assert system.found(30) == 11


def test_cut_off_between_the_two_switches_the_index_is_made_anew_at_the_next_start(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = system.start(embedder_dimension=128)

    async def killed() -> None:
        raise EmbedderFailed(reason="killed")

    monkeypatch.setattr(opened.vectors, "switch", killed)
    system.do()
    assert system.states()[NEW] == ("active", 10)

    again = system.start()
    assert again.embedder.identity == NEW
    assert not again.vectors.state().ready
    asyncio.run(reindex.watch_once(system.db, again.vectors, system.graph))
    system.do(JobLabel.REINDEX)

    assert again.vectors.state().ready
    assert [system.found(n) for n in range(1, 11)] == list(range(1, 11))

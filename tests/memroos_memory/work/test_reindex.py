"""Whatever is derived can be made anew out of the truth, with the same answers, while it is in use."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from tests.memroos_memory.work.conftest import SERVICE, SETTINGS, VIEWER, Service, said

from memroos_contracts.memory import Removal
from memroos_contracts.memory_items import Viewer
from memroos_contracts.memory_work import Index, JobLabel, JobState, ReindexRequest
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Read
from memroos_kit.stopping import Stopping
from memroos_memory import jobs, lexical, work
from memroos_memory.graph import SqliteGraph
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import StoreIndex, open_index, stored
from memroos_memory.work import reindex

TALK = [
    "I live in Lisbon. The dog barks.",
    "My brother Tom bought a red bicycle in Porto.",
    "We painted the kitchen blue last weekend.",
    "I live in Madrid. Tom visits in May.",
    "The dentist moved to Baker Street.",
]
OPERATOR = Viewer(VIEWER.workspace_id, "", "operator:key_1")
WORDS = ("dog", "tom", "lisbon", "kitchen", "may", "ann")
_MATCH = Hot(text("SELECT rowid FROM lexical_index WHERE lexical_index MATCH :match ORDER BY rowid"))
_SPOIL = Hot(text("DELETE FROM lexical_index WHERE rowid < 3"))
_GHOST = Hot(text("INSERT INTO lexical_index (rowid, words, meta) VALUES (9999, '1xdog', '')"))
_LENGTHS = Hot(text("UPDATE item SET words = 0, meta_words = 0"))
_BREAK = Hot(text("UPDATE lexical_index_data SET block = x'00'"))


class Rebuilt(Service):
    """The service with the embedded vector index."""

    def __init__(self, db: Database, bell: jobs.Bell, folder: Path) -> None:
        super().__init__(db, bell, folder)
        self.folder = folder
        self.settings: MemorySettings = MemorySettings(data_dir=folder, embedder="hash", embedder_dimension=32)
        self.store = self.reopened()
        self.postings = lexical.Postings()

    def reopened(self) -> StoreIndex:
        """The index as a start finds it."""
        row = self.db.read_now(SERVICE, stored.find_active)
        expected = 0 if row is None else self.db.read_now(SERVICE, stored.count, row.seq)
        self.store = open_index(self.settings, SETTINGS.embedder_dimension, self.embedder.identity, expected)
        self.index = self.store  # type: ignore[assignment]  # another kind of index
        return self.store

    def worker(self, more: Any = None) -> work.Worker:
        """A worker that makes indexes anew, too."""
        handle = work.reindexing(self.db, self.store, self.graph, self.postings)
        return super().worker({JobLabel.REINDEX: handle, **(more or {})})

    def reindex(self, *indexes: Index) -> str:
        """Make indexes anew, as an operator would."""
        view = self.db.write_now(SERVICE, work.ask_reindex, OPERATOR, ReindexRequest(indexes))
        self.do([JobLabel.REINDEX])
        assert self.db.read_now(SERVICE, jobs.counts).dead == 0
        return view.id

    def near(self, question: str) -> list[tuple[int, float]]:
        """What the vector arm answers: candidates of the index, scored by the stored vectors, ties by number."""
        return asyncio.run(self._near(question))

    async def _near(self, question: str) -> list[tuple[int, float]]:
        (vector,) = await self.embedder.embed([question])
        candidates = [seq for seq, _ in await self.store.search(vector, [1], 10)]
        row = self.db.read_now(SERVICE, stored.active)
        found = self.db.read_now(SERVICE, stored.get, row.seq, candidates)
        scored = [(seq, float(np.dot(row, vector))) for seq, row in found.items()]
        return sorted(scored, key=lambda hit: (-hit[1], hit[0]))

    def words(self) -> list[list[int]]:
        """What the lexical index answers."""

        def query(tx: Read) -> list[list[int]]:
            return [[row[0] for row in tx.execute(_MATCH, match=f'"1x{word}"').fetchall()] for word in WORDS]

        return self.db.read_now(SERVICE, query)

    def related(self) -> Any:
        """What the graph answers."""
        return asyncio.run(self.graph.items_of([1], ["Tom", "Lisbon", "Madrid"], hops=2))

    def answers(self) -> Any:
        """What all of them answer."""
        return [self.near(text) for text in TALK], self.words(), self.related()

    def in_line(self) -> list[JobLabel]:
        """What is in line, of whole indexes too."""
        found = self.db.read_now(SERVICE, jobs.list_jobs, OPERATOR, state=JobState.WAITING).items
        return [job.label for job in found]

    def change(self, hot: Hot) -> None:
        """Do something to the tables that nobody should."""
        self.db.write_now(SERVICE, lambda tx: tx.execute(hot) and None)


@pytest.fixture
def service(db: Database, bell: jobs.Bell, tmp_path: Path) -> Iterator[Rebuilt]:
    """A service that has taken over a talk and learned from it."""
    made = Rebuilt(db, bell, tmp_path)
    made.take(*(said(n, words) for n, words in enumerate(TALK)))
    made.do()
    asyncio.run(made.graph.complete())
    yield made
    made.store.close()
    made.embedder.close()
    asyncio.run(made.graph.close())


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def cut_segments(folder: Path) -> None:
    for path in folder.rglob("segment.json"):
        path.write_bytes(b"{")


def scramble_vectors(folder: Path) -> None:
    for path in folder.rglob("chunk_0.mmap"):
        with path.open("r+b") as chunk:
            chunk.write(b"\x3c" * 4_096)


@pytest.mark.parametrize("damage", [remove_folder, cut_segments, scramble_vectors], ids=lambda damage: damage.__name__)
def test_a_deleted_or_damaged_vector_index_is_rebuilt_to_identical_answers(
    service: Rebuilt, damage: Callable[[Path], None]
) -> None:
    before = service.answers()
    count = asyncio.run(service.store.count())
    service.store.close()
    damage(service.settings.folder / "vectors")
    service.reopened()

    service.reindex()

    assert service.answers() == before
    assert asyncio.run(service.store.count()) == count
    assert service.store.state().ready


def test_a_lexical_index_that_lost_and_invented_something_is_as_before(service: Rebuilt) -> None:
    before = service.answers()
    for hot in (_SPOIL, _GHOST, _LENGTHS):
        service.change(hot)
    assert service.words() != before[1]

    service.reindex(Index.LEXICAL)

    assert service.answers() == before
    lengths = service.db.read_now(SERVICE, lambda tx: tx.execute(Hot(text("SELECT min(words) FROM item"))).fetchone())
    assert lengths[0] > 0


def test_a_broken_lexical_index_is_as_before(service: Rebuilt) -> None:
    before = service.words()
    service.change(_BREAK)

    service.reindex(Index.LEXICAL)

    assert service.words() == before


def test_words_kept_in_memory_are_read_again(service: Rebuilt) -> None:
    find = service.postings.find
    service.db.read_now(SERVICE, lambda tx: find(tx, 1, ["dog"]) and None)

    service.reindex(Index.LEXICAL)

    assert service.postings.size_bytes == 0


def test_a_lost_graph_is_rebuilt_to_identical_answers(service: Rebuilt) -> None:
    before = service.answers()
    count = asyncio.run(service.graph.count())
    asyncio.run(service.graph.close())
    for path in service.folder.glob("graph.db*"):
        path.unlink()
    service.graph = SqliteGraph(service.folder / "graph.db")

    service.reindex(Index.GRAPH)

    assert service.answers() == before
    assert asyncio.run(service.graph.count()) == count
    assert asyncio.run(service.graph.state()).ready


def test_what_was_deleted_stays_out(service: Rebuilt) -> None:
    removal = Removal("mem_00001", VIEWER.workspace_id, "operator:key_1", 99)
    service.db.write_now(SERVICE, work.take_removals, [removal])
    service.do()
    before = service.answers()

    service.reindex()

    assert service.answers() == before
    assert service.seq(1) not in {seq for hits in service.answers()[0] for seq, _ in hits}


def test_a_rebuild_says_how_far_it_is(service: Rebuilt) -> None:
    job_id = service.reindex()

    view = service.db.read_now(SERVICE, jobs.get_job, OPERATOR, job_id)

    assert view.state is JobState.DONE
    assert view.done == view.items > 0


def test_the_same_rebuild_asked_for_twice_is_one(service: Rebuilt) -> None:
    def ask(*indexes: Index) -> str:
        return service.db.write_now(SERVICE, work.ask_reindex, OPERATOR, ReindexRequest(indexes)).id

    assert ask() == ask()
    assert ask(Index.LEXICAL) not in (ask(), ask(Index.VECTOR))


def test_events_that_come_while_it_is_made_anew_are_in_it(service: Rebuilt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "VECTORS_AT_ONCE", 2)
    monkeypatch.setattr(reindex, "ITEMS_AT_ONCE", 2)
    worker = service.worker()
    fill = service.store.fill
    new = iter(range(100, 110))

    async def fill_and_say(*args: Any) -> None:
        """At each step of the rebuild somebody says something, and it goes all the way."""
        await fill(*args)
        if (n := next(new, None)) is not None:
            await service.db.write(SERVICE, work.take_events, [said(n, f"The parrot number {n} sings.")])
            while await worker.step([JobLabel.EMBED, JobLabel.VECTOR]):
                pass

    monkeypatch.setattr(service.store, "fill", fill_and_say)
    service.db.write_now(SERVICE, work.ask_reindex, OPERATOR, ReindexRequest())
    asyncio.run(worker.step([JobLabel.REINDEX]))

    said_meanwhile = 10 - len(list(new))
    assert said_meanwhile >= 5
    expected = service.db.read_now(SERVICE, stored.count, service.db.read_now(SERVICE, stored.active).seq)
    assert asyncio.run(service.store.count()) == expected
    found = asyncio.run(service.store.search(asyncio.run(service.embedder.embed(["parrot"]))[0], [1], 100))
    assert {service.seq(n) for n in range(100, 100 + said_meanwhile)} <= {seq for seq, _ in found}


def test_what_is_deleted_while_it_is_made_anew_does_not_come_back(
    service: Rebuilt, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = service.worker()
    fill = service.store.fill
    removal = Removal("mem_00002", VIEWER.workspace_id, "operator:key_1", 99)

    async def delete_then_fill(*args: Any) -> None:
        """What was read is deleted before it is put in."""
        monkeypatch.setattr(service.store, "fill", fill)
        await service.db.write(SERVICE, work.take_removals, [removal])
        while await worker.step([JobLabel.EMBED, JobLabel.VECTOR, JobLabel.GRAPH]):
            pass
        await fill(*args)

    monkeypatch.setattr(service.store, "fill", delete_then_fill)
    service.db.write_now(SERVICE, work.ask_reindex, OPERATOR, ReindexRequest((Index.VECTOR,)))
    asyncio.run(worker.step([JobLabel.REINDEX]))

    found = asyncio.run(service.store.search(asyncio.run(service.embedder.embed(["kitchen"]))[0], [1], 100))
    assert service.seq(2) not in {seq for seq, _ in found}


def test_an_index_that_has_to_be_made_anew_is_noticed_once(service: Rebuilt, clock: ManualClock) -> None:
    service.store.close()
    shutil.rmtree(service.settings.folder / "vectors")
    service.reopened()

    async def look() -> None:
        await reindex.watch_once(service.db, service.store, service.graph)

    asyncio.run(look())
    asyncio.run(look())
    assert service.in_line() == [JobLabel.REINDEX]

    service.do([JobLabel.REINDEX])
    asyncio.run(look())
    assert service.in_line() == []
    assert service.store.state().ready


def test_a_start_finds_silent_damage_and_has_it_repaired(service: Rebuilt) -> None:
    before = service.answers()
    service.store.close()
    scramble_vectors(service.settings.folder / "vectors")
    service.reopened()
    assert service.store.state().ready

    async def story() -> None:
        stopping = Stopping()
        async with asyncio.TaskGroup() as group:
            watching = reindex.watch_indexes(service.db, service.store, service.graph, stopping, pause_s=0.01)
            group.create_task(watching)
            for _ in range(500):
                if service.in_line():
                    break
                await asyncio.sleep(0.01)
            stopping.set()

    asyncio.run(story())
    service.do([JobLabel.REINDEX])

    assert service.answers() == before
    assert service.store.state().ready


def test_a_rebuild_that_was_given_up_is_not_begun_at_once(service: Rebuilt, clock: ManualClock) -> None:
    def ensure() -> bool:
        return service.db.write_now(SERVICE, reindex.ensure_reindex, Index.VECTOR)

    assert ensure()
    (taken,) = service.db.write_now(SERVICE, jobs.take, limit=1, lease_s=60, labels=[JobLabel.REINDEX])
    service.db.write_now(SERVICE, jobs.fail, taken, "no room", jobs.Plan(attempts_max=1))

    assert not ensure()

    clock.advance(minutes=11)
    assert ensure()

"""Vectors by another embedder: made in the background, while those of the one before answer.

The new embedder is `building` until each item has its vector and all of them are in an index beside the one that
answers. Then it is made active and the indexes change places. Killed anywhere before, the work goes on where it was,
because vectors are kept as they are made; killed between the two, the index is made anew at the next start.
"""

from typing import NamedTuple

from sqlalchemy import text

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory_work import JobLabel
from memroos_kit.db import Database, Hot, Read, Tx
from memroos_memory import jobs
from memroos_memory.actor import SERVICE
from memroos_memory.embedders import CurrentEmbedder, Embedder, create_embedder, embedder_of, text_of
from memroos_memory.graph import Graph
from memroos_memory.jobs import Taken
from memroos_memory.lexical import Postings
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import StoreIndex, VectorIndex, open_index, stored
from memroos_memory.vectors.stored import EmbedderRow, StoredVector
from memroos_memory.work.reindex import fill_from_truth, fill_some, reindexing
from memroos_memory.work.worker import Handle

TEXTS_AT_ONCE = 64
FORGET_AT_ONCE = 1_000


_WITHOUT = (
    "FROM item WHERE item.status <> 'deleted' AND item.text <> '' AND NOT EXISTS (SELECT 1 FROM item_vector "
    "WHERE item_vector.embedder_seq = :embedder_seq AND item_vector.item_seq = item.seq "
    "AND item_vector.digest = item.digest)"
)
_MISSING = Hot(
    text(
        "SELECT item.seq, item.scope_seq, item.digest, item.speaker, item.text "
        f"{_WITHOUT} AND item.seq > :after ORDER BY item.seq LIMIT :number"
    )
)
_ANY_MISSING = Hot(text(f"SELECT 1 {_WITHOUT} LIMIT 1"))
_IN_LINE = Hot(text("SELECT 1 FROM job WHERE label = 'reembed' AND state IN ('waiting', 'running') LIMIT 1"))
_ITEMS = Hot(text("SELECT count(*) FROM item WHERE status <> 'deleted' AND text <> ''"))


class Opened(NamedTuple):
    """What vectors are made and searched with, since the start."""

    embedder: CurrentEmbedder
    """The one that answers."""
    successor: Embedder | None
    """The one that the settings name, where its vectors are still to be made."""
    vectors: StoreIndex


def open_vectors(db: Database, settings: MemorySettings) -> Opened:
    """Make or find what vectors are made and searched with, and see that a change of the embedder is followed.

    It blocks, for a second or so: at the start, before anybody is served.

    Raises:
        EmbedderFailed: the embedder that the settings name is not installed.
    """
    wanted = create_embedder(settings)
    try:
        row = db.write_now(SERVICE, follow_settings, wanted.identity, wanted.dimension)
        expected = db.read_now(SERVICE, stored.count, row.seq)
        vectors = open_index(settings, row.dimension, row.identity, expected)
        if row.identity == wanted.identity:
            return Opened(CurrentEmbedder(wanted), None, vectors)
        return Opened(CurrentEmbedder(embedder_of(row.identity, settings)), wanted, vectors)
    except BaseException:
        wanted.close()
        raise


def follow_settings(tx: Tx, identity: str, dimension: int) -> EmbedderRow:
    """Make this the embedder, with the work that this means; return the one that answers now."""
    row = stored.ensure_embedder(tx, identity, dimension)
    if row.state == stored.BUILDING and tx.execute(_IN_LINE).fetchone() is None:
        jobs.enqueue(tx, JobLabel.REEMBED, payload={"workspace": DEFAULT_WORKSPACE})
    return stored.active(tx)


# -- doing it ----------------------------------------------------------------------------------------------------------


def whole_index_work(
    db: Database, opened: Opened, graph: Graph, postings: Postings | None = None
) -> dict[JobLabel, Handle]:
    """Return how work on whole indexes is done."""
    return {
        JobLabel.REINDEX: reindexing(db, opened.vectors, graph, postings),
        JobLabel.REEMBED: reembedding(db, opened.embedder, opened.successor, opened.vectors),
    }


def reembedding(db: Database, current: CurrentEmbedder, successor: Embedder | None, vectors: VectorIndex) -> Handle:
    """Return what makes the vectors of the embedder that is building, and lets it answer then."""

    async def reembed(job: Taken) -> None:
        row = await db.read(SERVICE, stored.find_building)
        if row is not None and successor is not None and row.identity == successor.identity:
            await _Reembedding(db, job, row, successor, vectors).run()
            await current.switch(successor)
        await _forget_retired(db)

    return reembed


class _Reembedding:
    def __init__(self, db: Database, job: Taken, row: EmbedderRow, embedder: Embedder, index: VectorIndex) -> None:
        self._db = db
        self._job = job
        self._row = row
        self._embedder = embedder
        self._index = index
        self._filled = 0

    async def run(self) -> None:
        """Make what is missing, until nothing is, and change over.

        Raises:
            EmbedderFailed: it does not answer; what was made is kept.
            LeaseLost: somebody else does this job by now.
        """
        await self._index.begin(self._row.identity, self._row.dimension)
        await fill_from_truth(self._db, self._index, self._row.seq, self._told)  # what was made before a kill
        while True:
            await self._make_missing()
            if await self._db.write(SERVICE, activate_if_whole, self._row.seq):
                break
        await self._index.switch()

    async def _make_missing(self) -> None:
        after = 0
        while missing := await self._db.read(SERVICE, find_missing, self._row.seq, after):
            made = await self._embedder.embed([text_of(one.speaker, one.text) for one in missing])
            kept = [(one.seq, one.digest, vector) for one, vector in zip(missing, made, strict=True)]
            await self._db.write(SERVICE, stored.put, self._row.seq, kept)
            some = [StoredVector(one.seq, one.scope_seq, vector) for one, vector in zip(missing, made, strict=True)]
            await fill_some(self._db, self._index, self._row.seq, some, {one.seq: one.digest for one in missing})
            after = missing[-1].seq
            await self._told(len(missing))

    async def _told(self, number: int) -> None:
        self._filled += number
        total = max(self._filled, await self._db.read(SERVICE, _items))
        await self._db.write(SERVICE, jobs.progress, self._job, self._filled, total=total)


class Missing(NamedTuple):
    """An item without a vector of its present text."""

    seq: int
    scope_seq: int
    digest: str
    speaker: str
    text: str


def find_missing(tx: Read, embedder_seq: int, after: int) -> list[Missing]:
    """Return the next items without a vector of this embedder."""
    rows = tx.execute(_MISSING, embedder_seq=embedder_seq, after=after, number=TEXTS_AT_ONCE).fetchall()
    return [Missing(*row) for row in rows]


def activate_if_whole(tx: Tx, embedder_seq: int) -> bool:
    """Let this embedder answer, if no item is without its vector in this moment."""
    if tx.execute(_ANY_MISSING, embedder_seq=embedder_seq).fetchone() is not None:
        return False
    stored.activate(tx, embedder_seq)
    return True


async def _forget_retired(db: Database) -> None:
    """Remove the vectors of embedders that answer no more, a few at a time."""
    for row in await db.read(SERVICE, stored.embedders):
        while row.state == stored.RETIRED:
            if await db.write(SERVICE, stored.forget_some, row.seq, limit=FORGET_AT_ONCE) == 0:
                break


def _items(tx: Read) -> int:
    return int(tx.execute(_ITEMS).fetchone()[0])

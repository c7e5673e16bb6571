"""Indexes made anew out of the truth, while they answer and while new events come in.

What an event brings is in the truth before its own job puts it into an index, and that job puts it into the index that
is being made as well. So whatever the rebuild does not see any more, the job does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import msgspec
from sqlalchemy import text

from memroos_contracts.errors import MemroosError, StorageFailed
from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory_errors import IndexUnavailable
from memroos_contracts.memory_items import ItemView, Viewer
from memroos_contracts.memory_work import Index, JobLabel, JobView, ReindexRequest
from memroos_kit import log
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Database, Hot, Read, Tx
from memroos_kit.stopping import Stopping
from memroos_memory import items, jobs, lexical
from memroos_memory.actor import SERVICE
from memroos_memory.graph import Graph
from memroos_memory.jobs import Taken
from memroos_memory.vectors import Point, VectorIndex, stored
from memroos_memory.vectors.stored import StoredVector
from memroos_memory.work.graphing import entries_of
from memroos_memory.work.worker import Handle

VECTORS_AT_ONCE = 128
ITEMS_AT_ONCE = 64
CHARACTERS_AT_ONCE = 20_000
"""Text that is put into the lexical index in one go: the writer does nothing else meanwhile."""

SAMPLE = 32
WATCH_S = 10.0
TRY_AGAIN = timedelta(minutes=10)
"""A rebuild that failed for good is not begun again by itself before this."""

_log = log.get(__name__)

_COUNT = Hot(text("SELECT count(*), coalesce(max(seq), 0) FROM item"))
_SCOPES_AFTER = Hot(text("SELECT seq, scope_seq, status FROM item WHERE seq > :after ORDER BY seq LIMIT :number"))
_TEXTS_AFTER = Hot(
    text(
        "SELECT seq, scope_seq, status, speaker, occurred_at, text, words, meta_words FROM item "
        "WHERE seq > :after ORDER BY seq LIMIT :number"
    )
)
_CLEAR_WORDS = Hot(text("DELETE FROM lexical_index WHERE rowid > :after AND rowid <= :last"))
_EMPTY_WORDS = Hot(text("INSERT INTO lexical_index (lexical_index) VALUES ('delete-all')"))
_SET_LENGTH = Hot(text("UPDATE item SET words = :words, meta_words = :meta_words WHERE seq = :seq"))
_IN_LINE = Hot(
    text(
        "SELECT id, payload FROM job WHERE label = 'reindex' AND "
        "(state IN ('waiting', 'running') OR (state = 'dead' AND updated_at > :since)) ORDER BY seq"
    )
)
_WAITING = Hot(text("SELECT id, payload FROM job WHERE label = 'reindex' AND state = 'waiting' ORDER BY seq"))

_END = 2**62


# -- asking for it -----------------------------------------------------------------------------------------------------


def ask_reindex(tx: Tx, viewer: Viewer, request: ReindexRequest) -> JobView:
    """Put the rebuild of indexes into line; one that waits for the same is the same."""
    wanted = _names(request.indexes)
    for job_id, payload in tx.execute(_WAITING).fetchall():
        found = msgspec.json.decode(payload or "{}")
        if found.get("indexes") == wanted and found.get("workspace") == viewer.workspace_id:
            return jobs.get_job(tx, viewer, job_id)
    payload = {"indexes": wanted, "workspace": viewer.workspace_id}
    return jobs.get_job(tx, viewer, jobs.enqueue(tx, JobLabel.REINDEX, payload=payload))


def ensure_reindex(tx: Tx, index: Index) -> bool:
    """Put the rebuild of an index into line, unless it is in there, or was given up a short while ago."""
    since = to_micros(tx.now - TRY_AGAIN)
    for _, payload in tx.execute(_IN_LINE, since=since).fetchall():
        if index.value in msgspec.json.decode(payload or "{}").get("indexes", _names(())):
            return False
    jobs.enqueue(tx, JobLabel.REINDEX, payload={"indexes": [index.value], "workspace": DEFAULT_WORKSPACE})
    return True


async def watch_indexes(
    db: Database, vectors: VectorIndex, graph: Graph, stopping: Stopping, *, pause_s: float = WATCH_S
) -> None:
    """Have made anew what says that it has to be, until told to stop. One that is away is waited for."""
    checked = False
    while not stopping.is_set():
        try:
            if not checked:
                await check_sample(db, vectors)
                checked = True
            await watch_once(db, vectors, graph)
        except IndexUnavailable as error:
            _log.warning("reindex.index_away", detail=error.detail)
        except Exception:  # noqa: BLE001 - the loop outlives a full disk
            _log.exception("reindex.watch_failed")
        await stopping.first(stopping.wait(), timeout_s=pause_s)


async def watch_once(db: Database, vectors: VectorIndex, graph: Graph) -> None:
    """Look at the indexes once."""
    if not vectors.state().ready and await _answers(vectors.count) and not vectors.state().ready:
        await db.write(SERVICE, ensure_reindex, Index.VECTOR)
    if not (await graph.state()).ready and await _answers(graph.count):
        await db.write(SERVICE, ensure_reindex, Index.GRAPH)


async def check_sample(db: Database, vectors: VectorIndex) -> None:
    """Look for some vectors in the index, so that one with damaged contents does not pass for whole."""
    row = await db.read(SERVICE, stored.find_active)
    if row is not None and vectors.state().ready:
        await vectors.holds(_points(await db.read(SERVICE, _sample, row.seq)))


async def _answers(ask: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ask()
    except MemroosError:
        return False
    return True


def _names(indexes: Sequence[Index]) -> list[str]:
    return [index.value for index in Index if index in indexes or not indexes]


def _sample(tx: Read, embedder_seq: int) -> list[StoredVector]:
    _, last = tx.execute(_COUNT).fetchone()
    step = max(1, last // SAMPLE)
    found = [stored.after(tx, embedder_seq, at, limit=1)[0] for at in range(0, last, step)]
    return [vector for some in found for vector in some]


# -- doing it ----------------------------------------------------------------------------------------------------------


class _Progress:
    """How far a job is, over several indexes."""

    def __init__(self, db: Database, job: Taken, total: int) -> None:
        self._db = db
        self._job = job
        self._total = total
        self._done = 0

    async def add(self, number: int) -> None:
        """Write down that so many more are done.

        Raises:
            LeaseLost: somebody else does this job by now.
        """
        self._done = min(self._total, self._done + number)
        await self._db.write(SERVICE, jobs.progress, self._job, self._done, total=self._total)


def reindexing(db: Database, vectors: VectorIndex, graph: Graph, postings: lexical.Postings | None = None) -> Handle:
    """Return what makes the indexes anew that a job names."""

    async def reindex(job: Taken) -> None:
        wanted = [Index(name) for name in job.payload.get("indexes", _names(()))]
        number, _ = await db.read(SERVICE, _size)
        progress = _Progress(db, job, number * len(wanted))
        await progress.add(0)
        if Index.LEXICAL in wanted:
            await _reindex_words(db, progress)
            if postings is not None:
                postings.forget()
        if Index.VECTOR in wanted:
            await _reindex_vectors(db, vectors, progress)
        if Index.GRAPH in wanted:
            await _reindex_graph(db, graph, progress)

    return reindex


def _size(tx: Read) -> tuple[int, int]:
    number, last = tx.execute(_COUNT).fetchone()
    return number, last


async def _reindex_words(db: Database, progress: _Progress) -> None:
    """Write the words of all items anew, a few at a time: each step leaves an index that answers.

    An index in which not even that is possible is emptied first.
    """
    after: int | None = 0
    emptied = False
    while after is not None:
        try:
            after, number = await db.write(SERVICE, _write_words, after)
        except StorageFailed:
            if emptied:
                raise
            await db.write(SERVICE, _empty_words)
            emptied, after = True, 0
        else:
            await progress.add(number)


def _write_words(tx: Tx, after: int) -> tuple[int | None, int]:
    """Write the words of the next items; return the last of them, None at the end, and how many they were."""
    rows = tx.execute(_TEXTS_AFTER, after=after, number=ITEMS_AT_ONCE).fetchall()
    taken, characters = 0, 0
    while taken < len(rows) and (taken == 0 or characters + len(rows[taken][5]) <= CHARACTERS_AT_ONCE):
        characters += len(rows[taken][5])
        taken += 1
    last = rows[taken - 1][0] if taken else None
    tx.execute(_CLEAR_WORDS, after=after, last=_END if last is None else last)  # also of what is no item
    for seq, scope_seq, status, speaker, occurred_at, words, length, meta_length in rows[:taken]:
        if status == "deleted":
            continue
        meta = lexical.meta_of(speaker, from_micros(occurred_at))
        found = lexical.add(tx, scope_seq, seq, words, meta)
        if found != (length, meta_length):
            tx.execute(_SET_LENGTH, seq=seq, words=found.words, meta_words=found.meta_words)
    return last, taken


def _empty_words(tx: Tx) -> None:
    tx.execute(_EMPTY_WORDS)


async def _reindex_vectors(db: Database, index: VectorIndex, progress: _Progress) -> None:
    row = await db.read(SERVICE, stored.find_active)
    if row is None:
        return
    await index.begin(row.identity, row.dimension)
    await fill_from_truth(db, index, row.seq, progress.add)
    await index.switch()


async def fill_from_truth(
    db: Database, index: VectorIndex, embedder_seq: int, told: Callable[[int], Awaitable[None]]
) -> None:
    """Put all vectors of an embedder into the index that was begun.

    Args:
        told: hears how many more are in it.
    """
    after = 0
    while True:
        some, made = await db.read(SERVICE, stored.after, embedder_seq, after, limit=VECTORS_AT_ONCE)
        if not some:
            return
        await fill_some(db, index, embedder_seq, some, made)
        after = some[-1].item_seq
        await told(len(some))


async def fill_some(
    db: Database, index: VectorIndex, embedder_seq: int, some: Sequence[StoredVector], made: Mapping[int, str]
) -> None:
    """Put vectors into the index that was begun, and see that they still are what the truth says.

    What was changed or deleted between reading and filling was put in, or taken out, before its old vector came.
    """
    await index.fill(_points(some))
    while some:
        present = await db.read(SERVICE, stored.digests, embedder_seq, made)
        await index.fill((), [seq for seq in made if seq not in present])
        changed = [seq for seq, digest in present.items() if digest != made[seq]]
        vectors = await db.read(SERVICE, stored.get, embedder_seq, changed) if changed else {}
        some = [one._replace(vector=vectors[one.item_seq]) for one in some if one.item_seq in vectors]
        made = {seq: present[seq] for seq in changed}
        await index.fill(_points(some))


async def _reindex_graph(db: Database, graph: Graph, progress: _Progress) -> None:
    await graph.reset()
    after: int | None = 0
    while after is not None:
        rows = await db.read(SERVICE, _scopes_after, after)
        for scope_seq in dict.fromkeys(scope for _, scope, _ in rows):
            await _put(db, graph, scope_seq, [seq for seq, scope, status in rows if scope == scope_seq])
        after = rows[-1][0] if rows else None
        await progress.add(len(rows))
    await graph.complete()


async def _put(db: Database, graph: Graph, scope_seq: int, seqs: Sequence[int]) -> None:
    """Put items of a scope into the graph, and see that they still are what was put."""
    there = await db.read(SERVICE, items.views, seqs)
    while there:
        await graph.put(scope_seq, await asyncio.to_thread(entries_of, there))
        present: Mapping[int, ItemView] = await db.read(SERVICE, items.views, list(there))
        gone = [seq for seq in there if seq not in present]
        if gone:
            await graph.remove(scope_seq, gone)
        there = {seq: item for seq, item in present.items() if item.version != there[seq].version}


def _scopes_after(tx: Read, after: int) -> list[tuple[int, int, str]]:
    return [tuple(row) for row in tx.execute(_SCOPES_AFTER, after=after, number=VECTORS_AT_ONCE).fetchall()]


def _points(some: Sequence[StoredVector]) -> list[Point]:
    return [Point(*one) for one in some]

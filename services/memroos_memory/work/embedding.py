"""Vectors for items: made, kept with the truth, and put into the index. All of it may be repeated."""

from collections.abc import Sequence
from typing import NamedTuple

from memroos_contracts.memory_work import JobLabel
from memroos_kit.db import Database, Read, Tx
from memroos_memory import items, jobs
from memroos_memory.actor import SERVICE
from memroos_memory.embedders import CurrentEmbedder, UnreachableEmbedder, Vectors, text_of
from memroos_memory.jobs import Taken
from memroos_memory.vectors import Point, VectorIndex, ensure_embedder, stored
from memroos_memory.work.worker import HandleAll

TEXTS_AT_ONCE = 64
"""Texts that are embedded before their vectors are kept: what a crash makes us do again."""


class _Wanted(NamedTuple):
    item_seq: int
    digest: str
    text: str


def embedding(db: Database, embedder: CurrentEmbedder) -> HandleAll:
    """Return what makes vectors for the items of jobs: the texts of all jobs in one go, each text once."""

    async def embed(taken: Sequence[Taken]) -> None:
        now = embedder.now()
        if isinstance(now, UnreachableEmbedder):  # its successor's vectors are being made, for all items
            for job in taken:
                await db.write(SERVICE, jobs.finish, job)
            return
        row = await db.read(SERVICE, stored.find_embedder, now.identity)
        if row is None:
            row = await db.write(SERVICE, ensure_embedder, now.identity, now.dimension)
        wanted = await db.read(SERVICE, _wanted, row.seq, _items(taken))
        for start in range(0, len(wanted), TEXTS_AT_ONCE):
            some = wanted[start : start + TEXTS_AT_ONCE]
            made = await now.embed([one.text for one in some])
            await db.write(SERVICE, _keep, row.seq, some, made)
        await db.write(SERVICE, _finish, taken)

    return embed


def _wanted(tx: Read, embedder_seq: int, seqs: Sequence[int]) -> list[_Wanted]:
    """Return what has no vector of its present text."""
    made = stored.digests(tx, embedder_seq, seqs)
    return [
        _Wanted(seq, item.digest, text_of(item.speaker, item.text))
        for seq, item in sorted(items.views(tx, seqs).items())
        if item.text and made.get(seq) != item.digest
    ]


def _keep(tx: Tx, embedder_seq: int, some: Sequence[_Wanted], made: Vectors) -> None:
    rows = [(one.item_seq, one.digest, vector) for one, vector in zip(some, made, strict=True)]
    stored.put(tx, embedder_seq, rows)


def _finish(tx: Tx, taken: Sequence[Taken]) -> None:
    """End the jobs, and have their vectors put into the index; both or neither."""
    indexed: dict[int, list[int]] = {}
    for job in taken:
        if jobs.finish(tx, job):
            indexed.setdefault(job.scope_seq, []).extend(job.items)
    for scope_seq, seqs in indexed.items():
        jobs.enqueue_items(tx, JobLabel.VECTOR, scope_seq, list(dict.fromkeys(seqs)))


def indexing(db: Database, index: VectorIndex) -> HandleAll:
    """Return what makes the vector index follow: vectors of what is there go in, what was deleted is taken out."""

    async def follow(taken: Sequence[Taken]) -> None:
        identity = index.identity
        points, gone = await db.read(SERVICE, _points, identity, taken)
        if points:
            await index.upsert(points, identity=identity)
        if gone:
            await index.remove(gone)

    return follow


def _points(tx: Read, identity: str, taken: Sequence[Taken]) -> tuple[list[Point], list[int]]:
    scopes = {seq: job.scope_seq for job in taken for seq in job.items}
    there = items.views(tx, scopes)
    row = stored.find_embedder(tx, identity)
    vectors = stored.get(tx, row.seq, there) if row is not None else {}
    points = [Point(seq, scopes[seq], vector) for seq, vector in vectors.items()]
    return points, [seq for seq in scopes if seq not in there]


def _items(taken: Sequence[Taken]) -> list[int]:
    return list(dict.fromkeys(seq for job in taken for seq in job.items))

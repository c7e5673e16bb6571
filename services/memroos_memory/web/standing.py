"""How the service stands, as far as it is a viewer's business."""

import asyncio
from pathlib import Path

import msgspec
from sqlalchemy import bindparam, func, select

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory import Arm
from memroos_contracts.memory_items import Viewer
from memroos_contracts.memory_work import (
    EmbedderView,
    Index,
    IndexState,
    MemoryStats,
    WaitReport,
    WaitRequest,
)
from memroos_kit.db import Database, Hot, Read
from memroos_kit.stopping import Stopping
from memroos_memory import items, jobs, work
from memroos_memory.actor import SERVICE
from memroos_memory.graph import Graph
from memroos_memory.jobs import Bell
from memroos_memory.models import Item, ItemVector
from memroos_memory.vectors import VectorIndex, stored

_BLOCK = 512
"""Bytes of a block as the file system counts them; a file may have holes."""

NOT_WHOLE = "It is not whole."
"""What somebody hears of an index who does not run the system: its own words count everybody's items."""

_ALWAYS = (Arm.LEXICAL, Arm.TEMPORAL, Arm.RECENCY)
_ARMS = {Index.VECTOR: Arm.VECTOR, Index.GRAPH: Arm.GRAPH}

_VECTORS = Hot(
    select(func.count())
    .select_from(Item)
    .join(ItemVector, ItemVector.item_seq == Item.seq)
    .where(Item.scope_seq == bindparam("scope"), ItemVector.embedder_seq == bindparam("embedder"))
)


class Standing:
    """Tells how the service stands.

    Args:
        folder: where its files are.
        model: what extracts facts; empty where rules do.
    """

    def __init__(  # noqa: PLR0913 - what it tells of
        self,
        db: Database,
        bell: Bell,
        vectors: VectorIndex,
        graph: Graph,
        stopping: Stopping,
        *,
        folder: Path,
        model: str,
    ) -> None:
        self._db = db
        self._bell = bell
        self._vectors = vectors
        self._graph = graph
        self._stopping = stopping
        self._folder = folder
        self._model = model

    async def stats(self, viewer: Viewer) -> MemoryStats:
        """Return how it stands; nothing in it says how much others have."""
        counted = await self._db.read(SERVICE, items.stats, viewer)
        embedders = await self._db.read(SERVICE, _embedders, viewer)
        states = await self.indexes()
        own = next((view.vectors for view in embedders if view.state == "active"), 0)
        indexes = [
            msgspec.structs.replace(
                state,
                items=own if state.index is Index.VECTOR else counted.items,
                detail=state.detail if _runs_the_system(viewer) or not state.detail else NOT_WHOLE,
            )
            for state in states
        ]
        database, index = await asyncio.to_thread(self._sizes) if _runs_the_system(viewer) else (0, 0)
        return msgspec.structs.replace(
            counted,
            ready=True,
            jobs=await self._db.read(SERVICE, jobs.counts_of, viewer),
            indexes=indexes,
            embedders=embedders,
            arms=(*_ALWAYS, *(_ARMS[state.index] for state in states if state.ready and state.index in _ARMS)),
            model=self._model,
            database_bytes=database,
            index_bytes=index,
            detail="; ".join(f"{state.index}: {state.detail or 'not ready'}" for state in indexes if not state.ready),
        )

    async def indexes(self) -> list[IndexState]:
        """Return how each index stands; the lexical one is part of the database."""
        return [IndexState(Index.LEXICAL, ready=True, items=0), self._vectors.state(), await self._graph.state()]

    async def wait(self, viewer: Viewer, request: WaitRequest) -> WaitReport:
        """Wait until nothing is in line that the viewer may see, or the time is over.

        Raises:
            NotFound: a scope is named that the viewer may not see.
        """
        return await work.wait_idle(self._db, self._bell, viewer, request, stopping=self._stopping)

    def _sizes(self) -> tuple[int, int]:
        """Return the bytes of the database, and of everything else in the folder."""
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        sizes = {path: path.stat().st_blocks * _BLOCK for path in files if path.exists()}
        database = sum(size for path, size in sizes.items() if path.parent == self._folder)
        return database, sum(sizes.values()) - database


def _runs_the_system(viewer: Viewer) -> bool:
    """Whether how large everybody's memory is together is the viewer's business."""
    return viewer.workspace_id == DEFAULT_WORKSPACE and not viewer.reader


def _embedders(tx: Read, viewer: Viewer) -> list[EmbedderView]:
    """Return the embedders, each with how many of the viewer's items have its vectors."""
    scopes = items.visible_scopes(tx, viewer.workspace_id, viewer.reader)
    seqs = {row.identity: row.seq for row in stored.embedders(tx)}
    return [
        msgspec.structs.replace(
            view,
            vectors=sum(
                tx.execute(_VECTORS, scope=scope, embedder=seqs[view.identity]).fetchone()[0] for scope in scopes
            ),
        )
        for view in stored.views(tx)
    ]

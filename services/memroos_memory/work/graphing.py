"""Entities and relations into the graph. It may be repeated: the graph replaces what an item said before."""

import asyncio
from collections.abc import Mapping, Sequence

from memroos_contracts.memory_items import ItemView
from memroos_kit.db import Database
from memroos_memory import derive, items
from memroos_memory.actor import SERVICE
from memroos_memory.graph import Graph, GraphEntry
from memroos_memory.jobs import Taken
from memroos_memory.work.worker import HandleAll


def graphing(db: Database, graph: Graph) -> HandleAll:
    """Return what makes the graph follow: what is there is put in, what was deleted is taken out."""

    async def follow(taken: Sequence[Taken]) -> None:
        scopes: dict[int, dict[int, None]] = {}
        for job in taken:
            scopes.setdefault(job.scope_seq, {}).update(dict.fromkeys(job.items))
        for scope_seq, seqs in scopes.items():
            there = await db.read(SERVICE, items.views, list(seqs))
            gone = [seq for seq in seqs if seq not in there]
            if there:
                await graph.put(scope_seq, await asyncio.to_thread(entries_of, there))
            if gone:
                await graph.remove(scope_seq, gone)

    return follow


def entries_of(there: Mapping[int, ItemView]) -> list[GraphEntry]:
    """Return what items say about entities. It takes time: not for the event loop."""
    return [
        GraphEntry(
            item_seq=seq,
            item_id=item.id,
            entities=tuple(derive.entities(item.text or "")),
            triple=item.triple,
            valid_from=item.valid_from,
            valid_to=item.valid_to,
        )
        for seq, item in there.items()
    ]

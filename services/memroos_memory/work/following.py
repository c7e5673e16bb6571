"""What follows from a change of items, put into line in the same transaction."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from memroos_contracts.memory_items import Change, ItemChange, ItemKind, ItemStatus, ItemView, Viewer
from memroos_contracts.memory_work import JobLabel
from memroos_kit.db import Tx
from memroos_memory import items, jobs
from memroos_memory.work.gate import noise

P = ParamSpec("P")
T = TypeVar("T")

_OTHER_WORDS = frozenset((Change.ADD, Change.UPDATE, Change.ROLLBACK))


def carry_out(tx: Tx, verb: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something to items, and put the work that follows from it into line; both are kept, or neither.

    Every verb that changes items goes through this, or its vectors and its place in the graph stay as they were.
    """
    result = verb(tx, *args, **kwargs)
    follow(tx)
    return result


def follow(tx: Tx) -> None:
    """Put into line what follows from the items this unit of work has touched; once, at its end."""
    embed: dict[int, dict[int, None]] = {}
    vector: dict[int, dict[int, None]] = {}
    graph: dict[int, dict[int, None]] = {}
    for touched in tx.journal(items.JOURNAL):
        if touched.status is ItemStatus.DELETED:
            vector.setdefault(touched.scope_seq, {})[touched.item_seq] = None
        elif touched.change in _OTHER_WORDS:
            embed.setdefault(touched.scope_seq, {})[touched.item_seq] = None
        if touched.change is not Change.SEEN:
            graph.setdefault(touched.scope_seq, {})[touched.item_seq] = None
    for label, found in ((JobLabel.EMBED, embed), (JobLabel.VECTOR, vector), (JobLabel.GRAPH, graph)):
        for scope_seq, seqs in found.items():
            jobs.enqueue_items(tx, label, scope_seq, list(seqs))


def correct(
    tx: Tx, viewer: Viewer, item_id: str, change: ItemChange, *, operation: str = "", learn: JobLabel = JobLabel.DERIVE
) -> ItemView:
    """Write another version of an item; of an event whose words are others now, it is learned anew what they say.

    Args:
        learn: how facts are found: `derive` by rules, `extract` by a model.
    """
    before = items.get(tx, viewer, item_id)
    after = carry_out(tx, items.update, viewer, item_id, change, operation)
    if after.kind is ItemKind.EVENT and after.digest != before.digest and not (after.echo or noise(after.text or "")):
        seq = items.seq_of(tx, after.id)
        itself = next(touched for touched in tx.journal(items.JOURNAL) if touched.item_seq == seq)
        jobs.enqueue_items(tx, learn, itself.scope_seq, [itself.item_seq])
    return after

"""Events that only the kernel has yet: searched by their words, so that whoever wrote something finds it at once."""

import msgspec

from memroos.memory.queries import events, handover
from memroos.memory.queries.events import Measure
from memroos.memory.rules import readers
from memroos_contracts.memory import RecallItem, RecallQuery
from memroos_kit.db import Read


class Pending(msgspec.Struct, frozen=True):
    """What the memory service does not know yet, as far as it bears on a question."""

    count: int
    """Of those the reader may see; those that were refused are among them."""
    hits: list[RecallItem] = []
    measure: Measure | None = None
    """None where nothing is pending."""


def find_pending(tx: Read, query: RecallQuery) -> Pending:
    """Find what answers a question among the events that have not been taken over."""
    place, last = handover.get_place(tx), handover.get_last(tx)
    aside = frozenset(handover.list_aside(tx, query.workspace_id))
    if place.event_seq >= last.event_seq and not aside:
        return Pending(0)
    count = handover.count_pending(tx, place, query.workspace_id, query.reader)
    if not count:
        return Pending(0)
    measure = events.measure_of(tx, query)
    after = min([place.event_seq, *(seq - 1 for seq in aside)])
    hits = events.list_best(tx, query, measure, after=after, among=lambda seq: seq > place.event_seq or seq in aside)
    return Pending(count, hits, measure)


class BacklogCounts(msgspec.Struct, frozen=True):
    """How much the memory service has not taken over."""

    pending: int
    refused: int
    removals: int


def count_backlog(tx: Read) -> BacklogCounts:
    """Return how much of the actor's workspace waits, the refused events included."""
    workspace = tx.actor.workspace
    return BacklogCounts(
        pending=count_pending(tx),
        refused=len(handover.list_aside(tx, workspace)),
        removals=handover.count_removals(tx, handover.get_place(tx), workspace),
    )


def count_pending(tx: Read) -> int:
    """Return how many events the memory service has not taken over: the actor's own, or the workspace's."""
    return handover.count_pending(tx, handover.get_place(tx), tx.actor.workspace, readers.reader_of(tx.actor))

"""Reads for the hand-over to the memory service: what is next, and how much waits."""

from typing import NamedTuple

import msgspec
from sqlalchemy import and_, bindparam, func, literal_column, select

from memroos.memory.models import MemoryAside, MemoryEvent, MemoryHandover, MemoryHidden, MemoryRemoval
from memroos.memory.queries.events import Row, counts_for, is_there, rows, view, whose
from memroos.memory.rules import readers
from memroos_contracts import labels
from memroos_contracts.memory import IngestEvent, MemoryEventView
from memroos_kit.db import Hot, Read

PENDING_COUNTED_MAX = 10_000
"""Beyond this the backlog is not counted any further: the answer would cost more than it says."""

EVENTS_READ = 50
"""Rows fetched at once, so that a batch of long texts is not read whole before its size is known."""

_E, _R = MemoryEvent, MemoryRemoval
_PLACE = Hot(select(MemoryHandover.event_seq, MemoryHandover.removal_seq).where(MemoryHandover.id == 1))
_LAST_EVENT = Hot(select(func.coalesce(func.max(_E.seq), 0)))
_LAST_REMOVAL = Hot(select(func.coalesce(func.max(_R.seq), 0)))
_PENDING = Hot(
    select(func.count()).select_from(
        select(literal_column("1"))
        .where(_E.seq > bindparam("after"), _E.workspace_id == bindparam("workspace"), counts_for)
        .limit(bindparam("most"))
        .subquery()
    )
)
_aside = and_(_E.seq == MemoryAside.event_seq, MemoryAside.workspace_id == bindparam("workspace"), is_there)
_ASIDE = Hot(select(_E.seq).where(_aside).limit(1_000))
_ASIDE_PENDING = Hot(select(func.count()).where(_aside, counts_for))
_ASIDE_EVENTS = Hot(rows.where(_aside, _E.seq > bindparam("after")).order_by(_E.seq).limit(bindparam("most")))
_PENDING_REMOVALS = Hot(
    select(func.count()).where(_R.seq > bindparam("after"), _R.workspace_id == bindparam("workspace"))
)
_EVENTS = Hot(
    rows.where(_E.seq > bindparam("after"), _E.seq <= bindparam("until")).order_by(_E.seq).limit(bindparam("most"))
)
_REMOVALS = Hot(
    select(_R.seq, _R.id, _R.workspace_id, _R.target_id, _R.after_seq, _R.reader, _R.actor, _R.reason)
    .where(_R.seq > bindparam("after"))
    .order_by(_R.seq)
    .limit(bindparam("most"))
)
_HIDDEN = Hot(select(MemoryHidden.removal_seq).where(MemoryHidden.target_id == bindparam("target")))
_LAST_REMOVAL_BEFORE = Hot(select(func.coalesce(func.max(_R.seq), 0)).where(_R.after_seq < bindparam("position")))


class Place(NamedTuple):
    """How far the log has been handed over: the last event, and the last removal."""

    event_seq: int
    removal_seq: int


class RemovalRow(NamedTuple):
    """A removal that waits to be handed over."""

    seq: int
    id: str
    workspace_id: str
    target_id: str
    after_seq: int
    reader: str
    actor: str
    reason: str


class Batch(msgspec.Struct, frozen=True):
    """What is handed over next, and where that leads."""

    start: Place
    place: Place
    """The place once the service has taken it."""
    events: list[IngestEvent] = []
    removals: list[RemovalRow] = []


def get_place(tx: Read) -> Place:
    """Return how far the log has been handed over."""
    return Place(*tx.execute(_PLACE).fetchone())


def get_last(tx: Read) -> Place:
    """Return where the log ends."""
    return Place(tx.execute(_LAST_EVENT).fetchone()[0], tx.execute(_LAST_REMOVAL).fetchone()[0])


def count_pending(tx: Read, place: Place, workspace: str, reader: str = readers.EVERYTHING) -> int:
    """Return how many events wait, the refused ones included: a reader's, or the workspace's.

    Of those that were not refused, at most `PENDING_COUNTED_MAX` are counted.
    """
    mine = whose(reader)
    waiting = tx.execute(
        _PENDING, workspace=workspace, after=place.event_seq, most=PENDING_COUNTED_MAX, **mine
    ).fetchone()
    aside = tx.execute(_ASIDE_PENDING, workspace=workspace, **mine).fetchone()
    return int(waiting[0]) + int(aside[0])


def count_removals(tx: Read, place: Place, workspace: str) -> int:
    """Return how many of a workspace's removals wait."""
    return int(tx.execute(_PENDING_REMOVALS, after=place.removal_seq, workspace=workspace).fetchone()[0])


def list_aside(tx: Read, workspace: str) -> list[int]:
    """Return the places of the events that the service refused, without those that were removed since."""
    return [seq for (seq,) in tx.execute(_ASIDE, workspace=workspace).fetchall()]


def list_aside_events(tx: Read, workspace: str, *, after: int, most: int) -> list[IngestEvent]:
    """Return events that the service refused, from a place on; without those that were removed since."""
    found = tx.execute(_ASIDE_EVENTS, workspace=workspace, after=after, most=most).fetchall()
    return [_handed(Row._make(row)) for row in found]


def place_before(tx: Read, position: int) -> Place:
    """Return the place from which everything after an event is handed over again."""
    return Place(position, tx.execute(_LAST_REMOVAL_BEFORE, position=position).fetchone()[0])


def is_hidden(tx: Read, target_id: str) -> bool:
    """Answer whether an event or item was removed."""
    return tx.execute(_HIDDEN, target=target_id).fetchone() is not None


def next_batch(tx: Read, *, most: int, most_bytes: int) -> Batch:
    """Return what comes next in the one order of events and removals; empty at its end.

    A removal comes after the events that were there when it was asked for. What is removed by then is not handed over
    any more, and a removal that was taken back is passed over.
    """
    place = get_place(tx)
    removals = [RemovalRow._make(row) for row in tx.execute(_REMOVALS, after=place.removal_seq, most=most).fetchall()]
    due = [removal for removal in removals if removal.after_seq <= place.event_seq]
    if due:
        return Batch(
            place,
            Place(place.event_seq, due[-1].seq),
            removals=[removal for removal in due if _holds(tx, removal)],
        )
    until = removals[0].after_seq if removals else 2**62
    events: list[IngestEvent] = []
    event_seq, size = place.event_seq, 0
    while len(events) < most and size < most_bytes:
        found = tx.execute(_EVENTS, after=event_seq, until=until, most=EVENTS_READ).fetchall()
        for row in map(Row._make, found):
            if events and (size >= most_bytes or len(events) >= most):
                break
            event_seq = row.seq
            if not is_hidden(tx, row.id):
                events.append(_handed(row))
                size += len(row.text) + len(row.data or "") + len(row.source or "")
        if len(found) < EVENTS_READ:
            break
    return Batch(place, Place(event_seq, place.removal_seq), events=events)


def _holds(tx: Read, removal: RemovalRow) -> bool:
    found = tx.execute(_HIDDEN, target=removal.target_id).fetchone()
    return found is not None and found[0] == removal.seq


def _handed(row: Row) -> IngestEvent:
    event: MemoryEventView = view(row)
    names = tuple(reader for reader in readers.readers_of(event) if reader != readers.EVERYTHING)
    return IngestEvent(event, names, labels.is_private(event.label), row.seq)

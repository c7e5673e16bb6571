"""Verbs of the hand-over: the cursor moves after the memory service has answered, and never before."""

from sqlalchemy import bindparam, insert, text, update

from memroos.memory import bell
from memroos.memory.models import MemoryAside, MemoryHandover
from memroos.memory.queries import handover
from memroos.memory.queries.handover import Place
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

_MOVE = Hot(
    update(MemoryHandover)
    .where(MemoryHandover.id == 1)
    .values(event_seq=bindparam("event"), removal_seq=bindparam("removal"), moved_at=bindparam("at"))
)
_ASIDE = Hot(insert(MemoryAside).prefix_with("OR REPLACE"))
_TAKEN = Hot(text("DELETE FROM memory_aside WHERE event_seq > :after AND event_seq <= :until"))
_TAKE_BACK = Hot(text("DELETE FROM memory_aside WHERE event_seq = :seq"))


def move(tx: Tx, place: Place) -> None:
    """Note that everything up to a place was taken over, also what had been refused before; may be repeated."""
    tx.execute(_TAKEN, after=handover.get_place(tx).event_seq, until=place.event_seq)
    tx.execute(_MOVE, event=place.event_seq, removal=place.removal_seq, at=to_micros(tx.now))


def put_aside(tx: Tx, seq: int, workspace: str, error: str, place: Place) -> None:
    """Note that an event was refused, and go on after it."""
    move(tx, place)
    tx.execute(_ASIDE, event_seq=seq, workspace_id=workspace, error=error[:2_000], at=to_micros(tx.now))


def take_back(tx: Tx, seq: int) -> None:
    """Note that an event that had been refused was taken over after all."""
    tx.execute(_TAKE_BACK, seq=seq)


def go_back(tx: Tx, position: int) -> Place:
    """Hand over again whatever came after a position: the service knows less than it did."""
    place = handover.place_before(tx, position)
    move(tx, place)
    bell.ring(tx)
    return place

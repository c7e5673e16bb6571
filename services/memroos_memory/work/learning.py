"""Facts out of what was said, by rules or by a model.

What is learned and how far the job is are written in one transaction, so a job that is done again goes on where it
was: nothing is learned twice from the same event.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from sqlalchemy import text

from memroos_contracts.memory_items import ItemStatus, ItemView
from memroos_kit.db import Database, Hot, Read, Tx
from memroos_memory import derive, items, jobs
from memroos_memory.actor import SERVICE
from memroos_memory.derive import Turn
from memroos_memory.items import Learned
from memroos_memory.jobs import Taken
from memroos_memory.work.following import carry_out
from memroos_memory.work.worker import Handle

EVENTS_AT_ONCE = 8
"""Events whose facts are written in one transaction."""

TURNS_AT_ONCE = 16
"""Turns a model is asked about at once."""

EVENTS_BEFORE = 50
"""Events before those of a job; what was learned from them the model is told."""

_BEFORE = Hot(text("SELECT seq FROM item WHERE scope_seq = :scope AND seq < :seq ORDER BY seq DESC LIMIT :most"))

Lesson = tuple[int, ItemView, list[Learned]]
"""An event's number, the event as it was read, and what follows from it."""


class Learn(Protocol):
    """What a text teaches, by rules."""

    def __call__(self, text: str, *, speaker: str, author: str, occurred_at: datetime) -> list[Learned]:
        """Return it, without its sources."""
        ...


class Asked(Protocol):
    """What turns teach, by a model."""

    async def extract(self, turns: Sequence[Turn], *, existing: Sequence[str] = ()) -> list[Learned]:
        """Return it, each with the turns it comes from; raise `ModelFailed` where there is no usable answer."""
        ...


def deriving(db: Database, learn: Learn = derive.learn) -> Handle:
    """Return what learns by rules from the events of a job."""

    async def derive_facts(job: Taken) -> None:
        for start in range(job.done, len(job.items), EVENTS_AT_ONCE):
            seqs = job.items[start : start + EVENTS_AT_ONCE]
            events = await db.read(SERVICE, _events, seqs)
            lessons = await asyncio.to_thread(_by_rules, learn, events)
            await db.write(SERVICE, carry_out, _learn, job, start + len(seqs), lessons)

    return derive_facts


def extracting(db: Database, extractor: Asked) -> Handle:
    """Return what learns by a model from the events of a job; it raises where the model gives no usable answer."""

    async def extract_facts(job: Taken) -> None:
        for start in range(job.done, len(job.items), TURNS_AT_ONCE):
            seqs = job.items[start : start + TURNS_AT_ONCE]
            events = await db.read(SERVICE, _events, seqs)
            existing = await db.read(SERVICE, _known, job)
            lessons = await _by_model(extractor, events, existing) if events else []
            await db.write(SERVICE, carry_out, _learn, job, start + len(seqs), lessons)

    return extract_facts


def _events(tx: Read, seqs: Sequence[int]) -> list[tuple[int, ItemView]]:
    """Return events that are there still, in the order in which they were taken over."""
    return sorted(items.views(tx, seqs).items())


def _known(tx: Read, job: Taken) -> list[str]:
    """Return what was learned from these events and from those before them: the model need not find it again."""
    before = tx.execute(_BEFORE, scope=job.scope_seq, seq=min(job.items), most=EVENTS_BEFORE).fetchall()
    events = [*(row[0] for row in before), *job.items]
    learned = {item for found in items.learned_from(tx, events).values() for item in found}
    there = items.views(tx, sorted(learned)).values()
    return [item.text for item in there if item.text and item.status is ItemStatus.ACTIVE]


def _by_rules(learn: Learn, events: Sequence[tuple[int, ItemView]]) -> list[Lesson]:
    return [(seq, event, _learned_from(learn, event)) for seq, event in events]


def _learned_from(learn: Learn, event: ItemView) -> list[Learned]:
    said = learn(
        event.text or "",
        speaker=event.speaker,
        author=event.author,
        occurred_at=event.occurred_at or event.recorded_at,
    )
    return [msgspec.structs.replace(one, sources=(event.id,)) for one in said]


async def _by_model(extractor: Asked, events: Sequence[tuple[int, ItemView]], existing: Sequence[str]) -> list[Lesson]:
    turns = [
        Turn(
            id=event.id,
            text=event.text or "",
            speaker=event.speaker or event.author,
            occurred_at=event.occurred_at or event.recorded_at,
        )
        for _, event in events
    ]
    found: dict[str, list[Learned]] = {}
    for learned in await extractor.extract(turns, existing=existing):
        last = max((turn.id for turn in turns if turn.id in learned.sources), default=turns[-1].id)
        found.setdefault(last, []).append(learned)
    return [(seq, event, found.get(event.id, [])) for seq, event in events]


def _learn(tx: Tx, job: Taken, done: int, lessons: Sequence[Lesson]) -> None:
    """Keep what was learned, and how far the job is.

    Raises:
        LeaseLost: somebody else has the job, and learns the same.
    """
    if done < len(job.items):
        jobs.progress(tx, job, done)
    elif not jobs.finish(tx, job):
        raise jobs.LeaseLost(job.id)
    now = items.views(tx, [seq for seq, _, _ in lessons])
    same = {event.id for seq, event, _ in lessons if seq in now and now[seq].digest == event.digest}
    for seq, event, learned in lessons:
        for one in learned:
            # What was removed or corrected while it was read is not to be learned.
            if same.issuperset((event.id, *one.sources)):
                items.add_learned(tx, job.scope_seq, one, from_seq=seq)

"""What was learned from the events that were found: facts beside each, and what holds instead now."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np

from memroos_contracts.memory_items import ItemStatus, ItemView
from memroos_kit.db import Read
from memroos_kit.text.words import words_of
from memroos_memory import items
from memroos_memory.recall.question import Question
from memroos_memory.recall.ranking import Search
from memroos_memory.vectors import stored

FACTS_MAX = 3
"""Facts that are given with one event."""

ALIKE = 0.45
"""Cosine from which a fact is about a question with which it shares no word but a name."""

_CHAIN_MAX = 16


class Fact(NamedTuple):
    """What was learned from an event, and how well it fits the question."""

    seq: int
    item: ItemView
    fit: float


class Replaced(NamedTuple):
    """A fact that holds no more, what holds instead, and the event that says so."""

    by: ItemView
    event_seq: int


def facts_of(tx: Read, search: Search, events: Mapping[int, ItemView]) -> dict[int, list[Fact]]:
    """Return for each event what was learned from it and bears on the question, what fits best first."""
    question, idf, vector = search.question, search.weighed.idf, search.evidence.vector
    found = items.learned_from(tx, list(events))
    seqs = sorted({seq for learned in found.values() for seq in learned})
    if not seqs:
        return {}
    there = views(tx, seqs, search.request.known_at)
    near: dict[int, float] = {}
    if vector is not None and search.embedder_seq is not None:
        kept = stored.kept(tx, search.embedder_seq, seqs)
        if len(kept.item_seqs):
            cosines = np.round(stored.widen(kept.values) @ vector, 5)
            near = dict(zip(kept.item_seqs.tolist(), cosines.tolist(), strict=True))
    answer: dict[int, list[Fact]] = {}
    for event_seq, event in events.items():
        facts = [
            Fact(seq, there[seq], fit)
            for seq in found.get(event_seq, ())
            if seq in there and event.id in there[seq].sources
            if (fit := _fit(there[seq], question, idf, near.get(seq, 0.0))) > 0
        ]
        answer[event_seq] = sorted(facts, key=lambda fact: (-fact.fit, fact.item.id))
    return answer


def _fit(fact: ItemView, question: Question, idf: Mapping[str, float], near: float) -> float:
    """Return how well a fact fits the question: its words and its vector; the name it is about is not enough."""
    name = set(words_of(fact.triple.subject)) if fact.triple else set()
    shared = set(words_of(fact.text or "")) & set(question.words)
    if not shared - name and near < ALIKE:
        return 0.0
    most = sum(idf.get(word, 0.0) for word in question.words)
    return sum(idf.get(word, 0.0) for word in shared) / max(most, 1e-9) + max(near, 0.0)


def replaced(tx: Read, fact: ItemView, *, known_at: datetime | None) -> Replaced | None:
    """Return what holds instead of a fact, None where it holds still or what does is gone."""
    here = fact
    for _ in range(_CHAIN_MAX):
        if here.status is not ItemStatus.SUPERSEDED or not here.superseded_by:
            break
        seq = items.seq_of(tx, here.superseded_by)
        view = views(tx, [seq], known_at).get(seq) if seq is not None else None
        if view is None or view.scope_id != fact.scope_id:
            return None
        here = view
    if here is fact:
        return None
    said = _said_by(tx, here)
    return Replaced(here, said) if said is not None else None


def event_of(tx: Read, fact_id: str, *, known_at: datetime | None) -> int | None:
    """Return the event that says a fact, the newest of several; None where the fact or the event is gone."""
    seq = items.seq_of(tx, fact_id)
    view = views(tx, [seq], known_at).get(seq) if seq is not None else None
    return _said_by(tx, view) if view is not None else None


def views(tx: Read, seqs: Iterable[int], known_at: datetime | None) -> dict[int, ItemView]:
    """Return items as they are or, where a time is named, as they were known then."""
    return items.views_at(tx, seqs, known_at=known_at) if known_at else items.views(tx, seqs)


def _said_by(tx: Read, fact: ItemView) -> int | None:
    """Return the newest event that a fact rests on and that is there."""
    found = (items.seq_of(tx, source) for source in reversed(fact.sources))
    return next((seq for seq in found if seq is not None), None)

"""From a ranking to an answer: items with their facts, neighbours and explanations, in the order that holds."""

from typing import NamedTuple

import numpy as np

from memroos_contracts.memory import Arm, ArmPart, RecallItem
from memroos_contracts.memory_items import ItemKind, ItemStatus, ItemView
from memroos_kit.db import Read
from memroos_kit.text.words import snippet
from memroos_memory.recall import learned
from memroos_memory.recall.learned import Fact
from memroos_memory.recall.narrowing import fits, holds
from memroos_memory.recall.ranking import Ranking, Search, spread

_SPARE = 8
"""Hits beyond the limit that are looked at: ties at its edge, and what is gone meanwhile."""

_SPARE_THEN = 10
"""As many times the limit where only the items as they were then say whether they fit."""


class _Hit(NamedTuple):
    seq: int
    row: int
    score: float
    item: ItemView
    superseded_by: str = ""


class Answer:
    """One answer in the making."""

    def __init__(self, tx: Read, search: Search, ranking: Ranking) -> None:
        self._tx = tx
        self._search = search
        self._request = search.request
        self._question = search.question
        self._ground = search.ground
        self._ranking = ranking
        self._facts: dict[int, list[Fact]] = {}

    def hits(self) -> list[RecallItem]:
        """Return what is handed out, best first."""
        best = self._best()
        events = {hit.seq: hit.item for hit in best if hit.item.kind is ItemKind.EVENT}
        self._facts = self._facts_of(events)
        ordered = self._in_force(best)[: self._request.limit]
        return [self._item(hit) for hit in ordered]

    def _best(self) -> list[_Hit]:
        """Return the best of the ranking as items, equal ones by id."""
        request, ranking = self._request, self._ranking
        wanted = request.limit * _SPARE_THEN if request.known_at else request.limit + _SPARE
        places = spread(ranking, request.diversity, wanted)
        rows = ranking.rows[places]
        seqs = self._ground.seq[rows].tolist()
        views = self._views(seqs)
        found = [
            _Hit(seq, int(row), float(ranking.scores[place]), views[seq])
            for seq, row, place in zip(seqs, rows, places, strict=True)
            if seq in views and (request.known_at is None or fits(request, views[seq]))
        ]
        if not request.diversity:
            found.sort(key=lambda hit: (-hit.score, hit.item.id))
        return found[: request.limit]

    def _views(self, seqs: list[int]) -> dict[int, ItemView]:
        return learned.views(self._tx, seqs, self._request.known_at)

    def _facts_of(self, events: dict[int, ItemView]) -> dict[int, list[Fact]]:
        found = learned.facts_of(self._tx, self._search, events)
        at = self._request.as_of
        if at is None:
            return found
        return {seq: [fact for fact in facts if holds(fact.item, at)] for seq, facts in found.items()}

    def _in_force(self, best: list[_Hit]) -> list[_Hit]:
        """Put what holds before what it replaced, or after it where the question is about what was before."""
        if self._request.as_of is not None:
            return best
        ordered: dict[int, _Hit] = {}
        for hit in best:
            marked, event_seq = self._counterpart(hit)
            first = self._hit_of(event_seq, hit.score, best) if event_seq is not None else None
            if first is not None:
                ordered.setdefault(first.seq, first)
            ordered.setdefault(marked.seq, marked)
        return list(ordered.values())

    def _counterpart(self, hit: _Hit) -> tuple[_Hit, int | None]:
        """Return the hit, marked where it holds no more, and the event that comes right before it, if one does."""
        facts = self._facts.get(hit.seq)
        if not facts:
            return hit, None
        known_at = self._request.known_at
        best = facts[0].item
        if best.status is ItemStatus.SUPERSEDED:
            new = learned.replaced(self._tx, best, known_at=known_at)
            if new is None:
                return hit, None
            return hit._replace(superseded_by=new.by.id), None if self._question.before else new.event_seq
        if best.supersedes and best.triple is None:  # somebody said by hand what holds instead of what was said here
            said = learned.event_of(self._tx, best.supersedes, known_at=known_at)
            if said == hit.seq:
                return hit._replace(superseded_by=best.id), None
        if self._question.before and best.supersedes:
            return hit, learned.event_of(self._tx, best.supersedes, known_at=known_at)
        return hit, None

    def _hit_of(self, event_seq: int, score: float, best: list[_Hit]) -> _Hit | None:
        """Return an event as a hit, where the request leaves it over."""
        for hit in best:
            if hit.seq == event_seq:
                return self._counterpart(hit)[0]
        rows = self._ground.rows_of([event_seq])
        if not len(rows) or not self._search.allowed[rows[0]]:
            return None
        view = self._views([event_seq]).get(event_seq)
        if view is None or (self._request.known_at is not None and not fits(self._request, view)):
            return None
        self._facts |= self._facts_of({event_seq: view})
        return self._counterpart(_Hit(event_seq, int(rows[0]), score, view))[0]

    def _item(self, hit: _Hit) -> RecallItem:
        words = self._search.weighed.words_at(hit.row)
        return RecallItem(
            item=hit.item,
            score=round(hit.score, 5),
            snippet=snippet(hit.item.text or "", frozenset(words)),
            sources=hit.item.sources or (hit.item.id,),
            lexical={word: round(part, 5) for word, part in words.items()},
            facts=[fact.item for fact in self._facts.get(hit.seq, ())[: learned.FACTS_MAX]],
            superseded_by=hit.superseded_by or hit.item.superseded_by,
            neighbours=self._neighbours(hit.row),
            arms=self._explained(hit.row) if self._request.explain else {},
        )

    def _neighbours(self, row: int) -> list[ItemView]:
        if not self._request.window:
            return []
        seqs = [int(self._ground.seq[near]) for near in self._ground.around(row, self._request.window)]
        views = self._views(seqs)
        return [views[seq] for seq in seqs if seq in views]

    def _explained(self, row: int) -> dict[Arm, ArmPart]:
        at = np.flatnonzero(self._ranking.rows == row)
        if not len(at):
            return {}
        place = int(at[0])
        explained: dict[Arm, ArmPart] = {}
        for arm, part in self._ranking.parts.items():
            score = float(part.scores[place])
            explained[arm] = ArmPart(
                rank=part.rank(place),
                score=0.0 if np.isnan(score) else round(score, 5),
                part=round(float(part.parts[place]), 5),
            )
        return explained

"""The ranking of one question: who is a candidate, what each arm says of them, and in what order they come."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memroos_contracts.memory import Arm, RecallRequest
from memroos_kit.clock import to_micros
from memroos_kit.db import Read
from memroos_memory.lexical import Weighed
from memroos_memory.recall import dense, floor, fusing
from memroos_memory.recall.fusing import Part
from memroos_memory.recall.ground import Bools, Floats, Ground, Rows
from memroos_memory.recall.question import Question

PROPOSED = 64
"""How many candidates an arm proposes where not all are scored."""

WITH_NEIGHBOURS = 16
"""Of the best of them the neighbours are candidates, too."""


class Evidence(NamedTuple):
    """What was found out about a question before the database is read.

    Attributes:
        vector: the question's, None where nobody could make it.
        near: items whose vectors an index says are near.
        related: items that the graph leads to, and how strongly.
    """

    vector: Floats | None = None
    near: Sequence[int] = ()
    related: Mapping[int, float] = {}


class Search(NamedTuple):
    """One question, and where it is asked.

    Attributes:
        scopes: what the asker may see.
        ground: the items there.
        weighed: what the question's words say of every row.
        allowed: which rows may be handed out.
        embedder_seq: whose vectors are compared; None where it has made none.
    """

    request: RecallRequest
    question: Question
    evidence: Evidence
    scopes: tuple[int, ...]
    ground: Ground
    weighed: Weighed
    allowed: Bools
    embedder_seq: int | None


class Ranking(NamedTuple):
    """Candidates, best first.

    Attributes:
        rows: the candidates.
        scores: theirs.
        parts: what each arm says of them, in the same order.
        matrix: the candidates' vectors, None where the vector arm is silent.
        answered: whether any of them bears on the question.
    """

    rows: Rows
    scores: Floats
    parts: dict[Arm, Part]
    matrix: dense.Matrix | None
    answered: bool


def rank(tx: Read, search: Search, samples: dense.Samples) -> Ranking:
    """Rank what is allowed by what all arms say."""
    ground, evidence = search.ground, search.evidence
    rows = candidates(search)
    parts = {Arm.LEXICAL: _lexical(search, rows)}
    matrix: dense.Matrix | None = None
    cosines: Floats | None = None
    if evidence.vector is not None and search.embedder_seq is not None and len(rows):
        sample = samples.of(tx, search.embedder_seq, search.scopes, ground)
        few = len(ground.rows) <= dense.EXACT
        matrix = sample if few else dense.load(tx, search.embedder_seq, ground, rows, sample)
        parts[Arm.VECTOR], cosines = _vector(evidence.vector, sample, matrix, rows)
    others = {
        Arm.GRAPH: _graph(evidence, ground, rows),
        Arm.TEMPORAL: _temporal(search.question, ground, rows),
        Arm.RECENCY: _recency(search.question, ground, rows),
    }
    parts |= {arm: part for arm, part in others.items() if part is not None}
    parts = fusing.shared(parts, ground.conversation[rows])
    scores = fusing.total(parts, len(rows))
    order = np.lexsort((ground.seq[rows], -scores))
    ordered = {arm: Part(part.scores[order], part.parts[order], part.every) for arm, part in parts.items()}
    return Ranking(rows[order], scores[order], ordered, matrix, _answered(search, rows, order, cosines))


def candidates(search: Search) -> Rows:
    """Return the rows that are scored: all where they are few, else what the arms propose and what stands beside it."""
    ground, scored, question = search.ground, search.weighed.scores, search.question
    every = np.flatnonzero(search.allowed).astype(np.int32)
    if len(every) <= dense.EXACT:
        return every
    by_words = every[np.argpartition(-scored[every], min(PROPOSED, len(every) - 1))[:PROPOSED]]
    by_words = by_words[np.argsort(-scored[by_words], kind="stable")]
    near, related = ground.rows_of(search.evidence.near), ground.rows_of(list(search.evidence.related))
    best = np.concatenate([by_words[:WITH_NEIGHBOURS], near[:WITH_NEIGHBOURS]])
    timely = by_words[:0]
    if question.spans:
        then = every[in_spans(question, ground, every)]
        timely = then[np.argsort(-scored[then], kind="stable")[:PROPOSED]]
    chosen: Rows = np.unique(
        np.concatenate([by_words, near, related, timely, ground.before[best], ground.after[best]]).astype(np.int32)
    )
    chosen = chosen[chosen >= 0]
    return chosen[search.allowed[chosen]]


def in_spans(question: Question, ground: Ground, rows: Rows) -> Bools:
    """Return which rows happened in a stretch of time that the question names."""
    inside = np.zeros(len(rows), np.bool_)
    at = ground.at[rows]
    for span in question.spans:
        inside |= (at >= to_micros(span.start)) & (at < to_micros(span.end))
    return inside


def _lexical(search: Search, rows: Rows) -> Part:
    """What the words say: of the text, of the turns around it, of the day, and of who said it."""
    ground, weighed = search.ground, search.weighed
    usual, scores = weighed.scores[ground.rows], weighed.scores[rows]
    parts = fusing.LEXICAL_WEIGHT * fusing.standardise(scores, usual)
    speaker = ground.spoken_by(search.question.words)
    if speaker is not None:
        parts = parts + fusing.SPEAKER_WEIGHT * speaker[rows].astype(np.float32)
    return Part(scores, parts, usual)


def _vector(vector: Floats, sample: dense.Matrix, matrix: dense.Matrix, rows: Rows) -> tuple[Part, Floats]:
    """Return what the vectors say, and how near each candidate is, NaN where nobody knows."""
    usual = sample.score(vector)
    scored = usual if matrix is sample else matrix.score(vector)
    at = np.searchsorted(scored.rows, rows)
    own, window = scored.own[at], scored.window[at]
    parts = fusing.OWN_WEIGHT * fusing.standardise(own, usual.own)
    parts = parts + fusing.WINDOW_WEIGHT * fusing.standardise(window, usual.window)
    return Part(own, parts, usual.own if matrix is sample else own), np.fmax(own, window)


def _graph(evidence: Evidence, ground: Ground, rows: Rows) -> Part | None:
    if not evidence.related:
        return None
    scores = np.array([evidence.related.get(seq, 0.0) for seq in ground.seq[rows].tolist()], np.float32)
    return Part(scores, np.float32(fusing.GRAPH_WEIGHT) * np.minimum(scores, np.float32(1)), scores)


def _temporal(question: Question, ground: Ground, rows: Rows) -> Part | None:
    if not question.spans:
        return None
    scores = in_spans(question, ground, rows).astype(np.float32)
    return Part(scores, fusing.TEMPORAL_WEIGHT * scores, scores)


def _recency(question: Question, ground: Ground, rows: Rows) -> Part | None:
    if not question.latest or len(ground.rows) < 2:
        return None
    times = np.sort(ground.at[ground.rows])
    scores = (np.searchsorted(times, ground.at[rows], side="right") / len(times)).astype(np.float32)
    return Part(scores, fusing.RECENCY_WEIGHT * scores, scores)


def _answered(search: Search, rows: Rows, order: NDArray[np.intp], cosines: Floats | None) -> bool:
    ground, question = search.ground, search.question
    best = order[: floor.LOOKED_AT]
    if question.spans and in_spans(question, ground, rows[best]).any():
        return True
    covered = floor.coverage(search.weighed, len(question.words), rows[best], len(ground.rows))
    if cosines is None or np.isnan(cosines).all():
        return floor.passed(None, covered, len(ground.rows))
    return floor.passed(np.nan_to_num(cosines[best], nan=0.0), covered, len(ground.rows))


def spread(ranking: Ranking, diversity: float, most: int) -> Rows:
    """Return the places of the best candidates in the ranking, with those put back that say the same as better ones.

    J. Carbonell, J. Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
    Summaries" (1998).
    """
    pool = np.arange(min(most, len(ranking.rows)), dtype=np.int32)
    if not diversity or ranking.matrix is None or len(pool) < 2:
        return pool
    vectors = ranking.matrix.vectors(ranking.rows[pool])
    scores = ranking.scores[pool]
    worth = (scores - scores.min()) / max(float(scores.max() - scores.min()), 1e-6)
    alike = vectors @ vectors.T
    nearest = np.zeros(len(pool), np.float32)
    left = np.ones(len(pool), np.bool_)
    order: list[int] = []
    for _ in range(len(pool)):
        value = np.where(left, (1 - diversity) * worth - diversity * nearest, -np.inf)
        chosen = int(value.argmax())
        order.append(chosen)
        left[chosen] = False
        nearest = np.maximum(nearest, alike[chosen])
    return pool[order]

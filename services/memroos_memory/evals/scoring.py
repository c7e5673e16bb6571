"""How many of the right turns came back."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from memroos_contracts.recall_evals import CategoryScore, NewRecallEval
from memroos_memory.evals.questions import Question, QuestionFile


class Outcome(msgspec.Struct, frozen=True):
    """What came back for one question."""

    question: Question
    ranked: tuple[str, ...]
    """Distinct turns, best first."""
    took_s: float


def recall_at(outcome: Outcome, most: int) -> float:
    """Return the share of a question's gold turns among the first distinct turns that came back."""
    return len(outcome.question.gold.intersection(outcome.ranked[:most])) / len(outcome.question.gold)


def distinct(turns: Iterable[str]) -> tuple[str, ...]:
    """Return turns in order, each where it stands first."""
    return tuple(dict.fromkeys(turns))


def score(outcomes: Sequence[Outcome]) -> CategoryScore:
    """Average over questions."""
    count = len(outcomes)
    if not count:
        return CategoryScore(0, 0.0, 0.0)
    at_5 = sum(recall_at(outcome, 5) for outcome in outcomes) / count
    at_10 = sum(recall_at(outcome, 10) for outcome in outcomes) / count
    return CategoryScore(count, at_5, at_10)


def by_category(outcomes: Sequence[Outcome]) -> dict[str, CategoryScore]:
    """Average over the questions of each category."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.question.category, []).append(outcome)
    return {category: score(found[category]) for category in sorted(found)}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def result(
    file: QuestionFile,
    configuration: str,
    outcomes: Sequence[Outcome],
    *,
    ingest_per_s: float = 0.0,
    run: str = "",
    note: str = "",
) -> NewRecallEval:
    """Return what is kept of an evaluation."""
    took = [outcome.took_s * 1000 for outcome in outcomes]
    return NewRecallEval(
        file=file.name,
        file_digest=file.digest,
        configuration=configuration,
        turns=file.turns,
        overall=score(outcomes),
        categories=by_category(outcomes),
        query_p50_ms=round(percentile(took, 0.50), 3),
        query_p95_ms=round(percentile(took, 0.95), 3),
        ingest_per_s=round(ingest_per_s, 1),
        run=run,
        note=note,
    )

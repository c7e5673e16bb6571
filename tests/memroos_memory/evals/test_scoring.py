import pytest

from memroos_memory.evals import scoring
from memroos_memory.evals.questions import Question, QuestionFile
from memroos_memory.evals.scoring import Outcome


def outcome(*ranked: str, gold: tuple[str, ...] = ("a",), category: str = "single-hop", took_s: float = 0.0) -> Outcome:
    return Outcome(Question("?", category, frozenset(gold)), ranked, took_s)


def test_recall_is_the_share_of_gold_turns_among_the_first() -> None:
    found = outcome("x", "a", "y", "z", "w", "b", gold=("a", "b", "c", "d"))

    assert scoring.recall_at(found, 1) == 0
    assert scoring.recall_at(found, 5) == 0.25
    assert scoring.recall_at(found, 10) == 0.5


def test_a_turn_counts_where_it_stands_first() -> None:
    assert scoring.distinct(["a", "b", "a", "c", "b"]) == ("a", "b", "c")


def test_an_evaluation_averages_over_questions_not_over_turns() -> None:
    outcomes = [
        outcome("a", category="multi-hop", gold=("a", "b")),
        outcome("a", category="single-hop", took_s=0.004),
        outcome(category="single-hop", took_s=0.002),
    ]

    result = scoring.result(QuestionFile("f", "d", ()), "recall", outcomes, ingest_per_s=12.34)

    assert result.overall.recall_at_5 == pytest.approx(0.5)
    assert {name: (one.questions, one.recall_at_10) for name, one in result.categories.items()} == {
        "multi-hop": (1, 0.5),
        "single-hop": (2, 0.5),
    }
    assert (result.query_p50_ms, result.query_p95_ms, result.ingest_per_s) == (2.0, 4.0, 12.3)


def test_without_questions_there_is_nothing_to_average() -> None:
    result = scoring.result(QuestionFile("f", "d", ()), "recall", [])

    assert (result.overall.questions, result.overall.recall_at_10, result.query_p95_ms) == (0, 0.0, 0.0)

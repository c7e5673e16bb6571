"""BM25: what every ranking has to keep to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_kit.text import bm25 as ranking
from memroos_kit.text.bm25 import ScopeStats

COUNTS = st.integers(1, 100_000)


@given(COUNTS, COUNTS)
def test_a_rarer_word_tells_more_and_none_tells_less_than_nothing(documents: int, having: int) -> None:
    having = min(having, documents)
    assert ranking.idf(documents, having) > 0
    if having > 1:
        assert ranking.idf(documents, having - 1) > ranking.idf(documents, having)


@given(st.integers(1, 50), st.integers(0, 50))
def test_more_mentions_score_higher_and_longer_texts_lower(mentions: int, others: int) -> None:
    scope = ScopeStats(documents=10, words=500)
    frequencies = {"crane": 2}

    def score(crane: int, rest: int) -> float:
        return ranking.bm25(["crane"] * crane + ["other"] * rest, frequencies, scope)["crane"]

    assert score(mentions + 1, others) > score(mentions, others + 1)
    assert score(mentions, others + 1) < score(mentions, others)


def test_the_formula_is_that_of_the_paper() -> None:
    scope = ScopeStats(documents=4, words=12)
    (parts,) = [ranking.bm25(["a", "a", "b", "c"], {"a": 2, "x": 1}, scope)]
    expected = math.log(1 + 2.5 / 2.5) * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4 / 3))
    assert parts == {"a": pytest.approx(expected)}


def test_an_empty_scope_has_no_score() -> None:
    assert ranking.bm25([], {}, ScopeStats(0, 0)) == {}

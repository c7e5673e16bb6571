"""Pauses grow to an hour; everybody gets their turn."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from memroos_memory.jobs import rules


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [rules.backoff(attempt, first_s=1, jitter=0) for attempt in (1, 2, 3, 12, 13, 1_000)]

    assert pauses == [timedelta(seconds=s) for s in (1, 2, 4, 2_048, 3_600, 3_600)]


@given(st.integers(1, 100), st.floats(0, 1))
def test_jitter_leaves_out_at_most_half(attempts: int, jitter: float) -> None:
    full = rules.backoff(attempts, first_s=3, jitter=0)

    assert full / 2 <= rules.backoff(attempts, first_s=3, jitter=jitter) <= full


@given(st.dictionaries(st.integers(1, 5), st.lists(st.integers(), max_size=8), max_size=5), st.integers(0, 20))
def test_nobody_is_two_ahead_of_somebody_who_still_waits(lines: dict[int, list[int]], most: int) -> None:
    chosen = rules.in_turn(lines, most)

    assert len(chosen) == min(most, sum(map(len, lines.values())))
    got = {whose: [one for of, one in chosen if of == whose] for whose in lines}
    for whose, waiting in lines.items():
        assert got[whose] == waiting[: len(got[whose])]
        if len(got[whose]) < len(waiting):
            assert all(len(others) <= len(got[whose]) + 1 for others in got.values())

"""Ids sort by time and never repeat."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_kit.clock import from_micros, to_micros
from memroos_kit.ids import IdSource, new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def from_millis(millis: int) -> datetime:
    return from_micros(millis * 1000 % to_micros(datetime.max.replace(tzinfo=UTC)))


def decoded(id_: str) -> int:
    value = 0
    for digit in id_.rpartition("_")[2]:
        value = value * 32 + ALPHABET.index(digit)
    return value


def test_an_id_is_its_prefix_and_a_ulid() -> None:
    assert re.fullmatch(r"task_[0-7][0-9A-HJKMNP-TV-Z]{25}", IdSource().new("task", NOW))


@given(st.integers(0, 2**47).map(from_millis))
def test_the_first_48_bits_are_the_milliseconds(instant: datetime) -> None:
    assert decoded(IdSource().new("task", instant)) >> 80 == to_micros(instant) // 1000


@pytest.mark.parametrize("step", [timedelta(0), timedelta(microseconds=300), timedelta(milliseconds=-1)])
def test_ids_sort_as_they_were_made_whatever_the_clock_does(step: timedelta) -> None:
    source = IdSource()

    made = [source.new("task", NOW + step * n) for n in range(5_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_neighbours_are_hard_to_guess() -> None:
    source = IdSource()
    values = [decoded(source.new("task", NOW)) for _ in range(2_000)]

    gaps = {later - earlier for earlier, later in pairwise(values)}

    assert len(gaps) > 1_990
    assert max(gaps) > 2**30


def test_two_sources_do_not_meet() -> None:
    one, other = IdSource(), IdSource()

    assert not {one.new("task", NOW) for _ in range(1_000)} & {other.new("task", NOW) for _ in range(1_000)}


def test_an_id_outside_a_unit_of_work_is_made_of_the_present() -> None:
    before = to_micros(datetime.now(UTC)) // 1000

    assert before <= decoded(new_id("req")) >> 80 <= to_micros(datetime.now(UTC)) // 1000

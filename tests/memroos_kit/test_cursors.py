"""Cursors: they bring a listing back to its place, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_contracts.errors import InvalidCursor
from memroos_kit import cursors

VALUES = st.lists(st.integers(-(2**62), 2**62) | st.text(max_size=40), max_size=4)


@given(st.text(max_size=100), VALUES)
def test_a_cursor_gives_back_what_it_was_made_of(kind: str, values: list[object]) -> None:
    assert cursors.decode(kind, cursors.encode(kind, *values), *map(type, values)) == values


@given(st.text(max_size=20), st.text(max_size=20), VALUES)
def test_a_cursor_of_another_listing_is_refused(kind: str, other: str, values: list[object]) -> None:
    if kind != other:
        with pytest.raises(InvalidCursor):
            cursors.decode(other, cursors.encode(kind, *values), *map(type, values))


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors.decode("agents", text, str)


def test_a_changed_or_endless_cursor_is_refused() -> None:
    cursor = cursors.encode("agents", 17)
    for changed in (cursor[:-2], f"{cursor}AAAA", "A" + cursor[1:], cursor * 1000, f"{cursor}\n", "ü"):
        with pytest.raises(InvalidCursor):
            cursors.decode("agents", changed, int)


@pytest.mark.parametrize("values", [[], [{}], [None], [True], ["x"], [1.5], [[1]], [1, 2], [2**63], [10**30]])
def test_a_cursor_that_a_caller_wrote_itself_is_refused(values: list[object]) -> None:
    with pytest.raises(InvalidCursor):
        cursors.decode("agents", cursors.encode("agents", *values), int)


def test_a_cursor_stands_in_an_address_as_it_is() -> None:
    cursor = cursors.encode("agents", "ü?&/", 2**60)
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_a_listing_is_its_name_and_the_filters_that_are_set() -> None:
    assert cursors.listing("agents", state="active", kind=None) == cursors.listing("agents", state="active")
    assert cursors.listing("agents", a=1, b=2) == cursors.listing("agents", b=2, a=1)
    assert cursors.listing("agents", a="1&b=2") != cursors.listing("agents", a=1, b=2)

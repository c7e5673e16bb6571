"""SQL and the reference agree on what a filter means, whatever is filtered."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from tests.memroos_memory.filters.wanted import Table, rows, views, wanted

from memroos_contracts.memory_filters import Filter
from memroos_memory import filters
from memroos_memory.items.states import Row

FAST = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(FAST, max_examples=2_000)


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """The table in which SQL looks."""
    made = Table()
    yield made
    made.close()


def agree(table: Table, found: list[Row], one: Filter) -> None:
    """Assert that both let the same items through."""
    filters.check(one)
    table.hold(found)

    assert table.find(one) == [seq for seq, item in views(found).items() if filters.matches(one, item)]


@FAST
@given(found=rows, one=wanted)
def test_sql_and_the_reference_let_the_same_items_through(table: Table, found: list[Row], one: Filter) -> None:
    agree(table, found, one)


@pytest.mark.long
@pytest.mark.timeout(600)
@LONG
@given(found=rows, one=wanted)
def test_sql_and_the_reference_agree_on_thousands_of_filters(table: Table, found: list[Row], one: Filter) -> None:
    agree(table, found, one)

"""Instants as they are stored."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from memroos_contracts.errors import InvalidRequest
from memroos_kit.clock import from_micros, to_micros

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("instant", [FIRST, LAST, datetime(1970, 1, 1, tzinfo=UTC)])
def test_an_instant_comes_back_as_it_was_stored(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14))),
    ],
)
def test_an_instant_that_utc_cannot_say_is_refused(instant: datetime) -> None:
    with pytest.raises(InvalidRequest, match="outside the years"):
        to_micros(instant)


def test_stored_numbers_beyond_all_instants_still_can_be_read() -> None:
    assert from_micros(-(2**63)) == FIRST
    assert from_micros(2**63 - 1) == LAST

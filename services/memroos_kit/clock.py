"""Time as the system sees it: aware UTC datetimes, one instant per unit of work."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from memroos_contracts.errors import InvalidRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock for tests: it stands still until it is told to move."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the instant it was set to."""
        return self._now

    def advance(self, *, seconds: float = 0, **parts: float) -> None:
        """Move forward (or back) by the given parts of a `timedelta`."""
        self._now += timedelta(seconds=seconds, **parts)


def to_micros(instant: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC, the form in which instants are stored.

    Raises:
        InvalidRequest: it lies outside the years 1 to 9999 once it is in UTC, so that nobody could read it again.
    """
    micros = count_micros(instant)
    if not _FIRST <= micros <= _LAST:
        raise InvalidRequest(
            f"{instant.isoformat()} lies outside the years 1 to 9999 in UTC.", fields={"instant": instant.isoformat()}
        )
    return micros


def count_micros(instant: datetime) -> int:
    """Return the same for an instant that is only compared, also one that UTC cannot say."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware instant for stored microseconds; the first or last there is, where they lie beyond it.

    One row must not keep others from being read.
    """
    return _EPOCH + timedelta(microseconds=min(max(micros, _FIRST), _LAST))


_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

"""Arithmetic of the calendar: the day, week, month or season around a moment, as half-open stretches."""

from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta  # type: ignore[import-untyped]

Stretch = tuple[datetime, datetime]

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_DAY = timedelta(days=1)


def month_number(name: str) -> int:
    """Return 1 to 12 for a month's name or its first three letters."""
    return next(n for n, month in enumerate(MONTHS, 1) if month.startswith(name[:3].lower()))


def weekday_number(name: str) -> int:
    """Return 0 for Monday to 6 for Sunday."""
    return next(n for n, day in enumerate(WEEKDAYS) if day.startswith(name[:3].lower()))


def midnight(moment: datetime) -> datetime:
    """Return the beginning of the day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def moved(moment: datetime, unit: str, count: int) -> datetime:
    """Return the moment so many units later; earlier where the count is negative."""
    later: datetime = moment + relativedelta(**{f"{unit}s": count})
    return later


def day(moment: datetime) -> Stretch:
    """Return the day around a moment."""
    start = midnight(moment)
    return start, start + _DAY


def days(first: datetime, count: int) -> Stretch:
    """Return so many days from a day on."""
    start = midnight(first)
    return start, start + count * _DAY


def week(moment: datetime) -> Stretch:
    """Return the week around a moment, from Monday on."""
    return days(moment - moment.weekday() * _DAY, 7)


def month(moment: datetime) -> Stretch:
    """Return the month around a moment."""
    start = midnight(moment).replace(day=1)
    return start, moved(start, "month", 1)


def quarter(moment: datetime) -> Stretch:
    """Return the quarter around a moment."""
    start = midnight(moment).replace(month=(moment.month - 1) // 3 * 3 + 1, day=1)
    return start, moved(start, "month", 3)


def year(moment: datetime) -> Stretch:
    """Return the year around a moment."""
    start = midnight(moment).replace(month=1, day=1)
    return start, moved(start, "year", 1)


def decade(moment: datetime) -> Stretch:
    """Return the ten years around a moment."""
    start = midnight(moment).replace(year=moment.year // 10 * 10, month=1, day=1)
    return start, moved(start, "year", 10)


def season(name: str, starting: datetime) -> Stretch:
    """Return the three months of a season that begins in the year of a moment, as the north of the earth counts."""
    start = midnight(starting).replace(month=SEASONS[name], day=1)
    return start, moved(start, "month", 3)


def nearest(moment: datetime, *, of: tuple[Stretch, ...]) -> Stretch:
    """Return the stretch that is nearest to a moment; the past counts as twice as near, for people tell what was."""

    def distance(stretch: Stretch) -> timedelta:
        if stretch[0] <= moment < stretch[1]:
            return timedelta(0)
        return moment - stretch[1] if stretch[1] <= moment else 2 * (stretch[0] - moment)

    return min(of, key=distance)


def beside(moment: datetime, shift: int, *, of: tuple[Stretch, ...]) -> Stretch:
    """Return the last stretch that is over, for -1, or the first that has not begun, for 1.

    Raises:
        ValueError: there is none, so near the ends of the calendar.
    """
    fitting = [one for one in of if (one[1] <= moment if shift < 0 else one[0] > moment)]
    if not fitting:
        raise ValueError("there is no such stretch")
    return fitting[-1] if shift < 0 else fitting[0]


def same_weekday(moment: datetime, weekday: int, weeks: int) -> Stretch:
    """Return a day of the week: with -1 the last one before the moment's day, with 1 the next, with 0 its week's."""
    apart = weekday - moment.weekday()
    if weeks < 0 and apart >= 0:
        apart -= 7
    elif weeks > 0 and apart <= 0:
        apart += 7
    return day(moment + apart * _DAY)

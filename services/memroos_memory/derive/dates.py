# ruff: noqa: E501 - patterns: a form reads best on one line
"""Dates in a text, as stretches of time.

Fragments are found by patterns of our own, fast enough for every message and question; what a fragment means is left
to well-kept libraries where it is more than a shift in the calendar.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec
from dateparser.date import DateDataParser  # type: ignore[import-untyped]
from dateutil import parser as written  # type: ignore[import-untyped]

from memroos_memory.derive import calendar
from memroos_memory.derive.calendar import Stretch

SEARCHED_CHARACTERS = 20_000
"""What follows in a text is not searched for dates."""

_MOST = 64
_WEEK = timedelta(days=7)
_FIRST, _LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)
"""What lies beyond is no date: so near the ends of the calendar some time zones have no name for it."""


class Span(msgspec.Struct, frozen=True):
    """A stretch of time that a text names; `end` is not part of it."""

    start: datetime
    end: datetime
    text: str


class Found(NamedTuple):
    """A date as it stands in a text."""

    at: int
    to: int
    stretch: Stretch
    word: str
    """What stands before it and moves its meaning: since, before, until, after; or empty."""


_M = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_MONTH_NAME = f"(?:{'|'.join(calendar.MONTHS)})"
_W = f"(?:{'|'.join(calendar.WEEKDAYS)})"
_ORDINAL = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d\d"
_SEASON = f"(?:{'|'.join(calendar.SEASONS)})"
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "a couple of": 2, "a couple": 2, "couple of": 2, "a few": 3, "few": 3,
    "several": 4,
}  # fmt: skip
_COUNT = (
    r"(?:\d{1,4}|a couple(?: of)?|couple of|a few|few|several|an?|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|eleven|twelve)"
)
_UNIT = "(?:minute|hour|day|week|month|year)"
_CLOCK = r"(?:,?(?: at)? \d{1,2}(?::\d\d)? ?(?:am|pm)\b|[ t]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)"

_GATE = re.compile(
    rf"\d|\b{_M}|day\b|night\b|\b(?:week|month|year)|\btomorrow\b|\b(?:last|this|next|past|previous|coming|morning|afternoon|evening|ago)\b"
    r"|fortnight",
    re.IGNORECASE,
)
_WORD_BEFORE = re.compile(r"\b(since|before|until|till|after|prior to|from|between|by)\s+(?:the\s+)?$", re.IGNORECASE)
_AHEAD = re.compile(
    r"\b(?:will|shall|going to|gonna|plan(?:s|ning)?|due|deadline|upcoming|next|'ll|tomorrow|scheduled|by)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:to|until|till|through|and|[-\u2013\u2014])\s*(?:the\s+)?", re.IGNORECASE)


def spans(text: str, *, reference: datetime) -> list[Span]:
    """Return the dates in a text, in its order, as they are meant by somebody who speaks at `reference`, an aware time.

    "Since", "before", "until" and "after" open a date on one side: up to the end of the reference's day, or from 1970.
    """
    found = find_dates(text, reference=reference)
    out: list[Span] = []
    for one in found:
        start, end = _opened(one, reference)
        if start < end:
            out.append(Span(start=start, end=end, text=text[one.at : one.to]))
    return out


def find_dates(text: str, *, reference: datetime) -> list[Found]:
    """Return the dates in a text with their places, each as it is, ranges joined."""
    text = text[:SEARCHED_CHARACTERS]
    if not _FIRST <= reference <= _LAST or not _GATE.search(text):
        return []
    taken: list[Found] = []
    for pattern, meaning in _PATTERNS:
        for match in pattern.finditer(text):
            if len(taken) < _MOST and not _overlaps(match.start(), match.end(), taken):
                _take(match, meaning, reference, taken)
    taken.sort()
    return _joined(text, taken)


def _take(match: re.Match[str], meaning: "Meaning", reference: datetime, taken: list[Found]) -> None:
    try:
        stretch = meaning(match, reference)
    except (ValueError, OverflowError, OSError):  # 31 February, or a year beyond the calendar
        return
    if stretch is not None and stretch[0] >= _FIRST and stretch[1] <= _LAST:
        at = match.end("lead") if "lead" in match.re.groupindex else match.start()
        before = _WORD_BEFORE.search(match.string, max(0, at - 16), at)
        taken.append(Found(at, match.end(), stretch, before[1].lower() if before else ""))


def _overlaps(at: int, to: int, taken: Iterable[Found]) -> bool:
    return any(at < one.to and one.at < to for one in taken)


def _joined(text: str, found: list[Found]) -> list[Found]:
    """Join two dates between which stands "to" or a dash, or "and" after "between", into one range."""
    out: list[Found] = []
    for one in found:
        if out and (gap := _BETWEEN.fullmatch(text, out[-1].to, one.at)) and _is_range(gap[0], out[-1], one):
            first, end = out[-1], one.stretch[1]
            if end <= first.stretch[0]:  # from Monday to Wednesday
                end = calendar.moved(end, "week", 1)
            out[-1] = Found(first.at, one.to, (first.stretch[0], end), "")
        else:
            out.append(one)
    return out


def _is_range(gap: str, first: Found, last: Found) -> bool:
    if gap.strip().lower() == "and" and first.word != "between":
        return False
    return last.stretch[1] > first.stretch[0] or first.stretch[0] - last.stretch[1] < _WEEK


def _opened(one: Found, reference: datetime) -> Stretch:
    """Return what a date means after "since" or "before"."""
    start, end = one.stretch
    zone = start.tzinfo
    if one.word in ("since", "after", "from"):
        now = calendar.day(reference)[1]
        return (start if one.word != "after" else end, now) if now > end else (start, end)
    if one.word in ("before", "until", "till", "prior to"):
        return datetime(1970, 1, 1, tzinfo=zone), start if one.word in ("before", "prior to") else end
    return start, end


# What each fragment means.

Meaning = Callable[[re.Match[str], datetime], Stretch | None]


def _written(match: re.Match[str], reference: datetime) -> Stretch | None:
    """2023-05-08, 2023-05-08T10:30, 08.05.2023, 5/8/2023: a day, as the library reads it."""
    text = match[0]
    at: datetime = written.parse(text, default=calendar.midnight(reference), dayfirst="." in text)
    return calendar.day(at.replace(tzinfo=reference.tzinfo))


def _year_month(match: re.Match[str], reference: datetime) -> Stretch:
    return calendar.month(reference.replace(year=int(match["y"]), month=int(match["m"]), day=1))


def _day_month(match: re.Match[str], reference: datetime) -> Stretch | None:
    """8 May 2023, May 8th: without a year the nearest one."""
    number, month = int(re.sub(r"\D", "", match["d"])), calendar.month_number(match["m"])
    if match["y"]:
        return calendar.day(reference.replace(year=int(match["y"]), month=month, day=number))
    return calendar.nearest(
        reference, of=_around(reference, lambda at: calendar.day(at.replace(month=month, day=number)))
    )


def _days_month(match: re.Match[str], reference: datetime) -> Stretch | None:
    """3-5 May 2023: from the first to the last of these days."""
    first, last = int(re.sub(r"\D", "", match["d"])), int(re.sub(r"\D", "", match["e"]))
    if last < first:
        return None
    start = _day_month(match, reference)
    return start and (start[0], calendar.days(start[0], last - first + 1)[1])


def _around(reference: datetime, make: Callable[[datetime], Stretch]) -> tuple[Stretch, ...]:
    """Return the stretches of the year before, this one and the next, as far as the calendar has them."""
    out: list[Stretch] = []
    for shift in (-1, 0, 1):
        try:
            out.append(make(reference.replace(year=reference.year + shift, month=1, day=1)))
        except ValueError:
            continue
    if not out:
        raise ValueError("no such day")
    return tuple(out)


def _month_year(match: re.Match[str], reference: datetime) -> Stretch:
    return _part(
        match["part"],
        calendar.month(reference.replace(year=int(match["y"]), month=calendar.month_number(match["m"]), day=1)),
    )


def _month(match: re.Match[str], reference: datetime) -> Stretch:
    """In May, last May, next May."""
    number, which = calendar.month_number(match["m"]), match["which"].lower()
    candidates = _around(reference, lambda at: calendar.month(at.replace(month=number)))
    if which in ("last", "next"):
        return calendar.beside(reference, _shift(which), of=candidates)
    return _part(match["part"], calendar.nearest(reference, of=candidates))


def _part(part: str | None, month: Stretch) -> Stretch:
    """Return the beginning, middle or end of a month, where that is said."""
    if not part:
        return month
    said = part.lower()
    tenth = calendar.days(month[0], 10)[1]
    twentieth = calendar.days(month[0], 20)[1]
    if said == "mid":
        return tenth, twentieth
    return (twentieth, month[1]) if said == "late" or "end" in said else (month[0], tenth)


def _year(match: re.Match[str], reference: datetime) -> Stretch:
    return calendar.year(reference.replace(year=int(match["y"]), month=1, day=1))


def _decade(match: re.Match[str], reference: datetime) -> Stretch:
    return calendar.decade(reference.replace(year=int(match["y"]), month=1, day=1))


def _season_year(match: re.Match[str], reference: datetime) -> Stretch:
    return calendar.season(match["s"].lower(), reference.replace(year=int(match["y"]), month=1, day=1))


def _season(match: re.Match[str], reference: datetime) -> Stretch:
    name = match["s"].lower()
    candidates = _around(reference, lambda at: calendar.season(name, at))
    if shift := _shift(match["which"]):
        return calendar.beside(reference, shift, of=candidates)
    return calendar.nearest(reference, of=candidates)


_NAMED_DAYS = {
    "today": 0, "tonight": 0, "this morning": 0, "this afternoon": 0, "this evening": 0, "yesterday": -1,
    "last night": -1, "tomorrow": 1, "the day before yesterday": -2, "the day after tomorrow": 2,
}  # fmt: skip


def _named_day(match: re.Match[str], reference: datetime) -> Stretch:
    return calendar.day(calendar.moved(reference, "day", _NAMED_DAYS[" ".join(match[0].lower().split())]))


_AROUND = {
    "week": calendar.week, "month": calendar.month, "year": calendar.year, "quarter": calendar.quarter,
    "decade": calendar.decade,
}  # fmt: skip
_STEPS = {"quarter": ("month", 3), "decade": ("year", 10)}


def _shift(which: str) -> int:
    return {"last": -1, "past": -1, "previous": -1, "this": 0, "current": 0}.get(which.lower(), 1)


def _neighbouring(match: re.Match[str], reference: datetime) -> Stretch:
    """Last week, this month, next year."""
    unit, shift = match["unit"].lower(), _shift(match["which"])
    if unit == "weekend":
        monday = calendar.week(reference)[0]
        return calendar.days(calendar.moved(monday, "day", 5 + 7 * shift), 2)
    step, size = _STEPS.get(unit, (unit, 1))
    return _AROUND[unit](calendar.moved(reference, step, shift * size))


def _weekday(match: re.Match[str], reference: datetime) -> Stretch:
    """On Monday: the last one, or where the words before look ahead, the next one."""
    which, number = (match["which"] or "").lower(), calendar.weekday_number(match["w"])
    if not which or which == "on":
        if number == reference.weekday():
            return calendar.day(reference)
        ahead = _AHEAD.search(match.string, max(0, match.start() - 48), match.start())
        return calendar.same_weekday(reference, number, 1 if ahead else -1)
    return calendar.same_weekday(reference, number, _shift(which))


def _count(text: str) -> int:
    text = " ".join(text.lower().split())
    return int(text) if text.isdigit() else _NUMBERS[text]


def _ago(match: re.Match[str], reference: datetime) -> Stretch:
    """Two days ago, in three weeks: the day, the seven days around it, the month, the year."""
    ahead = match["ago"] is None or match["ago"].lower() == "from now"
    unit, count = match["unit"].lower(), _count(match["count"])
    at = calendar.moved(reference, unit, count if ahead else -count)
    if unit == "week":
        return calendar.days(calendar.moved(at, "day", -3), 7)
    return _AROUND.get(unit, calendar.day)(at)


def _lasting(match: re.Match[str], reference: datetime) -> Stretch:
    """The past three weeks, the next ten days."""
    unit, count = match["unit"].lower(), _count(match["count"])
    today, tonight = calendar.day(reference)
    if _shift(match["which"]) < 0:
        return calendar.midnight(calendar.moved(today, unit, -count)), tonight
    return today, calendar.midnight(calendar.moved(tonight, unit, count))


@lru_cache(maxsize=64)
def _library(day: datetime) -> DateDataParser:
    """Return the library's parser, for one day: it keeps its settings for good, so they must not be many."""
    settings = {"RELATIVE_BASE": day, "RETURN_AS_TIMEZONE_AWARE": False, "PREFER_DATES_FROM": "past"}
    return DateDataParser(languages=["en"], settings=settings)


def _compound(match: re.Match[str], reference: datetime) -> Stretch | None:
    """Three weeks and two days ago, a fortnight ago."""
    library = _library(calendar.midnight(reference).replace(tzinfo=None))
    at = library.get_date_data(" ".join(match[0].lower().split())).date_obj
    return calendar.day(at.replace(tzinfo=reference.tzinfo)) if isinstance(at, datetime) else None


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which a blank stands for any white space."""
    return re.compile(pattern.replace(" ?", r"\s*").replace(" ", r"\s+"), re.IGNORECASE)


# The first that matches a place has it, so the longer forms stand before the shorter ones.
_PATTERNS: tuple[tuple[re.Pattern[str], Meaning], ...] = tuple(
    (_compiled(pattern), meaning)
    for pattern, meaning in (
        (rf"\b{_YEAR}[-/](?:0?[1-9]|1[0-2])[-/](?:0?[1-9]|[12]\d|3[01])(?:{_CLOCK}|\b)(?![-/\d])", _written),
        (rf"(?<![\d.])\d{{1,2}}([./])\d{{1,2}}\1{_YEAR}\b(?![./]\d)", _written),
        (rf"\b(?P<y>{_YEAR})-(?P<m>0[1-9]|1[0-2])\b(?!-)", _year_month),
        (
            rf"\b(?:from )?(?P<d>{_ORDINAL}) ?(?:-|\u2013|to) ?(?P<e>{_ORDINAL})(?: of)? (?P<m>{_M})(?:,? (?P<y>{_YEAR})\b)?",
            _days_month,
        ),
        (rf"\b(?P<m>{_M}) (?P<d>{_ORDINAL}) ?(?:-|\u2013) ?(?P<e>{_ORDINAL})\b(?:,? (?P<y>{_YEAR})\b)?", _days_month),
        (rf"\b(?P<d>{_ORDINAL})(?: day)?(?: of)? (?P<m>{_M})(?:,? (?P<y>{_YEAR})\b)?", _day_month),
        (rf"\b(?P<m>{_M}) (?:the )?(?P<d>{_ORDINAL})\b(?!:)(?:,? (?P<y>{_YEAR})\b)?", _day_month),
        (
            rf"\b(?:(?P<part>early|mid|late|the beginning of|the end of|end of)[ -])?(?P<m>{_M}),?(?: of)? (?P<y>{_YEAR})\b",
            _month_year,
        ),
        (
            rf"\b(?P<which>in|during|since|until|till|by|last|this|next|from|through)(?: (?P<part>early|mid|late|the end of))?[ -](?P<m>{_MONTH_NAME})\b",
            _month,
        ),
        (rf"\b(?P<s>{_SEASON})(?: of)? (?P<y>{_YEAR})\b", _season_year),
        (rf"\b(?P<which>last|this|next|past|previous|coming) (?P<s>{_SEASON})\b", _season),
        (r"\b(?:in|during) the (?P<y>(?:19|20)\d0)s\b", _decade),
        (
            r"\b(?:the day before yesterday|the day after tomorrow|yesterday|tomorrow|today|tonight|last night"
            r"|this (?:morning|afternoon|evening))\b",
            _named_day,
        ),
        (rf"\b(?:{_COUNT} {_UNIT}s?(?:,? and|,) {_COUNT} {_UNIT}s?|a fortnight) ago\b", _compound),
        (rf"\b(?:in )?(?P<count>{_COUNT}) (?P<unit>{_UNIT})s? (?P<ago>ago|back|earlier|from now)\b", _ago),
        (rf"\bin (?P<count>{_COUNT}) (?P<unit>{_UNIT})s?\b(?P<ago>(?!))?", _ago),
        (rf"\b(?P<which>past|last|next|coming|previous) (?P<count>{_COUNT}) (?P<unit>{_UNIT})s?\b", _lasting),
        (
            r"\b(?P<which>last|this|next|past|previous|coming|current) (?P<unit>weekend|week|month|year|quarter|decade)\b",
            _neighbouring,
        ),
        (rf"\b(?:(?P<which>last|this|next|past|previous|coming|on) )?(?P<w>{_W})\b", _weekday),
        (r"\b(?P<which>last|this|next|on) (?P<w>mon|tues?|wed|thu|thurs?|fri|sat|sun)\b", _weekday),
        (
            rf"\b(?P<lead>(?:in|since|during|by|until|till|before|after|from|of|year|to|between|and) )(?P<y>{_YEAR})\b(?![-/.:]?\d)",
            _year,
        ),
    )
)

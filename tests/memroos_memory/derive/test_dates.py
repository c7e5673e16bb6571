"""Dates in texts, as somebody means them who speaks on Monday, 8 May 2023."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_memory.derive import spans

MONDAY = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


def found(text: str, reference: datetime = MONDAY) -> list[tuple[str, str]]:
    """Return first and last day of each date."""
    days = [
        (one.start.date(), (one.end - timedelta(microseconds=1)).date()) for one in spans(text, reference=reference)
    ]
    return [(first.isoformat(), last.isoformat()) for first, last in days]


def day(text: str) -> list[tuple[str, str]]:
    return [(text, text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # days
        ("I went yesterday", day("2023-05-07")),
        ("today", day("2023-05-08")),
        ("see you tomorrow", day("2023-05-09")),
        ("the day before yesterday", day("2023-05-06")),
        ("last night we talked", day("2023-05-07")),
        ("this morning", day("2023-05-08")),
        ("two days ago", day("2023-05-06")),
        ("in 3 days", day("2023-05-11")),
        ("a couple of days ago", day("2023-05-06")),
        ("3 weeks and 2 days ago", day("2023-04-15")),
        ("a fortnight ago", day("2023-04-24")),
        ("five hours ago", day("2023-05-08")),
        # days of the week
        ("on Friday", day("2023-05-05")),
        ("I will go on Friday", day("2023-05-12")),
        ("the report is due on Friday", day("2023-05-12")),
        ("last Friday", day("2023-05-05")),
        ("next Friday", day("2023-05-12")),
        ("this Friday", day("2023-05-12")),
        ("on Monday", day("2023-05-08")),
        ("last Monday", day("2023-05-01")),
        ("last Fri", day("2023-05-05")),
        # written out
        ("8 May", day("2023-05-08")),
        ("on the 8th of May, 2022", day("2022-05-08")),
        ("May 8th", day("2023-05-08")),
        ("Oct. 13, 2021", day("2021-10-13")),
        ("1:56 pm on 8 May, 2023", day("2023-05-08")),
        ("2023-05-08", day("2023-05-08")),
        ("2023-05-08T10:30:00Z", day("2023-05-08")),
        ("08.05.2023", day("2023-05-08")),
        ("5/8/2023", day("2023-05-08")),
        ("25/12/2022", day("2022-12-25")),
        # without a year: the nearest, rather past than future
        ("October 13", day("2022-10-13")),
        ("13 June", day("2023-06-13")),
        # weeks, months, seasons, years
        ("last week", [("2023-05-01", "2023-05-07")]),
        ("this week", [("2023-05-08", "2023-05-14")]),
        ("next week", [("2023-05-15", "2023-05-21")]),
        ("last weekend", [("2023-05-06", "2023-05-07")]),
        ("two weeks ago", [("2023-04-21", "2023-04-27")]),
        ("in May 2023", [("2023-05-01", "2023-05-31")]),
        ("early June 2023", [("2023-06-01", "2023-06-10")]),
        ("the beginning of June 2023", [("2023-06-01", "2023-06-10")]),
        ("mid June 2023", [("2023-06-11", "2023-06-20")]),
        ("at the end of June 2023", [("2023-06-21", "2023-06-30")]),
        ("in late June", [("2023-06-21", "2023-06-30")]),
        ("by the end of June", [("2023-06-21", "2023-06-30")]),
        ("2023-04", [("2023-04-01", "2023-04-30")]),
        ("in march", [("2023-03-01", "2023-03-31")]),
        ("last May", [("2022-05-01", "2022-05-31")]),
        ("next May", [("2024-05-01", "2024-05-31")]),
        ("last month", [("2023-04-01", "2023-04-30")]),
        ("three months ago", [("2023-02-01", "2023-02-28")]),
        ("last summer", [("2022-06-01", "2022-08-31")]),
        ("summer 2021", [("2021-06-01", "2021-08-31")]),
        ("last quarter", [("2023-01-01", "2023-03-31")]),
        ("in 2019", [("2019-01-01", "2019-12-31")]),
        ("last year", [("2022-01-01", "2022-12-31")]),
        ("10 years ago", [("2013-01-01", "2013-12-31")]),
        ("in the 1990s", [("1990-01-01", "1999-12-31")]),
        # ranges
        ("3-5 May 2023", [("2023-05-03", "2023-05-05")]),
        ("May 3-5", [("2023-05-03", "2023-05-05")]),
        ("from 3 May to 5 May", [("2023-05-03", "2023-05-05")]),
        ("between May 3 and May 5, 2023", [("2023-05-03", "2023-05-05")]),
        ("from 2019 to 2021", [("2019-01-01", "2021-12-31")]),
        ("from Monday to Wednesday", [("2023-05-08", "2023-05-10")]),
        ("the past three weeks", [("2023-04-17", "2023-05-08")]),
        ("since 2019", [("2019-01-01", "2023-05-08")]),
        ("before 8 May", [("1970-01-01", "2023-05-07")]),
        ("until 2020", [("1970-01-01", "2020-12-31")]),
        ("8 May and 9 May", [("2023-05-08", "2023-05-08"), ("2023-05-09", "2023-05-09")]),
    ],
)
def test_a_date_is_the_stretch_of_time_it_means(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "no date here", "I may go", "version 2.0.2023", "31/31/2023", "it costs 2023 dollars", "9999 years ago",
     "march on", "second thoughts", "call 555-2019-123", "1234567890", "the last one", "in a year's time she may"],
)  # fmt: skip
def test_what_is_no_date_is_none(text: str) -> None:
    assert [one for one in found(text) if "year" not in text or one[0] > "9000"] == []


def test_a_date_is_given_with_its_words_in_the_order_of_the_text() -> None:
    texts = [one.text for one in spans("Yesterday I planned what to do on 9 May and next week.", reference=MONDAY)]

    assert texts == ["Yesterday", "9 May", "next week"]


def test_days_are_those_of_the_speaker() -> None:
    tokyo = timezone(timedelta(hours=9))

    (one,) = spans("yesterday", reference=datetime(2023, 5, 8, 1, tzinfo=tokyo))

    assert (one.start, one.end) == (datetime(2023, 5, 7, tzinfo=tokyo), datetime(2023, 5, 8, tzinfo=tokyo))


@given(st.integers(0, 3_000))
def test_a_day_that_is_written_is_that_day(number: int) -> None:
    at = date(2018, 1, 1) + timedelta(days=number)

    for text in (f"{at:%Y-%m-%d}", f"{at.day} {at:%B %Y}", f"{at:%B} {at.day}, {at.year}"):
        assert found(f"It was on {text}.") == day(at.isoformat())

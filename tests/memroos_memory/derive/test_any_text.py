"""Whatever a text is, reading it ends soon and without an error."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_kit.clock import to_micros
from memroos_memory.derive import asks_before, entities, learn, spans

AT = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
WORDS = (
    "I", "i", "my", "My", "we", "live", "lives", "in", "Munich", "moved", "to", "like", "pizza", ",", ".", "!", "?",
    "and", "but", "is", "Anna", "Anna's", "sister", "email", "a@b.example", "not", "last", "week", "May", "8", "2023",
    "yesterday", "since", "before", "two", "days", "ago", '"', "'", "\u2019", "(", ")", ":", ";", "-", "\n", "First",
    "then", "To", "always", "the", "The", "of", "has", "a", "dog", "named", "Max", "\ue000", "\U0001f600", "ABC-123",
    "#x", "1.", "if", "n't", "do", "'s", "\u0130", "31", "February", "9999", "from", "between", "\x00", "https://",
    "```", ">",
)  # fmt: skip

texts = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=60).map("".join),
)
zones = [timezone(timedelta(hours=hours)) for hours in (-12, 0, 14)]
moments = st.datetimes(timezones=st.sampled_from(zones))


@given(texts, moments)
def test_any_text_is_read_without_an_error(text: str, at: datetime) -> None:
    for one in learn(text, speaker="Ann", author="", occurred_at=at):
        assert one.text.strip()
        assert 0 < one.confidence <= 1
        assert one.triple is None or all((one.triple.subject, one.triple.relation, one.triple.object))
        assert not any("\ue000" <= character <= "\uf8ff" for character in one.text)
    for name in entities(text):
        assert name == name.strip()
        assert name
    for span in spans(text, reference=at):
        assert span.start < span.end
        assert span.text in text
    asks_before(text)


@pytest.mark.parametrize("at", [datetime(*day, tzinfo=zone) for day in ((1, 1, 1), (9999, 12, 31)) for zone in zones])
@pytest.mark.parametrize("text", ["since 2019", "from 30 Dec to 29 Dec", "this year", "from Monday to Wednesday"])
def test_at_the_ends_of_the_calendar_no_date_is_an_error(text: str, at: datetime) -> None:
    learn(f"I lived in Bonn {text}.", speaker="Ann", author="", occurred_at=at)

    assert all(to_micros(span.start) < to_micros(span.end) for span in spans(text, reference=at))


def test_no_date_is_found_that_some_time_zone_cannot_say() -> None:
    assert spans("What was 2022 years ago?", reference=AT.astimezone(zones[-1])) == []


@given(texts)
def test_reading_again_teaches_the_same(text: str) -> None:
    once = learn(text, speaker="Ann", author="", occurred_at=AT)

    assert learn(text, speaker="Ann", author="", occurred_at=AT) == once
    assert entities(text) == entities(text)


HOSTILE = [
    *(one * (60_000 // len(one)) for one in (
        "A", "I like ", "and I ", "my a's ", "To a: ", "1. a ", "\n1) a", "first then ", "A. ", "the a of a ", "A ",
        '"',
        "`", "```a", "Always run ", " ", "1", "may ", "in a few ", "8 ", "May 1 ", "2023-05-", "a@", "'A", "A of ",
        "x_1",
        "(", "- ", "a.", "from 1 May to ", "no longer ", "\n", "Ann's ", "http://", "\ue000", "Anna ", "a ",
    )),
    *(one * (390 // len(one)) for one in ("I have a ", "My A is 1 ", "I am ", "the a's a ", "I moved to A ")),
    "I love " + "a, " * 120, "I moved to " + "A " * 190, "I have a dog named " + "A, " * 120, "To " + "a " * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{number}:{text[:12]!r}" for number, text in enumerate(HOSTILE)])
def test_no_text_takes_long(text: str) -> None:
    begin = time.process_time()

    learn(text, speaker="Ann", author="", occurred_at=AT)
    entities(text)
    spans(text, reference=AT)
    asks_before(text)

    # A thousand times a usual message's; a pattern that goes back and forth would take minutes.
    assert time.process_time() - begin < 2

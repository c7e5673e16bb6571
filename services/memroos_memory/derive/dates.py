"""Dates in a text, as stretches of time."""

from datetime import datetime

import msgspec


class Span(msgspec.Struct, frozen=True):
    """A stretch of time that a text names; `end` is not part of it."""

    start: datetime
    end: datetime
    text: str


def spans(text: str, *, reference: datetime) -> list[Span]:
    """Return the dates in a text, in its order, as they are meant by somebody who speaks at `reference`."""
    return []


def date_words(at: datetime) -> str:
    """Return the words under which a day can be found: `8 may 2023 monday`."""
    return f"{at.day} {at:%B} {at.year} {at:%A}".lower()

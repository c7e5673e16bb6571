"""Putting items into the lexical index, and taking them out of it."""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import bindparam, column, delete, insert, table

from memroos_kit.db import Hot, Tx
from memroos_kit.text.words import words_of

SPEAKER_WEIGHT = 2
"""How often a speaker's name counts, against once for each word of the date."""

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_index = table("lexical_index", column("rowid"), column("words"), column("meta"))
_ADD = Hot(insert(_index).prefix_with("OR REPLACE"), columns=("rowid", "words", "meta"))
_REMOVE = Hot(delete(_index).where(_index.c.rowid == bindparam("item_seq")))


class Length(NamedTuple):
    """How long an item is, in words as they are indexed."""

    words: int
    meta_words: int


def date_words(at: datetime) -> str:
    """Return the words under which a day is found: `8 may 2023 monday`."""
    day = at.astimezone(UTC)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year} {_DAYS[day.weekday()]}"


def meta_of(speaker: str, occurred_at: datetime) -> str:
    """Return what an item is found by beside its text: who said it and when, in the weight that each has."""
    return " ".join([speaker] * SPEAKER_WEIGHT + [date_words(occurred_at)]).strip()


def add(tx: Tx, scope_seq: int, item_seq: int, text: str, meta: str) -> Length:
    """Index an item, again if need be, and return its length.

    Args:
        meta: what `meta_of` makes of its speaker and day.
    """
    words, others = words_of(text), words_of(meta)
    tx.execute(_ADD, rowid=item_seq, words=_within(scope_seq, words), meta=_within(scope_seq, others))
    return Length(len(words), len(others))


def remove(tx: Tx, item_seq: int) -> None:
    """Take an item out of the index; may be repeated."""
    tx.execute(_REMOVE, item_seq=item_seq)


def _within(scope_seq: int, words: list[str]) -> str:
    return " ".join(f"{scope_seq}x{word}" for word in words)

"""A page of a listing: items and an opaque cursor, never an offset."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Part of a listing."""

    items: list[T]
    next_cursor: str | None = None
    """Pass it as `cursor` for the next page; None at the end."""

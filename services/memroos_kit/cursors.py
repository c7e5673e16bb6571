"""Opaque cursors: where a listing goes on.

A cursor holds the sort key of the last entry and a checksum over it and the kind of the listing, so that one of
another listing, or of the same with other filters, is refused instead of giving a wrong page. It is no secret and
gives no right: a listing checks what its caller may see on every page.
"""

from base64 import b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Any

import msgspec

from memroos_contracts.errors import InvalidCursor

_CHECKSUM_BYTES = 6
_LARGEST = 2**63 - 1
_LENGTH_MAX = 1_024  # characters; a cursor comes from outside


def encode(kind: str, *values: Any) -> str:
    """Return the cursor that stands after the entry with these sort values.

    Args:
        kind: which listing this is; with filters, `listing(name, **filters)`.
        values: the sort key of the last entry, JSON types only.
    """
    payload = msgspec.json.encode(values)
    return urlsafe_b64encode(_checksum(kind, payload) + payload).rstrip(b"=").decode()


def decode(kind: str, cursor: str, *types: type) -> list[Any]:
    """Return the values a cursor was made of.

    The checksum is no secret, so a caller can write a cursor of its own: what it holds is looked at like any input.

    Args:
        types: what the values are, in order: `int` (as large as a table holds) or `str`.

    Raises:
        InvalidCursor: it was not made by `encode` for this kind of listing.
    """
    if len(cursor) > _LENGTH_MAX:
        raise InvalidCursor
    try:
        raw = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise InvalidCursor from error
    checksum, payload = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
    if checksum != _checksum(kind, payload):
        raise InvalidCursor
    try:
        values = msgspec.json.decode(payload, type=list[Any])
    except msgspec.DecodeError as error:
        raise InvalidCursor from error
    if len(values) != len(types) or not all(map(_fits, values, types)):
        raise InvalidCursor
    return values


def listing(name: str, **filters: object) -> str:
    """Return the kind of a filtered listing: its name and the filters that are set, in any order."""
    return msgspec.json.encode(
        [name, {k: str(v) for k, v in filters.items() if v is not None}], order="sorted"
    ).decode()


def _fits(value: Any, wanted: type) -> bool:
    if type(value) is not wanted:  # `bool` is an `int`, and no place in a listing
        return False
    return not isinstance(value, int) or -_LARGEST <= value <= _LARGEST


def _checksum(kind: str, payload: bytes) -> bytes:
    return blake2b(kind.encode() + b"\0" + payload, digest_size=_CHECKSUM_BYTES, person=b"cursor").digest()

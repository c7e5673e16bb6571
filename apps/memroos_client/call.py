"""Requests as values: what to send, and what comes back."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from memroos_client.sse import ServerSentEvent

T_co = TypeVar("T_co", covariant=True)

Query = Mapping[str, str | list[str]]
Value = str | int | float | bool | datetime | StrEnum | None


class Call(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """One request whose answer is a `T_co`. Running the same value again is a repeat, not a second creation."""

    method: str
    path: str
    returns: Any
    """The type to read the answer as; an empty answer is None."""
    query: Query = {}
    body: Any = None
    headers: Mapping[str, str] = {}
    idempotency_key: str | None = None
    """By which the kernel recognises a repeat; makes a POST safe to repeat."""
    wait_s: float = 0
    """How long the kernel may hold the request open, in seconds, on top of the client's own patience."""


class Stream(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """A stream of server-sent events, each read as a `T_co`."""

    path: str
    read: Callable[[ServerSentEvent], T_co]
    query: Query = {}
    last_event_id: str = ""
    """Where to go on; empty for the beginning, or for now, as the stream says."""
    ends: Callable[[Any], bool] = lambda _: False
    """Whether nothing comes after this item."""


class Listing(Protocol[T_co]):
    """Part of a listing: items, and the cursor of the next part."""

    @property
    def items(self) -> Sequence[T_co]:
        """The entries of this part."""
        ...

    @property
    def next_cursor(self) -> str | None:
        """Where the next part begins; None at the end."""
        ...


def path(*parts: str) -> str:
    """Return a path below `/api`; what comes from outside cannot leave its part of it."""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def query(**values: Value | list[str]) -> dict[str, str | list[str]]:
    """Return query parameters; None, empty texts and empty lists are left out, a list is said item by item."""
    return {
        name: value if isinstance(value, list) else _text(value)
        for name, value in values.items()
        if value not in (None, "", [])
    }


def new_key() -> str:
    """Return a new idempotency key."""
    return secrets.token_urlsafe(18)


def with_cursor(call: Call[T_co], cursor: str) -> Call[T_co]:
    """Return the call for another part of the same listing, said where the call says what it wants."""
    if "cursor" in getattr(call.body, "__struct_fields__", ()):
        return msgspec.structs.replace(call, body=msgspec.structs.replace(call.body, cursor=cursor))
    return msgspec.structs.replace(call, query={**call.query, "cursor": cursor})


def _text(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)

"""Errors that say what the caller can do.

A domain error is a class with a `kind` and facts. The first line of its docstring is the public title, its class
name (in kebab case) the public slug, and `str(error)` the sentence for this case. Each door has one table from kind
to its own language; nothing else about an error depends on the door it leaves through.
"""

import re
from enum import StrEnum
from typing import ClassVar

Fact = str | int | bool | None | list[str] | dict[str, str]


class ErrorKind(StrEnum):
    """What a caller can do about an error."""

    MALFORMED = "malformed"  # repair the request's form
    INVALID = "invalid"  # repair a value
    UNAUTHENTICATED = "unauthenticated"  # come with a valid key
    DENIED = "denied"  # ask somebody who may
    NOT_FOUND = "not_found"  # look elsewhere; foreign objects answer the same
    CONFLICT = "conflict"  # look at the present state, then decide again
    GONE = "gone"  # it was here and will not come back
    TOO_LARGE = "too_large"  # send less
    LIMITED = "limited"  # wait, then repeat
    UNAVAILABLE = "unavailable"  # repeat later; nothing happened
    STORAGE_FULL = "storage_full"  # make room; nothing happened


class MemroosError(Exception):
    """Something went wrong that the caller can act on.

    Args:
        detail: the sentence for this case; without one, the title.
        retry_after_s: seconds after which a repeat makes sense.
        facts: structured details for machines, JSON types only, never a secret.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID

    def __init__(self, detail: str = "", *, retry_after_s: int | None = None, **facts: Fact) -> None:
        super().__init__(detail or self.title())
        self.detail = detail or self.title()
        self.retry_after_s = retry_after_s
        self.facts: dict[str, Fact] = facts

    @classmethod
    def title(cls) -> str:
        """Return the fixed public title: the docstring's first line."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".")

    @classmethod
    def slug(cls) -> str:
        """Return the public name of this kind of problem, such as `task-not-held`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


class NotFound(MemroosError):
    """Nothing with this id is visible to you.

    An object of another owner or workspace answers exactly the same.

    Facts:
        kind_of_object: what was looked for.
        id: the id that was asked for.
    """

    kind = ErrorKind.NOT_FOUND


class Denied(MemroosError):
    """Policy does not let you do this.

    Facts:
        action: what was asked.
        decision: id of the recorded decision, for an operator to look up.
    """

    kind = ErrorKind.DENIED


class Unauthenticated(MemroosError):
    """A valid key is needed.

    Send `Authorization: Bearer <key>`. Unknown, malformed, expired and revoked keys answer the same.
    """

    kind = ErrorKind.UNAUTHENTICATED


class InvalidRequest(MemroosError):
    """The request does not fit what this operation takes.

    Facts:
        fields: which fields are wrong, and how.
    """

    kind = ErrorKind.INVALID


class MalformedRequest(MemroosError):
    """The request could not be read."""

    kind = ErrorKind.MALFORMED


class TooLarge(MemroosError):
    """The request is larger than this server accepts.

    Facts:
        limit_bytes: the largest size that is accepted.
    """

    kind = ErrorKind.TOO_LARGE


class TooManyRequests(MemroosError):
    """You are sending faster than your limit allows.

    Wait the seconds in `Retry-After`, then repeat.
    """

    kind = ErrorKind.LIMITED


class Overloaded(MemroosError):
    """The kernel has more waiting writes than it accepts.

    Nothing happened. Wait the seconds in `Retry-After`, then repeat.
    """

    kind = ErrorKind.UNAVAILABLE


class Stopping(MemroosError):
    """The kernel is shutting down.

    Nothing happened. Repeat when it is back.
    """

    kind = ErrorKind.UNAVAILABLE


class StorageFull(MemroosError):
    """There is no room left on the disk.

    Nothing of this request was kept. Make room; the kernel goes on by itself.
    """

    kind = ErrorKind.STORAGE_FULL


class StorageFailed(MemroosError):
    """The database could not take the change.

    Nothing of this request was kept. The log says why.
    """

    kind = ErrorKind.UNAVAILABLE


class IdempotencyConflict(MemroosError):
    """This idempotency key was used for another request.

    Send the same body with the same key, or another key.

    Facts:
        idempotency_key: the key that was sent.
    """

    kind = ErrorKind.CONFLICT


class InvalidCursor(MemroosError):
    """The cursor does not belong to this listing.

    Start again without a cursor.
    """

    kind = ErrorKind.INVALID

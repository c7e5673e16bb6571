"""What becomes of a message, decided without a database."""

from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from memroos_contracts.bus import InboxState

BODY_BYTES_MAX = 262_144
"""Largest body, as JSON. Larger things are passed by reference; a full inbox then stays below 3 GB."""

QUEUED_MAX = 10_000
"""Messages that may wait in one inbox; more are refused, so that one stuck agent does not fill the disk."""

ATTEMPTS_MAX = 5
"""How often a message is handed out before it is dead, when its sender says nothing else."""

SHORTEST_REST = timedelta(milliseconds=20)
"""Between two chunks of a long recovery, so that others get their turn at the writer."""

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 300.0


class Return(msgspec.Struct, frozen=True):
    """What becomes of a message that its receiver did not finish."""

    state: InboxState
    not_before: datetime | None
    reason: str


def decide_return(
    *,
    attempts: int,
    max_attempts: int,
    expires_at: datetime | None,
    now: datetime,
    not_before: datetime | None,
    reason: str,
) -> Return:
    """Decide what becomes of a message that comes back: offered again, dead after enough attempts, or too late."""
    if attempts >= max_attempts:
        return Return(InboxState.DEAD, None, reason)
    if expires_at is not None and expires_at <= now:
        return Return(InboxState.EXPIRED, None, reason)
    waits = not_before is not None and not_before > now
    return Return(InboxState.QUEUED, not_before if waits else None, reason)


def backoff(attempt: int, jitter: float) -> timedelta:
    """Return how long a message rests after a failed attempt: twice as long each time, up to five minutes.

    Args:
        attempt: which attempt failed, from 1.
        jitter: 0 to 1; up to half of the time is left out, so that what failed together does not come back together.
    """
    longest = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, 16))
    return timedelta(seconds=longest * (1 - jitter / 2))


def jitter_of(message_id: str, attempt: int) -> float:
    """Return a number from 0 to 1 that differs between messages and attempts, and is the same each time."""
    digest = blake2b(f"{message_id}/{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 0xFFFF_FFFF


def holds_lease(
    *, state: InboxState, fencing_token: int, given: int, lease_until: datetime | None, now: datetime
) -> bool:
    """Answer whether a receiver with this token still holds the message. A lease that has ended is nobody's."""
    return state is InboxState.LEASED and given == fencing_token and lease_until is not None and now < lease_until


def rest_until(due: datetime | None, *, now: datetime, longest: timedelta) -> timedelta:
    """Return how long to rest until something is due, never longer than `longest`, never not at all."""
    return longest if due is None else min(longest, max(due - now, SHORTEST_REST))


def author_agent(sender: str) -> str | None:
    """Return the id of the agent that a principal is, None for people and services."""
    role, _, name = sender.partition(":")
    return name if role == "agent" and name else None

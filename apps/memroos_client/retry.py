"""When to try again, and when not."""

import random

import msgspec

from memroos_client.call import Call
from memroos_client.errors import ClientError, ProblemError, Unreachable

_SAFE = frozenset({"GET", "HEAD"})
_PASSING = frozenset({429, 503})
"""Statuses that say: nothing happened, come again."""


class Retries(msgspec.Struct, frozen=True):
    """How often and how fast a request is repeated.

    The default bears with a kernel that restarts, about ten seconds.
    """

    most: int = 6
    """Repeats after the first attempt; 0 for none."""
    first_s: float = 0.2
    """Pause before the first repeat; it doubles with each."""
    longest_s: float = 5.0
    """The pause grows no further."""
    patience_s: float = 30.0
    """A kernel that asks for a longer pause than this is not waited for."""

    def pause_s(self, attempt: int, error: ClientError | None = None) -> float | None:
        """Return the seconds to wait before the next attempt; None to give up.

        Args:
            attempt: how many attempts have failed before this one.
            error: why this one failed.
        """
        if attempt >= self.most:
            return None
        pause: float = min(self.longest_s, self.first_s * 2**attempt)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - so that many clients do not come back at the same time
        asked = error.retry_after_s if isinstance(error, ProblemError) else None
        if asked is None:
            return pause
        return None if asked > self.patience_s else asked + pause

    def pause_before(self, call: Call[object], attempt: int, error: ClientError) -> float | None:
        """Return the seconds to wait before repeating a call; None where it must not, or need not, be repeated."""
        return self.pause_s(attempt, error) if is_repeatable(call) and is_passing(error) else None


def is_repeatable(call: Call[object]) -> bool:
    """Whether a call may be sent twice without being done twice."""
    return call.method in _SAFE or call.idempotency_key is not None


def is_passing(error: ClientError) -> bool:
    """Whether the same request may succeed a little later."""
    return isinstance(error, Unreachable) or (isinstance(error, ProblemError) and error.status in _PASSING)

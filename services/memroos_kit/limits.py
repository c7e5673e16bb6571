"""Limits per key: how fast, and how many streams at once.

Both live in memory and belong to the event loop's thread: after a restart everybody starts afresh, which errs on the
caller's side.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from memroos_contracts.errors import TooManyRequests

_SWEEP_AT = 1_024


class RateLimiter:
    """A token bucket per key, kept as one number each: when the bucket will be full again.

    The form is the generic cell rate algorithm (ITU-T I.371, annex A): no timer fills buckets, and a key that has
    been quiet for as long as its bucket takes to fill costs no memory.

    Args:
        per_minute: tokens that flow in per minute.
        burst: tokens that a full bucket holds.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(self, *, per_minute: int, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 1 or burst < 1:
            raise ValueError("a rate and a burst are at least 1")
        self._token_s = 60.0 / per_minute
        self._window_s = self._token_s * burst
        self._burst = burst
        self._monotonic = monotonic
        self._full_at: dict[str, float] = {}
        self._sweep_at = _SWEEP_AT

    def take(self, key: str, tokens: int = 1) -> None:
        """Take tokens from a key's bucket; a refused attempt takes none.

        Raises:
            TooManyRequests: the bucket holds fewer; `retry_after_s` says when it will not.
        """
        if tokens > self._burst:
            raise ValueError("more tokens at once than the bucket ever holds")
        now = self._monotonic()
        full_at = max(self._full_at.get(key, now), now) + tokens * self._token_s
        if (missing_s := full_at - now - self._window_s) > 1e-9:
            raise TooManyRequests(
                f"This key may send {60 / self._token_s:.0f} requests per minute.",
                retry_after_s=max(1, math.ceil(missing_s)),
            )
        self._full_at[key] = full_at
        if len(self._full_at) > self._sweep_at:
            self._sweep(now)

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._full_at)

    def _sweep(self, now: float) -> None:
        """Forget full buckets; the next sweep comes after as many new keys, so that each costs a constant share."""
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        self._sweep_at = max(_SWEEP_AT, 2 * len(self._full_at))


class StreamSlots:
    """Counts the open streams of each key.

    Args:
        per_key: most streams one key may hold open.
    """

    def __init__(self, *, per_key: int) -> None:
        self._per_key = per_key
        self._open: dict[str, int] = {}

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Occupy one slot of a key while the block runs.

        Raises:
            TooManyRequests: all slots of this key are taken.
        """
        if self.count(key) >= self._per_key:
            raise TooManyRequests(
                f"This key has {self._per_key} streams open, which is its limit; close one first.", retry_after_s=1
            )
        self._open[key] = self.count(key) + 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    def count(self, key: str) -> int:
        """Return how many streams a key holds open."""
        return self._open.get(key, 0)

    def total(self) -> int:
        """Return how many streams are open."""
        return sum(self._open.values())

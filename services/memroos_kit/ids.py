"""Sortable identities: a prefix and a ULID (26 characters of Crockford base 32: 48 bits of milliseconds, 80 random)."""

import secrets
import threading
from datetime import datetime

from memroos_kit.clock import to_micros

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_BITS = 80


class IdSource:
    """Makes ids that sort in the order in which they were made, also within one millisecond and if time goes back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millis = 0
        self._random = 0

    def new(self, prefix: str, now: datetime) -> str:
        """Return the next id, such as `task_01JABCDEF...`."""
        millis = to_micros(now) // 1000
        with self._lock:
            if millis > self._millis:
                self._millis = millis
                self._random = secrets.randbits(_RANDOM_BITS - 1)  # the top bit is left as room to count up
            else:
                self._random += 1 + secrets.randbits(32)  # ids stay hard to guess from their neighbours
            value = self._millis << _RANDOM_BITS | self._random
        return f"{prefix}_{_encode(value)}"


def _encode(value: int) -> str:
    # 130 bits in 13 pairs of five-bit digits; the two highest bits are always zero.
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])

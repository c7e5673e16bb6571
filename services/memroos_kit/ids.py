"""Sortable identities: a prefix and a ULID (26 characters of Crockford base 32: 48 bits of milliseconds, 80 random)."""

import os
import secrets
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from memroos_kit.clock import to_micros

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_BITS = 80
_LOW_40 = (1 << 40) - 1
_STEPS = struct.Struct("<1024I")


class IdSource:
    """Makes ids that sort in the order in which they were made, also within one millisecond and if time goes back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millis = -1
        self._time = ""
        self._random = 0
        self._steps: Iterator[int] = iter(())

    def new(self, prefix: str, now: datetime) -> str:
        """Return the next id, such as `task_01JABCDEF...`."""
        millis = to_micros(now) // 1000
        with self._lock:
            if millis > self._millis:
                self._millis = millis
                self._time = _PAIRS[millis >> 40] + _forty(millis & _LOW_40)
                self._random = secrets.randbits(_RANDOM_BITS - 1)  # the top bit is left as room to count up
            else:
                self._random += 1 + self._step()  # ids stay hard to guess from their neighbours
            time, value = self._time, self._random
        return f"{prefix}_{time}{_forty(value >> 40)}{_forty(value & _LOW_40)}"

    def _step(self) -> int:
        step = next(self._steps, None)
        if step is None:  # one call to the system for a thousand steps
            self._steps = iter(_STEPS.unpack(os.urandom(_STEPS.size)))
            step = next(self._steps)
        return step


def _forty(value: int) -> str:
    """Return the eight digits of 40 bits. Spelled out, because every row, event and audit entry takes an id."""
    return _PAIRS[value >> 30] + _PAIRS[value >> 20 & 1023] + _PAIRS[value >> 10 & 1023] + _PAIRS[value & 1023]


_source = IdSource()


def new_id(prefix: str) -> str:
    """Return an id for something outside a unit of work, such as a request; inside one use `tx.new_id`."""
    return _source.new(prefix, datetime.now(UTC))

"""Tells whoever waits for jobs that the line has changed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from memroos_kit.db import Cursor

JOURNAL = "jobs"


class Bell:
    """Rings after each commit in which a job came into line, went on or came to its end.

    A journal of the database (`journals=[..., bell]`) that writes nothing. Who listens is called in the writer
    thread, and must not wait there.
    """

    name = JOURNAL

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[], object]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def calling(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call a function at each change while the block runs."""
        token = object()
        with self._lock:
            self._listeners[token] = wake
        try:
            yield
        finally:
            with self._lock:
                del self._listeners[token]

    def write(self, cursor: Cursor, entries: list[Any]) -> None:
        """Write nothing; the rows are there already."""

    def publish(self, pending: Any) -> None:  # noqa: ARG002 - the journal's form
        """Ring."""
        with self._lock:
            listeners = list(self._listeners.values())
        for wake in listeners:
            wake()

"""The word that something waits to be handed over: a journal of the database, so it comes after the COMMIT."""

from collections.abc import Callable
from typing import Any

from memroos_kit.db import Cursor, Tx

JOURNAL = "memory"


def ring(tx: Tx) -> None:
    """Say, once this unit of work is committed, that the log has grown."""
    tx.journal(JOURNAL).append(None)


class Bell:
    """Calls whoever listens after each commit that made the log longer; in the writer's thread."""

    name = JOURNAL

    def __init__(self) -> None:
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Name who is called; it must neither fail nor wait. None ends it."""
        self._listener = listener

    def write(self, cursor: Cursor, entries: list[Any]) -> None:
        """Write nothing: the events are the log."""

    def publish(self, pending: Any) -> None:  # noqa: ARG002 - a journal's signature
        """Call the listener."""
        if self._listener is not None:
            self._listener()

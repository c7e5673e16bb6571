"""What the database asks of the slices above it, without knowing them."""

from typing import Any, Protocol

from memroos_kit.db.hot import Cursor
from memroos_kit.db.tx import Tx


class Journal(Protocol):
    """Writes what a batch's operations announced, in order, inside the batch's transaction.

    State that follows the data (a counter, a tree's frontier) is computed in `write`, handed back, and published only
    after COMMIT; a batch that fails leaves no trace.
    """

    name: str

    def write(self, cursor: Cursor, entries: list[Any]) -> Any:
        """Write the entries; the last thing before COMMIT. Raises to fail the whole batch (fail closed)."""
        ...

    def publish(self, pending: Any) -> None:
        """Make the state of a committed batch visible; runs in the writer thread, must not fail."""
        ...


class FailureRecorder(Protocol):
    """Records an operation that was denied or failed, after its changes were rolled back."""

    def record_failure(self, tx: Tx, verb: str, error: BaseException) -> None:
        """Announce the decision and its outcome (`denied` or `failed`) in a fresh unit of work."""
        ...

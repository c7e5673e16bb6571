"""Who was handed what: kept for a while, so that it is not taken for something new when they say it."""

import threading
from collections.abc import Iterable
from datetime import timedelta

import msgspec
from sqlalchemy import text

from memroos_kit import log
from memroos_kit.clock import to_micros
from memroos_kit.db import Database, Hot, Read, Tx
from memroos_kit.stopping import Stopping
from memroos_memory.actor import SERVICE
from memroos_memory.echo.sentences import LEAST_WORDS, is_echo, marks, sentences

FLUSH_S = 0.2
ROWS_MAX = 2_000
"""Marks that are written at once; the rest follow."""

_MARK = Hot(text(
    "INSERT INTO echo_mark (reader, digest, at) VALUES (:reader, :digest, :at)"
    " ON CONFLICT (reader, digest) DO UPDATE SET at = :at"
))  # fmt: skip
_ANY = Hot(text("SELECT 1 FROM echo_mark WHERE reader = :reader LIMIT 1"))
_MARKED = Hot(text(
    "SELECT digest FROM echo_mark WHERE reader = :reader AND digest IN (SELECT value FROM json_each(:digests))"
))  # fmt: skip
_FORGET = Hot(text(
    "DELETE FROM echo_mark WHERE (reader, digest) IN"
    " (SELECT reader, digest FROM echo_mark WHERE at < :before ORDER BY at LIMIT :most)"
))  # fmt: skip
_log = log.get(__name__)


def reader_of(workspace: str, principal: str) -> str:
    """Return under which name marks are kept."""
    return f"{workspace}\n{principal}"


def mark(tx: Tx, entries: Iterable[tuple[str, int]]) -> None:
    """Keep marks: reader and hash. May be repeated; the newest time counts."""
    at = to_micros(tx.now)
    tx.execute_many(_MARK, [{"reader": reader, "digest": digest, "at": at} for reader, digest in entries])


def echoes(tx: Read, workspace: str, principal: str, said: str, *, pending: frozenset[int] = frozenset()) -> bool:
    """Return whether a text repeats, for the most part, what was handed out to whoever says it.

    Args:
        workspace: where.
        principal: who says it.
        said: the text.
        pending: hashes that are not written yet.
    """
    reader = reader_of(workspace, principal)
    if not pending and tx.execute(_ANY, reader=reader).fetchone() is None:
        return False
    spoken = sentences(said)
    asked = [digest for digest, length in spoken if length >= LEAST_WORDS]
    if not asked:
        return False
    rows = tx.execute(_MARKED, reader=reader, digests=msgspec.json.encode(asked).decode()).fetchall()
    return is_echo(spoken, {row[0] for row in rows} | pending)


def forget(tx: Tx, older_than: timedelta, *, most: int = 500) -> int:
    """Forget what was handed out long ago; return how many marks."""
    return tx.execute(_FORGET, before=to_micros(tx.now - older_than), most=most).rowcount


class EchoMarks:
    """Takes down what is handed out, without holding up whoever asked.

    What is marked counts at once; it is written within a fifth of a second, and lost only where the process dies
    before.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._pending: dict[str, set[int]] = {}
        self._writing: dict[str, set[int]] = {}

    def mark(self, workspace: str, principal: str, texts: Iterable[str]) -> None:
        """Take down texts that are handed out to somebody."""
        if not principal:
            return
        found = {digest for text in texts for digest in marks(text)}
        if not found:
            return
        with self._lock:
            self._pending.setdefault(reader_of(workspace, principal), set()).update(found)

    def is_echo(self, tx: Read, workspace: str, principal: str, said: str) -> bool:
        """Return whether a text repeats what was handed out to whoever says it, also what is not written yet."""
        reader = reader_of(workspace, principal)
        with self._lock:
            pending = frozenset(self._pending.get(reader, ())) | frozenset(self._writing.get(reader, ()))
        return echoes(tx, workspace, principal, said, pending=pending)

    async def flush(self) -> None:
        """Write what is not written yet; where that fails it stays for the next time."""
        with self._lock:
            self._writing, self._pending = self._pending, {}
        try:
            entries = [(reader, digest) for reader, digests in self._writing.items() for digest in sorted(digests)]
            for start in range(0, len(entries), ROWS_MAX):
                await self._db.write(SERVICE, mark, entries[start : start + ROWS_MAX])
        except BaseException:
            with self._lock:
                for reader, digests in self._writing.items():
                    self._pending.setdefault(reader, set()).update(digests)
            raise
        finally:
            with self._lock:
                self._writing = {}

    async def run(self, stopping: Stopping) -> None:
        """Write marks until told to stop, then the last ones."""
        while not stopping.is_set():
            await stopping.first(stopping.wait(), timeout_s=FLUSH_S)
            try:
                if self._pending:
                    await self.flush()
            except Exception:  # noqa: BLE001 - the loop outlives a full disk; the marks stay in memory and count
                _log.exception("echo.flush_failed")

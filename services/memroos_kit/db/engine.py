"""SQLite connections as this project needs them: WAL, every commit on the disk, transactions begun by us."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from memroos_contracts.errors import MemroosError, StorageFailed, StorageFull
from memroos_kit.sqlite import sqlite3

# NORMAL survives a killed process but loses acknowledged rows at a power cut; FULL syncs the WAL before each answer.
WRITER_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
)
READER_PRAGMAS = ("PRAGMA query_only=ON", "PRAGMA busy_timeout=5000", "PRAGMA cache_size=-32768")
CACHED_STATEMENTS = 1_024
"""Compiled statements that a connection keeps. The kernel has more than the driver keeps by itself, which then compiles
the newest ones again and again: a third of the cost of sending a task."""

_FULL = 13  # https://sqlite.org/rescode.html
_STORAGE_CODES = frozenset({5, 6, 7, 8, 10, 11, 14, 26})  # busy, locked, no memory, read-only, I/O, corrupt, can't open
_NO_SPACE = ("disk is full", "no space left")


def open_writer(path: Path) -> Engine:
    """Return an engine with the one connection that may write; its transactions begin IMMEDIATE.

    The file is made with access for its owner only; SQLite gives the files beside it the same.
    """
    with contextlib.suppress(OSError):  # it is there; what else is wrong, connecting says
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return _open(path, WRITER_PRAGMAS, begin="BEGIN IMMEDIATE")


def open_reader(path: Path) -> Engine:
    """Return an engine with one connection that cannot write; its transactions are snapshots."""
    return _open(path, READER_PRAGMAS, begin="BEGIN")


def _open(path: Path, pragmas: tuple[str, ...], *, begin: str) -> Engine:
    def connect() -> Any:
        connection = sqlite3.connect(
            str(path), isolation_level=None, check_same_thread=False, cached_statements=CACHED_STATEMENTS
        )
        for pragma in pragmas:
            connection.execute(pragma)
        return connection

    engine = create_engine("sqlite://", module=sqlite3, creator=connect, poolclass=StaticPool)
    # With the driver's own BEGIN a read followed by a write is not isolated: concurrent increments get lost.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def storage_error(error: BaseException) -> MemroosError | None:
    """Return the domain's word for a failure of the storage itself, None for any other error."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite3.Error):
        return None
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    text = str(cause).lower()
    if code == _FULL or any(words in text for words in _NO_SPACE):
        return StorageFull()
    return StorageFailed() if code in _STORAGE_CODES else None  # anything else is a mistake of ours, not of the disk


@contextmanager
def savepoint(cursor: Any) -> Iterator[None]:
    """Run a block so that a failure undoes it alone.

    The original error is re-raised. When the database has cancelled the whole transaction, as it does on a full disk,
    there is no savepoint left to return to; `in_transaction` tells.
    """
    cursor.execute("SAVEPOINT operation")
    try:
        yield
    except BaseException:
        if cursor.connection.in_transaction:
            cursor.execute("ROLLBACK TO operation")
            cursor.execute("RELEASE operation")
        raise
    cursor.execute("RELEASE operation")

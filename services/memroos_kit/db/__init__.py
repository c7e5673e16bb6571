"""The database: one writer thread with group commit, readers on snapshots, statements compiled once.

A verb is a synchronous function over a `Tx`, a query one over a `Read`. Neither can await, so neither can do network
I/O inside a transaction.
"""

from memroos_kit.sqlite import sqlite3  # isort: skip  # before SQLAlchemy may import another SQLite
from memroos_kit.db.base import Base, JsonText, UtcDateTime, append_only, by_value
from memroos_kit.db.database import Database
from memroos_kit.db.engine import open_reader, open_writer, storage_error
from memroos_kit.db.hot import Cursor, Hot, insert_by_position
from memroos_kit.db.ports import FailureRecorder, Journal
from memroos_kit.db.tx import Read, Tx

__all__ = [
    "Base",
    "Cursor",
    "Database",
    "FailureRecorder",
    "Hot",
    "Journal",
    "JsonText",
    "Read",
    "Tx",
    "UtcDateTime",
    "append_only",
    "by_value",
    "insert_by_position",
    "open_reader",
    "open_writer",
    "sqlite3",
    "storage_error",
]

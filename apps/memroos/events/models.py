"""The event log's table. It is written by compiled statements only."""

from sqlalchemy import Column, Integer, String, Table, Text

from memroos_kit.db import Base, UtcDateTime, append_only

# No index besides the key: readers go forward from an offset, and what is old is deleted from the front.
event = Table(
    "event",
    Base.metadata,
    Column("offset", Integer, primary_key=True),
    Column("id", String(36), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("workspace_id", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("data", Text, nullable=False),  # JSON
    Column("owner", String(128), nullable=False),
    Column("agent", String(64), nullable=False),
    sqlite_autoincrement=True,  # an offset is never used twice, even when retention has emptied the log
)

DDL: tuple[str, ...] = append_only("event")[:1]  # retention deletes; nobody rewrites

"""The ledger's tables. They are written by compiled statements only and never change: see the triggers."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, Text

from memroos_kit.db import Base, UtcDateTime, append_only

audit_event = Table(
    "audit_event",
    Base.metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # gapless, in commit order; leaf `seq - 1`
    Column("id", String(36), nullable=False, unique=True),
    Column("at", UtcDateTime, nullable=False),
    Column("workspace_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("action", String(64), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("asset", String(160), nullable=False),
    Column("decision_id", String(36)),
    Column("outcome", String(16), nullable=False),
    Column("body", Text, nullable=False),  # canonical JSON; the columns before it repeat parts of it for searching
    Column("leaf", LargeBinary(32), nullable=False),
    CheckConstraint("kind IN ('decision', 'outcome')", name="kind"),
    CheckConstraint("length(leaf) = 32", name="leaf_is_a_hash"),
)
# Each index costs every event about half a microsecond. A decision is found through its event's id, which is derived
# from the decision's, so that only outcomes need the second one.
Index(None, audit_event.c.workspace_id, audit_event.c.asset)
Index(None, audit_event.c.workspace_id, audit_event.c.action)
Index(None, audit_event.c.decision_id, sqlite_where=audit_event.c.kind == "outcome")

audit_node = Table(
    "audit_node",
    Base.metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),  # 1 covers two events, 2 four, ...
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)

audit_head = Table(
    "audit_head",
    Base.metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("note", Text, nullable=False),
)

DDL: tuple[str, ...] = (*append_only("audit_event"), *append_only("audit_node"), *append_only("audit_head"))

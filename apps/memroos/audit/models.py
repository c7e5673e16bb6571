"""The ledger's tables. They are written by compiled statements only and never change: see the triggers."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, Text

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
    # The leaf's hash and those of the complete subtrees that end with it (`rules.tree`): 32 bytes each, 64 on average.
    # A table of nodes would cost a fifth of the whole write.
    Column("hashes", LargeBinary, nullable=False),
    CheckConstraint("kind IN ('decision', 'outcome')", name="kind"),
)
# Each index costs every event about half a microsecond. A decision is found through its event's id, which is derived
# from the decision's, so that only outcomes need the second one.
Index(None, audit_event.c.workspace_id, audit_event.c.asset)
Index(None, audit_event.c.workspace_id, audit_event.c.action)
Index(None, audit_event.c.decision_id, sqlite_where=audit_event.c.kind == "outcome")

audit_head = Table(
    "audit_head",
    Base.metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("note", Text, nullable=False),
)

DDL: tuple[str, ...] = (*append_only("audit_event"), *append_only("audit_head"))

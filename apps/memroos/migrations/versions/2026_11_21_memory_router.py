"""Let the kernel hand its memories over to the memory service, and remember what it handed out.

What changes: `memory_event` knows who said a thing and when it happened. New tables: how far the log is handed over
(`memory_handover`, `memory_aside`), what was removed (`memory_removal`, `memory_hidden`), what the service was asked to
change (`memory_effect`), what was handed out (`memory_trace`), and `recollection_policy`.
Existing rows: events count as said by their author when they were recorded, and are handed over from the first on.
Does the previous code still run: yes; it leaves the new columns and tables empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_memory_router"
down_revision = "2026_11_21_push_notifications"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("memory_event", sa.Column("speaker", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("memory_event", sa.Column("occurred_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "memory_handover",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("removal_seq", sa.Integer(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_handover")),
    )
    op.execute("INSERT INTO memory_handover (id, event_seq, removal_seq, moved_at) VALUES (1, 0, 0, 0)")
    op.create_table(
        "memory_aside",
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_seq", name=op.f("pk_memory_aside")),
    )
    op.create_table(
        "memory_removal",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=False),
        sa.Column("after_seq", sa.Integer(), nullable=False),
        sa.Column("reader", sa.String(length=260), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_memory_removal")),
        sa.UniqueConstraint("id", name=op.f("uq_memory_removal_id")),
        sqlite_autoincrement=True,
    )
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER memory_removal_refuses_{change.lower()} BEFORE {change} ON memory_removal "
            "BEGIN SELECT RAISE(ABORT, 'memory_removal is append-only'); END"
        )
    op.create_table(
        "memory_hidden",
        sa.Column("target_id", sa.String(length=64), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("removal_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("target_id", name=op.f("pk_memory_hidden")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memory_effect",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("reader", sa.String(length=260), nullable=False),
        sa.Column("decision_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_effect")),
    )
    op.create_index(
        "ix_memory_effect_open", "memory_effect", ["created_at"], sqlite_where=sa.text("state = 'intended'")
    )
    op.create_table(
        "memory_trace",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.String(length=40), nullable=False),
        sa.Column("query_digest", sa.String(length=80), nullable=False),
        sa.Column("query", sa.Text(), nullable=True),
        sa.Column("arms", sa.Text(), nullable=False),
        sa.Column("missing", sa.Text(), nullable=False),
        sa.Column("hits", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("abstained", sa.Text(), nullable=False),
        sa.Column("took_us", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_trace")),
    )
    op.create_index("ix_memory_trace_workspace", "memory_trace", ["workspace_id", "id"])
    op.create_index("ix_memory_trace_task", "memory_trace", ["task_id"], sqlite_where=sa.text("task_id <> ''"))
    op.create_index("ix_memory_trace_agent", "memory_trace", ["agent_id", "id"], sqlite_where=sa.text("agent_id <> ''"))
    op.create_table(
        "recollection_policy",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recollection_policy")),
        sa.UniqueConstraint(
            "workspace_id", "agent_id", "purpose", name=op.f("uq_recollection_policy_workspace_id_agent_id_purpose")
        ),
    )


def downgrade() -> None:
    """Take back: what was removed is found again, and what was handed out is forgotten."""
    op.drop_table("recollection_policy")
    op.drop_index("ix_memory_trace_agent", table_name="memory_trace", sqlite_where=sa.text("agent_id <> ''"))
    op.drop_index("ix_memory_trace_task", table_name="memory_trace", sqlite_where=sa.text("task_id <> ''"))
    op.drop_index("ix_memory_trace_workspace", table_name="memory_trace")
    op.drop_table("memory_trace")
    op.drop_index("ix_memory_effect_open", table_name="memory_effect", sqlite_where=sa.text("state = 'intended'"))
    op.drop_table("memory_effect")
    op.drop_table("memory_hidden")
    op.drop_table("memory_removal")
    op.drop_table("memory_aside")
    op.drop_table("memory_handover")
    op.drop_column("memory_event", "occurred_at")
    op.drop_column("memory_event", "speaker")

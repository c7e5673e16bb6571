"""Let tasks go to remote A2A agents: how they are reached, their cards, and the other end of a task.

What changes: tables `remote_agent`, `agent_card`, `remote_task` and `agent_load`; tasks know what their agent took, how it answered,
under which trace and through which brokers they came; agents have capabilities; a delivery may go out by A2A.
Existing rows: tasks count as taken by their agent as soon as they were made, agents can do everything.
Does the previous code still run: no, it writes tasks without the new columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_remote_agents"
down_revision = "2026_11_21_first_tables"
branch_labels = None
depends_on = None

TASK_COLUMNS = ("accepted_generation", "message_only", "traceparent", "via", "agent_metadata")


def upgrade() -> None:
    """Apply."""
    op.add_column("task", sa.Column("accepted_generation", sa.Integer(), nullable=False, server_default="2"))
    op.add_column("task", sa.Column("message_only", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("task", sa.Column("traceparent", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("task", sa.Column("via", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("task", sa.Column("agent_metadata", sa.Text(), nullable=True))
    op.add_column(
        "agent",
        sa.Column(
            "capabilities",
            sa.Text(),
            nullable=False,
            server_default='{"streaming":true,"push_notifications":true,"extended_agent_card":true}',
        ),
    )
    _rebuild_delivery("'inbox','local','a2a'")
    op.create_table(
        "remote_task",
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("agent_id", sa.String(length=40), nullable=False),
        sa.Column("remote_id", sa.String(length=200), nullable=False),
        sa.Column("remote_context_id", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('following','canceling','closed')", name=op.f("ck_remote_task_state_is_known")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_remote_task_task_id_task")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_remote_task")),
    )
    op.create_index("ix_remote_task_open", "remote_task", ["due_at"], sqlite_where=sa.text("state <> 'closed'"))
    op.create_index("ix_remote_task_by_agent", "remote_task", ["agent_id", "remote_id"])
    op.create_table(
        "agent_load",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=40), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "agent_id", name=op.f("pk_agent_load")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO agent_load SELECT workspace_id, agent_id, "
        "sum(CASE WHEN state IN ('submitted','working','input_required','auth_required') THEN tasks ELSE 0 END), "
        "sum(CASE WHEN state IN ('submitted','working') THEN tasks ELSE 0 END) "
        "FROM task_count GROUP BY workspace_id, agent_id"
    )
    op.create_table(
        "remote_agent",
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("card_url", sa.String(length=2000), nullable=False),
        sa.Column("protocol_binding", sa.String(length=32), nullable=False),
        sa.Column("protocol_version", sa.String(length=16), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("health", sa.String(length=64), nullable=False),
        sa.Column("last_error", sa.String(length=500), nullable=False),
        sa.Column("last_poll_at", sa.BigInteger(), nullable=True),
        sa.Column("next_poll_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("call_failures", sa.Integer(), nullable=False),
        sa.Column("breaker_until", sa.BigInteger(), nullable=True),
        sa.Column("credential", sa.LargeBinary(), nullable=True),
        sa.Column("credential_origin", sa.String(length=300), nullable=False),
        sa.Column("pinned_keys", sa.Text(), nullable=False),
        sa.Column("etag", sa.String(length=200), nullable=False),
        sa.Column("card_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_remote_agent_agent_id_agent")),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_remote_agent")),
    )
    op.create_index("ix_remote_agent_next_poll_at", "remote_agent", ["next_poll_at"])
    op.create_table(
        "agent_card",
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.Column("signature_key", sa.String(length=200), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_agent_card_agent_id_agent")),
        sa.PrimaryKeyConstraint("agent_id", "version", name=op.f("pk_agent_card")),
    )
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER agent_card_refuses_{change.lower()} BEFORE {change} ON agent_card "
            "BEGIN SELECT RAISE(ABORT, 'agent_card is append-only'); END"
        )


def downgrade() -> None:
    """Take back: what is on its way to remote agents, and what is known of them, is lost."""
    op.drop_table("agent_card")
    op.drop_index("ix_remote_agent_next_poll_at", table_name="remote_agent")
    op.drop_table("remote_agent")
    op.drop_table("agent_load")
    op.drop_index("ix_remote_task_by_agent", table_name="remote_task")
    op.drop_index("ix_remote_task_open", table_name="remote_task", sqlite_where=sa.text("state <> 'closed'"))
    op.drop_table("remote_task")
    op.execute("DELETE FROM delivery WHERE channel = 'a2a'")
    _rebuild_delivery("'inbox','local'")
    op.drop_column("agent", "capabilities")
    for column in TASK_COLUMNS:
        op.drop_column("task", column)


def _rebuild_delivery(channels: str) -> None:
    """Give the table another list of channels; SQLite cannot change a constraint in place."""
    op.drop_index("ix_delivery_task", table_name="delivery")
    op.drop_index("ix_delivery_waiting", table_name="delivery", sqlite_where=sa.text("state = 'waiting'"))
    op.rename_table("delivery", "delivery_before")
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("inbox_message_id", sa.String(length=40), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"channel IN ({channels})", name=op.f("ck_delivery_channel_is_known")),
        sa.CheckConstraint("state IN ('held','waiting','done')", name=op.f("ck_delivery_state_is_known")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_delivery_task_id_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.execute("INSERT INTO delivery SELECT * FROM delivery_before")
    op.drop_table("delivery_before")
    op.create_index("ix_delivery_task", "delivery", ["task_id"], unique=False)
    op.create_index(
        "ix_delivery_waiting",
        "delivery",
        ["channel", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
    )

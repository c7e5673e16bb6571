"""Let callers be notified of what happens to their tasks: where notifications go, how far they got, and each try.

What changes: tables `push_config` and `push_try`.
Existing rows: none are touched.
Does the previous code still run: yes; nobody is notified while it does.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_push_notifications"
down_revision = "2026_11_21_remote_agents"
branch_labels = None
depends_on = None

ACTIVE = "state = 'active'"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "push_config",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("config_id", sa.String(length=200), nullable=False),
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("scheme", sa.String(length=64), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("delivered_generation", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=False),
        sa.Column("last_try_at", sa.BigInteger(), nullable=True),
        sa.Column("next_try_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active','stopped','done')", name=op.f("ck_push_config_state_is_known")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_push_config_task_id_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push_config")),
        sa.UniqueConstraint("task_id", "owner", "config_id", name=op.f("uq_push_config_task_id_owner_config_id")),
    )
    op.create_index("ix_push_config_by_workspace", "push_config", ["workspace_id", "id"])
    op.create_index("ix_push_config_by_owner", "push_config", ["workspace_id", "owner", "id"])
    op.create_index("ix_push_config_by_state", "push_config", ["workspace_id", "state", "id"])
    op.create_index("ix_push_config_active", "push_config", ["id"], sqlite_where=sa.text(ACTIVE))
    op.create_index(
        "ix_push_config_active_by_owner", "push_config", ["workspace_id", "owner"], sqlite_where=sa.text(ACTIVE)
    )
    op.create_table(
        "push_try",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("push_id", sa.String(length=40), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["push_id"], ["push_config.id"], name=op.f("fk_push_try_push_id_push_config")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push_try")),
    )
    op.create_index("ix_push_try_by_config", "push_try", ["push_id", "id"])


def downgrade() -> None:
    """Take back: nobody is notified any more, and where notifications went is lost."""
    op.drop_index("ix_push_try_by_config", table_name="push_try")
    op.drop_table("push_try")
    op.drop_index("ix_push_config_active_by_owner", table_name="push_config", sqlite_where=sa.text(ACTIVE))
    op.drop_index("ix_push_config_active", table_name="push_config", sqlite_where=sa.text(ACTIVE))
    op.drop_index("ix_push_config_by_state", table_name="push_config")
    op.drop_index("ix_push_config_by_owner", table_name="push_config")
    op.drop_index("ix_push_config_by_workspace", table_name="push_config")
    op.drop_table("push_config")

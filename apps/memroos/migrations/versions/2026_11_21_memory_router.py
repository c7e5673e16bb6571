"""Let the kernel hand its memories over to the memory service.

What changes: `memory_event` knows who said a thing and when it happened.
Existing rows: have neither; they count as said by their author when they were recorded.
Does the previous code still run: yes; it leaves the new columns empty.
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


def downgrade() -> None:
    """Take back."""
    op.drop_column("memory_event", "occurred_at")
    op.drop_column("memory_event", "speaker")

"""Make the first tables: registry, ledger, event log, governance, bus, tasks and memory.

What changes: everything is new.
Existing rows: there are none.
Does the previous code still run: there is none.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_first_tables"
down_revision = None
branch_labels = None
depends_on = None

REFUSALS = (
    # table, kind of change, the columns that must not change (empty for all)
    ("audit_event", "UPDATE", ""),
    ("audit_event", "DELETE", ""),
    ("audit_head", "UPDATE", ""),
    ("audit_head", "DELETE", ""),
    ("event", "UPDATE", ""),
    (
        "decision",
        "UPDATE",
        "id, workspace_id, owner, agent_id, action, tool, asset_kind, asset_id, purpose, labels, digest, effect, reason, policies, policy_hash, approval_id, created_at",
    ),
    ("decision", "DELETE", ""),
    ("memory_event", "UPDATE", ""),
    ("memory_event", "DELETE", ""),
    ("task_event", "UPDATE", ""),
    ("task_event", "DELETE", ""),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "agent",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=4000), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("state_reason", sa.String(length=500), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("skills", sa.Text(), nullable=False),
        sa.Column("endpoint_url", sa.String(length=2000), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.CheckConstraint("endpoint_url = '' OR kind = 'a2a'", name=op.f("ck_agent_only_a2a_has_endpoint")),
        sa.CheckConstraint("version > 0", name=op.f("ck_agent_version_counts_up")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent")),
        sa.UniqueConstraint("workspace_id", "name", name="uq_agent_workspace_id_name"),
    )
    op.create_index("ix_agent_workspace_id_state", "agent", ["workspace_id", "state"], unique=False)
    op.create_table(
        "approval",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("resumes", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=600), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("requester", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("policies", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.String(length=128), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(state = 'pending') = (answered_at IS NULL)", name=op.f("ck_approval_an_answer_has_a_time")
        ),
        sa.CheckConstraint(
            "(state IN ('approved', 'rejected')) = (answered_by IS NOT NULL)",
            name=op.f("ck_approval_an_answer_has_a_name"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    op.create_index(
        "ix_approval_due", "approval", ["expires_at"], unique=False, sqlite_where=sa.text("state = 'pending'")
    )
    op.create_index("ix_approval_workspace_id_requester", "approval", ["workspace_id", "requester", "id"], unique=False)
    op.create_index("ix_approval_workspace_id_state", "approval", ["workspace_id", "state", "id"], unique=False)
    op.create_index(
        "uq_approval_pending",
        "approval",
        ["workspace_id", "requester", "digest"],
        unique=True,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "audit_event",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("asset", sa.String(length=160), nullable=False),
        sa.Column("decision_id", sa.String(length=36), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("kind IN ('decision', 'outcome')", name=op.f("ck_audit_event_kind")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_event_id")),
    )
    op.create_index(
        op.f("ix_audit_event_decision_id"),
        "audit_event",
        ["decision_id"],
        unique=False,
        sqlite_where=sa.text("kind = 'outcome'"),
    )
    op.create_index(op.f("ix_audit_event_workspace_id_action"), "audit_event", ["workspace_id", "action"], unique=False)
    op.create_index(op.f("ix_audit_event_workspace_id_asset"), "audit_event", ["workspace_id", "asset"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("tool", sa.String(length=200), nullable=False),
        sa.Column("asset_kind", sa.String(length=500), nullable=False),
        sa.Column("asset_id", sa.String(length=500), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("effect", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("policies", sa.Text(), nullable=False),
        sa.Column("policy_hash", sa.String(length=64), nullable=False),
        sa.Column("approval_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.String(length=64), nullable=True),
        sa.Column("answered_by", sa.String(length=128), nullable=True),
        sa.Column("answer_note", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.Column("outcome_digest", sa.String(length=64), nullable=False),
        sa.Column("outcome_note", sa.Text(), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(effect = 'hold') = (approval_id IS NOT NULL)", name=op.f("ck_decision_a_hold_has_an_approval")
        ),
        sa.CheckConstraint("(outcome IS NULL) = (reported_at IS NULL)", name=op.f("ck_decision_an_outcome_has_a_time")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index(
        "ix_decision_approval_id",
        "decision",
        ["approval_id"],
        unique=False,
        sqlite_where=sa.text("approval_id IS NOT NULL"),
    )
    op.create_table(
        "event",
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("offset", name=op.f("pk_event")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "idempotency",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "principal", "operation", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "inbox_depth",
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("leased", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.CheckConstraint("queued >= 0 AND leased >= 0 AND dead >= 0", name=op.f("ck_inbox_depth_counts")),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_inbox_depth")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inbox_message",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("context_id", sa.String(length=200), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("fencing_token", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("leased_by", sa.String(length=64), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("replied_at", sa.BigInteger(), nullable=True),
        sa.Column("reply_to", sa.String(length=36), nullable=True),
        sa.Column("correlation_id", sa.String(length=200), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(state = 'leased') = (lease_until IS NOT NULL)", name=op.f("ck_inbox_message_a_lease_has_an_end")
        ),
        sa.CheckConstraint(
            "(state IN ('queued', 'leased')) = (settled_at IS NULL)", name=op.f("ck_inbox_message_settled_has_a_time")
        ),
        sa.CheckConstraint("state <> 'leased' OR head = 1", name=op.f("ck_inbox_message_only_a_head_is_leased")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_inbox_message")),
        sa.UniqueConstraint("id", name=op.f("uq_inbox_message_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_message_agent", "inbox_message", ["agent_id", "seq"], unique=False)
    op.create_index(
        "ix_inbox_message_agent_due",
        "inbox_message",
        ["agent_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_inbox_message_dead",
        "inbox_message",
        ["workspace_id", "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "ix_inbox_message_dead_task",
        "inbox_message",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("state = 'dead' AND task_id IS NOT NULL"),
    )
    op.create_index(
        "ix_inbox_message_ready",
        "inbox_message",
        ["agent_id", sa.text("priority DESC"), "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND head = 1 AND not_before IS NULL"),
    )
    op.create_index(
        "ix_inbox_message_due", "inbox_message", ["due_at"], unique=False, sqlite_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_inbox_message_settled",
        "inbox_message",
        ["settled_at"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NOT NULL"),
    )
    op.create_index(
        "ix_inbox_message_task", "inbox_message", ["task_id"], unique=False, sqlite_where=sa.text("task_id IS NOT NULL")
    )
    op.create_index(
        "ix_inbox_message_waiting",
        "inbox_message",
        ["agent_id", "context_id", "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND head = 0"),
    )
    op.create_index(
        "uq_inbox_message_head",
        "inbox_message",
        ["agent_id", "context_id"],
        unique=True,
        sqlite_where=sa.text("head = 1 AND context_id <> ''"),
    )
    op.create_index(
        "uq_inbox_message_idempotency",
        "inbox_message",
        ["workspace_id", "sender", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "memory_event",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("stream", sa.String(length=260), nullable=False),
        sa.Column("stream_seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("task_id", sa.String(length=200), nullable=False),
        sa.Column("context_id", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("private", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_memory_event")),
        sa.UniqueConstraint("id", name=op.f("uq_memory_event_id")),
        sa.UniqueConstraint(
            "workspace_id", "stream", "stream_seq", name=op.f("uq_memory_event_workspace_id_stream_stream_seq")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_memory_event_author", "memory_event", ["workspace_id", "author", "seq"], unique=False)
    op.create_index(
        "ix_memory_event_task", "memory_event", ["task_id"], unique=False, sqlite_where=sa.text("task_id <> ''")
    )
    op.create_table(
        "memory_scope",
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_memory_scope")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "task",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("context_id", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=40), nullable=False),
        sa.Column("agent", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("skill", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("route_reason", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("approval_id", sa.String(length=40), nullable=True),
        sa.Column("status_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("status_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('submitted','working','input_required','auth_required','completed','failed','canceled','rejected')",
            name=op.f("ck_task_state_is_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    op.create_index("ix_task_by_agent", "task", ["workspace_id", "agent_id", "status_at", "id"], unique=False)
    op.create_index("ix_task_by_context", "task", ["workspace_id", "context_id", "status_at", "id"], unique=False)
    op.create_index("ix_task_by_owner", "task", ["workspace_id", "owner", "status_at", "id"], unique=False)
    op.create_index("ix_task_by_workspace", "task", ["workspace_id", "status_at", "id"], unique=False)
    op.create_index(
        "ix_task_by_state",
        "task",
        ["workspace_id", "state", "status_at", "id"],
        unique=False,
        sqlite_where=sa.text("state <> 'completed'"),
    )
    op.create_index(
        "ix_task_deadline",
        "task",
        ["deadline_at"],
        unique=False,
        sqlite_where=sa.text("open AND deadline_at IS NOT NULL"),
    )
    op.create_table(
        "task_count",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "owner", "agent_id", "state", name=op.f("pk_task_count")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_task_count_agent", "task_count", ["workspace_id", "agent_id", "state"], unique=False)
    op.create_table(
        "workspace",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspace")),
        sa.UniqueConstraint("name", name=op.f("uq_workspace_name")),
    )
    op.create_table(
        "agent_skill",
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("skill_id", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_agent_skill_agent_id_agent")),
        sa.PrimaryKeyConstraint("agent_id", "skill_id", "tag", name=op.f("pk_agent_skill")),
    )
    op.create_index("ix_agent_skill_workspace_id_skill_id", "agent_skill", ["workspace_id", "skill_id"], unique=False)
    op.create_index("ix_agent_skill_workspace_id_tag", "agent_skill", ["workspace_id", "tag"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=36), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("configured", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("revoke_reason", sa.String(length=500), nullable=False),
        sa.Column("replaced_by", sa.String(length=36), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(role = 'agent') = (agent_id IS NOT NULL)", name=op.f("ck_api_key_agent_keys_name_their_agent")
        ),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_api_key_digest_is_sha256")),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_api_key_agent_id_agent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_key_digest")),
    )
    op.create_index("ix_api_key_agent_id", "api_key", ["agent_id"], unique=False)
    op.create_index(
        "ix_api_key_expires_at", "api_key", ["expires_at"], unique=False, sqlite_where=sa.text("revoked_at IS NULL")
    )
    op.create_index("ix_api_key_workspace_id", "api_key", ["workspace_id"], unique=False)
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
        sa.CheckConstraint("channel IN ('inbox','local')", name=op.f("ck_delivery_channel_is_known")),
        sa.CheckConstraint("state IN ('held','waiting','done')", name=op.f("ck_delivery_state_is_known")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_delivery_task_id_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index("ix_delivery_task", "delivery", ["task_id"], unique=False)
    op.create_index(
        "ix_delivery_waiting",
        "delivery",
        ["channel", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "heartbeat",
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("silent_at", sa.BigInteger(), nullable=False),
        sa.Column("announced", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("load", sa.Float(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("working_on", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_heartbeat_agent_id_agent")),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_heartbeat")),
    )
    op.create_index("ix_heartbeat_announced_silent_at", "heartbeat", ["announced", "silent_at"], unique=False)
    op.create_table(
        "sent_message",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=260), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_sent_message_task_id_task")),
        sa.PrimaryKeyConstraint("workspace_id", "owner", "message_id", "scope", "digest", name=op.f("pk_sent_message")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "task_event",
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_task_event_task_id_task")),
        sa.PrimaryKeyConstraint("task_id", "generation", name=op.f("pk_task_event")),
        sqlite_with_rowid=False,
    )
    for table, change, columns in REFUSALS:
        of = f" OF {columns}" if columns else ""
        op.execute(
            f"CREATE TRIGGER {table}_refuses_{change.lower()} BEFORE {change}{of} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    op.execute(
        "CREATE VIRTUAL TABLE memory_index USING fts5(readers, words, content='', detail=column, tokenize='ascii')"
    )


def downgrade() -> None:
    """Take back: everything is lost."""
    op.execute("DROP TABLE memory_index")
    op.drop_table("task_event")
    op.drop_table("sent_message")
    op.drop_index("ix_heartbeat_announced_silent_at", table_name="heartbeat")
    op.drop_table("heartbeat")
    op.drop_index("ix_delivery_waiting", table_name="delivery", sqlite_where=sa.text("state = 'waiting'"))
    op.drop_index("ix_delivery_task", table_name="delivery")
    op.drop_table("delivery")
    op.drop_index("ix_api_key_workspace_id", table_name="api_key")
    op.drop_index("ix_api_key_expires_at", table_name="api_key", sqlite_where=sa.text("revoked_at IS NULL"))
    op.drop_index("ix_api_key_agent_id", table_name="api_key")
    op.drop_table("api_key")
    op.drop_index("ix_agent_skill_workspace_id_tag", table_name="agent_skill")
    op.drop_index("ix_agent_skill_workspace_id_skill_id", table_name="agent_skill")
    op.drop_table("agent_skill")
    op.drop_table("workspace")
    op.drop_index("ix_task_count_agent", table_name="task_count")
    op.drop_table("task_count")
    op.drop_index("ix_task_deadline", table_name="task", sqlite_where=sa.text("open AND deadline_at IS NOT NULL"))
    op.drop_index("ix_task_by_workspace", table_name="task")
    op.drop_index("ix_task_by_state", table_name="task", sqlite_where=sa.text("state <> 'completed'"))
    op.drop_index("ix_task_by_owner", table_name="task")
    op.drop_index("ix_task_by_context", table_name="task")
    op.drop_index("ix_task_by_agent", table_name="task")
    op.drop_table("task")
    op.drop_table("memory_scope")
    op.drop_index("ix_memory_event_task", table_name="memory_event", sqlite_where=sa.text("task_id <> ''"))
    op.drop_index("ix_memory_event_author", table_name="memory_event")
    op.drop_table("memory_event")
    op.drop_index(
        "uq_inbox_message_idempotency", table_name="inbox_message", sqlite_where=sa.text("idempotency_key IS NOT NULL")
    )
    op.drop_index(
        "uq_inbox_message_head", table_name="inbox_message", sqlite_where=sa.text("head = 1 AND context_id <> ''")
    )
    op.drop_index(
        "ix_inbox_message_waiting", table_name="inbox_message", sqlite_where=sa.text("state = 'queued' AND head = 0")
    )
    op.drop_index("ix_inbox_message_task", table_name="inbox_message", sqlite_where=sa.text("task_id IS NOT NULL"))
    op.drop_index(
        "ix_inbox_message_settled", table_name="inbox_message", sqlite_where=sa.text("settled_at IS NOT NULL")
    )
    op.drop_index(
        "ix_inbox_message_ready",
        table_name="inbox_message",
        sqlite_where=sa.text("state = 'queued' AND head = 1 AND not_before IS NULL"),
    )
    op.drop_index(
        "ix_inbox_message_dead_task",
        table_name="inbox_message",
        sqlite_where=sa.text("state = 'dead' AND task_id IS NOT NULL"),
    )
    op.drop_index("ix_inbox_message_due", table_name="inbox_message", sqlite_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_inbox_message_dead", table_name="inbox_message", sqlite_where=sa.text("state = 'dead'"))
    op.drop_index("ix_inbox_message_agent_due", table_name="inbox_message", sqlite_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_inbox_message_agent", table_name="inbox_message")
    op.drop_table("inbox_message")
    op.drop_table("inbox_depth")
    op.drop_index(op.f("ix_idempotency_created_at"), table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_table("event")
    op.drop_index("ix_decision_approval_id", table_name="decision", sqlite_where=sa.text("approval_id IS NOT NULL"))
    op.drop_table("decision")
    op.drop_table("audit_head")
    op.drop_index(op.f("ix_audit_event_workspace_id_asset"), table_name="audit_event")
    op.drop_index(op.f("ix_audit_event_workspace_id_action"), table_name="audit_event")
    op.drop_index(
        op.f("ix_audit_event_decision_id"), table_name="audit_event", sqlite_where=sa.text("kind = 'outcome'")
    )
    op.drop_table("audit_event")
    op.drop_index(
        "uq_approval_pending",
        table_name="approval",
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_index("ix_approval_workspace_id_state", table_name="approval")
    op.drop_index("ix_approval_workspace_id_requester", table_name="approval")
    op.drop_index("ix_approval_due", table_name="approval", sqlite_where=sa.text("state = 'pending'"))
    op.drop_table("approval")
    op.drop_index("ix_agent_workspace_id_state", table_name="agent")
    op.drop_table("agent")

"""The first tables of the memory service.

What changes: everything is new.
Existing rows: there are none.
Does the previous code still run: there was none.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_first_tables"
down_revision = None
branch_labels = None
depends_on = None


# The tables' own guards and the index over the words; memroos_memory.models says what they are for.
DDL = (
    "CREATE TRIGGER item_version_refuses_update BEFORE UPDATE ON item_version "
    "BEGIN SELECT RAISE(ABORT, 'item_version is append-only'); END",
    "CREATE TRIGGER item_version_refuses_delete BEFORE DELETE ON item_version "
    "BEGIN SELECT RAISE(ABORT, 'item_version is append-only'); END",
    "CREATE VIRTUAL TABLE lexical_index USING fts5(words, meta, content='', contentless_delete=1, "
    "detail=full, tokenize='ascii')",
    "CREATE VIRTUAL TABLE lexical_terms USING fts5vocab(lexical_index, instance)",
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "echo_mark",
        sa.Column("reader", sa.String(length=260), nullable=False),
        sa.Column("digest", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reader", "digest", name=op.f("pk_echo_mark")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("echo_mark", schema=None) as batch_op:
        batch_op.create_index("ix_echo_mark_at", ["at"], unique=False)

    op.create_table(
        "embedder",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("identity", sa.String(length=200), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_embedder")),
        sa.UniqueConstraint("identity", name=op.f("uq_embedder_identity")),
    )
    op.create_table(
        "intake",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_intake")),
    )
    op.create_table(
        "item",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("scope_seq", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "event",
                "fact",
                "state",
                "preference",
                "procedure",
                "skill",
                "tool",
                "summary",
                name="itemkind",
                native_enum=False,
                length=64,
            ),
            nullable=False,
        ),
        sa.Column("event_kind", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=260), nullable=False),
        sa.Column("stream_seq", sa.Integer(), nullable=False),
        sa.Column("speaker", sa.String(length=200), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("task_id", sa.String(length=200), nullable=False),
        sa.Column("context_id", sa.String(length=200), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("echo", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("log_seq", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("subject", sa.String(length=400), nullable=True),
        sa.Column("relation", sa.String(length=200), nullable=True),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=True),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column(
            "status",
            sa.Enum("active", "superseded", "deleted", name="itemstatus", native_enum=False, length=64),
            nullable=False,
        ),
        sa.Column("supersedes", sa.String(length=64), nullable=False),
        sa.Column("superseded_by", sa.String(length=64), nullable=False),
        sa.Column("contested", sa.Integer(), nullable=False),
        sa.Column("contradicts", sa.Text(), nullable=False),
        sa.Column("seen_count", sa.Integer(), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("meta_words", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_item")),
        sa.UniqueConstraint("id", name=op.f("uq_item_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.create_index("ix_item_digest", ["scope_seq", "digest"], unique=False)
        batch_op.create_index(
            "ix_item_fact",
            ["scope_seq", "subject", "relation", "valid_from", "valid_to", "object"],
            unique=False,
            sqlite_where=sa.text("subject IS NOT NULL"),
        )
        batch_op.create_index("ix_item_scope", ["scope_seq", "seq"], unique=False)
        batch_op.create_index("ix_item_stream", ["scope_seq", "stream", "stream_seq"], unique=False)
        batch_op.create_index(
            "ix_item_superseded_by",
            ["scope_seq", "superseded_by"],
            unique=False,
            sqlite_where=sa.text("superseded_by <> ''"),
        )
        batch_op.create_index("ix_item_when", ["scope_seq", "occurred_at"], unique=False)

    op.create_table(
        "item_vector",
        sa.Column("embedder_seq", sa.Integer(), nullable=False),
        sa.Column("item_seq", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("embedder_seq", "item_seq", name=op.f("pk_item_vector")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "item_source",
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("item_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("event_seq", "item_seq", name=op.f("pk_item_source")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "item_version",
        sa.Column("scope_seq", sa.Integer(), nullable=False),
        sa.Column("log_seq", sa.Integer(), nullable=False),
        sa.Column("item_seq", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "change",
            sa.Enum(
                "add",
                "update",
                "seen",
                "supersede",
                "contest",
                "delete",
                "rollback",
                name="change",
                native_enum=False,
                length=64,
            ),
            nullable=False,
        ),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("operation", sa.String(length=80), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope_seq", "log_seq", name=op.f("pk_item_version")),
        sa.UniqueConstraint("item_seq", "version", name=op.f("uq_item_version_item_seq_version")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column(
            "label",
            sa.Enum(
                "embed",
                "derive",
                "extract",
                "graph",
                "vector",
                "reindex",
                "reembed",
                name="joblabel",
                native_enum=False,
                length=64,
            ),
            nullable=False,
        ),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("scope_seq", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("waiting", "running", "done", "dead", name="jobstate", native_enum=False, length=64),
            nullable=False,
        ),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_job")),
        sa.UniqueConstraint("id", name=op.f("uq_job_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_line",
            ["state", "label", "priority", "scope_seq", "not_before"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
        )
        batch_op.create_index("ix_job_scope", ["scope_seq", "state"], unique=False)
        batch_op.create_index("ix_job_state", ["state", "seq"], unique=False)

    op.create_table(
        "recall_eval",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("embedder", sa.String(length=200), nullable=False),
        sa.Column("program", sa.String(length=40), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_eval")),
    )
    with op.batch_alter_table("recall_eval", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_recall_eval_workspace_id"), ["workspace_id"], unique=False)

    op.create_table(
        "scope",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("readers", sa.Text(), nullable=False),
        sa.Column("private", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_scope")),
        sa.UniqueConstraint("id", name=op.f("uq_scope_id")),
        sa.UniqueConstraint(
            "workspace_id", "readers", "private", "user_id", name=op.f("uq_scope_workspace_id_readers_private_user_id")
        ),
    )
    op.create_table(
        "scope_reader",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("reader", sa.String(length=260), nullable=False),
        sa.Column("scope_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "reader", "scope_seq", name=op.f("pk_scope_reader")),
        sqlite_with_rowid=False,
    )
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP TABLE lexical_terms")
    op.execute("DROP TABLE lexical_index")
    op.drop_table("scope_reader")
    op.drop_table("scope")
    with op.batch_alter_table("recall_eval", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_recall_eval_workspace_id"))

    op.drop_table("recall_eval")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("ix_job_state")
        batch_op.drop_index("ix_job_scope")
        batch_op.drop_index("ix_job_line", sqlite_where=sa.text("state = 'waiting'"))

    op.drop_table("job")
    op.drop_table("item_version")
    op.drop_table("item_source")
    op.drop_table("item_vector")
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.drop_index("ix_item_when")
        batch_op.drop_index("ix_item_superseded_by", sqlite_where=sa.text("superseded_by <> ''"))
        batch_op.drop_index("ix_item_stream")
        batch_op.drop_index("ix_item_scope")
        batch_op.drop_index("ix_item_fact", sqlite_where=sa.text("subject IS NOT NULL"))
        batch_op.drop_index("ix_item_digest")

    op.drop_table("item")
    op.drop_table("intake")
    op.drop_table("embedder")
    with op.batch_alter_table("echo_mark", schema=None) as batch_op:
        batch_op.drop_index("ix_echo_mark_at")

    op.drop_table("echo_mark")

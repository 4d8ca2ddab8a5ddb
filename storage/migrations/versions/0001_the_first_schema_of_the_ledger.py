"""The first schema of the ledger."""

import sqlalchemy as sa
from alembic import op

import models.tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("created_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("name_key", name=op.f("uq_account_name_key")),
    )
    op.create_table(
        "credential",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("username", sa.String(), nullable=True),
        sa.Column("username_key", sa.String(), nullable=True),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("return_address", sa.String(), nullable=False),
        sa.Column("created_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_credential_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
        sa.UniqueConstraint("name_key", name=op.f("uq_credential_name_key")),
        sa.UniqueConstraint("username_key", name=op.f("uq_credential_username_key")),
    )
    op.create_table(
        "connection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_connection_account_id_account")),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_connection_credential_id_credential")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
        sa.UniqueConstraint("address", name=op.f("uq_connection_address")),
        sa.UniqueConstraint("name_key", name=op.f("uq_connection_name_key")),
    )
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_connection_account_id"), ["account_id"], unique=False)

    op.create_table(
        "alarm",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("raised_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("told_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("cleared_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_alarm_connection_id_connection")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alarm_cleared_at"), ["cleared_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_alarm_told_at"), ["told_at"], unique=False)

    op.create_table(
        "connection_version",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rule", sa.JSON(), nullable=False),
        sa.Column("created_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_connection_version_connection_id_connection")
        ),
        sa.PrimaryKeyConstraint("connection_id", "number", name=op.f("pk_connection_version")),
    )
    op.create_table(
        "delivery",
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("data_type", sa.String(), nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("authenticated_as", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("references", sa.JSON(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("header_block", sa.LargeBinary(), nullable=True),
        sa.Column("duplicate_of", sa.String(), nullable=True),
        sa.Column("received_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_delivery_connection_id_connection")
        ),
        sa.PrimaryKeyConstraint("trace_id", name=op.f("pk_delivery")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_delivery_connection_id"), ["connection_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_received_at"), ["received_at"], unique=False)

    op.create_table(
        "intake_address",
        sa.Column("local_part", sa.String(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("retired_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_intake_address_connection_id_connection")
        ),
        sa.PrimaryKeyConstraint("local_part", name=op.f("pk_intake_address")),
    )
    with op.batch_alter_table("intake_address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_intake_address_connection_id"), ["connection_id"], unique=False)

    op.create_table(
        "answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("to_address", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("uploads", sa.JSON(), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("created_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("next_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("sent_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["trace_id"], ["delivery.trace_id"], name=op.f("fk_answer_trace_id_delivery")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
        sa.UniqueConstraint("trace_id", "kind", "sequence", name=op.f("uq_answer_trace_id_kind_sequence")),
    )
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.create_index("ix_answer_due", ["state", "next_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_answer_sent_at"), ["sent_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_answer_to_address"), ["to_address"], unique=False)

    op.create_table(
        "delivery_identity",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_delivery_identity_connection_id_connection")
        ),
        sa.ForeignKeyConstraint(
            ["trace_id"], ["delivery.trace_id"], name=op.f("fk_delivery_identity_trace_id_delivery")
        ),
        sa.PrimaryKeyConstraint("connection_id", "key", name=op.f("pk_delivery_identity")),
    )
    with op.batch_alter_table("delivery_identity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_delivery_identity_trace_id"), ["trace_id"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["trace_id"], ["delivery.trace_id"], name=op.f("fk_event_trace_id_delivery")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_trace_id"), ["trace_id"], unique=False)

    op.create_table(
        "upload",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("other_names", sa.JSON(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("segment", sa.String(), nullable=False),
        sa.Column("duplicate_of", sa.String(), nullable=True),
        sa.Column("blob", sa.String(), nullable=True),
        sa.Column("received_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_upload_connection_id_connection")),
        sa.ForeignKeyConstraint(["trace_id"], ["delivery.trace_id"], name=op.f("fk_upload_trace_id_delivery")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
    )
    with op.batch_alter_table("upload", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_upload_blob"), ["blob"], unique=False)
        batch_op.create_index("ix_upload_content", ["connection_id", "sha256"], unique=False)
        batch_op.create_index("ix_upload_order", ["connection_id", "received_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_upload_status"), ["status"], unique=False)
        batch_op.create_index(batch_op.f("ix_upload_trace_id"), ["trace_id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("upload_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("replay", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("no_rows", sa.Boolean(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("errors_blob", sa.String(), nullable=True),
        sa.Column("queued_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("started_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_attempt_upload_id_upload")),
        sa.PrimaryKeyConstraint("upload_id", "number", name=op.f("pk_attempt")),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempt_errors_blob"), ["errors_blob"], unique=False)
        batch_op.create_index(batch_op.f("ix_attempt_status"), ["status"], unique=False)


def downgrade() -> None:
    """Take this revision back."""
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempt_status"))
        batch_op.drop_index(batch_op.f("ix_attempt_errors_blob"))

    op.drop_table("attempt")
    with op.batch_alter_table("upload", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_upload_trace_id"))
        batch_op.drop_index(batch_op.f("ix_upload_status"))
        batch_op.drop_index("ix_upload_order")
        batch_op.drop_index("ix_upload_content")
        batch_op.drop_index(batch_op.f("ix_upload_blob"))

    op.drop_table("upload")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_trace_id"))

    op.drop_table("event")
    with op.batch_alter_table("delivery_identity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_delivery_identity_trace_id"))

    op.drop_table("delivery_identity")
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_answer_to_address"))
        batch_op.drop_index(batch_op.f("ix_answer_sent_at"))
        batch_op.drop_index("ix_answer_due")

    op.drop_table("answer")
    with op.batch_alter_table("intake_address", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_intake_address_connection_id"))

    op.drop_table("intake_address")
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_delivery_received_at"))
        batch_op.drop_index(batch_op.f("ix_delivery_connection_id"))

    op.drop_table("delivery")
    op.drop_table("connection_version")
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alarm_told_at"))
        batch_op.drop_index(batch_op.f("ix_alarm_cleared_at"))

    op.drop_table("alarm")
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connection_account_id"))

    op.drop_table("connection")
    op.drop_table("credential")
    op.drop_table("account")

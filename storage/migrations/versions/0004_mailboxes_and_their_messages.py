"""Mailboxes and their messages."""

import sqlalchemy as sa
from alembic import op

import models.tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.create_table(
        "mailbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("lease_holder", sa.String(), nullable=False),
        sa.Column("lease_until", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("pull_wanted", sa.Integer(), nullable=False),
        sa.Column("pull_done", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("next_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("polled_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
        sa.UniqueConstraint("host", "port", "username", name=op.f("uq_mailbox_host_port_username")),
    )
    op.create_table(
        "mailbox_folder",
        sa.Column("mailbox_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_mailbox_folder_mailbox_id_mailbox")),
        sa.PrimaryKeyConstraint("mailbox_id", "name", name=op.f("pk_mailbox_folder")),
    )
    op.create_table(
        "mailbox_message",
        sa.Column("mailbox_id", sa.Integer(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("next_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_mailbox_message_mailbox_id_mailbox")),
        sa.ForeignKeyConstraint(["trace_id"], ["delivery.trace_id"], name=op.f("fk_mailbox_message_trace_id_delivery")),
        sa.PrimaryKeyConstraint("mailbox_id", "folder", "uidvalidity", "uid", name=op.f("pk_mailbox_message")),
    )
    with op.batch_alter_table("mailbox_message", schema=None) as batch_op:
        batch_op.create_index("ix_mailbox_message_content", ["mailbox_id", "folder", "sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_mailbox_message_trace_id"), ["trace_id"], unique=False)


def downgrade() -> None:
    """Take this revision back."""
    with op.batch_alter_table("mailbox_message", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mailbox_message_trace_id"))
        batch_op.drop_index("ix_mailbox_message_content")

    op.drop_table("mailbox_message")
    op.drop_table("mailbox_folder")
    op.drop_table("mailbox")

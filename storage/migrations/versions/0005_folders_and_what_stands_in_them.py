"""Folders of clients: the files in them, and the answers."""

import sqlalchemy as sa
from alembic import op

import models.tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.add_column("upload", sa.Column("supersedes", sa.String(), nullable=True))
    op.create_table(
        "folder_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("upload_id", sa.String(), nullable=True),
        sa.Column("spool", sa.String(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("marked", sa.Boolean(), nullable=False),
        sa.Column("visit", sa.String(), nullable=True),
        sa.Column("touched_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("due_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("judged_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("gone_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_folder_file_credential_id_credential")
        ),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_folder_file_upload_id_upload")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_folder_file")),
        sa.UniqueConstraint("upload_id", name=op.f("uq_folder_file_upload_id")),
    )
    for name, columns in {
        "ix_folder_file_place": ["credential_id", "folder", "dry_run", "gone_at"],
        "ix_folder_file_spool": ["spool"],
        "ix_folder_file_visit": ["visit"],
        "ix_folder_file_due_at": ["due_at"],
    }.items():
        op.create_index(name, "folder_file", columns, unique=False)
    op.create_table(
        "folder_answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("upload_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("gone_at", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_folder_answer_credential_id_credential")
        ),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_folder_answer_upload_id_upload")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_folder_answer")),
        sa.UniqueConstraint("upload_id", "kind", "attempt", name=op.f("uq_folder_answer_upload_id_kind_attempt")),
    )
    op.create_index("ix_folder_answer_place", "folder_answer", ["credential_id", "folder", "name"], unique=False)
    op.create_index("ix_folder_answer_created_at", "folder_answer", ["created_at"], unique=False)


def downgrade() -> None:
    """Take this revision back."""
    op.drop_table("folder_answer")
    op.drop_table("folder_file")
    op.drop_column("upload", "supersedes")

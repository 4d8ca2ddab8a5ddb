"""Nodes and leases of a cluster; numbers that may pass 2^31 on Postgres."""

import sqlalchemy as sa
from alembic import op

import models.tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NUMBERED = ("event", "answer", "alarm", "folder_file", "folder_answer")
_SIZED = ("delivery", "upload", "folder_file")


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.create_table(
        "node",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("started_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
    )
    op.create_index(op.f("ix_node_seen_at"), "node", ["seen_at"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_index(op.f("ix_defence_updated_at"), "defence", ["updated_at"], unique=False)
    _widen("BIGINT")


def downgrade() -> None:
    """Take this revision back."""
    _widen("INTEGER")
    op.drop_index(op.f("ix_defence_updated_at"), "defence")
    op.drop_table("lease")
    op.drop_table("node")


def _widen(kind: str) -> None:
    """Change numbers on Postgres; SQLite's integers have 64 bits anyway."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _NUMBERED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN id TYPE {kind}")
        op.execute(f"ALTER SEQUENCE {table}_id_seq AS {kind}")
    for table in _SIZED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN size TYPE {kind}")

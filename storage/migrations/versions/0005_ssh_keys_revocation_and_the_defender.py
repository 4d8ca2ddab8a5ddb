"""SSH keys, rotation and revocation of credentials; what the defender remembers."""

import sqlalchemy as sa
from alembic import op

import models.tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    with op.batch_alter_table("credential", schema=None) as batch_op:
        batch_op.add_column(sa.Column("former_hash", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("former_until", models.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("ssh_keys", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("revoked_at", models.tables.UtcDateTime(timezone=True), nullable=True))
    op.create_table(
        "defence",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("failures", sa.JSON(), nullable=False),
        sa.Column("banned_until", models.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("bans", sa.Integer(), nullable=False),
        sa.Column("updated_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_defence")),
    )
    with op.batch_alter_table("defence", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_defence_banned_until"), ["banned_until"], unique=False)
    op.create_table(
        "known_login",
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("seen_at", models.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user", "address", name=op.f("pk_known_login")),
    )
    with op.batch_alter_table("known_login", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_known_login_seen_at"), ["seen_at"], unique=False)


def downgrade() -> None:
    """Take this revision back."""
    op.drop_table("known_login")
    op.drop_table("defence")
    with op.batch_alter_table("credential", schema=None) as batch_op:
        for column in ("revoked_at", "ssh_keys", "former_until", "former_hash"):
            batch_op.drop_column(column)

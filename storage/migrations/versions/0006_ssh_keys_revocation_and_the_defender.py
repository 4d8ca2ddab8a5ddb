"""SSH keys, rotation and revocation of credentials; what the defender remembers."""

import sqlalchemy as sa
from alembic import op

import models.tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    # One by one: a batch would make the table anew, which rows that point to it forbid.
    op.add_column("credential", sa.Column("former_hash", sa.String(), nullable=True))
    op.add_column("credential", sa.Column("former_until", models.tables.UtcDateTime(timezone=True), nullable=True))
    op.add_column("credential", sa.Column("ssh_keys", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("credential", sa.Column("revoked_at", models.tables.UtcDateTime(timezone=True), nullable=True))
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
    for column in ("revoked_at", "ssh_keys", "former_until", "former_hash"):
        op.drop_column("credential", column)

"""Credentials whose FTP clients end TLS without close_notify."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.add_column("credential", sa.Column("lenient", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take this revision back."""
    op.drop_column("credential", "lenient")

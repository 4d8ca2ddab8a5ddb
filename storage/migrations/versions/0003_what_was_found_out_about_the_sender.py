"""What was found out about the sender of a delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.add_column("delivery", sa.Column("authenticity", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Bring the schema back to the revision before."""
    op.drop_column("delivery", "authenticity")

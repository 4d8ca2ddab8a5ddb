"""Uploads of a connection in their order, for what is known of the files before one."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    with op.batch_alter_table("upload", schema=None) as batch_op:
        batch_op.create_index("ix_upload_order", ["connection_id", "received_at"], unique=False)


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("upload", schema=None) as batch_op:
        batch_op.drop_index("ix_upload_order")

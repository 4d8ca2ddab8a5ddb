"""Which node writes to an upload and where its bytes lie in the object store; how large an errors file is."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    # One by one: a batch would make the table anew, which rows that point to it forbid.
    op.add_column("attempt", sa.Column("errors_bytes", sa.BigInteger(), nullable=True))
    op.add_column("folder_file", sa.Column("node", sa.String(), nullable=True))
    op.add_column("folder_file", sa.Column("blob", sa.String(), nullable=True))
    op.create_index(op.f("ix_folder_file_blob"), "folder_file", ["blob"], unique=False)


def downgrade() -> None:
    """Take this revision back."""
    op.drop_index(op.f("ix_folder_file_blob"), table_name="folder_file")
    op.drop_column("folder_file", "blob")
    op.drop_column("folder_file", "node")
    op.drop_column("attempt", "errors_bytes")

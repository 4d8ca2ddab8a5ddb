"""Alembic's entry: runs the migrations on the connection it is handed. Nothing else."""

from alembic import context
from sqlmodel import SQLModel

import models.tables  # noqa: F401 - fills the metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    include_object=lambda _object, name, kind, _reflected, _compare: (
        kind != "table" or name in SQLModel.metadata.tables
    ),
)
with context.begin_transaction():
    context.run_migrations()

"""Bring the database to the current schema: our tables by Alembic, the job engine's by its own migrations.

What lives here: running and checking migrations. The migrations stand in ``storage/migrations/versions``.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from dbos import DBOS

_FOLDER = Path(__file__).parent / "migrations"


def alembic_config(connection: sa.Connection) -> Config:
    """Give Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def migrate(engine: sa.Engine, url: str) -> None:
    """Bring our tables and the engine's to the current schema; running it again changes nothing."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        command.upgrade(alembic_config(connection), "head")
    DBOS.migrate(url)


def is_current(engine: sa.Engine) -> bool:
    """Tell whether the database has the schema this version needs."""
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        wanted = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
    return present == wanted

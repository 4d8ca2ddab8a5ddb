"""Bring the database to the current schema: our tables by Alembic, the job engine's by its own migrations.

What lives here: running and checking migrations. The migrations stand in ``storage/migrations/versions``.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:  # Alembic is for those who migrate: a service that only asks does not carry its weight
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"
_REVISION = re.compile(r'^(down_revision|revision) = "(.+)"$', re.MULTILINE)


def alembic_config(connection: sa.Connection) -> "Config":
    """Give Alembic's configuration for an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def migrate(engine: sa.Engine, url: str) -> None:
    """Bring our tables and the engine's to the current schema; running it again changes nothing."""
    from alembic import command
    from dbos import DBOS

    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        command.upgrade(alembic_config(connection), "head")
    DBOS.migrate(url)


def is_current(engine: sa.Engine) -> bool:
    """Tell whether the database has the schema this version needs."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return False
        present = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
    return list(present) == [newest_revision()]


def newest_revision() -> str:
    """Give the revision that no other one builds on, as the files of the migrations say."""
    found = [_REVISION.findall(path.read_text(encoding="utf-8")) for path in (_FOLDER / "versions").glob("*.py")]
    pairs = [pair for one in found for pair in one]
    built_on = {name for key, name in pairs if key == "down_revision"}
    (newest,) = (str(name) for key, name in pairs if key == "revision" and name not in built_on)
    return newest

"""Bring the database to the current schema: our tables by Alembic, the job engine's by its own migrations.

What lives here: running and checking migrations. The migrations stand in ``storage/migrations/versions``.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from storage.locks import take_migration

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
    """Bring our tables and the engine's to the current schema; running it again changes nothing.

    Writers of other processes wait meanwhile, and so does a second migration.
    """
    from alembic import command
    from dbos import DBOS

    with _alone(engine):
        with engine.connect().execution_options(writes=True, patient=True) as connection, connection.begin():
            if not is_compatible(_present(connection)):  # a newer version has migrated it further
                command.upgrade(alembic_config(connection), "head")
        DBOS.migrate(url)


@contextlib.contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Hold what makes this the only migration of a Postgres database; SQLite's has the lock of the service."""
    if engine.dialect.name == "sqlite":
        yield
        return
    with engine.connect() as connection, connection.begin():
        take_migration(connection)
        yield


def is_current(engine: sa.Engine) -> bool:
    """Tell whether the database has the schema this version needs, or a newer one that it can live with."""
    with engine.connect() as connection:
        return is_compatible(_present(connection))


def is_compatible(present: list[str]) -> bool:
    """Tell whether this version can live with a schema: its own, or a later one of the same series.

    A revision has four digits, the first of which names the series: within a series migrations only add what the
    versions before may leave out.
    """
    newest = newest_revision()
    if len(present) != 1 or re.fullmatch(r"\d{4}", present[0]) is None:
        return False
    return present[0][0] == newest[0] and present[0] >= newest


def _present(connection: sa.Connection) -> list[str]:
    if not sa.inspect(connection).has_table("alembic_version"):
        return []
    return list(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars())


def newest_revision() -> str:
    """Give the revision that no other one builds on, as the files of the migrations say."""
    found = [_REVISION.findall(path.read_text(encoding="utf-8")) for path in (_FOLDER / "versions").glob("*.py")]
    pairs = [pair for one in found for pair in one]
    built_on = {name for key, name in pairs if key == "down_revision"}
    (newest,) = (str(name) for key, name in pairs if key == "revision" and name not in built_on)
    return newest

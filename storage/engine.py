"""The database engines: how a connection is opened and how a transaction begins.

What lives here: the one place that knows SQLite's pragmas, and how a connection to Postgres is made. Nothing here
knows a table. What a writing transaction locks on Postgres stands in ``storage.locks``.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage.locks import take


def database_url(path: Path) -> str:
    """Give the URL of an SQLite file."""
    return f"sqlite:///{path}"


def is_postgres(url: str) -> bool:
    """Tell whether a URL names a Postgres database."""
    return url.startswith(("postgresql:", "postgresql+psycopg:"))


_DOORS_WAIT = 8_000  # milliseconds for a locked database: a door answers "not now" within ten seconds
_JOBS_WAIT = 30_000


def _pragmas(dbapi_connection: Any, busy_timeout: int) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={busy_timeout}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # in WAL mode NORMAL does not sync at commit
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA temp_store=MEMORY")  # statement journals would spill clients' data outside data_dir
    cursor.close()


def make_engine(url: str, *, pool_size: int = 6) -> sa.Engine:
    """Make the engine of the ledger; every transaction says by itself whether it reads or writes.

    A transaction that reads and then writes fails at once in SQLite after another commit, whatever the busy
    timeout, so a writing one begins with BEGIN IMMEDIATE: set the execution option ``writes`` on its connection. On
    Postgres the same option takes the locks that stand in for SQLite's single writer (``storage.locks``).
    """
    engine = _create(url, pool_size)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def _connect(dbapi_connection: Any, _record: Any) -> None:
            dbapi_connection.isolation_level = None  # we begin transactions, not the driver
            _pragmas(dbapi_connection, _DOORS_WAIT)

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            writes = connection.get_execution_options().get("writes", False) is not False
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    else:

        @sa.event.listens_for(engine, "begin")
        def _lock(connection: sa.Connection) -> None:
            take(connection)

    return engine


def make_job_engine(url: str, *, pool_size: int = 8) -> sa.Engine:
    """Make the engine of the durable jobs, on the same database: on SQLite the driver begins its writing at once."""
    engine = _create(url, pool_size)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def _connect(dbapi_connection: Any, _record: Any) -> None:
            dbapi_connection.isolation_level = "IMMEDIATE"
            _pragmas(dbapi_connection, _JOBS_WAIT)

    return engine


def _create(url: str, pool_size: int) -> sa.Engine:
    options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": pool_size, "pool_timeout": 30}
    if not is_postgres(url):
        return sa.create_engine(url, **options)
    from storage.postgres import connect_to

    parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
    # hide_parameters: what clients wrote must not come into our log with an error of the database.
    return sa.create_engine(
        parsed, creator=connect_to(parsed), pool_pre_ping=True, hide_parameters=True, **{**options, "pool_timeout": 8}
    )

"""The database engines: how a connection is opened and how a transaction begins.

What lives here: the one place that knows SQLite's pragmas. Nothing here knows a table.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa


def database_url(path: Path) -> str:
    """Give the URL of an SQLite file."""
    return f"sqlite:///{path}"


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


def make_engine(url: str, *, pool_size: int = 5) -> sa.Engine:
    """Make the engine of the ledger; every transaction says by itself whether it reads or writes.

    A transaction that reads and then writes fails at once in SQLite after another commit, whatever the busy
    timeout, so a writing one begins with BEGIN IMMEDIATE: set the execution option ``writes`` on its connection.
    """
    engine = sa.create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_timeout=30)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def _connect(dbapi_connection: Any, _record: Any) -> None:
            dbapi_connection.isolation_level = None  # we begin transactions, not the driver
            _pragmas(dbapi_connection, _DOORS_WAIT)

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def make_job_engine(url: str, *, pool_size: int = 8) -> sa.Engine:
    """Make the engine of the durable jobs, on the same file: the driver begins its writing transactions at once."""
    engine = sa.create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_timeout=30)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def _connect(dbapi_connection: Any, _record: Any) -> None:
            dbapi_connection.isolation_level = "IMMEDIATE"
            _pragmas(dbapi_connection, _JOBS_WAIT)

    return engine

"""Connections to Postgres, such that nobody waits for ever and any pooler may stand between.

What lives here: the driver's settings. Nothing is kept in a session of the server: no prepared statement, no SET
beyond a transaction, no LISTEN, no session lock; so PgBouncer may pool by transaction.
"""

from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.string import StrDumper

_CONNECT = 4  # seconds for a new connection
_ANSWER = 30.0  # seconds for the server's answer to one statement: then the connection is given up


class _Connection(psycopg.Connection[Any]):
    """A connection that gives up a server which says nothing: stopped, cut off, or gone without a word."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server, for so long at most; OperationalError, the connection closed, when it is over."""
        try:
            return super().wait(gen, interval, _ANSWER if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - a test holds this name
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server has not answered for {_ANSWER:.0f} seconds") from None


class _Text(StrDumper):
    """Text as Postgres can keep it: it has no NUL, which an encoded word of a mail may hold."""

    def dump(self, obj: str) -> Any:
        """Write U+FFFD in the place of NUL."""
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


def connect_to(url: sa.URL) -> Callable[[], psycopg.Connection[Any]]:
    """Give what opens a connection; an error of it names no password."""
    given = {
        "host": url.host, "port": url.port, "user": url.username, "password": url.password, "dbname": url.database,
        **{name: value for name, value in url.query.items() if isinstance(value, str)},
    }  # fmt: skip
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings.setdefault("connect_timeout", _CONNECT)
    settings.setdefault("application_name", "mailgate")

    def connect() -> psycopg.Connection[Any]:
        connection = _Connection.connect(prepare_threshold=None, **settings)
        connection.adapters.register_dumper(str, _Text)
        return connection

    return connect

"""A PostgreSQL of our own for tests, from Debian's package: private, on a free port, and gone at the end.

``server()`` gives the one of this test session, with ``template`` to clone; ``PostgresServer`` one of the test's own,
which may be stopped, killed and paused.
"""

import atexit
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
_names = itertools.count(1)
#: Nothing survives these tests, so nothing is synced; what must survive is tried with a server of its own.
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "300",
         "shared_buffers": "64MB", "autovacuum": "off"}  # fmt: skip


def program(name: str) -> str:
    """Give a program of PostgreSQL; skips where there is none, fails in CI."""
    found = next((str(folder / name) for folder in _PROGRAMS if (folder / name).exists()), shutil.which(name))
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} of PostgreSQL is not installed")
    return str(found)


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """A server in a folder of its own; settings are those of ``postgresql.conf``."""

    def __init__(self, **settings: str) -> None:
        initdb = program("initdb")
        self.folder = Path(tempfile.mkdtemp(prefix="mailgate-pg-"))
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._free: list[str] = []
        self._state: tuple[str, ...] | None = None
        self._empty = ""
        words = [initdb, "-D", str(self.data), "-U", "mailgate", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, user=self._user, cwd="/")
        lines = {"listen_addresses": "'127.0.0.1'", "port": str(self.port), "unix_socket_directories": "''", **settings}
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in lines.items())

    @property
    def data(self) -> Path:
        """Name the folder of the cluster."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """Give the number of the server's process."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database of this server."""
        return f"postgresql://mailgate@127.0.0.1:{self.port}/{database}"

    def start(self) -> "PostgresServer":
        """Start and wait until it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [program("postgres"), "-D", str(self.data)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, cwd="/", start_new_session=True,
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return self
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts every session off, SIGKILL is a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        if number == signal.SIGKILL:
            self.signal_all(number, process)
        else:
            process.send_signal(number)
        process.wait(60)

    def signal_all(self, number: signal.Signals, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Send a signal to the server and each of its sessions: SIGSTOP makes it say nothing, SIGCONT wakes it up."""
        parent = process or self._process
        assert parent is not None
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        for pid in [parent.pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def remove(self) -> None:
        """End it and delete its folder."""
        with contextlib.suppress(ProcessLookupError):
            if self._process is not None:
                self.signal_all(signal.SIGCONT)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each in its own transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    @contextlib.contextmanager
    def clone(self, template: str = "template1") -> Iterator[str]:
        """Give the URL of a fresh database, made from a template; it is dropped at the end."""
        name = self._create(template)
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def lend(self) -> Iterator[str]:
        """Give the URL of an empty migrated database; one that was used before, where that left no trace."""
        name = self._free.pop() if self._free else self._create("template")
        yield self.url(name)
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            state = connection.execute(_STATE).fetchone()
            if state == self._state:
                connection.execute(self._empty)  # type: ignore[call-overload]
                self._free.append(name)
        if state != self._state:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def make_template(self) -> None:
        """Make the migrated database that ``lend`` and ``clone`` copy."""
        from storage.engine import make_engine
        from storage.migrate import migrate

        self.execute("CREATE DATABASE template TEMPLATE template0")
        engine = make_engine(self.url("template"))
        migrate(engine, self.url("template"))
        engine.dispose()
        with psycopg.connect(self.url("template"), autocommit=True) as connection:
            self._state = connection.execute(_STATE).fetchone()
            tables = [row[0] for row in connection.execute(_TABLES)]
            sequences = [row[0] for row in connection.execute(_SEQUENCES)]
        self._empty = "SET session_replication_role = replica; " + "; ".join(  # no foreign key is in the way
            [*(f"DELETE FROM {table}" for table in tables), *(f"ALTER SEQUENCE {one} RESTART" for one in sequences)]
        )

    def _create(self, template: str) -> str:
        name = f"t{next(_names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name


_TABLES = """
SELECT schemaname || '.' || quote_ident(tablename) FROM pg_tables
WHERE schemaname IN ('public', 'dbos') AND tablename NOT IN ('alembic_version', 'dbos_migrations')
"""
_SEQUENCES = """
SELECT schemaname || '.' || quote_ident(sequencename) FROM pg_sequences WHERE schemaname = 'public'
"""
_STATE = """
SELECT (SELECT string_agg(version_num, ',') FROM public.alembic_version),
       (SELECT string_agg(table_name || '.' || column_name, ',' ORDER BY table_name, column_name)
        FROM information_schema.columns WHERE table_schema = 'public')
"""


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@functools.cache
def server() -> PostgresServer:
    """Give the server of this session, with a migrated database to clone."""
    made = PostgresServer(**_FAST)
    atexit.register(made.remove)
    made.start()
    made.make_template()
    return made

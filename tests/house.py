"""A whole mailgate for tests: as a service process, or inside the test's own process without a worker.

``RunningService`` is set up and run through the public commands alone. ``open_inside`` opens ledger, intake and SMTP
door in the running event loop, with the clock the test wants; ``inside`` does so in a thread, for clients that block.
Mails are built by ``mail`` and files by ``conversions``: both are unlike all others unless told.
"""

import asyncio
import atexit
import contextlib
import email.policy
import functools
import itertools
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import psycopg
import structlog

from intake.accept import Intake
from intake.defender import Defender
from intake.logins import Logins
from intake.provisioning import plan_file, read_names
from mailgate.house import House, create_database, open_house
from mailgate.settings import Limits, Settings, Smtp
from mailgate.smtp import SmtpDoor
from mailgate.tls import write_local_certificate
from models.states import ConnectionState
from storage.descriptors import load_data_types
from storage.ledger.applying import apply_plan, credentials_by_name
from storage.ledger.connections import set_state
from storage.ledger.history import Wanted, detail, list_uploads

T = TypeVar("T")
DOMAIN = "intake.localhost"
SENDER = "batch@acme.example"
ADDRESS = f"acme-conversions-x7@{DOMAIN}"
CONNECTION = """\
[[account]]
name = "acme"

[[credential]]
name = "acme-batch"
account = "acme"
return_address = "batch@acme.example"

[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
pattern = "Conversions_202?_*.csv"
credential = "acme-batch"
address = "acme-conversions-x7"
"""
_HEADER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerStatus,CurrencyCode,Amount"
_numbers = itertools.count(1)
_run = os.urandom(4).hex()
#: No ban and no delay, unless a test wants them: all clients of all tests come from one address.
UNDEFENDED = {
    "minimum_free_bytes": 1, "login_delay": "0s", "login_ban_points": 1_000_000, "login_guard_points": 1_000_000,
}  # fmt: skip
_LINES = structlog.processors.JSONRenderer()


# --- waiting


def wait_until(true: Callable[[], T], seconds: float = 20.0) -> T:
    """Look until something is true and give it; fails the test when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < deadline, f"it did not become true within {seconds:.0f} s"
        time.sleep(0.02)


async def eventually(true: Callable[[], T], seconds: float = 20.0) -> T:
    """Do what ``wait_until`` does, without stopping the event loop."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        value = true()
        if value:
            return value
        assert asyncio.get_running_loop().time() < deadline, f"it did not become true within {seconds:.0f} s"
        await asyncio.sleep(0.02)


# --- mails and files


def unique() -> str:
    """Give a word that no other call gives."""
    return f"{_run}-{next(_numbers)}"


def conversions(rows: int = 2, word: str = "") -> bytes:
    """Give a sound conversions file; its rows are unlike those of any other file unless a word is given."""
    word = word or unique()
    lines = [f"1000,2001,NOW,{word}-{n},click-{word}-{n},NEW,EUR,{n + 1}.50" for n in range(rows)]
    return ("\r\n".join([_HEADER, *lines]) + "\r\n").encode()


def digest(data: bytes) -> str:
    """Give the SHA-256 as the history shows it."""
    return sha256(data).hexdigest()


def mail(
    files: Sequence[tuple[str, bytes]] = (), *, message_id: str | None = None, text: str = "See the file.\n",
    **headers: str,
) -> bytes:  # fmt: skip
    """Build a mail with attachments, lines ended by CRLF.

    ``message_id``: as it stands between the angle brackets; None makes one, empty leaves the header out. Keywords are
    further headers, underscores for dashes (``Auto_Submitted``); they replace those of the same name.
    """
    message = EmailMessage(policy=email.policy.SMTP)
    given = {"From": SENDER, "To": ADDRESS, "Subject": "Conversions", "Date": "Sat, 21 Nov 2026 08:00:00 +0000"}
    given.update({name.replace("_", "-"): value for name, value in headers.items()})
    if message_id != "":
        given["Message-ID"] = f"<{message_id or unique() + '@acme.example'}>"
    for name, value in given.items():
        message[name] = value
    message.set_content(text)
    for name, content in files:
        message.add_attachment(content, maintype="text", subtype="csv", filename=name)
    return message.as_bytes()


# --- the service as a process


class RunningService:
    """One mailgate as operators run it: set up, configured and asked by the command line only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "mailgate-data"
        self.ports: dict[str, int] = {}
        self._process: subprocess.Popen[str] | None = None

    @property
    def port(self) -> int:
        """Give the port of the SMTP door."""
        return self.ports["smtp"]

    @property
    def process(self) -> "subprocess.Popen[str]":
        """Give the process that runs."""
        assert self._process is not None, "the service does not run"
        return self._process

    @property
    def certificate(self) -> Path:
        """Name the certificate that ``init`` wrote; it is its own authority."""
        return self.data / "keys" / "tls.crt"

    def set_up(self, connections: str = CONNECTION) -> None:
        """Write configuration and database, and apply a file of connections."""
        shutil.copytree(_set_up_once(), self.folder, dirs_exist_ok=True)
        if connections:
            self.apply(connections)

    def apply(self, connections: str) -> list[dict[str, Any]]:
        """Apply a file of connections; gives what was provisioned."""
        path = self.folder / f"{unique()}.toml"
        path.write_text(connections)
        return cast(list[dict[str, Any]], self.mailgate("connection", "apply", str(path)))

    def mailgate(self, *words: str, code: int = 0) -> Any:
        """Run a command with ``--json`` and give what it printed, read (None: nothing)."""
        done = subprocess.run(
            [*_COMMAND, "--config", str(self.folder / "mailgate.toml"), "--json", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"mailgate {' '.join(words)} ended with {done.returncode}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def uploads(self, *words: str) -> list[dict[str, Any]]:
        """Give the history, newest first."""
        return cast(list[dict[str, Any]], self.mailgate("upload", "list", *words))

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database beside the service, in milliseconds; the history is the public way."""
        return rows_of(self.data / "mailgate.sqlite3", statement, *values)

    def outbox(self, trace_id: str = "") -> list[EmailMessage]:
        """Read the answers that were written, oldest first; of one delivery, if it is named."""
        found = sorted((self.data / "outbox").glob("*.eml"))
        answers = [message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in found]
        return [one for one in answers if trace_id in ("", one["Mailgate-Trace-Id"])]

    def log(self) -> list[dict[str, Any]]:
        """Read the lines of the service's log that are ours."""
        lines = (self.folder / "service.log").read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def start(self, *, roles: str = "", **variables: str) -> "RunningService":
        """Start on free ports and return when it is ready; keywords are settings, e.g. ``LIMITS__SMTP_IDLE="1s"``."""
        assert self._process is None, "the service runs already"
        environment = {**os.environ, "MAILGATE_SMTP__PORT": "0", "MAILGATE_SFTP__PORT": "0"}
        environment |= {"MAILGATE_FTP__PORT": "0", "MAILGATE_FTP__PASSIVE_PORTS": "0", "MAILGATE_METRICS__PORT": "0"}
        environment["MAILGATE_DNS__LOOKUPS"] = "false"
        environment.update({f"MAILGATE_{name}": value for name, value in variables.items()})
        words = ["serve", *(["--roles", roles] if roles else [])]
        with (self.folder / "service.log").open("a") as log:
            self._process = subprocess.Popen(
                [*_COMMAND, "--config", str(self.folder / "mailgate.toml"), *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
            )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("door "):
                _, name, where = line.split()
                self.ports[name] = int(where.rpartition(":")[2])
            if line.strip() == "ready":
                return self
        self.stop()
        raise AssertionError(f"the service did not start:\n{(self.folder / 'service.log').read_text()}")

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> int | None:
        """End the service and give its exit code; it is killed when it does not end in time."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(number)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def running_service(folder: Path, connections: str = CONNECTION, **variables: str) -> Iterator[RunningService]:
    """Set up a service in a folder, run it, and end it; keywords are settings as ``start`` takes them."""
    service = RunningService(folder)
    service.set_up(connections)
    try:
        yield service.start(**variables)
    finally:
        service.stop()


# --- the house in this process


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Ledger, intake and SMTP door in this process. Nothing imports or answers: there is no worker."""

    settings: Settings
    house: House
    intake: Intake
    door: SmtpDoor
    ports: dict[str, int]

    @property
    def port(self) -> int:
        """Give the port of the SMTP door."""
        return self.ports["smtp"]

    def apply(self, connections: str) -> None:
        """Apply a file of connections."""
        known = self.house.ledger.read_now(credentials_by_name, read_names(connections))
        provisioned = plan_file(
            connections, domain=self.settings.domain, data_types=load_data_types().keys(), known_hashes=known
        )
        self.house.ledger.write_now(apply_plan, provisioned.plan, datetime.now(UTC))

    def set_state(self, connection: str, state: str) -> None:
        """Pause, resume or delete a connection."""
        assert self.house.ledger.write_now(set_state, connection, ConnectionState(state), datetime.now(UTC))

    def uploads(self, **wanted: Any) -> list[dict[str, Any]]:
        """Give the objects of ``upload list --json``, newest first."""
        return self.house.ledger.read_now(list_uploads, Wanted(**wanted))

    def uploads_of(self, sha: str) -> list[dict[str, Any]]:
        """Give the uploads with this content, newest first."""
        return [one for one in self.uploads() if one["sha256"] == sha]

    def detail(self, trace_id: str) -> dict[str, Any]:
        """Give what ``upload show`` knows of a delivery beyond its uploads."""
        return self.house.ledger.read_now(detail, trace_id)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database itself."""
        return rows_of(self.settings.database_path, statement, *values)

    def spooled(self) -> list[Path]:
        """List the files of mails on their way in."""
        return list(self.settings.spool_dir.iterdir())

    def stored(self) -> list[Path]:
        """List the stored files."""
        return [path for path in self.settings.blob_dir.rglob("*") if path.is_file()]


@contextlib.asynccontextmanager
async def open_inside(
    folder: Path, connections: str = CONNECTION, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    smtp: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, senders: Any = None,
) -> AsyncIterator[Inside]:  # fmt: skip
    """Open a house in a folder, its SMTP door listening in this event loop."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, _LINES]
        )
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    settings = Settings.model_construct(
        data_dir=folder / "data",
        smtp=Smtp(**{"port": 0, **(smtp or {})}),
        limits=Limits(**{**UNDEFENDED, **(limits or {})}),
    )
    await asyncio.to_thread(shutil.copytree, database_once(), settings.data_dir)
    with open_house(settings) as house:
        intake = Intake(house.ledger, house.blobs, house.jobs, settings, clock=clock, senders=senders)
        defender = Defender(house.ledger, settings.limits, clock=clock)
        await defender.load()
        door = SmtpDoor(settings, Logins(house.ledger, defender, settings.limits, clock=clock), intake)
        ports = {name: port for name, _, port in await door.open()}
        try:
            inside = Inside(settings=settings, house=house, intake=intake, door=door, ports=ports)
            if connections:
                await asyncio.to_thread(inside.apply, connections)
            yield inside
        finally:
            await door.close()
            await intake.drain()


class InThread(Generic[T]):
    """The life of something whose event loop runs in a thread of its own, for clients that block."""

    def __init__(self, make: Callable[[], contextlib.AbstractAsyncContextManager[T]]) -> None:
        self._make = make
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._opened: T | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="inside", daemon=True)

    def open(self) -> T:
        """Give what was opened."""
        self._thread.start()
        assert self._ready.wait(30), "the house did not open"
        if self._opened is None:
            self.close()
        assert self._opened is not None
        return self._opened

    def close(self) -> None:
        """End the loop and its thread."""
        if self._loop is not None and self._closing is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the house did not close"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread of the test
            self._failure = error
        finally:
            self._ready.set()

    async def _live(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        async with self._make() as house:
            self._opened = house
            self._ready.set()
            await self._closing.wait()


@contextlib.contextmanager
def inside(folder: Path, connections: str = CONNECTION, **options: Any) -> Iterator[Inside]:
    """Open a house whose event loop runs in a thread, for clients that block; options are those of ``open_inside``."""
    life = InThread(functools.partial(open_inside, folder, connections, **options))
    try:
        yield life.open()
    finally:
        life.close()


# --- what is made once and copied


_COMMAND = (sys.executable, "-m", "mailgate")


def _once() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="mailgate-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _set_up_once() -> Path:
    folder = _once() / "service"
    subprocess.run([*_COMMAND, "init", "--dir", str(folder)], check=True, stdout=subprocess.DEVNULL, timeout=60)
    return folder


@functools.cache
def database_once() -> Path:
    """Give a data directory to copy: database, certificate, no connection."""
    settings = Settings.model_construct(data_dir=_once() / "data")
    create_database(settings)
    write_local_certificate(settings.certificate_path, settings.key_path, DOMAIN)
    return settings.data_dir


def rows_of(database: Path | str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask a database beside its service: an SQLite file, or the URL of a Postgres database."""
    if isinstance(database, str):
        with psycopg.connect(database) as postgres:
            return list(postgres.execute(statement.replace("?", "%s"), values))  # type: ignore[call-overload]
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return list(connection.execute(statement, values))
    finally:
        connection.close()

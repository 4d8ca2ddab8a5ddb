"""A backup of everything that is kept, made while the service runs.

What lives here: the order of things. Deletion is held; then the ledger is copied as it is at one moment; then each
blob and each upload that this copy lists, which are there and stay there; then keys, own data types and the settings.
Accepted rows have no store of their own yet.
"""

import os
import secrets
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from mailgate.house import House
from models.faults import MailgateError, TemporaryError
from storage.blobs import Blobs
from storage.ledger import Ledger, holding

_HELD_FOR = timedelta(minutes=10)
_RENEWED = 60.0  # seconds
_BLOCK = 1 << 20
_BLOBS = (
    "SELECT blob FROM upload WHERE blob IS NOT NULL UNION SELECT errors_blob FROM attempt WHERE errors_blob IS NOT NULL"
    " UNION SELECT blob FROM folder_file WHERE blob IS NOT NULL AND gone_at IS NULL"
)
_SPOOLS = "SELECT spool FROM folder_file WHERE spool IS NOT NULL AND gone_at IS NULL"


class BackupRefused(MailgateError):
    """Say why no backup can be made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a backup holds."""

    database: str  #: the name of its file
    blobs: int
    uploads: int
    bytes: int
    missing: tuple[str, ...]  #: blobs that the ledger lists and that are not there


@dataclass(frozen=True, slots=True)
class _Listed:
    blobs: list[str]
    spools: list[str]


def back_up(house: House, config: Path, target: Path) -> Made:
    """Copy everything to a new folder; BackupRefused, or OSError where it cannot be written."""
    if target.exists() and any(target.iterdir()):
        raise BackupRefused(f"{target} is there already and not empty")
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)  # it holds keys and clients' files
    with _held(house.ledger):
        name, listed = _copy_ledger(house, target)
        copied = [_copy_blob(house.blobs, blob, target / "blobs") for blob in listed.blobs]
        uploads = _copy_spools(house.settings.uploads_dir, listed.spools, target / "uploads")
    for folder in ("keys", "data-types"):
        if (house.settings.data_dir / folder).is_dir():
            shutil.copytree(house.settings.data_dir / folder, target / folder)
    shutil.copyfile(config, target / "mailgate.toml")
    _sync(target)
    sizes = [size for size in copied if size is not None]
    missing = tuple(blob for blob, size in zip(listed.blobs, copied, strict=True) if size is None)
    return Made(database=name, blobs=len(sizes), uploads=uploads, bytes=sum(sizes), missing=missing)


@contextmanager
def _held(ledger: Ledger) -> Iterator[None]:
    """Hold deletions, however long it takes."""
    backup, ended = secrets.token_hex(8), threading.Event()
    ledger.write_now(holding.hold, backup, _HELD_FOR)

    def renew() -> None:
        while not ended.wait(_RENEWED):
            with suppress(TemporaryError):  # the next try comes long before it ends
                ledger.write_now(holding.hold, backup, _HELD_FOR)

    thread = threading.Thread(target=renew, name="hold", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        ledger.write_now(holding.release, backup)


def _copy_ledger(house: House, target: Path) -> tuple[str, _Listed]:
    if house.settings.database_url:
        return "ledger.dump", _dump(house.engine, house.settings.database_url, target / "ledger.dump")
    return "mailgate.sqlite3", _copy_sqlite(house.settings.database_path, target / "mailgate.sqlite3")


def _copy_sqlite(path: Path, target: Path) -> _Listed:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)  # all pages in one step: one moment, and no writer waits
        return _Listed(_column(copy.execute(_BLOBS)), _column(copy.execute(_SPOOLS)))


def _dump(engine: sa.Engine, url: str, target: Path) -> _Listed:
    """Have pg_dump copy the moment that this transaction sees, and list what it names."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        moment = str(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar())
        listed = _Listed(_column(connection.exec_driver_sql(_BLOBS)), _column(connection.exec_driver_sql(_SPOOLS)))
        words = [_pg_dump(), "--format=custom", "--no-owner", f"--snapshot={moment}", f"--file={target}"]
        where, password = without_password(url)
        environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
        done = subprocess.run(
            [*words, f"--dbname={where}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env=environment,
        )  # fmt: skip
    if done.returncode:
        raise BackupRefused(f"pg_dump failed: {' '.join(done.stderr.split())[:500]}")
    return listed


def without_password(url: str) -> tuple[str, str]:
    """Part a URL from its password, which must not stand in a list of processes."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    return parts._replace(netloc=f"{name}@{host}" if name else host).geturl(), unquote(password)


def _pg_dump() -> str:
    """Find the newest pg_dump: it reads servers of its own version and older ones."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), key=lambda path: int(path.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("pg_dump")
    if found is None:
        raise BackupRefused("pg_dump is not installed here: install the client programs of PostgreSQL")
    return found


def _column(rows: Iterable[Any]) -> list[str]:
    return [str(row[0]) for row in rows]


def _copy_blob(blobs: Blobs, blob: str, folder: Path) -> int | None:
    """Copy one blob to where a disk store has it; None when it is not there."""
    path = folder / blob[:8] / blob
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with blobs.open(blob) as source, path.open("wb") as copy:
            shutil.copyfileobj(source, copy, _BLOCK)
            return copy.tell()
    except FileNotFoundError:
        return None


def _copy_spools(folder: Path, spools: list[str], target: Path) -> int:
    """Copy uploads that are not judged yet; one that was cut off before its first byte has no file."""
    target.mkdir(exist_ok=True)
    there = [spool for spool in spools if (folder / spool).is_file()]
    for spool in there:
        shutil.copyfile(folder / spool, target / spool)
    return len(there)


def _sync(folder: Path) -> None:
    """Sync every file of a backup: it is worth nothing before."""
    for path in (folder, *folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""The rooms that every command needs: database, stored files, job queue.

What lives here: how they are created, opened and closed in order. Who else is handed what stands in ``mailgate.app``.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import sqlalchemy as sa

from mailgate.settings import Settings
from models.faults import MailgateError, TemporaryError
from storage.blobs import Blobs, DiskBlobs
from storage.engine import make_engine, make_job_engine
from storage.jobs import JobQueue
from storage.ledger import Ledger
from storage.migrate import is_current, migrate


class NotReady(MailgateError):
    """Say why the service cannot start."""


class DatabaseAway(NotReady, TemporaryError):
    """Say that the Postgres server cannot be asked now."""


@dataclass(frozen=True, slots=True)
class House:
    """The rooms that every command needs, open."""

    settings: Settings
    engine: sa.Engine
    job_engine: sa.Engine
    ledger: Ledger
    blobs: Blobs
    jobs: JobQueue


@contextlib.contextmanager
def open_house(settings: Settings) -> Iterator[House]:
    """Open ledger, blobs and job queue; NotReady when the database is missing, away or of another version."""
    if not settings.database_url and not settings.database_path.exists():
        raise NotReady(f"there is no database at {settings.database_path}: run `mailgate init`")
    engine, job_engine = make_engine(settings.ledger_url), make_job_engine(settings.ledger_url)
    try:
        current = is_current(engine)
    except sa.exc.DBAPIError as error:
        fault = DatabaseAway if settings.database_url else NotReady
        raise fault(f"the database {settings.database_name} cannot be read: {one_line(error)}") from None
    if not current:
        raise NotReady("the database has another schema than this version needs: run `mailgate migrate`")
    house = House(settings, engine, job_engine, Ledger(engine), open_blobs(settings), JobQueue(job_engine))
    try:
        yield house
    finally:
        house.jobs.close()
        house.ledger.close()
        job_engine.dispose()


def open_blobs(settings: Settings) -> Blobs:
    """Give the place where files are kept: a folder, or the bucket that ``blob_url`` names; asks nothing yet."""
    if not settings.blob_url:
        return DiskBlobs(settings.blob_dir)
    from storage.objects import ObjectBlobs  # its library is for those who have a bucket

    bucket, _, prefix = settings.blob_url.removeprefix("s3://").partition("/")
    try:
        return ObjectBlobs(bucket, prefix.strip("/"), settings.s3, settings.limits, settings.spool_dir)
    except (OSError, ValueError) as error:
        raise NotReady(f"the object store cannot be used: {error}") from None


def one_line(error: sa.exc.DBAPIError) -> str:
    """Give what a database said, in one line; the driver's errors name no password."""
    return " ".join(str(error.orig).split())


def create_database(settings: Settings) -> None:
    """Create the folders of the data directory and the database, or bring it to the current schema."""
    create_folders(settings)
    with only_service(settings):  # a schema does not change under a running service of SQLite
        engine = make_engine(settings.ledger_url)
        try:
            migrate(engine, settings.ledger_url)
        except sa.exc.DBAPIError as error:
            fault = DatabaseAway if settings.database_url else NotReady
            raise fault(f"the database {settings.database_name} cannot be migrated: {one_line(error)}") from None
        finally:
            engine.dispose()


def create_folders(settings: Settings) -> None:
    """Create the folders of the data directory, which every node has of its own."""
    dirs = (settings.data_dir, settings.blob_dir, settings.spool_dir, settings.uploads_dir, settings.outbox_dir)
    for folder in dirs:
        folder.mkdir(parents=True, exist_ok=True)
    settings.data_dir.chmod(0o700)


@contextlib.contextmanager
def only_service(settings: Settings) -> Iterator[None]:
    """Hold the lock that makes this the one service process of an SQLite database; NotReady when another has it.

    Postgres serves several.
    """
    if settings.database_url:
        yield
        return
    path = settings.data_dir / "service.lock"
    with path.open("a+") as lock:
        _lock(lock, path.name)
        yield


def _lock(lock: IO[str], name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise NotReady(f"another mailgate serves this data directory already ({name} is held)") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()

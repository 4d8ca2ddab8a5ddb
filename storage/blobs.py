"""Stored files: bytes under our own random ids, durable before anybody is told.

What lives here: the seam of at most five methods and two of its implementations, disk and memory; the third is
``storage.objects``. Nothing here knows whose bytes they are.
"""

import errno
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

_ID = re.compile(r"[0-9]{8}-[0-9a-f]{32}", re.ASCII)


def new_blob_id(now: datetime) -> str:
    """Make an id: the day it is stored on and 128 random bits."""
    return f"{now.astimezone(UTC):%Y%m%d}-{secrets.token_hex(16)}"


def is_blob_id(text: str) -> bool:
    """Tell an id of a blob from any other text."""
    return _ID.fullmatch(text) is not None


class BlobsAway(OSError):
    """Say that the place where blobs are kept does not answer now: nothing is known of any blob."""


class BlobWriter(Protocol):
    """A blob on its way in: it counts and hashes what is written."""

    id: str
    size: int

    def write(self, data: bytes) -> None:
        """Append bytes; OSError when they cannot be kept."""

    def hexdigest(self) -> str:
        """Give the SHA-256 of what was written so far."""


class Blobs(Protocol):
    """The seam: where bytes are kept."""

    def create(self, now: datetime, *, of: Path | None = None) -> BlobWriter:
        """Begin a blob under a new id; ``of``: with the bytes of a file that is durable and is not written to again.

        Nothing is appended to a blob begun with a file.
        """

    def commit(self, writers: Iterable[BlobWriter]) -> None:
        """Make blobs durable, all of them; OSError when one is not, and then none may be relied on."""

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored blob for reading and seeking; FileNotFoundError when there is none, else OSError."""

    def delete(self, blob_id: str) -> None:
        """Forget a blob; one that is gone already is no error."""

    def older_than(self, moment: datetime) -> Iterator[str]:
        """List the ids of blobs last written before a moment."""


class _DiskWriter:
    def __init__(self, blob_id: str, path: Path) -> None:
        self.id = blob_id
        self.size = 0
        self.path = path
        self._hash = sha256()
        self._file = path.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        self.size += len(view)
        self._hash.update(view)
        while view:  # a raw file may take less than it is given
            view = view[self._file.write(view) :]

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


class _LinkedWriter:
    """A blob that is a second name of a file: its bytes are on the disk already, only the name must get there."""

    def __init__(self, blob_id: str, path: Path, of: Path) -> None:
        self.id = blob_id
        self.path = path
        self.size = of.stat().st_size
        os.link(of, path)
        os.utime(path)  # a blob is as old as its name: the sweep must not take an old file's new one for an orphan

    def write(self, data: bytes) -> None:
        raise ValueError("a blob begun with a file is whole")

    def hexdigest(self) -> str:
        found = sha256()
        with self.path.open("rb") as source:
            while block := source.read(1 << 20):
                found.update(block)
        return found.hexdigest()

    def sync(self) -> None:
        """Do nothing: the file was synced before it was linked."""


class DiskBlobs:
    """Keep blobs as files, one folder a day.

    A blob is written under its last name at once: nobody can know an id before the row that names it is committed,
    so a rename would hide nothing. After a failed fsync the same file is never tried again.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._days: set[str] = set()
        self._lock = threading.Lock()
        # Syncs of several small files at once share the file system's journal commit.
        self._syncers = ThreadPoolExecutor(8, thread_name_prefix="blob-sync")

    def create(self, now: datetime, *, of: Path | None = None) -> "_DiskWriter | _LinkedWriter":
        """Begin a blob under a new id, a file's bytes by a second name of it where its disk is ours."""
        blob_id = new_blob_id(now)
        self._make_day(blob_id[:8])
        path = self.path(blob_id)
        if of is None:
            return _DiskWriter(blob_id, path)
        try:
            return _LinkedWriter(blob_id, path, of)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
        writer = _DiskWriter(blob_id, path)
        with of.open("rb") as source:
            while block := source.read(1 << 20):
                writer.write(block)
        return writer

    def commit(self, writers: Iterable[BlobWriter]) -> None:
        """Sync each file, then each folder that has one of them."""
        disk = [writer for writer in writers if isinstance(writer, _DiskWriter | _LinkedWriter)]
        if len(disk) == 1:
            disk[0].sync()
        else:
            for sync in [self._syncers.submit(writer.sync) for writer in disk]:
                sync.result()
        for day in {writer.path.parent for writer in disk}:
            _sync_folder(day)

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored blob for reading."""
        return self.path(blob_id).open("rb")

    def delete(self, blob_id: str) -> None:
        """Forget a blob."""
        self.path(blob_id).unlink(missing_ok=True)

    def older_than(self, moment: datetime) -> Iterator[str]:
        """List the ids of blobs last written before a moment."""
        for day in sorted(self._root.glob("[0-9]" * 8)):
            for path in day.iterdir():
                if not is_blob_id(path.name):
                    continue  # not ours to judge
                try:
                    if path.stat().st_mtime < moment.timestamp():
                        yield path.name
                except FileNotFoundError:
                    continue

    def path(self, blob_id: str) -> Path:
        """Name the file of a blob, for a worker that maps it."""
        if not is_blob_id(blob_id):
            raise FileNotFoundError(blob_id)
        return self._root / blob_id[:8] / blob_id

    def _make_day(self, day: str) -> None:
        with self._lock:
            if day not in self._days:
                self._root.mkdir(parents=True, exist_ok=True)
                (self._root / day).mkdir(exist_ok=True)
                _sync_folder(self._root)
                self._days.add(day)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _MemoryWriter:
    def __init__(self, blob_id: str) -> None:
        self.id = blob_id
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data

    def hexdigest(self) -> str:
        return sha256(self.data).hexdigest()


class MemoryBlobs:
    """Keep blobs in memory, for tests of the rooms above."""

    def __init__(self) -> None:
        self._open: dict[str, _MemoryWriter] = {}
        self._kept: dict[str, tuple[bytes, datetime]] = {}

    def create(self, now: datetime, *, of: Path | None = None) -> _MemoryWriter:
        """Begin a blob under a new id."""
        writer = _MemoryWriter(new_blob_id(now))
        if of is not None:
            writer.write(of.read_bytes())
        self._open[writer.id] = writer
        return writer

    def commit(self, writers: Iterable[BlobWriter]) -> None:
        """Keep blobs."""
        for writer in writers:
            self._kept[writer.id] = (bytes(self._open.pop(writer.id).data), datetime.now(UTC))

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored blob for reading."""
        if blob_id not in self._kept:
            raise FileNotFoundError(blob_id)
        return BytesIO(self._kept[blob_id][0])

    def delete(self, blob_id: str) -> None:
        """Forget a blob."""
        self._kept.pop(blob_id, None)
        self._open.pop(blob_id, None)

    def older_than(self, moment: datetime) -> Iterator[str]:
        """List the ids of blobs last written before a moment."""
        return iter([blob_id for blob_id, (_, at) in self._kept.items() if at < moment])

"""Stored files in an object store that speaks S3, through obstore.

What lives here: the third implementation of ``storage.blobs``, and the one place that imports obstore. An object is
durable once the store has answered, and is never written again; a store that does not answer is told from an object
that is missing.
"""

import contextlib
import io
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import obstore
from obstore.store import S3Store

from mailgate.settings import S3, Limits
from storage.blobs import BlobsAway, BlobWriter, is_blob_id, new_blob_id
from storage.object_faults import EmptyRange, Outage, translated
from storage.presign import Keys, presigned

PART = 5 * 1024 * 1024  #: bytes of one part, the least that S3 takes; up to it an object goes up in one request
_IN_MEMORY = 256 * 1024
_FIRST = 1024 * 1024  #: bytes asked for when an object is opened: most objects are smaller
_AHEAD = 4 * 1024 * 1024  #: bytes of each later request
_SMALL, _LARGE = 16, 4  #: objects that go up at once
_PARTS = 2  #: of one object at once
_RETRIES = timedelta(seconds=2)  #: for so long a refused request is tried again
_LOOK = 0.2  # seconds between two looks at a large object on its way


class ObjectBlobs:
    """Keep blobs as objects, one prefix a day, as ``DiskBlobs`` keeps files: a store can be copied to the other."""

    def __init__(
        self, bucket: str, prefix: str, s3: S3, limits: Limits, spool_dir: Path, *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        seconds = limits.s3_request
        self._patience = (seconds + _RETRIES).total_seconds() + 1
        self._store = _make_store(bucket, prefix, s3, seconds)
        self._where = _Where(bucket=bucket, prefix=prefix, s3=s3)
        self._spool_dir = spool_dir
        self._outage = Outage(monotonic)
        self._monotonic = monotonic
        self._begun: weakref.WeakValueDictionary[str, _Writer] = weakref.WeakValueDictionary()
        self._small = ThreadPoolExecutor(_SMALL, thread_name_prefix="object")
        self._large = ThreadPoolExecutor(_LARGE, thread_name_prefix="large-object")

    def create(self, now: datetime, *, of: Path | None = None) -> "_Writer":
        """Begin a blob under a new id; its bytes wait here until the commit, in memory while there are few."""
        writer = _Writer(new_blob_id(now), self._spool_dir) if of is None else _FileWriter(new_blob_id(now), of)
        self._begun[writer.id] = writer
        return writer

    def commit(self, writers: Iterable[BlobWriter]) -> None:
        """Put objects, each under a key that nothing had before; BlobsAway while the store does not answer."""
        ours = [writer for writer in writers if isinstance(writer, _Writer)]
        for writer in ours:
            self._begun.pop(writer.id, None)
        if len(ours) == 1 and ours[0].size <= PART:
            self._put(ours[0])
            return
        puts = [
            self._large.submit(_Parts(self, writer).put)
            if writer.size > PART
            else self._small.submit(self._put, writer)
            for writer in ours
        ]
        wait(puts)  # whoever forgets them after a failure must not be overtaken by one that still goes up
        for put in puts:
            put.result()

    def open(self, blob_id: str) -> BinaryIO:
        """Open an object; FileNotFoundError when there is none, BlobsAway when nobody can tell."""
        return io.BufferedReader(_Reader(self, _key(blob_id)), _AHEAD)

    def delete(self, blob_id: str) -> None:
        """Forget an object, or one that was never committed."""
        writer = self._begun.pop(blob_id, None)
        if writer is not None:
            writer.forget()
            return
        with contextlib.suppress(FileNotFoundError), self.asking():
            obstore.delete(self._store, _key(blob_id))

    def older_than(self, moment: datetime) -> Iterator[str]:
        """List the ids of objects last written before a moment, by the store's clock."""
        pages = obstore.list(self._store, chunk_size=1000)
        while True:
            with self.asking():
                page = next(pages, None)
            if page is None:
                return
            for found in page:
                day, _, name = found["path"].partition("/")
                if is_blob_id(name) and name.startswith(day) and found["last_modified"] < moment:
                    yield name

    def presign(self, blob_id: str, seconds: int, file_name: str, now: datetime | None = None) -> str:
        """Make a link with which anybody may download a blob under a file name until it expires, in a week at most.

        Without keys of our own the link is the store library's, and names the file by its id.
        """
        if not self._where.s3.access_key_id:
            return obstore.sign(self._store, "GET", _key(blob_id), timedelta(seconds=seconds))
        keys = Keys(self._where.s3.access_key_id, self._where.s3.secret_access_key, self._where.s3.region)
        return presigned(self._where.url(_key(blob_id)), keys, seconds, file_name, now or datetime.now(UTC))

    def try_out(self) -> tuple[float, bool]:
        """Write, overwrite and delete an object; gives the seconds our clock is ahead, and whether ids are safe.

        Ids are safe where the store refuses to write one a second time. OSError when it cannot be written at all.
        """
        key = _key(new_blob_id(datetime.now(UTC)))
        with self.asking():
            obstore.put(self._store, key, b"mailgate doctor", mode="create")
            written = obstore.head(self._store, key)["last_modified"]
        ahead = (datetime.now(UTC) - written).total_seconds()
        try:
            with self.asking():
                obstore.put(self._store, key, b"mailgate doctor", mode="create")
        except FileExistsError:
            safe = True
        else:
            safe = False
        with self.asking():
            obstore.delete(self._store, key)
        return ahead, safe

    def fetch(self, key: str, start: int, end: int) -> tuple[bytes, int]:
        """Read a range of an object; gives the bytes and the size of the whole."""
        with self.asking():
            found = obstore.get(self._store, key, options={"range": (start, end)})
            return bytes(found.bytes()), found.meta["size"]

    def size(self, key: str) -> int:
        """Ask for the size of an object alone: an empty one has no range."""
        with self.asking():
            return obstore.head(self._store, key)["size"]

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask the store something: at once BlobsAway where it is known not to answer; its errors become ours."""
        self._outage.check()
        try:
            yield
        except Exception as error:
            fault = error if isinstance(error, BlobsAway) else translated(error)
            if isinstance(fault, BlobsAway):
                self._outage.failed(str(fault))
            elif fault is not None:
                self._outage.worked()
            raise (fault or error) from error
        self._outage.worked()

    def _put(self, writer: "_Writer") -> None:
        data = b"".join(writer.blocks())
        with self.asking():
            obstore.put(self._store, _key(writer.id), data, mode="create", use_multipart=False)
        writer.forget()

    def reserve(self, key: str) -> None:
        """Take a key for a large object: parts cannot be put on a condition, an empty object can."""
        with self.asking():
            obstore.put(self._store, key, b"", mode="create", use_multipart=False)

    def put_parts(self, key: str, parts: Iterator[bytes]) -> None:
        """Put an object in parts under a key that is ours."""
        with self.asking():
            obstore.put(self._store, key, parts, use_multipart=True, chunk_size=PART, max_concurrency=_PARTS)

    def give_up(self, reason: str) -> NoReturn:
        """Note that the store does not answer, and say so."""
        self._outage.failed(reason)
        raise BlobsAway(reason)

    @property
    def patience(self) -> float:
        """Give the seconds after which a large object that got no further is given up."""
        return self._patience

    def now(self) -> float:
        """Give monotonic seconds."""
        return self._monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """Where the bucket is."""

    bucket: str
    prefix: str
    s3: S3

    def url(self, key: str) -> str:
        endpoint = self.s3.endpoint.rstrip("/") or f"https://s3.{self.s3.region}.amazonaws.com"
        return "/".join(filter(None, (endpoint, self.bucket, self.prefix, key)))


class _Writer:
    """A blob on its way: its bytes wait in a file without a name, which a crash takes with it."""

    def __init__(self, blob_id: str, spool_dir: Path) -> None:
        self.id = blob_id
        self.size = 0
        self._hash = sha256()
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(spool_dir))  # noqa: SIM115 - closed by forget

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self.size += len(data)
        self._hash.update(data)
        self._file.write(data)

    def hexdigest(self) -> str:
        """Give the SHA-256 of what was written so far."""
        return self._hash.hexdigest()

    def blocks(self, size: int = PART) -> Iterator[bytes]:
        """Give the bytes again, from the start."""
        self._file.seek(0)
        while block := self._file.read(size):
            yield block

    def forget(self) -> None:
        """Let go of what waited here."""
        self._file.close()


class _FileWriter(_Writer):
    """A blob that goes up from a file that is there."""

    def __init__(self, blob_id: str, path: Path) -> None:
        self.id = blob_id
        self.size = path.stat().st_size
        self._path = path

    def write(self, data: bytes) -> None:
        """Refuse: the file is whole."""
        raise ValueError("a blob begun with a file is whole")

    def hexdigest(self) -> str:
        """Give the SHA-256 of the file."""
        found = sha256()
        for block in self.blocks(1 << 20):
            found.update(block)
        return found.hexdigest()

    def blocks(self, size: int = PART) -> Iterator[bytes]:
        """Give the bytes of the file."""
        with self._path.open("rb") as source:
            while block := source.read(size):
                yield block

    def forget(self) -> None:
        """Do nothing: the file is its owner's."""


class _Parts:
    """A large object on its way up. It may take long; that it gets no further may not."""

    def __init__(self, blobs: ObjectBlobs, writer: _Writer) -> None:
        self._blobs = blobs
        self._writer = writer
        self._moved = blobs.now()
        self._given_up = False

    def put(self) -> None:
        """Put it; BlobsAway when it gets no further. What the store does with the rest is not waited for."""
        done: Future[None] = Future()
        self._moved = self._blobs.now()
        threading.Thread(target=self._work, args=(done,), name="parts", daemon=True).start()
        while True:
            with contextlib.suppress(TimeoutError):
                return done.result(_LOOK)
            if self._blobs.now() - self._moved > self._blobs.patience:
                self._given_up = True
                self._blobs.give_up("the object store stopped taking a large object")

    def _work(self, done: "Future[None]") -> None:
        try:
            key = _key(self._writer.id)
            self._blobs.reserve(key)
            self._blobs.put_parts(key, self._pieces())
            self._writer.forget()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            done.set_exception(error)
        else:
            done.set_result(None)

    def _pieces(self) -> Iterator[bytes]:
        for block in self._writer.blocks():
            if self._given_up:
                raise BlobsAway("given up")
            self._moved = self._blobs.now()
            yield block
        self._moved = self._blobs.now()


class _Reader(io.RawIOBase):
    """An object open for reading: ranges of it, asked for one after the other."""

    def __init__(self, blobs: ObjectBlobs, key: str) -> None:
        super().__init__()
        self._blobs = blobs
        self._key = key
        self._at = 0
        self._start, self._block = 0, b""
        try:
            self._block, self._size = blobs.fetch(key, 0, _FIRST)
        except EmptyRange:
            self._size = blobs.size(key)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go elsewhere; asks nothing."""
        base = (0, self._at, self._size)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Give the place."""
        return self._at

    def readinto(self, into: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer with what is there, or the next range."""
        data = self._next(len(into))
        into[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        """Read to the end in large ranges."""
        pieces: list[bytes] = []
        while data := self._next(_AHEAD):
            self._at += len(data)
            pieces.append(data)
        return b"".join(pieces)

    def _next(self, most: int) -> bytes:
        if self._at >= self._size or not most:
            return b""
        if not self._start <= self._at < self._start + len(self._block):
            self._start = self._at
            end = min(self._at + max(most, _FIRST), self._size)
            self._block, _ = self._blobs.fetch(self._key, self._at, end)
        begin = self._at - self._start
        return self._block[begin : begin + most]


def _key(blob_id: str) -> str:
    if not is_blob_id(blob_id):
        raise FileNotFoundError(blob_id)
    return f"{blob_id[:8]}/{blob_id}"


def _make_store(bucket: str, prefix: str, s3: S3, request: timedelta) -> S3Store:
    """Configure the client so that every call ends ``request`` and ``_RETRIES`` later, whatever the store does."""
    config: dict[str, Any] = {"region": s3.region, "disable_bulk_delete": True}
    if s3.endpoint:
        config["endpoint"] = s3.endpoint
    if s3.access_key_id:
        config |= {"access_key_id": s3.access_key_id, "secret_access_key": s3.secret_access_key}
    client: dict[str, Any] = {
        "allow_http": s3.endpoint.startswith("http://"), "timeout": request,
        "connect_timeout": min(request, timedelta(seconds=3)), "pool_idle_timeout": timedelta(seconds=20),
    }  # fmt: skip
    if s3.ca_file is not None:
        client["root_certificate"] = s3.ca_file.read_bytes()
    retry: dict[str, Any] = {
        "max_retries": 4, "retry_timeout": _RETRIES,
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
    }  # fmt: skip
    return S3Store(
        bucket, prefix=prefix or None, client_options=client, retry_config=retry, **config  # type: ignore[arg-type]
    )  # fmt: skip

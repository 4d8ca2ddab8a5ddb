"""The bytes of one upload on their way in: a file under an id of ours, written at any offset.

What lives here: writing, reading back, hashing and syncing one file, in threads, with constant memory. Whose it is
and what becomes of it stands in ``transfer.writing``.
"""

import asyncio
import errno
import hashlib
import os
from pathlib import Path

from models.codes import Code
from transfer.view import NoRoom, NotAllowed, NotNow, TooLarge

_BLOCK = 128 * 1024  #: gathered before a thread writes them
_GAPS = 1000  #: holes that are open at once, while blocks come out of order
_VECTOR = 512  #: pieces in one call
_LOOK = 8 * 1024 * 1024  #: bytes between two looks at the disk


class UnderWay:
    """One file that is being written. Calls of several handles are taken one after the other."""

    def __init__(self, path: Path, *, size: int = 0, most: int, room: int, reserve: int) -> None:
        """Take a file that is not there yet (``size`` 0), or go on with one.

        ``most``: bytes of a file; ``room``: bytes that the quota leaves for this one; ``reserve``: of the disk.
        """
        self.path = path
        self.size = size
        self.failed: TooLarge | NotNow | None = None  #: after it nothing more is taken, and nothing is kept
        self._most, self._room, self._reserve = most, room, reserve
        self._descriptor = -1
        self._lock = asyncio.Lock()
        self._pieces: list[bytes] = []
        self._start = self._end = size  # of what is gathered
        self._flushing: asyncio.Future[None] | None = None
        self._gaps: list[tuple[int, int]] = []
        self._hash = hashlib.sha256()
        self._hashed: int | None = 0 if size == 0 else None  # bytes hashed so far; None: to be hashed anew
        self._looked = size

    async def open(self) -> None:
        """Open the file; NotNow when that is impossible."""
        try:
            self._descriptor = await asyncio.to_thread(os.open, self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _not_now(error) from error

    async def write(self, offset: int, data: bytes) -> None:
        """Take bytes; raises TooLarge, NotNow, or NotAllowed when too many holes are open."""
        async with self._lock:
            self._check()
            if not data:
                return
            end = offset + len(data)
            if end > self._most:
                self._fail(TooLarge(self._too_large(end), Code.FILE_TOO_LARGE))
            if end > self._room:
                self._fail(NoRoom("the quota of bytes that wait in the folders of this login is full: try again later"))
            if offset != self._end:
                await self._flush()
                self._start = self._end = offset
            self._note(offset, end)
            self._pieces.append(bytes(data))
            self._end = end
            if self._end - self._start >= _BLOCK:
                await self._flush(wait=False)

    async def read(self, offset: int, size: int) -> bytes:
        """Give back bytes written before; none at or behind the end."""
        async with self._lock:
            await self._flush()
            size = max(0, min(size, self.size - offset))
            return await asyncio.to_thread(os.pread, self._descriptor, size, offset) if size else b""

    async def truncate(self, size: int) -> None:
        """Cut the file, or lengthen it with zeros; raises TooLarge."""
        async with self._lock:
            self._check()
            if size > self._most:
                self._fail(TooLarge(self._too_large(size), Code.FILE_TOO_LARGE))
            await self._flush()
            if size == self.size:
                return
            try:
                await asyncio.to_thread(os.ftruncate, self._descriptor, size)
            except OSError as error:
                self._fail(_not_now(error))
            self._gaps = [(a, min(b, size)) for a, b in self._gaps if a < size]
            self._hash, self._hashed = hashlib.sha256(), 0 if size == 0 else None
            self.size = self._start = self._end = size

    async def seal(self, *, sync: bool = True) -> str:
        """Bring every byte to the disk; gives the SHA-256. Raises NotNow, or NotAllowed where bytes never came.

        ``sync``: false where the bytes are made durable elsewhere.
        """
        async with self._lock:
            self._check()
            await self._flush()
            if self._gaps:
                first, end = self._gaps[0]
                raise NotAllowed(f"the bytes {first:,} to {end - 1:,} never came: the file is not whole")
            try:
                digest = await asyncio.to_thread(self._digest, sync=sync)
            except OSError as error:
                self._fail(_not_now(error))
            return digest

    async def keep(self) -> int:
        """Bring what came of a cut upload to the disk; gives how many bytes from the start may be relied on."""
        async with self._lock:
            try:
                await self._flush()
                kept = self._gaps[0][0] if self._gaps else self.size
                await asyncio.to_thread(self._cut_and_sync, kept)
            except (OSError, NotNow):
                return 0
            return kept

    async def shut(self) -> None:
        """Let go of the file; its bytes stay."""
        async with self._lock:
            if self._flushing is not None:
                await asyncio.gather(self._flushing, return_exceptions=True)
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                await asyncio.to_thread(os.close, descriptor)

    def _check(self) -> None:
        if self.failed is not None:
            raise self.failed

    def _fail(self, failed: TooLarge | NotNow) -> None:
        self.failed = failed
        self._pieces.clear()
        raise failed

    def _too_large(self, size: int) -> str:
        return (
            f"the file is larger than {self._most:,} bytes, the most we take ({size:,} and more): nothing of it is kept"
        )

    def _note(self, offset: int, end: int) -> None:
        """Keep account of the size and of the holes."""
        if offset > self.size:
            self._gaps.append((self.size, offset))
        elif self._gaps:
            self._gaps = [
                piece for a, b in self._gaps for piece in ((a, min(b, offset)), (max(a, end), b)) if piece[0] < piece[1]
            ]
        if len(self._gaps) > _GAPS:
            raise NotAllowed("the blocks of the file come too far out of order: a hole behind the end is not taken")
        self.size = max(self.size, end)

    async def _flush(self, *, wait: bool = True) -> None:
        """Hand what is gathered to a thread, once the former piece is written; NotNow when the disk refuses."""
        if self._flushing is not None:
            try:
                await asyncio.shield(self._flushing)  # a caller that gives up leaves the thread to the next one
            except OSError as error:
                self._flushing = None
                self._fail(_not_now(error))
            self._flushing = None
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            offset, self._start = self._start, self._end
            work = asyncio.get_running_loop().run_in_executor(None, self._put, pieces, offset)
            self._flushing = work
            if wait:
                await self._flush()

    def _put(self, pieces: list[bytes], offset: int) -> None:
        """Write pieces one behind the other; runs in a thread, one at a time."""
        if self._hashed == offset:
            for piece in pieces:
                self._hash.update(piece)
            self._hashed += sum(map(len, pieces))
        elif offset < (self._hashed or 0):
            self._hashed = None
        if self.size - self._looked >= _LOOK:
            self._looked = self.size
            space = os.fstatvfs(self._descriptor)
            if space.f_bavail * space.f_frsize < self._reserve:
                raise OSError(errno.ENOSPC, "less room than the reserve")
        for first in range(0, len(pieces), _VECTOR):
            offset = self._put_all(pieces[first : first + _VECTOR], offset)

    def _put_all(self, pieces: list[bytes], offset: int) -> int:
        total = sum(map(len, pieces))
        done = os.pwritev(self._descriptor, pieces, offset)
        if done < total:
            rest = memoryview(b"".join(pieces))
            while done < total:
                done += os.pwrite(self._descriptor, rest[done:], offset + done)
        return offset + total

    def _digest(self, *, sync: bool) -> str:
        if sync:
            os.fsync(self._descriptor)
            sync_folder(self.path.parent)
        if self._hashed != self.size:
            self._hash, self._hashed = hashlib.sha256(), self.size
            offset = 0
            while block := os.pread(self._descriptor, 1 << 20, offset):
                self._hash.update(block)
                offset += len(block)
        return self._hash.hexdigest()

    def _cut_and_sync(self, kept: int) -> None:
        if kept < self.size:
            os.ftruncate(self._descriptor, kept)
        os.fsync(self._descriptor)
        sync_folder(self.path.parent)


def sync_folder(path: Path) -> None:
    """Bring the names of a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_now(error: OSError) -> NotNow:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom("no space: the disk is too full to take the file now; nothing of it is kept, try again later")
    return NotNow(f"the file cannot be kept now ({os.strerror(error.errno or errno.EIO)}): try again later")

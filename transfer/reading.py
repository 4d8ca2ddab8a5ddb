"""Files open for reading: bytes in memory, a file on the disk, an upload under way.

What lives here: the readers. What may be read is decided by the visit.
"""

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

from storage.blobs import Blobs
from transfer.under_way import UnderWay
from transfer.view import NotNow

_AHEAD = 1 << 20


class BytesReader:
    """Read what was made in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    async def read(self, offset: int, size: int) -> bytes:
        """Give up to so many bytes."""
        return self._content[offset : offset + size]

    async def close(self) -> None:
        """Do nothing."""


class FileReader:
    """Read a file on the disk, ahead of what is asked for; it may be renamed or deleted meanwhile."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source = source
        self.size = size
        self._start, self._ahead = 0, b""

    async def read(self, offset: int, size: int) -> bytes:
        """Give up to so many bytes; NotNow when they cannot be read now."""
        there = offset - self._start
        if there >= 0 and there + size <= len(self._ahead):
            return self._ahead[there : there + size]
        try:
            self._start, self._ahead = offset, await asyncio.to_thread(self._read, offset, max(size, _AHEAD))
        except OSError as error:
            raise NotNow("the file cannot be read now: try again later") from error
        return self._ahead[:size]

    async def close(self) -> None:
        """Let go of the file."""
        await asyncio.to_thread(self._source.close)

    def _read(self, offset: int, size: int) -> bytes:
        self._source.seek(offset)
        return self._source.read(min(size, max(0, self.size - offset)))


def size_of(source: BinaryIO) -> int:
    """Give the bytes of an open file."""
    return source.seek(0, os.SEEK_END)


class UnderWayReader:
    """Read an upload that is still being written."""

    def __init__(self, under_way: UnderWay) -> None:
        self._under_way = under_way

    @property
    def size(self) -> int:
        """Give the bytes that have come."""
        return self._under_way.size

    async def read(self, offset: int, size: int) -> bytes:
        """Give up to so many bytes."""
        return await self._under_way.read(offset, size)

    async def close(self) -> None:
        """Do nothing: its writer closes it."""


def open_blob(blobs: Blobs, blob_id: str) -> FileReader:
    """Open a stored file; FileNotFoundError when it is gone, else OSError."""
    source = blobs.open(blob_id)
    return FileReader(source, size_of(source))


def open_file(path: Path) -> FileReader:
    """Open a file of ours; FileNotFoundError when it is gone."""
    source = path.open("rb", buffering=0)
    return FileReader(source, os.fstat(source.fileno()).st_size)

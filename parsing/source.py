"""A file's bytes, memory-mapped, with the searches every stage shares.

What lives here: access to bytes. Nothing here knows what they mean.
"""

import contextlib
import mmap
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt


class Source:
    """Give a file's bytes as one read-only buffer and as a numpy view of it."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        with file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as opened:
            self.size = opened.seek(0, 2)
            self.data: mmap.mmap | bytes = b""
            if self.size:  # an empty file cannot be mapped
                self.data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        self.view: npt.NDArray[np.uint8] = np.frombuffer(self.data, np.uint8)
        self._next: dict[bytes, tuple[int, int]] = {}

    def find(self, byte: bytes, start: int) -> int:
        """Give the first offset of a byte or mark at or behind ``start``, the size of the file where there is none.

        The last answer for each byte is kept, so that asking block after block reads the file once.
        """
        asked, found = self._next.get(byte, (0, -1))
        if not asked <= start <= found:
            found, asked = self._search(byte, start, self.size), start
        self._next[byte] = (asked, found)
        return found

    def _search(self, byte: bytes, start: int, stop: int) -> int:
        """Search up to an offset, in blocks that grow: bytes.find is many times faster than that of a map."""
        step = 1 << 12
        while start < stop:
            found = self.data[start : min(start + step, stop) + len(byte) - 1].find(byte)
            if found >= 0:
                return start + found
            start, step = start + step, min(step * 4, 1 << 20)
        return stop

    def line_end(self, start: int) -> int:
        """Give the offset of the first line feed or carriage return at or behind ``start``, else the size."""
        feed = self.find(b"\n", start)
        # a file without carriage returns is not searched to its end for one
        back = self.find(b"\r", start) if feed == self.size else self._search(b"\r", start, feed)
        return min(feed, back)

    def behind_line_end(self, at: int) -> int:
        """Give the offset behind the line end that stands at ``at`` (CRLF is one)."""
        return at + 2 if self.data[at : at + 2] == b"\r\n" else min(at + 1, self.size)

    def release(self, before: int) -> None:
        """Let the system take back the pages before an offset; they are read again where needed."""
        whole = before - before % mmap.ALLOCATIONGRANULARITY
        if whole and isinstance(self.data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            with contextlib.suppress(OSError):
                self.data.madvise(mmap.MADV_DONTNEED, 0, whole)

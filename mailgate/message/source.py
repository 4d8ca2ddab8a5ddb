"""Where the bytes of a mail come from: a seam of one attribute and one method.

What lives here: the seam, its two plain implementations, and the cached run of bytes that the splitter looks through.
Nothing here knows what a mail is.
"""

import os
from typing import Protocol

from models.faults import TemporaryError


class Source(Protocol):
    """Give any range of a mail's bytes; the bytes never change while the source is in use."""

    @property
    def size(self) -> int:
        """Say how many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end."""


class BytesSource:
    """Serve a mail that is in memory already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end."""
        return self._data[offset : offset + length]


class FileSource:
    """Serve a mail from an open file, without moving the file's own position."""

    def __init__(self, fileno: int, size: int) -> None:
        self._fileno = fileno
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end."""
        length = min(length, self.size - offset)
        data = os.pread(self._fileno, max(length, 0), offset)
        while 0 < len(data) < length:
            more = os.pread(self._fileno, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data


class Window:
    """Keep one run of a source at hand, so that a small mail is read once and a large one run by run."""

    def __init__(self, source: Source, *, end: int, run: int) -> None:
        self.source = source
        self.end = end
        self.base = 0  #: offset of the first byte of ``data``
        self.data = b""
        self._run = run

    @property
    def at_end(self) -> bool:
        """Say whether the run at hand reaches the end of the range."""
        return self.base + len(self.data) >= self.end

    def load(self, position: int, need: int) -> int:
        """Have ``need`` bytes from ``position`` at hand, fewer only at the end; return where they begin in ``data``."""
        wanted = min(position + need, self.end)
        if not (self.base <= position and wanted <= self.base + len(self.data)):
            length = min(max(need, self._run), self.end - position)
            self.data = b""  # the old run goes before the new one comes: one run in memory, not two
            self.data = self.source.read(position, length)
            self.base = position
            if len(self.data) < length:
                raise TemporaryError(f"the mail ends at {position + len(self.data)}, {self.end} bytes were expected")
        return position - self.base

    def byte_before(self, position: int) -> bytes:
        """Return the byte before ``position``, also where it is not at hand."""
        at = position - self.base
        return self.data[at - 1 : at] if at > 0 else self.source.read(position - 1, 1)

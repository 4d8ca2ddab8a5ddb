"""The spool: the bytes of one mail on their way in, in memory while small and in a file beyond.

What lives here: appending with a running hash, and reading in windows. The spool is never synced: what is kept is
synced as blobs before anybody is told, and a spool file left by a crash is swept.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

_IN_MEMORY = 256 * 1024


class Spool:
    """Hold one mail's bytes; readable in windows as a ``Source``. Not for two threads at once."""

    def __init__(self, folder: Path, *, in_memory: int = _IN_MEMORY) -> None:
        self._folder = folder
        self._in_memory = in_memory
        self._bytes: bytearray | None = bytearray()
        self._path: Path | None = None
        self._descriptor = -1
        self._hash = sha256()
        self.size = 0

    def append(self, chunks: Iterable[bytes]) -> None:
        """Add bytes; OSError when they cannot be kept."""
        for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            if self._bytes is not None:
                self._bytes += chunk
                if len(self._bytes) > self._in_memory:
                    self._move_to_file()
            else:
                _write_all(self._descriptor, chunk)

    def read(self, offset: int, length: int) -> bytes:
        """Give the bytes at an offset; fewer than asked only at the end."""
        if self._bytes is not None:
            return bytes(self._bytes[offset : offset + length])
        pieces: list[bytes] = []
        while length > 0:
            piece = os.pread(self._descriptor, length, offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def hexdigest(self) -> str:
        """Give the SHA-256 of everything appended."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Forget the bytes; a file that cannot be deleted now is left to the sweep, since the answer may be given."""
        self._bytes = None
        with contextlib.suppress(OSError):
            if self._descriptor >= 0:
                descriptor, self._descriptor = self._descriptor, -1
                os.close(descriptor)
        with contextlib.suppress(OSError):
            if self._path is not None:
                path, self._path = self._path, None
                path.unlink(missing_ok=True)

    def _move_to_file(self) -> None:
        assert self._bytes is not None
        path = self._folder / f"{secrets.token_hex(16)}.spool"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._path = path
        _write_all(self._descriptor, self._bytes)
        self._bytes = None


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

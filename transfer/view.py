"""What a client sees and may do in its folder: the seam between the file doors and the one virtual folder.

What lives here: the values and the protocol. SFTP and FTP translate their words into these calls and the faults into
their codes; ``transfer.folder`` makes it true with ledger and blobs, ``transfer.memory`` in memory for tests.

Paths are absolute, in the client's words, with ``/`` between the names; they never become paths on a disk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from models.codes import Code
from models.faults import MailgateError, TemporaryError


class Kind(StrEnum):
    """What stands under a name."""

    FOLDER = "folder"
    FILE = "file"


class Begin(StrEnum):
    """How an upload begins on a name that may be there already."""

    TRUNCATE = "truncate"  #: anew, as put, STOR and open(CREAT|TRUNC) do
    RESUME = "resume"  #: on what is there, written to at any offset up to its end, as put -a and REST do
    APPEND = "append"  #: behind what is there, as APPE and open(APPEND) do
    EXCLUSIVE = "exclusive"  #: only where nothing is


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One name in a folder."""

    name: str  #: the last part of its path; empty for ``/``
    kind: Kind
    size: int = 0  #: bytes; that of an upload under way grows
    modified_at: datetime
    writable: bool = False  #: a folder that takes uploads, or a file that may be overwritten, renamed or removed
    state: str = ""  #: receiving, held, settling, import_job_created, upload_failed, incomplete, … of an upload
    code: Code | None = None  #: why it is held or failed
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What the door says OK for: bytes and row are durable."""

    trace_id: str
    state: str  #: settling, held, import_job_created, upload_failed, …: receiving never
    code: Code | None = None
    reason: str = ""


class Refused(MailgateError):
    """Say in words for the client why something is not done; ``code`` where the catalogue has one."""

    def __init__(self, reason: str, code: Code | None = None) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


class NoSuchName(Refused):
    """Say that nothing stands under a path (SFTP NO_SUCH_FILE, FTP 550)."""


class NotAllowed(Refused):
    """Say why something may not be done here (SFTP PERMISSION_DENIED, FTP 550)."""


class NameTaken(Refused):
    """Say that a name is taken already (SFTP FAILURE or FILE_ALREADY_EXISTS, FTP 550)."""


class TooLarge(Refused):
    """Say that an upload is larger than what is taken; nothing of it is kept (SFTP FAILURE, FTP 552)."""


class NotNow(TemporaryError):
    """Say what is impossible for now: disk, database, another session in between (SFTP FAILURE, FTP 451)."""


class NoRoom(NotNow):
    """Say that there is no room for now: on the disk, or in the quota of what waits (SFTP FAILURE, FTP 452)."""


class Reader(Protocol):
    """A file open for reading."""

    @property
    def size(self) -> int:
        """Give its bytes; those of an upload under way grow."""

    async def read(self, offset: int, size: int) -> bytes:
        """Give up to so many bytes; none at or behind the end."""

    async def close(self) -> None:
        """Let go of the file."""


class Writer(Protocol):
    """An upload under way."""

    @property
    def size(self) -> int:
        """Give the bytes from the start to the furthest that was written."""

    async def write(self, offset: int, data: bytes) -> None:
        """Take bytes, in any order (some clients send blocks out of order); raises TooLarge, NotNow.

        Where the upload was begun with APPEND they go behind the end, whatever the offset. Raises NotAllowed where too
        many holes are open.
        """

    async def read(self, offset: int, size: int) -> bytes:
        """Give back bytes written before (open for reading and writing)."""

    async def truncate(self, size: int) -> None:
        """Cut or, filled with zeros within the limit, lengthen what was written (FSETSTAT with a size)."""

    async def close(self, *, alive: Callable[[], bool] = lambda: True) -> Stored:
        """Finish what the client closed cleanly; returns after bytes and row are durable, raises NotNow if not.

        ``alive`` is asked when the bytes are durable and the row is not yet: where the client is gone by then, and
        its end only looked like the end of the file, the upload is incomplete and NotAllowed is raised.

        Raises NotAllowed where bytes in between never came (the upload is incomplete then), where the file was removed
        or is written to by another session, and TooLarge again where it was too large.
        """

    async def break_off(self) -> None:
        """Finish where session or data connection ended before the client closed it; it is kept as incomplete."""


class Visit(Protocol):
    """One session of one credential in its folder."""

    async def stat(self, path: str) -> Entry:
        """Give what stands under a path; raises NoSuchName."""

    async def list(self, path: str) -> list[Entry]:
        """Give the names in a folder, sorted; raises NoSuchName, and NotAllowed for a file."""

    async def read(self, path: str) -> Reader:
        """Open a file for reading; raises NoSuchName, NotAllowed."""

    async def write(self, path: str, begin: Begin) -> Writer:
        """Begin an upload; raises NotAllowed with a reason, NameTaken, NotNow."""

    async def rename(self, old: str, new: str, *, replace: bool) -> Stored | None:
        """Rename a file within its folder; gives what became of an upload that is complete by it."""

    async def remove(self, path: str) -> None:
        """Withdraw an upload that has not been accepted, or delete an answer."""

    async def make_folder(self, path: str) -> None:
        """Do nothing where the folder is there already; raises NotAllowed with a reason for any other."""

    async def leave(self) -> None:
        """End the visit; uploads still under way are broken off first by the door."""


class Folders(Protocol):
    """Where visits begin."""

    async def enter(self, credential: str, *, door: str, peer: str) -> Visit:
        """Begin a visit of a credential that has proved itself, by its name."""

"""The calls of one SFTP session, over the virtual folder and nothing else: no real directory, no link, no owner.

What lives here: asyncssh's ``SFTPServer`` in terms of a ``Visit``. The handler before it (``transfer.sftp_handler``)
reads packets; ``transfer.sftp_words`` says what comes of it.
"""

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncssh
from asyncssh import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_TRUNC, FXF_WRITE, SFTPAttrs, SFTPName, SFTPVFSAttrs

from mailgate.observe import get_logger, notes
from models.faults import TemporaryError
from transfer.sftp_words import attributes, name_of, path_of, reason, status, worth_telling
from transfer.view import Begin, Entry, Kind, NoSuchName, NotAllowed, Reader, Refused, Visit, Writer

log = get_logger("sftp")
P = ParamSpec("P")
R = TypeVar("R")
MOST_AT_ONCE = 255 * 1024  #: bytes of one READ or WRITE, as ``limits@openssh.com`` says; OpenSSH's own figure
_BLOCK = 4096


@dataclass(kw_only=True, slots=True, eq=False)
class Opened:
    """A file that the client holds open."""

    path: str
    reader: Reader | None = None
    writer: Writer | None = None
    fault: Exception | None = None  #: the first write that failed: such an upload is never taken as whole


def _said(
    call: Callable[Concatenate["Files", P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["Files", P], Coroutine[Any, Any, R]]:
    """Turn what a call raises into a status with a reason; a fault of ours is logged, never shown."""

    @functools.wraps(call)
    async def run(self: "Files", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await call(self, *args, **kwargs)
        except asyncssh.SFTPError:
            raise
        except (Refused, TemporaryError) as error:
            if worth_telling(error):
                notes.refused("sftp", "not_now" if isinstance(error, TemporaryError) else "not_allowed")
                log.info("refused", call=call.__name__, reason=reason(error), **self.who)
                self.tell(f"mailgate: {reason(error)}\n")
            raise status(error) from None
        except Exception as error:
            log.exception("an SFTP call failed", call=call.__name__, **self.who)
            raise status(error) from None

    return run


class Files(asyncssh.SFTPServer):
    """Answer the calls of one session of one credential."""

    def __init__(
        self, channel: Any, visit: Visit, *, who: dict[str, str], tell: Callable[[str], None],
        free_bytes: Callable[[], int], clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        super().__init__(channel)
        self.visit = visit
        self.who = who  #: for log lines
        self.tell = tell  #: a line on the client's standard error, where its user sees it
        self.ending = False  #: the session is over: what is open now was not closed by the client
        self.writing: set[Opened] = set()
        self._free_bytes = free_bytes
        self._clock = clock

    # --- opening and closing

    @_said
    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Opened:
        """Open a file for reading, or begin an upload."""
        del attrs  # modes and times of an upload mean nothing here
        name = path_of(path)
        if not pflags & (FXF_WRITE | FXF_APPEND):
            return Opened(path=name, reader=await self.visit.read(name))
        if not pflags & FXF_CREAT:
            await self.visit.stat(name)  # raises NoSuchName
        writer = await self.visit.write(name, _begin(pflags))
        opened = Opened(path=name, writer=writer)
        self.writing.add(opened)
        return opened

    @_said
    async def close(self, file_obj: object) -> None:
        """Finish a file: OK means that bytes and row are durable. What the session's end leaves open is broken off."""
        opened = _opened(file_obj)
        self.writing.discard(opened)
        if opened.reader is not None:
            await opened.reader.close()
        if opened.writer is None:
            return
        if self.ending or opened.fault is not None:
            await opened.writer.break_off()
            if opened.fault is not None and not self.ending:
                raise opened.fault
            return
        stored = await opened.writer.close()
        log.info("stored", trace_id=stored.trace_id, state=stored.state, path=opened.path, **self.who)
        if stored.code is not None:
            self.tell(f"mailgate: {opened.path}: {stored.code}: {stored.reason} ({stored.trace_id})\n")

    # --- bytes

    @_said
    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Give bytes of a file, or of an upload that is open for reading too."""
        opened = _opened(file_obj)
        source = opened.reader or opened.writer
        assert source is not None
        return await source.read(offset, min(size, MOST_AT_ONCE))

    @_said
    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Take bytes of an upload; after a failure every further one fails alike."""
        opened = _opened(file_obj)
        if opened.writer is None:
            raise NotAllowed("this file was opened for reading only")
        if opened.fault is not None:
            raise status(opened.fault)
        try:
            await opened.writer.write(offset, data)
        except Exception as error:
            opened.fault = error
            raise
        return len(data)

    async def fsync(self, file_obj: object) -> None:
        """Say OK: nobody can see the bytes as a whole before the close, and that one is durable."""
        _opened(file_obj)

    # --- attributes

    @_said
    async def stat(self, path: bytes) -> SFTPAttrs:
        """Tell of what stands under a path."""
        return attributes(await self.visit.stat(path_of(path)))

    async def lstat(self, path: bytes) -> SFTPAttrs:
        """Do the same: there are no links."""
        return await self.stat(path)

    @_said
    async def fstat(self, file_obj: object) -> SFTPAttrs:
        """Tell of an open file; the size of an upload is that of its bytes so far."""
        opened = _opened(file_obj)
        source = opened.reader or opened.writer
        assert source is not None
        try:
            entry = await self.visit.stat(opened.path)
        except NoSuchName:  # gone or renamed while it is open
            entry = Entry(name="", kind=Kind.FILE, modified_at=self._clock(), writable=opened.writer is not None)
        return attributes(entry, source.size)

    @_said
    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Cut or lengthen a file where a size is set; times and modes mean nothing, owners are refused."""
        name = path_of(path)
        await self.visit.stat(name)
        _refuse_owner(attrs)
        if attrs.size is not None:
            writer = await self.visit.write(name, Begin.RESUME)
            try:
                await writer.truncate(attrs.size)
            except BaseException:
                await writer.break_off()
                raise
            await writer.close()

    async def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Do the same: there are no links."""
        await self.setstat(path, attrs)

    @_said
    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """Cut or lengthen an upload where a size is set; times and modes are taken and mean nothing."""
        opened = _opened(file_obj)
        _refuse_owner(attrs)
        if attrs.size is None:
            return
        if opened.writer is None:
            raise NotAllowed("this file was opened for reading only")
        try:
            await opened.writer.truncate(attrs.size)
        except Exception as error:
            opened.fault = error
            raise

    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:
        """Tell how much room there is; the same for every path."""
        del path
        blocks = max(0, self._free_bytes()) // _BLOCK
        return SFTPVFSAttrs(
            bsize=_BLOCK, frsize=_BLOCK, blocks=blocks, bfree=blocks, bavail=blocks, files=1_000_000,
            ffree=1_000_000, favail=1_000_000, fsid=0, flags=0, namemax=255,
        )  # fmt: skip

    async def fstatvfs(self, file_obj: object) -> SFTPVFSAttrs:
        """Tell how much room there is."""
        _opened(file_obj)
        return await self.statvfs(b"/")

    # --- names

    @_said
    async def names(self, path: bytes) -> list[SFTPName]:
        """List a folder as it is now; ``.`` and ``..`` stand first, as clients expect."""
        name = path_of(path)
        here, entries = await self.visit.stat(name), await self.visit.list(name)
        now = self._clock()
        dots = [name_of(here, dot, now) for dot in (".", "..")]
        return dots + [name_of(entry, entry.name, now) for entry in entries]

    async def realpath(self, path: bytes) -> bytes:
        """Give the absolute path of a name, whether it exists or not; a session starts in ``/``."""
        return path_of(path).encode()

    @_said
    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file where the new name is free."""
        await self._rename(oldpath, newpath, replace=False)

    @_said
    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file, over one that has the new name."""
        await self._rename(oldpath, newpath, replace=True)

    @_said
    async def remove(self, path: bytes) -> None:
        """Withdraw an upload, or delete an answer."""
        await self.visit.remove(path_of(path))

    @_said
    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Be friendly about a folder that is there; refuse any other with the reason."""
        del attrs
        await self.visit.make_folder(path_of(path))

    @_said
    async def rmdir(self, path: bytes) -> None:
        """Refuse: the folders are those of the connections."""
        await self.visit.stat(path_of(path))
        raise NotAllowed("folders belong to connections and stay")

    async def readlink(self, path: bytes) -> bytes:
        """Refuse."""
        raise asyncssh.SFTPOpUnsupported("there are no links here")

    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse."""
        raise asyncssh.SFTPOpUnsupported("links cannot be made here")

    async def link(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse."""
        raise asyncssh.SFTPOpUnsupported("links cannot be made here")

    async def exit(self) -> None:
        """End the session; OpenSSH's scp waits for an exit status."""
        try:
            await self.visit.leave()
        except Exception:
            log.exception("a visit did not end well", **self.who)
        if not self.channel.is_closing():
            self.channel.exit(0)

    async def _rename(self, oldpath: bytes, newpath: bytes, *, replace: bool) -> None:
        old, new = path_of(oldpath), path_of(newpath)
        stored = await self.visit.rename(old, new, replace=replace)
        if stored is not None:
            log.info("stored", trace_id=stored.trace_id, state=stored.state, path=new, **self.who)
            if stored.code is not None:
                self.tell(f"mailgate: {new}: {stored.code}: {stored.reason} ({stored.trace_id})\n")


def _begin(pflags: int) -> Begin:
    if pflags & FXF_CREAT and pflags & FXF_EXCL:
        return Begin.EXCLUSIVE
    if pflags & FXF_TRUNC:
        return Begin.TRUNCATE
    return Begin.APPEND if pflags & FXF_APPEND else Begin.RESUME


def _opened(file_obj: object) -> Opened:
    assert isinstance(file_obj, Opened)
    return file_obj


def _refuse_owner(attrs: SFTPAttrs) -> None:
    """Refuse a change of owner alone; beside modes or times, as copying clients send it, it is ignored with them."""
    others = (attrs.size, attrs.permissions, attrs.atime, attrs.mtime)
    if attrs.uid is not None and all(one is None for one in others):
        raise NotAllowed("files have no owner here")

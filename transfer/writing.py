"""Uploads as a door writes them: the handle, its clean close and its end without one.

What lives here: the order of things at the end of an upload: bytes on the disk, then the row, then the word.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from mailgate.observe import get_logger, notes
from models.codes import Code
from models.faults import Fault, TemporaryError
from models.states import UploadStatus
from storage.ledger import Ledger, arriving
from storage.ledger.arriving import Kept, Outcome, Overtaken, Renamed, Whole
from transfer.live import Live, LiveUploads
from transfer.view import NotAllowed, NotNow, Refused, Stored, TooLarge, Writer

log = get_logger("folder")
GONE = "the client was gone before it was told that the file is stored: it is incomplete"
T = TypeVar("T")


class Desk(Protocol):
    """What a handle needs of the rooms behind the folder."""

    ledger: Ledger
    live: LiveUploads

    def now(self) -> datetime:
        """Give the time."""

    def domain(self) -> str:
        """Give our domain, for the Message-IDs of answers."""

    @property
    def stores(self) -> bool:
        """Tell whether bytes leave this disk when an upload is closed or cut."""

    async def store(self, spool: str) -> tuple[int, str | None]:
        """Bring a spool file to where all nodes find it; gives size and blob. OSError."""

    async def forget(self, gone: Sequence[str]) -> None:
        """Delete spool files and blobs."""

    def ring(self) -> None:
        """Say that a file may have settled, or an answer may be owed."""


class UploadWriter:
    """One handle of an upload under way."""

    def __init__(
        self, desk: Desk, live: Live, whole: Callable[[str], Awaitable[Whole]], visit: str, *, append: bool = False
    ) -> None:
        self._desk = desk
        self._live = live
        self._whole = whole
        self._visit = visit
        self._append = append
        self._ended = False

    @property
    def ended(self) -> bool:
        """Say whether it was closed or broken off."""
        return self._ended

    @property
    def size(self) -> int:
        """Give the bytes from the start to the furthest that was written."""
        return self._live.under_way.size

    async def write(self, offset: int, data: bytes) -> None:
        """Take bytes; where the upload was begun to append, behind the end whatever the offset."""
        self._check_open()
        await self._guarded(self._live.under_way.write(self.size if self._append else offset, data))

    async def read(self, offset: int, size: int) -> bytes:
        """Give back bytes written before."""
        self._check_open()
        return await self._guarded(self._live.under_way.read(offset, size))

    async def truncate(self, size: int) -> None:
        """Cut the file, or lengthen it with zeros."""
        self._check_open()
        await self._guarded(unbroken(self._live.under_way.truncate(size)))

    async def close(self, *, alive: Callable[[], bool] = lambda: True) -> Stored:
        """Finish what the client closed cleanly; goes on to its end when the caller is cancelled meanwhile."""
        return await unbroken(self._close(alive))

    async def break_off(self) -> None:
        """Finish where the session ended before the close."""
        await unbroken(self._break_off())

    def _check(self) -> None:
        if self._live.under_way.failed is not None:
            raise self._live.under_way.failed
        if self._live.void:
            raise NotAllowed(self._live.void)

    def _check_open(self) -> None:
        if self._ended:
            raise NotAllowed("the file is closed already")
        self._check()

    async def _guarded(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except (TooLarge, NotNow) as error:
            await unbroken(self._keep_nothing(error))
            raise

    async def _close(self, alive: Callable[[], bool]) -> Stored:
        if self._ended:
            raise NotAllowed("the file is closed already")
        self._ended = True
        live = self._live
        self._check()
        if live.handles > 1:
            live.handles -= 1
            reason = "It is written to by another handle still."
            return Stored(trace_id=live.trace_id, state=str(UploadStatus.HELD), reason=reason)
        live.closing = asyncio.Event()
        try:
            return await self._close_last(alive)
        finally:
            live.closing.set()

    async def _close_last(self, alive: Callable[[], bool]) -> Stored:
        live = self._live
        try:
            if live.cut:
                raise NotAllowed("another handle of the file was cut off: it is incomplete")
            outcome = await self._finish(alive)
        except (TooLarge, NotNow) as error:
            await self._keep_nothing(error)
            raise
        except NotAllowed:
            await self._cut()
            raise
        except Overtaken:
            await self._let_go()
            raise NotAllowed("the file was removed, or is written to by another session") from None
        except TemporaryError as error:  # the row stays as it is and is found to be lost; the client tries again
            await self._let_go()
            raise NotNow(f"the file cannot be taken now: {error}") from error
        await self._let_go()
        notes.received(trace_id=live.trace_id, octets=live.under_way.size)
        await self._desk.forget(outcome.gone)
        self._desk.ring()
        return stored(outcome)

    async def _finish(self, alive: Callable[[], bool]) -> Outcome:
        live, desk = self._live, self._desk
        digest = await live.under_way.seal(sync=not desk.stores)
        blob = await self._store() if desk.stores else None
        try:
            if not alive():
                raise NotAllowed(GONE)
            while True:
                whole = await self._whole(live.name)
                size = live.under_way.size
                try:
                    return await desk.ledger.write(
                        arriving.finish, live.held, whole, size, digest, desk.now(), self._visit, blob=blob
                    )
                except Renamed as error:  # on another node
                    live.name = error.name
        except (NotAllowed, Overtaken):
            await desk.forget([blob] if blob else [])
            raise

    async def _store(self) -> str | None:
        try:
            return (await self._desk.store(self._live.under_way.path.name))[1]
        except OSError as error:
            log.warning("an upload cannot be kept now", trace_id=self._live.trace_id, reason=str(error))
            raise NotNow("the file cannot be kept now: nothing of it is kept, try again later") from error

    async def _break_off(self) -> None:
        if self._ended:
            return
        self._ended = True
        live = self._live
        if live.void or live.under_way.failed is not None:
            return
        live.cut = True
        live.handles -= 1
        if live.handles < 1:
            await self._cut()

    async def _cut(self) -> None:
        live = self._live
        kept = await self._keep()
        await self._let_go()
        try:
            outcome = await self._desk.ledger.write(
                arriving.break_off, live.held, kept, self._desk.now(), self._desk.domain()
            )
        except TemporaryError as error:  # found to be lost a little later
            log.warning("an upload that was cut off is not noted yet", trace_id=live.trace_id, reason=str(error))
            return
        if outcome is not None:
            await self._desk.forget(outcome.gone)
        elif kept.blob is not None:
            await self._desk.forget([kept.blob])
        notes.upload_ended("upload cut off", trace_id=live.trace_id, outcome="incomplete", bytes=kept.size)
        self._desk.ring()

    async def _keep(self) -> Kept:
        """Bring what came of a cut upload to where it can be resumed; what cannot go there now stays on this disk."""
        size = await self._live.under_way.keep()
        if not self._desk.stores:
            return Kept(size=size)
        try:
            size, blob = await self._desk.store(self._live.under_way.path.name)
        except OSError as error:
            log.warning("a cut upload stays on this node", trace_id=self._live.trace_id, reason=str(error))
            return Kept(size=None)
        return Kept(size=size, blob=blob, moved=True)

    async def _keep_nothing(self, error: Refused | NotNow) -> None:
        """Refuse an upload for good, or for now, with nothing kept."""
        live = self._live
        if live.void:
            return
        await self._let_go()
        live.void = str(error)
        try:
            if isinstance(error, TooLarge):
                fault = Fault(code=error.code or Code.FILE_TOO_LARGE, message=f"{error}.".capitalize())
                gone = await self._desk.ledger.write(arriving.refuse, live.held, fault, self._desk.now())
            else:
                gone = await self._desk.ledger.write(arriving.give_up, live.held, str(error), self._desk.now())
        except (TemporaryError, Overtaken) as failed:
            log.warning("an upload that was refused is not noted yet", trace_id=live.trace_id, reason=str(failed))
            return
        outcome = "rejected" if isinstance(error, TooLarge) else "given_up"
        notes.upload_ended("upload refused", trace_id=live.trace_id, outcome=outcome, reason=str(error))
        await self._desk.forget(gone)

    async def _let_go(self) -> None:
        self._desk.live.drop(self._live)
        await self._live.under_way.shut()


class VersionWriter:
    """An upload that goes on where an accepted file ends: a new version, begun at the first change."""

    def __init__(self, size: int, begin: Callable[[], Awaitable[Writer]], untouched: Stored) -> None:
        self._size = size
        self._begin = begin
        self._untouched = untouched
        self._real: Writer | None = None

    @property
    def size(self) -> int:
        """Give the bytes of the version that is there, or of the new one."""
        return self._real.size if self._real is not None else self._size

    async def write(self, offset: int, data: bytes) -> None:
        """Take bytes."""
        await (await self._version()).write(offset, data)

    async def read(self, offset: int, size: int) -> bytes:
        """Give back bytes of the new version."""
        if self._real is None:
            raise NotAllowed("the file was accepted: it cannot be read any more")
        return await self._real.read(offset, size)

    async def truncate(self, size: int) -> None:
        """Cut or lengthen the new version."""
        if size != self.size:
            await (await self._version()).truncate(size)

    async def close(self, *, alive: Callable[[], bool] = lambda: True) -> Stored:
        """Finish the new version; where nothing was changed there is none."""
        return await self._real.close(alive=alive) if self._real is not None else self._untouched

    async def break_off(self) -> None:
        """Keep what came of the new version as incomplete."""
        if self._real is not None:
            await self._real.break_off()

    async def _version(self) -> Writer:
        if self._real is None:
            self._real = await self._begin()
        return self._real


class MarkerWriter:
    """A marker file: what it holds does not matter, that it is closed does."""

    def __init__(self, most: int, closed: Callable[[int], Awaitable[Stored]]) -> None:
        self._most = most
        self._closed = closed
        self.size = 0

    async def write(self, offset: int, data: bytes) -> None:
        """Count bytes and drop them."""
        if offset + len(data) > self._most:
            raise TooLarge(f"a marker file of more than {self._most:,} bytes is not taken", Code.FILE_TOO_LARGE)
        self.size = max(self.size, offset + len(data))

    async def read(self, offset: int, size: int) -> bytes:
        """Give nothing."""
        return b""

    async def truncate(self, size: int) -> None:
        """Note the size."""
        self.size = size

    async def close(self, *, alive: Callable[[], bool] = lambda: True) -> Stored:
        """Mark the file."""
        if not alive():
            raise NotAllowed(GONE)
        return await unbroken(self._closed(self.size))

    async def break_off(self) -> None:
        """Do nothing: a marker that was not closed marks nothing."""


def stored(outcome: Outcome) -> Stored:
    """Give the word for what a file has become."""
    return Stored(trace_id=outcome.trace_id, state=str(outcome.status), reason=outcome.message)


async def unbroken(work: Awaitable[T]) -> T:
    """Await work that goes on when its caller is cancelled."""
    return await asyncio.shield(asyncio.ensure_future(work))

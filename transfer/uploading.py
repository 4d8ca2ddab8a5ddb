"""What a session does to uploads: begins, resumes, renames and takes them back.

What lives here: the answer to "what stands under this name, and what does that mean for what is asked". When a file
is whole is decided by ``matching.uploads``, and written by ``storage.ledger.arriving``.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from mailgate.observe import notes
from matching.names import printable
from matching.uploads import after_close, assign, marked_name, markers_of, refuse_name
from models.codes import Code
from models.connection import Rule
from models.faults import TemporaryError
from models.states import UploadStatus
from storage.blobs import BlobsAway
from storage.ledger import arriving, folders
from storage.ledger.arriving import Copy, Held, Kept, Opening, Overtaken, QuotaReached, Whole
from storage.ledger.connections import ConnectionRef
from storage.ledger.folders import Place, Seen
from transfer.live import Live
from transfer.premises import Home, Premises, log
from transfer.under_way import UnderWay
from transfer.view import Begin, NameTaken, NoRoom, NoSuchName, NotAllowed, NotNow, Refused, Stored, Writer
from transfer.writing import MarkerWriter, UploadWriter, VersionWriter, stored

T = TypeVar("T")
_TRIES = 3  # looks at a name that changes under us
_FAILED = frozenset({UploadStatus.UPLOAD_FAILED})


class Uploading:
    """The uploads of one session."""

    def __init__(self, owner: Premises, credential: str, door: str, peer: str, visit: str) -> None:
        self._owner = owner
        self._credential = credential
        self._door, self._peer = door, peer
        self._visit = visit
        self._writers: set[UploadWriter] = set()

    async def begin(self, home: Home, place: Place, name: str, begin: Begin) -> Writer:
        """Begin an upload under a name."""
        check_upload_name(home, place, name)
        if (marked := marked_name(name, self._rules(home, place), home.prefixes)) is not None:
            most = self._owner.settings.limits.max_file_bytes
            return MarkerWriter(most, lambda size: self._mark(home, place, name, marked, size))
        for _ in range(_TRIES):
            seen = await self._seen(place, name)
            if seen is not None and begin is Begin.EXCLUSIVE:
                raise NameTaken(f"{printable(name)} is there already")
            try:
                if seen is None or begin in {Begin.TRUNCATE, Begin.EXCLUSIVE}:
                    return await self._anew(home, place, name, append=begin is Begin.APPEND)
                return await self._go_on(home, place, seen, append=begin is Begin.APPEND)
            except Overtaken:
                continue
        raise NotNow(f"{printable(name)} is being changed by another session: try again")

    async def rename(self, home: Home, place: Place, old: str, new: str, *, replace: bool) -> Stored | None:
        """Rename a file; gives what became of it where it is complete by it."""
        for _ in range(_TRIES):
            seen = await self._seen(place, old)
            if seen is None:
                raise NoSuchName(f"there is no {printable(old)} in {place.path}")
            if old == new:
                return None
            self._check_rename(seen)
            check_upload_name(home, place, new)
            if (marked := marked_name(new, self._rules(home, place), home.prefixes)) is not None:
                await self._owner.forget(
                    await self._owner.ledger.write(
                        arriving.withdraw, held(seen), f"renamed to the marker {new}", self._owner.now()
                    )
                )
                return await self._mark(home, place, new, marked, seen.size)
            await self._check_target(place, new, replace=replace)
            try:
                return await self._rename(home, place, seen, new)
            except Overtaken:
                continue
        raise NotNow(f"{printable(old)} is being changed by another session: try again")

    async def remove(self, place: Place, name: str) -> None:
        """Take a file back, or see one no more that is judged."""
        owner = self._owner
        for _ in range(_TRIES):
            seen = await self._seen(place, name)
            if seen is None:
                raise NoSuchName(f"there is no {printable(name)} in {place.path}")
            if seen.judged and not seen.import_ended:
                raise NotAllowed(
                    f"{printable(name)} was accepted as {seen.trace_id}: it can no longer be withdrawn, and vanishes "
                    "once it is processed"
                )  # fmt: skip
            try:
                if seen.status is None or (seen.judged and seen.status is not UploadStatus.HELD):
                    await owner.ledger.write(arriving.hide, held(seen), owner.now())
                    return
                why = "removed by the client"
                gone = await owner.ledger.write(arriving.withdraw, held(seen), why, owner.now())
            except Overtaken:
                continue
            if (live := owner.live.void(seen.file_id, f"{printable(name)} was removed")) is not None:
                await live.under_way.shut()
            await owner.forget(gone)
            notes.upload_ended(
                "upload withdrawn", trace_id=seen.trace_id, outcome="withdrawn", name=name, credential=self._credential
            )
            return
        raise NotNow(f"{printable(name)} is being changed by another session: try again")

    async def break_off_all(self) -> None:
        """Break off what the session still writes to."""
        for writer in list(self._writers):
            await writer.break_off()

    async def _anew(self, home: Home, place: Place, name: str, *, append: bool) -> UploadWriter:
        owner, limits = self._owner, self._owner.settings.limits
        room = await self._room(place.credential_id)
        opening = Opening(
            trace_id=owner.new_trace_id(), place=place, name=name, connection=self._taker(home, place, name),
            credential=self._credential, door=self._door, peer=self._peer, visit=self._visit,
            node=owner.node, spool=owner.new_spool(), at_once=limits.uploads_at_once, names=limits.names_per_folder,
        )  # fmt: skip
        under_way = self._under_way(opening.spool, 0, room)
        await under_way.open()
        try:
            begun, gone = await owner.ledger.write(arriving.begin, opening, owner.now())
        except BaseException:
            await under_way.shut()
            await owner.forget([opening.spool])
            raise
        await owner.forget(gone)
        return self._writer(home, place, Live(
            held=begun, trace_id=opening.trace_id, place=place, name=name, visit=self._visit, under_way=under_way,
        ), append=append)  # fmt: skip

    async def _go_on(self, home: Home, place: Place, seen: Seen, *, append: bool) -> Writer:
        """Go on with what stands under a name."""
        owner = self._owner
        live = owner.live.get(held(seen))
        if live is not None and live.closing is not None:
            await live.closing.wait()
            raise Overtaken
        if live is not None and live.visit == self._visit:
            live.handles += 1
            return self._writer(home, place, live, append=append)
        if seen.status in _FAILED or (seen.judged and seen.blob is None):
            raise NotAllowed(
                f"{printable(seen.name)} was not taken ({seen.code or seen.status}) and its bytes are not kept: "
                "upload it anew"
            )  # fmt: skip
        if seen.judged:
            word = Stored(
                trace_id=seen.trace_id, state=str(seen.status), code=Code(seen.code) if seen.code else None,
                reason=seen.message,
            )  # fmt: skip
            return VersionWriter(seen.size, lambda: self._new_version(home, place, seen, append=append), word)
        if live is not None:
            return await self._take_over(home, place, live, append=append)
        return await self._resume(home, place, seen, append=append)

    async def _take_over(self, home: Home, place: Place, live: Live, *, append: bool) -> UploadWriter:
        """Go on with what another session has not ended: it is seldom alive, its client has come again."""
        owner = self._owner
        taken, _ = await owner.ledger.write(
            arriving.reopen, live.held, self._visit, "resumed by another session", owner.now(), node=owner.node
        )
        owner.live.void(live.held.file_id, "the file is written to by another session of this login")
        return self._writer(home, place, Live(
            held=taken, trace_id=live.trace_id, place=place, name=live.name, visit=self._visit,
            under_way=live.under_way,
        ), append=append)  # fmt: skip

    async def _resume(self, home: Home, place: Place, seen: Seen, *, append: bool) -> UploadWriter:
        owner = self._owner
        room = await self._room(place.credential_id) + seen.size
        here = not owner.stores and owner.may_go_on(seen.node)
        spool, size = (seen.spool or "", await self._size(seen)) if here else await self._copy(seen)
        under_way = self._under_way(spool, size, room)
        copy = None if here else Copy(spool=spool, status=seen.status, blob=seen.stored)
        try:
            taken, gone = await owner.ledger.write(
                arriving.reopen, held(seen), self._visit, "opened again by its client", owner.now(), node=owner.node,
                copy=copy,
            )  # fmt: skip
        except BaseException:
            await owner.forget([] if here else [spool])
            raise
        await owner.forget(gone)
        try:
            await under_way.open()
        except NotNow:
            kept = Kept(size=size if here else None)
            await owner.ledger.write(arriving.break_off, taken, kept, owner.now(), owner.domain())
            raise
        return self._writer(home, place, Live(
            held=taken, trace_id=seen.trace_id, place=place, name=seen.name, visit=self._visit, under_way=under_way,
        ), append=append)  # fmt: skip

    async def _size(self, seen: Seen) -> int:
        try:
            return (await asyncio.to_thread(self._owner.path(seen.spool or "").stat)).st_size
        except FileNotFoundError:
            raise Overtaken from None

    async def _copy(self, seen: Seen) -> tuple[str, int]:
        """Bring the bytes of an upload here, or away from a writer that another node may still have."""
        owner = self._owner
        spool = owner.new_spool()
        try:
            return spool, await owner.copy(seen, spool)
        except OSError as error:
            await owner.forget([spool])
            if isinstance(error, FileNotFoundError):
                raise Overtaken from error
            raise NotNow("the bytes that are there cannot be read now: try again later") from error

    async def _new_version(self, home: Home, place: Place, seen: Seen, *, append: bool) -> UploadWriter:
        """Begin a new version with the whole content of the accepted one."""
        assert seen.blob is not None
        writer = await told(self._anew(home, place, seen.name, append=append))
        try:
            await self._copy_blob(seen.blob, writer)
        except OSError as error:
            await writer.break_off()
            raise NotNow(f"the accepted file cannot be read now: {error}") from error
        return writer

    async def _copy_blob(self, blob: str, writer: UploadWriter) -> None:
        source = await asyncio.to_thread(self._owner.blobs.open, blob)
        try:
            offset = 0
            while block := await asyncio.to_thread(source.read, 1 << 18):
                await writer.write(offset, block)
                offset += len(block)
        finally:
            await asyncio.to_thread(source.close)

    def _writer(self, home: Home, place: Place, live: Live, *, append: bool) -> UploadWriter:
        owner = self._owner
        owner.live.add(live)

        async def whole(name: str) -> Whole:
            try:
                now = await owner.home(self._credential)
            except (Refused, NotNow):
                now = home
            return self._whole(now if now.of_folder(place.folder) else home, place, name, renamed=False)

        writer = UploadWriter(owner, live, whole, self._visit, append=append)
        self._writers = {one for one in self._writers if not one.ended} | {writer}
        return writer

    async def _rename(self, home: Home, place: Place, seen: Seen, new: str) -> Stored | None:
        owner = self._owner
        complete = seen.status in {UploadStatus.HELD, UploadStatus.SETTLING}
        whole = None
        if complete:
            was_waiting = seen.status is UploadStatus.HELD
            whole = self._whole(home, place, new, renamed=was_waiting)
        outcome = await owner.ledger.write(arriving.rename, held(seen), new, whole, owner.now(), self._visit)
        if (live := owner.live.get(held(seen))) is not None:
            live.name = new
        await owner.forget(outcome.gone)
        owner.ring()
        return stored(outcome) if outcome.status is UploadStatus.SETTLING else None

    def _check_rename(self, seen: Seen) -> None:
        name = printable(seen.name)
        if seen.status is None:
            raise NotAllowed(f"{name} is a marker file: it is not renamed")
        if seen.status is UploadStatus.UPLOAD_FAILED:
            raise NotAllowed(f"{name} was rejected ({seen.code}): {seen.message} Upload it anew, under the right name.")
        if seen.judged:
            raise NotAllowed(f"{name} was stored as {seen.trace_id} ({seen.status}): it keeps its name")

    async def _check_target(self, place: Place, new: str, *, replace: bool) -> None:
        target = await self._seen(place, new)
        if target is None or target.judged:
            return  # what was judged gives way to a new version, whoever renames
        if not replace:
            raise NameTaken(f"{printable(new)} is there already")
        if target.status is UploadStatus.RECEIVING:
            raise NameTaken(f"{printable(new)} is being written to: it cannot be replaced now")

    async def _mark(self, home: Home, place: Place, name: str, marked: str, size: int) -> Stored:
        """Say that a file is whole, or keep the marker until the file comes."""
        owner = self._owner
        for _ in range(_TRIES):
            seen = await self._seen(place, marked)
            if seen is not None and seen.judged and seen.status is not None:
                return Stored(trace_id=seen.trace_id, state=str(seen.status), reason=seen.message)
            try:
                if seen is not None and seen.status in {UploadStatus.HELD, UploadStatus.SETTLING}:
                    whole = self._whole(home, place, marked, renamed=False)
                    outcome = await told(owner.ledger.write(arriving.mark, held(seen), whole, owner.now(), self._visit))
                    owner.ring()
                    return stored(outcome)
            except Overtaken:
                continue
            most = owner.settings.limits.names_per_folder
            await told(owner.ledger.write(arriving.leave_marker, place, name, size, most, owner.now()))
            reason = f"This marker waits for its file {printable(marked)}."
            return Stored(trace_id="", state=str(UploadStatus.HELD), reason=reason)
        raise NotNow(f"{printable(marked)} is being changed by another session: try again")

    def _whole(self, home: Home, place: Place, name: str, *, renamed: bool) -> Whole:
        refs = home.of_folder(place.folder)
        assigned = assign(name, [ref.rule for ref in refs], home.prefixes)
        seconds = assigned.settle_seconds
        if seconds is None:
            seconds = self._owner.settings.settle_seconds
        return Whole(
            name=name, connection=next(ref for ref in refs if ref.rule is assigned.rule),
            settle=timedelta(seconds=seconds),
            plain=after_close(name, assigned.completion, renamed=renamed, marked=False),
            marked=after_close(name, assigned.completion, renamed=renamed, marked=True),
            markers=markers_of(name) if assigned.completion == "marker" else (),
        )  # fmt: skip

    def _taker(self, home: Home, place: Place, name: str) -> ConnectionRef:
        refs = home.of_folder(place.folder)
        rule = assign(name, [ref.rule for ref in refs], home.prefixes).rule
        return next(ref for ref in refs if ref.rule is rule)

    def _rules(self, home: Home, place: Place) -> list[Rule]:
        return [ref.rule for ref in home.of_folder(place.folder)]

    async def _seen(self, place: Place, name: str) -> Seen | None:
        """Give what stands under a name; what has settled is judged first, so that no touch comes too late for it."""
        owner = self._owner
        for _ in range(_TRIES):
            now = owner.now()
            found = await owner.ledger.read(folders.names_in, place, now, owner.visible(), name)
            if not found:
                return None
            if found[0].due_at is None or found[0].due_at > now:
                return found[0]
            await told(owner.intake.accept_file(held(found[0])))
        raise NotNow(f"{printable(name)} is being judged: try again")

    async def _room(self, credential_id: int) -> int:
        """Give the bytes that a credential's quota leaves; NotNow where there are none."""
        owner = self._owner
        held = await owner.ledger.read(folders.bytes_held, credential_id)
        room = owner.settings.limits.upload_bytes_held - held - owner.live.size_of(credential_id)
        if room <= 0:
            raise NoRoom("the quota of bytes that wait in the folders of this login is full: try again later")
        return room

    def _under_way(self, spool: str, size: int, room: int) -> UnderWay:
        limits = self._owner.settings.limits
        return UnderWay(
            self._owner.path(spool), size=size, most=limits.max_file_bytes, room=room,
            reserve=limits.minimum_free_bytes,
        )  # fmt: skip


def check_upload_name(home: Home, place: Place, name: str) -> None:
    """Raise NotAllowed where no upload may have this name."""
    fault = refuse_name(name)
    if fault is not None:
        raise NotAllowed(fault.message, fault.code)
    if name in home.tree.below.get(place.path, ()):
        raise NameTaken(f"{printable(name)} is a folder")


async def told(work: Awaitable[T]) -> T:
    """Await work of the ledger; gives the seam's words for what is impossible now."""
    try:
        return await work
    except (Refused, NotNow):
        raise
    except QuotaReached as error:
        raise NoRoom(str(error)) from error
    except TemporaryError as error:
        raise NotNow(f"this is not possible now: {error}; try again later") from error
    except BlobsAway as error:
        log.warning("stored files are away", reason=str(error))
        raise NotNow("this is not possible now: stored files cannot be reached; try again later") from error


def held(seen: Seen) -> Held:
    """Give what stands under a name as it was looked at."""
    return Held(file_id=seen.file_id, generation=seen.generation)

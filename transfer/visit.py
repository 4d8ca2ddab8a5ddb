"""One session of one credential in its folder.

What lives here: what a path means, and what stands there. What is done to uploads stands in ``transfer.uploading``.
"""

import asyncio
from collections.abc import Sequence

from intake.accept import NoSpace
from mailgate.observe import get_logger
from matching.names import printable
from models.codes import Code
from models.faults import TemporaryError
from models.states import UploadStatus
from storage.ledger import arriving, folder_answers, folders
from storage.ledger.folders import Place, Seen
from transfer.answering import answer_size, open_answer, sample_files
from transfer.premises import Home, Premises
from transfer.reading import BytesReader, UnderWayReader, open_blob, open_file
from transfer.tree import Purpose, Spot, clean, join, split
from transfer.uploading import Uploading, held, told
from transfer.view import Begin, Entry, Kind, NoRoom, NoSuchName, NotAllowed, Reader, Stored, Writer
from transfer.writing import unbroken

log = get_logger("folder")


class LedgerVisit:
    """One session of one credential in its folder."""

    def __init__(self, owner: Premises, credential: str, door: str, peer: str, visit: str) -> None:
        self._owner = owner
        self._credential = credential
        self._id = visit
        self._uploading = Uploading(owner, credential, door, peer, visit)

    async def stat(self, path: str) -> Entry:
        """Give what stands under a path; raises NoSuchName."""
        home = await self._owner.home(self._credential)
        path = clean(path)
        if (spot := home.tree.spot(path)) is not None:
            return self._folder_entry(spot)
        spot, name = _parent(home, path)
        found = await self._entries(home, spot, name)
        if not found:
            raise NoSuchName(f"there is no {path}")
        return found[0]

    async def list(self, path: str) -> list[Entry]:
        """Give the names in a folder, sorted."""
        home = await self._owner.home(self._credential)
        path = clean(path)
        spot = home.tree.spot(path)
        if spot is None:
            await self.stat(path)
            raise NotAllowed(f"{path} is a file")
        below = [home.tree.spots[join(path, name)] for name in home.tree.below[path]]
        entries = [*map(self._folder_entry, below), *await self._entries(home, spot)]
        return sorted(entries, key=lambda entry: entry.name)

    async def read(self, path: str) -> Reader:
        """Open a file for reading."""
        home = await self._owner.home(self._credential)
        path = clean(path)
        if home.tree.spot(path) is not None:
            raise NotAllowed(f"{path} is a folder")
        spot, name = _parent(home, path)
        try:
            if spot.takes_uploads:
                return await self._read_upload(home, spot, path, name)
            if spot.purpose is Purpose.RESULTS:
                return await self._read_answer(home, spot, path, name)
            if spot.purpose is Purpose.SAMPLES and name in (samples := await self._samples(home)):
                return BytesReader(samples[name])
        except FileNotFoundError:
            pass
        raise NoSuchName(f"there is no {path}")

    async def write(self, path: str, begin: Begin) -> Writer:
        """Begin an upload."""
        home = await self._owner.home(self._credential)
        path = clean(path)
        if home.tree.spot(path) is not None:
            raise NotAllowed(f"{path} is a folder")
        spot, name = _parent(home, path)
        place = self._place(home, spot)
        try:
            self._owner.intake.check_space()
        except NoSpace as error:
            raise NoRoom(f"no space: {error}; try again later") from error
        return await unbroken(told(self._uploading.begin(home, place, name, begin)))

    async def rename(self, old: str, new: str, *, replace: bool) -> Stored | None:
        """Rename a file within its folder; gives what became of an upload that is complete by it."""
        home = await self._owner.home(self._credential)
        old, new = clean(old), clean(new)
        for path in (old, new):
            if home.tree.spot(path) is not None:
                raise NotAllowed(f"{path} is a folder: folders are set up by the operator and keep their names")
        (spot, name), (target, new_name) = _parent(home, old), _parent(home, new)
        place = self._place(home, spot)
        if target.path != spot.path:
            raise NotAllowed(f"a file is renamed within its folder: {spot.path}")
        return await unbroken(told(self._uploading.rename(home, place, name, new_name, replace=replace)))

    async def remove(self, path: str) -> None:
        """Withdraw an upload that has not been accepted, or delete an answer."""
        home = await self._owner.home(self._credential)
        path = clean(path)
        if home.tree.spot(path) is not None:
            raise NotAllowed(f"{path} is a folder: folders are set up by the operator and are not removed")
        spot, name = _parent(home, path)
        if spot.purpose is Purpose.RESULTS:
            await told(self._remove_answer(home, spot, path, name))
            return
        place = self._place(home, spot, "removed")
        await unbroken(told(self._uploading.remove(place, name)))

    async def make_folder(self, path: str) -> None:
        """Do nothing where the folder is there already."""
        home = await self._owner.home(self._credential)
        path = clean(path)
        if home.tree.spot(path) is None:
            there = ", ".join(home.tree.uploads) or "none yet"
            raise NotAllowed(f"folders are set up by the operator; files are uploaded to: {there}")

    async def leave(self) -> None:
        """End the visit; what it still writes to is broken off."""
        await unbroken(self._leave())

    async def _leave(self) -> None:
        await self._uploading.break_off_all()
        try:
            await self._owner.ledger.write(arriving.leave, self._id)
        except TemporaryError as error:  # the next start ends it
            log.warning("the end of a session is not noted", reason=str(error))

    async def _entries(self, home: Home, spot: Spot, name: str | None = None) -> Sequence[Entry]:
        """Give the files in a folder, or the one of a name."""
        if spot.takes_uploads:
            place = _place_of(home, spot)
            owner = self._owner
            found = await told(owner.ledger.read(folders.names_in, place, owner.now(), owner.visible(), name))
            return [await self._upload_entry(seen) for seen in found]
        if spot.purpose is Purpose.RESULTS:
            return await told(self._answer_entries(home, spot, name))
        if spot.purpose is Purpose.SAMPLES:
            return [
                Entry(name=key, kind=Kind.FILE, size=len(content), modified_at=self._owner.started)
                for key, content in (await self._samples(home)).items()
                if name in (None, key)
            ]
        return []

    async def _upload_entry(self, seen: Seen) -> Entry:
        owner = self._owner
        live = owner.live.get(held(seen))
        size = live.under_way.size if live is not None else seen.size
        if live is None and seen.status is UploadStatus.RECEIVING and seen.spool and not owner.stores:
            size = await asyncio.to_thread(owner.size_on_disk, seen.spool)
        return Entry(
            name=seen.name, kind=Kind.FILE, size=size, modified_at=seen.touched_at, writable=True,
            state=str(seen.status or UploadStatus.HELD), code=Code(seen.code) if seen.code else None,
            reason=seen.message if seen.status else "This marker waits for its file.",
        )  # fmt: skip

    async def _answer_entries(self, home: Home, spot: Spot, name: str | None) -> Sequence[Entry]:
        found = await self._owner.ledger.read(folder_answers.answers_in, home.credential_id, spot.folder, name)
        blobs, contact = self._owner.blobs, self._owner.settings.support_contact

        def render() -> Sequence[Entry]:
            return [
                Entry(
                    name=answer.name, kind=Kind.FILE, size=answer_size(answer, blobs, contact), writable=True,
                    modified_at=answer.created_at,
                )
                for answer in found
            ]  # fmt: skip

        return await told(asyncio.to_thread(render))

    async def _read_upload(self, home: Home, spot: Spot, path: str, name: str) -> Reader:
        owner = self._owner
        place = _place_of(home, spot)
        found = await told(owner.ledger.read(folders.names_in, place, owner.now(), owner.visible(), name))
        if not found:
            raise NoSuchName(f"there is no {path}")
        seen = found[0]
        if (live := owner.live.get(held(seen))) is not None:
            return UnderWayReader(live.under_way)
        if seen.status is None:
            return BytesReader(b"")
        if seen.stored is not None:
            return await told(asyncio.to_thread(open_blob, owner.blobs, seen.stored))
        if seen.spool is not None and owner.stores:
            return BytesReader(b"")  # none of its bytes have left the node they came to
        if seen.spool is None:
            raise NotAllowed(
                f"{printable(name)} was stored as {seen.trace_id} and judged: it is not read here any more"
            )
        return await asyncio.to_thread(open_file, owner.path(seen.spool))

    async def _read_answer(self, home: Home, spot: Spot, path: str, name: str) -> Reader:
        owner = self._owner
        found = await told(owner.ledger.read(folder_answers.answers_in, home.credential_id, spot.folder, name))
        if not found:
            raise NoSuchName(f"there is no {path}")
        return await told(asyncio.to_thread(open_answer, found[0], owner.blobs, owner.settings.support_contact))

    async def _remove_answer(self, home: Home, spot: Spot, path: str, name: str) -> None:
        ledger, now = self._owner.ledger, self._owner.now()
        if not await ledger.write(folder_answers.remove_answer, home.credential_id, spot.folder, name, now):
            raise NoSuchName(f"there is no {path}")

    async def _samples(self, home: Home) -> dict[str, bytes]:
        rules = tuple(ref.rule for ref in home.refs)
        return await asyncio.to_thread(sample_files, rules, self._owner.settings)

    def _folder_entry(self, spot: Spot) -> Entry:
        return Entry(
            name=split(spot.path)[1], kind=Kind.FOLDER, modified_at=self._owner.started, writable=spot.takes_uploads
        )

    def _place(self, home: Home, spot: Spot, what: str = "uploaded") -> Place:
        """Give the place of uploads; NotAllowed elsewhere, naming where they go."""
        if not spot.takes_uploads:
            there = ", ".join(home.tree.uploads) or "none yet"
            raise NotAllowed(f"nothing is {what} in {spot.path}; files are uploaded to: {there}")
        return _place_of(home, spot)


def _place_of(home: Home, spot: Spot) -> Place:
    return Place(credential_id=home.credential_id, folder=spot.folder, dry_run=spot.purpose is Purpose.DRYRUN)


def _parent(home: Home, path: str) -> tuple[Spot, str]:
    folder, name = split(path)
    spot = home.tree.spot(folder)
    if spot is None:
        raise NoSuchName(f"there is no folder {folder}")
    return spot, name

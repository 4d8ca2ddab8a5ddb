"""The virtual folder in memory: the double that doors are tried against. One contract suite holds it to the real one.

What lives here: the same tree, names, completion and words as ``transfer.folder`` has, without ledger, blobs or disk.
It imports nothing: a file that has settled is accepted or rejected by its name.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from matching.names import printable
from matching.uploads import Prefixes, after_close, assign, marked_name, markers_of, refuse_name
from models.answers import cut_name, receipt_name
from models.codes import Code
from models.completion import Next
from models.connection import Rule
from models.states import UploadStatus
from transfer.reading import BytesReader
from transfer.tree import Purpose, Spot, clean, join, make_tree, split
from transfer.view import (
    Begin,
    Entry,
    Kind,
    NameTaken,
    NoSuchName,
    NotAllowed,
    Reader,
    Stored,
    TooLarge,
    Writer,
)  # fmt: skip

_S = UploadStatus
_OPEN = frozenset({_S.HELD, _S.SETTLING, _S.INCOMPLETE})


@dataclass(slots=True, eq=False)
class _File:
    name: str
    trace_id: str
    data: bytearray
    touched_at: datetime
    status: UploadStatus | None = _S.RECEIVING  #: None: a marker that waits
    reason: str = ""
    code: Code | None = None
    due_at: datetime | None = None
    judged_at: datetime | None = None
    generation: int = 1
    visit: str = ""
    holes: list[tuple[int, int]] = field(default_factory=list)


Folder = dict[str, _File]


class MemoryFolders:
    """Where visits begin, in memory."""

    def __init__(
        self, homes: Mapping[str, Sequence[Rule]], *, prefixes: Prefixes | None = None, settle_seconds: float = 5,
        most: int = 100_000_000, visible: timedelta = timedelta(seconds=60),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self.homes = {name.casefold(): list(rules) for name, rules in homes.items()}
        self.prefixes: Prefixes = prefixes or {}
        self.settle_seconds = settle_seconds
        self.most = most
        self.visible = visible
        self.clock = clock
        self.files: dict[tuple[str, str], Folder] = {}
        self.answers: dict[tuple[str, str], dict[str, bytes]] = {}
        self.samples: dict[str, bytes] = {}
        self.fates: dict[str, str] = {}  #: what was judged, by trace id, seen or not
        self._numbers = itertools.count(1)

    async def enter(self, credential: str, *, door: str, peer: str) -> "MemoryVisit":
        """Begin a visit."""
        if credential.casefold() not in self.homes:
            raise NotAllowed("this login is not known any more")
        return MemoryVisit(self, credential.casefold(), f"visit {self.number()}")

    def number(self) -> str:
        """Give the next id."""
        return f"{next(self._numbers):026d}"

    def judge(self) -> int:
        """Judge what has settled; gives how many files were."""
        now, count = self.clock(), 0
        for (credential, path), folder in self.files.items():
            rules = self.rules(credential, path)
            for file in folder.values():
                if file.status is _S.SETTLING and file.due_at is not None and file.due_at <= now:
                    fault = assign(file.name, rules, self.prefixes).fault
                    file.status = _S.UPLOAD_FAILED if fault else _S.IMPORT_JOB_CREATED
                    file.code, file.reason = (fault.code, fault.message) if fault else (None, "")
                    file.judged_at, file.due_at, count = now, None, count + 1
                    self.fates[file.trace_id] = str(file.status)
                    self.receipt(credential, path, file)
        return count

    def rules(self, credential: str, path: str) -> list[Rule]:
        """Give the connections of a folder, or of the folder whose ``dryrun`` it is."""
        folder = path.removesuffix("/dryrun")
        return [rule for rule in self.homes[credential] if rule.folder in (path, folder)]

    def receipt(self, credential: str, path: str, file: _File) -> None:
        """Put a receipt into ``results``."""
        there = self.answers.setdefault((credential, path.removesuffix("/dryrun")), {})
        lines = f"trace_id: {file.trace_id}\nfile_name: {file.name}\nstatus: {file.status}\nmessage: {file.reason}\n"
        there[receipt_name(cut_name(file.name))] = lines.encode()

    def seen(self, credential: str, path: str) -> dict[str, _File]:
        """Give what is seen in a folder."""
        folder, now = self.files.setdefault((credential, path), {}), self.clock()
        return {
            name: file for name, file in folder.items()
            if file.status is not _S.IMPORT_JOB_CREATED or file.visit
            or file.judged_at is None or now - file.judged_at < self.visible
        }  # fmt: skip


class MemoryVisit:
    """One session in memory."""

    def __init__(self, owner: MemoryFolders, credential: str, visit: str) -> None:
        self._owner = owner
        self._credential = credential
        self.id = visit
        self._tree = make_tree(rule.folder for rule in owner.homes[credential])

    async def stat(self, path: str) -> Entry:
        """Give what stands under a path."""
        path = clean(path)
        if (spot := self._tree.spot(path)) is not None:
            return self._folder(spot)
        spot, name = self._parent(path)
        found = [entry for entry in self._entries(spot) if entry.name == name]
        if not found:
            raise NoSuchName(f"there is no {path}")
        return found[0]

    async def list(self, path: str) -> list[Entry]:
        """Give the names in a folder, sorted."""
        path = clean(path)
        spot = self._tree.spot(path)
        if spot is None:
            await self.stat(path)
            raise NotAllowed(f"{path} is a file")
        below = [self._folder(self._tree.spots[join(path, name)]) for name in self._tree.below[path]]
        return sorted([*below, *self._entries(spot)], key=lambda entry: entry.name)

    async def read(self, path: str) -> Reader:
        """Open a file for reading."""
        path = clean(path)
        if self._tree.spot(path) is not None:
            raise NotAllowed(f"{path} is a folder")
        spot, name = self._parent(path)
        if spot.takes_uploads and (file := self._seen(spot).get(name)) is not None:
            if file.judged_at is not None:
                raise NotAllowed(f"{printable(name)} was judged: it is not read here any more")
            return BytesReader(bytes(file.data))
        for there in (self._answers(spot), self._owner.samples if spot.purpose is Purpose.SAMPLES else {}):
            if name in there:
                return BytesReader(there[name])
        raise NoSuchName(f"there is no {path}")

    async def write(self, path: str, begin: Begin) -> Writer:
        """Begin an upload."""
        spot, name = self._uploads(path)
        self._check_name(spot, name)
        owner, rules = self._owner, self._owner.rules(self._credential, spot.path)
        if (marked := marked_name(name, rules, owner.prefixes)) is not None:
            marker = _File(name=name, trace_id="", data=bytearray(), touched_at=owner.clock(), status=None)
            return MemoryWriter(self, spot, marker, append=False, marked=marked)
        there = self._seen(spot).get(name)
        if there is not None and begin is Begin.EXCLUSIVE:
            raise NameTaken(f"{printable(name)} is there already")
        goes_on = there is not None and begin in {Begin.RESUME, Begin.APPEND}
        if there is None or not goes_on or there.judged_at is not None:
            if there is not None and goes_on and there.status is _S.UPLOAD_FAILED:
                raise NotAllowed(f"{printable(name)} was not taken and its bytes are not kept: upload it anew")
            data = bytearray(there.data) if there is not None and goes_on else bytearray()
            there = _File(name=name, trace_id=owner.number(), data=data, touched_at=owner.clock())
            self._put(spot, there)
        there.generation += 1
        there.status, there.due_at, there.visit, there.reason, there.code = _S.RECEIVING, None, self.id, "", None
        return MemoryWriter(self, spot, there, append=begin is Begin.APPEND)

    async def rename(self, old: str, new: str, *, replace: bool) -> Stored | None:
        """Rename a file within its folder."""
        (spot, name), (target, new_name) = self._uploads(old), self._uploads(new)
        if spot.path != target.path:
            raise NotAllowed(f"a file is renamed within its folder: {spot.path}")
        file = self._seen(spot).get(name)
        if file is None:
            raise NoSuchName(f"there is no {old}")
        if name == new_name:
            return None
        if file.judged_at is not None or file.status is None:
            raise NotAllowed(f"{printable(name)} is {file.status}: it keeps its name")
        self._check_name(spot, new_name)
        other = self._seen(spot).get(new_name)
        if other is not None and other.judged_at is None and (not replace or other.status is _S.RECEIVING):
            raise NameTaken(f"{printable(new_name)} is there already")
        del self._owner.files[self._credential, spot.path][name]
        file.name = new_name
        self._put(spot, file)
        if file.status in {_S.HELD, _S.SETTLING}:
            self.become(spot, file, renamed=file.status is _S.HELD)
        return self.stored(file) if file.status is _S.SETTLING else None

    async def remove(self, path: str) -> None:
        """Take back an upload, or delete an answer."""
        path = clean(path)
        if self._tree.spot(path) is not None:
            raise NotAllowed(f"{path} is a folder")
        spot, name = self._parent(path)
        there: dict[str, bytes] | Folder = self._answers(spot)
        if spot.purpose is not Purpose.RESULTS:
            spot, name = self._uploads(path)
            there = self._owner.files.setdefault((self._credential, spot.path), {})
        if name not in there:
            raise NoSuchName(f"there is no {path}")
        gone = there.pop(name)
        if isinstance(gone, _File):
            gone.generation += 1

    async def make_folder(self, path: str) -> None:
        """Do nothing where the folder is there already."""
        if self._tree.spot(clean(path)) is None:
            raise NotAllowed("folders are set up by the operator")

    async def leave(self) -> None:
        """End the visit."""
        for (credential, path), folder in self._owner.files.items():
            for file in folder.values():
                if credential == self._credential and file.visit == self.id:
                    if file.status is _S.RECEIVING:
                        self.cut(self._tree.spots[path], file)
                    file.visit = ""

    def become(self, spot: Spot, file: _File, *, renamed: bool, marked: bool = False) -> None:
        """Say what a closed or renamed file is."""
        owner = self._owner
        assigned = assign(file.name, owner.rules(self._credential, spot.path), owner.prefixes)
        there = owner.files.setdefault((self._credential, spot.path), {})
        waiting = [m for m in markers_of(file.name) if m in there and there[m].status is None]
        for marker in waiting:
            del there[marker]
        after: Next = after_close(file.name, assigned.completion, renamed=renamed, marked=marked or bool(waiting))
        seconds = owner.settle_seconds if assigned.settle_seconds is None else assigned.settle_seconds
        file.status, file.reason, file.touched_at = after.status, after.reason, owner.clock()
        wait = timedelta(seconds=0 if after.at_once else seconds)
        file.due_at = owner.clock() + wait if after.status is _S.SETTLING else None

    def cut(self, spot: Spot, file: _File) -> None:
        """Keep a cut upload as incomplete, up to its first hole."""
        if file.holes:
            del file.data[file.holes[0][0] :]
            file.holes.clear()
        file.status, file.code, file.generation = _S.INCOMPLETE, Code.INCOMPLETE, file.generation + 1
        file.reason = f"The upload was cut off after {len(file.data):,} bytes."
        self._owner.receipt(self._credential, spot.path, file)

    def mark(self, spot: Spot, marker: _File, marked: str) -> Stored:
        """Say that a file is whole, or keep the marker."""
        file = self._seen(spot).get(marked)
        if file is None or file.status not in {_S.HELD, _S.SETTLING}:
            if file is not None and file.judged_at is not None:
                return self.stored(file)
            self._owner.files.setdefault((self._credential, spot.path), {})[marker.name] = marker
            return Stored(trace_id="", state="held", reason=f"This marker waits for its file {printable(marked)}.")
        self.become(spot, file, renamed=False, marked=True)
        return self.stored(file)

    def stored(self, file: _File) -> Stored:
        """Give the word for a file."""
        return Stored(trace_id=file.trace_id, state=str(file.status), code=file.code, reason=file.reason)

    def check_size(self, size: int) -> None:
        """Raise TooLarge."""
        if size > self._owner.most:
            raise TooLarge(f"the file is larger than {self._owner.most:,} bytes, the most we take", Code.FILE_TOO_LARGE)

    def forget(self, spot: Spot, file: _File) -> None:
        """Keep nothing of a file."""
        there = self._owner.files[self._credential, spot.path]
        if there.get(file.name) is file:
            del there[file.name]
        file.generation += 1

    def _put(self, spot: Spot, file: _File) -> None:
        folder = self._owner.files.setdefault((self._credential, spot.path), {})
        if (other := folder.get(file.name)) is not None:
            other.generation += 1
        folder[file.name] = file

    def _seen(self, spot: Spot) -> Folder:
        return self._owner.seen(self._credential, spot.path)

    def _answers(self, spot: Spot) -> dict[str, bytes]:
        if spot.purpose is not Purpose.RESULTS:
            return {}
        return self._owner.answers.setdefault((self._credential, spot.folder), {})

    def _entries(self, spot: Spot) -> Sequence[Entry]:
        owner = self._owner
        if spot.takes_uploads:
            return [
                Entry(
                    name=file.name, kind=Kind.FILE, size=len(file.data), modified_at=file.touched_at, writable=True,
                    state=str(file.status or _S.HELD), code=file.code, reason=file.reason,
                )
                for file in self._seen(spot).values()
            ]  # fmt: skip
        there = owner.samples if spot.purpose is Purpose.SAMPLES else self._answers(spot)
        writable = spot.purpose is Purpose.RESULTS
        return [
            Entry(name=name, kind=Kind.FILE, size=len(data), modified_at=owner.clock(), writable=writable)
            for name, data in there.items()
        ]

    def _folder(self, spot: Spot) -> Entry:
        name, writable = split(spot.path)[1], spot.takes_uploads
        return Entry(name=name, kind=Kind.FOLDER, modified_at=self._owner.clock(), writable=writable)

    def _parent(self, path: str) -> tuple[Spot, str]:
        folder, name = split(path)
        spot = self._tree.spot(folder)
        if spot is None:
            raise NoSuchName(f"there is no folder {folder}")
        return spot, name

    def _uploads(self, path: str) -> tuple[Spot, str]:
        self._owner.judge()  # what has settled is judged before it is touched
        path = clean(path)
        if self._tree.spot(path) is not None:
            raise NotAllowed(f"{path} is a folder")
        spot, name = self._parent(path)
        if not spot.takes_uploads:
            raise NotAllowed(f"nothing is uploaded in {spot.path}")
        return spot, name

    def _check_name(self, spot: Spot, name: str) -> None:
        fault = refuse_name(name)
        if fault is not None:
            raise NotAllowed(fault.message, fault.code)
        if name in self._tree.below.get(spot.path, ()):
            raise NameTaken(f"{printable(name)} is a folder")


class MemoryWriter:
    """An upload under way in memory."""

    def __init__(self, visit: MemoryVisit, spot: Spot, file: _File, *, append: bool, marked: str = "") -> None:
        self._visit, self._spot, self._file = visit, spot, file
        self._append, self._marked = append, marked
        self._generation = file.generation
        self._failed: TooLarge | None = None

    @property
    def size(self) -> int:
        """Give the bytes to the furthest that was written."""
        return len(self._file.data)

    async def write(self, offset: int, data: bytes) -> None:
        """Take bytes."""
        self._check()
        if not data:
            return
        there = self._file.data
        offset = len(there) if self._append else offset
        self._check_size(offset + len(data))
        if offset > len(there):
            self._file.holes.append((len(there), offset))
            there.extend(bytes(offset - len(there)))
        there[offset : offset + len(data)] = data
        end = offset + len(data)
        pieces = [p for a, b in self._file.holes for p in ((a, min(b, offset)), (max(a, end), b)) if p[0] < p[1]]
        self._file.holes = pieces

    async def read(self, offset: int, size: int) -> bytes:
        """Give back bytes."""
        self._check()
        return bytes(self._file.data[offset : offset + size])

    async def truncate(self, size: int) -> None:
        """Cut or lengthen."""
        self._check()
        self._check_size(size)
        there = self._file.data
        there.extend(bytes(max(0, size - len(there))))
        del there[size:]

    async def close(self, *, alive: Callable[[], bool] = lambda: True) -> Stored:
        """Finish."""
        self._check()
        if not alive():
            await self.break_off()
            raise NotAllowed("the client was gone before it was told that the file is stored: it is incomplete")
        if self._marked:
            return self._visit.mark(self._spot, self._file, self._marked)
        if self._file.holes:
            first, end = self._file.holes[0]
            self._visit.cut(self._spot, self._file)
            raise NotAllowed(f"the bytes {first:,} to {end - 1:,} never came: the file is not whole")
        self._generation = -1
        self._visit.become(self._spot, self._file, renamed=False)
        return self._visit.stored(self._file)

    async def break_off(self) -> None:
        """Keep what came as incomplete."""
        if not self._marked and self._failed is None and self._generation == self._file.generation:
            self._visit.cut(self._spot, self._file)

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._generation != self._file.generation:
            raise NotAllowed("the file was removed, or is written to by another session")

    def _check_size(self, size: int) -> None:
        try:
            self._visit.check_size(size)
        except TooLarge as error:
            self._failed = error
            self._visit.forget(self._spot, self._file)
            raise

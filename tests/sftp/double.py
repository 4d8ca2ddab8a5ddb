"""A small virtual folder in memory, to drive a door by: it keeps every rule of the seam that a door can notice."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from models.codes import Code
from transfer.view import Begin, Entry, Kind, NameTaken, NoSuchName, NotAllowed, NotNow, Stored, TooLarge

TREE = ("/", "/upload", "/upload/conversions", "/upload/conversions/results", "/upload/conversions/dryrun", "/samples")
TAKING = ("/upload/conversions", "/upload/conversions/dryrun")
NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)
_numbers = itertools.count(1)


def split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder or "/", name


@dataclass
class DoubleFolders:
    """One tree per credential."""

    most: int = 100_000_000
    files: dict[str, dict[str, bytearray]] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)  #: (what, path), in their order
    fails: str = ""  #: the call that raises NotNow, or RuntimeError with ``!`` before it
    visits: int = 0
    peers: list[str] = field(default_factory=list)  #: of the visits

    async def enter(self, credential: str, *, door: str, peer: str) -> "DoubleVisit":
        self.check("enter")
        self.visits += 1
        self.peers.append(peer)
        return DoubleVisit(self, self.files.setdefault(credential, {"/samples/conversions.csv": bytearray(b"a,b\n")}))

    def check(self, call: str) -> None:
        if self.fails == call:
            raise NotNow("the disk is full")
        if self.fails == f"!{call}":
            raise RuntimeError("a secret of ours")

    def of(self, what: str) -> list[str]:
        return [path for one, path in self.events if one == what]


@dataclass
class DoubleVisit:
    folders: DoubleFolders
    files: dict[str, bytearray]

    async def stat(self, path: str) -> Entry:
        self.folders.check("stat")
        if path in TREE:
            return Entry(name=split(path)[1], kind=Kind.FOLDER, modified_at=NOW, writable=path in TAKING)
        if path not in self.files:
            raise NoSuchName(f"there is no {path}")
        return Entry(
            name=split(path)[1],
            kind=Kind.FILE,
            size=len(self.files[path]),
            modified_at=NOW,
            writable=split(path)[0] in TAKING,
        )

    async def list(self, path: str) -> list[Entry]:
        if path in self.files:
            raise NotAllowed("this is a file")
        if path not in TREE:
            raise NoSuchName(f"there is no {path}")
        names = [one for one in (*TREE[1:], *self.files) if split(one)[0] == path]
        return [await self.stat(one) for one in sorted(names)]

    async def read(self, path: str) -> "DoubleReader":
        if path in TREE:
            raise NotAllowed("this is a folder")
        if path not in self.files:
            raise NoSuchName(f"there is no {path}")
        return DoubleReader(bytes(self.files[path]))

    async def write(self, path: str, begin: Begin) -> "DoubleWriter":
        self.folders.check("open")
        self.check_name(path)
        if begin is Begin.EXCLUSIVE and path in self.files:
            raise NameTaken("the name is taken")
        kept = begin in (Begin.RESUME, Begin.APPEND) and path in self.files
        self.files[path] = self.files[path] if kept else bytearray()
        return DoubleWriter(self, path, self.files[path], appends=begin is Begin.APPEND)

    async def rename(self, old: str, new: str, *, replace: bool) -> Stored | None:
        self.folders.check("rename")
        if old not in self.files:
            raise NoSuchName(f"there is no {old}")
        self.check_name(new)
        if new in self.files and not replace:
            raise NameTaken("the name is taken")
        self.files[new] = self.files.pop(old)
        self.folders.events.append(("renamed", new))
        return Stored(trace_id=f"T{next(_numbers)}", state="import_job_created")

    async def remove(self, path: str) -> None:
        if path not in self.files:
            raise NoSuchName(f"there is no {path}")
        if split(path)[0] == "/samples":
            raise NotAllowed("samples stay")
        del self.files[path]
        self.folders.events.append(("removed", path))

    async def make_folder(self, path: str) -> None:
        if path not in TREE:
            raise NotAllowed("folders are those of the connections")

    async def leave(self) -> None:
        self.folders.visits -= 1
        self.folders.check("leave")

    def check_name(self, path: str) -> None:
        folder, name = split(path)
        if path in TREE:
            raise NotAllowed("this is a folder")
        if folder not in TREE:
            raise NoSuchName(f"there is no folder {folder}")
        if folder not in TAKING:
            raise NotAllowed(f"{folder} takes no uploads")
        odd = not name.isprintable() or "\\" in name or len(name.encode()) > 255
        if odd or name != name.strip():
            raise NotAllowed("a name is one printable component", Code.NAME_INVALID)


@dataclass
class DoubleReader:
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    async def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]

    async def close(self) -> None:
        pass


class DoubleWriter:
    def __init__(self, visit: DoubleVisit, path: str, data: bytearray, *, appends: bool) -> None:
        self.visit, self.path, self.data, self.appends = visit, path, data, appends
        self.done = False

    @property
    def size(self) -> int:
        return len(self.data)

    async def write(self, offset: int, data: bytes) -> None:
        self.visit.folders.check("write")
        offset = len(self.data) if self.appends else offset
        if offset > len(self.data):
            raise NotAllowed("a hole behind the end")
        if offset + len(data) > self.visit.folders.most:
            self.visit.files.pop(self.path, None)
            raise TooLarge(f"over {self.visit.folders.most:,} bytes", Code.FILE_TOO_LARGE)
        self.data[offset : offset + len(data)] = data

    async def read(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    async def truncate(self, size: int) -> None:
        if size > self.visit.folders.most:
            raise TooLarge(f"over {self.visit.folders.most:,} bytes", Code.FILE_TOO_LARGE)
        self.data[size:] = bytes(max(0, size - len(self.data)))

    async def close(self, *, alive: Callable[[], bool] = lambda: True) -> Stored:
        if not alive():
            await self._end("broken off")
            raise NotAllowed("the client is gone")
        return await self._end("closed")

    async def break_off(self) -> None:
        await self._end("broken off")

    async def _end(self, how: str) -> Any:
        assert not self.done, "ended twice"
        self.done = True
        if how == "closed":
            self.visit.folders.check("close")
        self.visit.folders.events.append((how, self.path))
        return Stored(trace_id=f"T{next(_numbers)}", state="settling")

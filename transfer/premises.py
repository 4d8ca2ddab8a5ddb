"""What stands behind every folder: ledger, blobs, settings, the uploads under way, and whose folders there are.

What lives here: what sessions share. What a session sees and may do stands in ``transfer.visit``.
"""

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import Session

from intake.accept import Intake
from mailgate.observe import get_logger
from mailgate.settings import Settings
from matching.uploads import Prefixes
from models.faults import TemporaryError
from models.states import UploadStatus
from models.trace import make_trace_id
from storage.blobs import Blobs, is_blob_id
from storage.descriptors import DataTypePrefixes
from storage.ledger import Ledger, folders
from storage.ledger.connections import ConnectionRef
from storage.ledger.folders import Seen
from storage.ledger.holding import is_held
from transfer.live import LiveUploads
from transfer.tree import Tree, make_tree
from transfer.view import NotAllowed, NotNow

log = get_logger("folder")
_STORING = 16  # files that go to or come from the store at once
_BLOCK = 1 << 20
_KNOWN_FOR = 1.0  # seconds that a credential's connections may be old


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """A credential's connections with a folder, as they were a second ago at most."""

    credential_id: int
    refs: tuple[ConnectionRef, ...]
    tree: Tree
    prefixes: Prefixes

    def of_folder(self, folder: str) -> list[ConnectionRef]:
        """Give the connections of one folder, oldest first."""
        return [ref for ref in self.refs if ref.rule.folder == folder]


class Premises:
    """The rooms behind the folders; one for all file doors of a process."""

    def __init__(
        self, ledger: Ledger, blobs: Blobs, intake: Intake, settings: Settings, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        randomness: Callable[[int], bytes] = secrets.token_bytes,
        monotonic: Callable[[], float] = time.monotonic,
        on_settling: Callable[[], None] = lambda: None,
        node: str = "", alive: Callable[[Session], set[str]] | None = None,
    ) -> None:  # fmt: skip
        """Connect the rooms.

        ``node``: the name of this start of this process; empty: one is made. ``alive``: a ledger function that tells
        which nodes live; none: this is the only one.
        """
        self.ledger = ledger
        self.blobs = blobs
        self.intake = intake
        self.settings = settings
        self.live = LiveUploads()
        self.node = node or secrets.token_hex(8)
        self.alive = alive or (lambda _session: {self.node})
        self._alone = alive is None
        self.stores = bool(settings.blob_url)  #: whether bytes leave this disk when an upload is closed or cut
        self._storing = ThreadPoolExecutor(_STORING, thread_name_prefix="upload-store")
        self.started = clock()
        self._clock = clock
        self._randomness = randomness
        self._monotonic = monotonic
        self._on_settling = on_settling
        self._types = DataTypePrefixes(settings.data_types_dir, settings.enums)
        self._homes: dict[str, tuple[float, Home | None]] = {}

    async def home(self, credential: str) -> Home:
        """Give the connections of a credential; NotAllowed when it is gone, NotNow when nobody can tell."""
        known = self._homes.get(credential)
        if known is None or self._monotonic() - known[0] >= _KNOWN_FOR:
            known = self._monotonic(), await self._read_home(credential)
            self._homes[credential] = known
        if known[1] is None:
            raise NotAllowed("this login is not known any more")
        return known[1]

    async def _read_home(self, credential: str) -> Home | None:
        try:
            found = await self.ledger.read(folders.connections_of, credential)
        except TemporaryError as error:
            raise NotNow(str(error)) from error
        if found is None:
            return None
        tree = make_tree(ref.rule.folder for ref in found[1])
        prefixes = await asyncio.to_thread(self._types.read)
        return Home(credential_id=found[0], refs=found[1], tree=tree, prefixes=prefixes)

    def path(self, spool: str) -> Path:
        """Name the file of an upload under way."""
        return self.settings.uploads_dir / spool

    def size_on_disk(self, spool: str) -> int:
        """Give the bytes of an upload under way as they stand on the disk; none when it is gone."""
        try:
            return self.path(spool).stat().st_size if spool else 0
        except FileNotFoundError:
            return 0

    def is_here(self, spool: str) -> bool:
        """Tell whether this disk has a spool file."""
        return bool(spool) and self.path(spool).is_file()

    def may_go_on(self, node: str) -> bool:
        """Tell whether a spool file has no writer but those of this process: another node may only seem dead."""
        return self._alone or node == self.node

    async def store(self, spool: str) -> tuple[int, str | None]:
        """Bring a spool file to where all nodes find it; gives its size and the blob, none for no bytes. OSError."""

        def put() -> tuple[int, str | None]:
            size = self.path(spool).stat().st_size
            if not size:
                return 0, None
            writer = self.blobs.create(self.now(), of=self.path(spool))
            try:
                self.blobs.commit([writer])
            except OSError:
                with contextlib.suppress(OSError):
                    self.blobs.delete(writer.id)
                raise
            return writer.size, writer.id

        return await asyncio.get_running_loop().run_in_executor(self._storing, put)

    async def copy(self, seen: Seen, spool: str) -> int:
        """Bring the bytes of an upload that are to be had here to a spool file of their own; gives how many. OSError.

        From the store, or from the disk that nodes share.
        """

        def copy() -> int:
            if self.stores and seen.stored is None:
                self.path(spool).touch(mode=0o600)
                return 0
            source = self.blobs.open(seen.stored) if seen.stored else self.path(seen.spool or "").open("rb")
            # What was closed or cut has the size that was said then, whatever a node that seemed dead writes to it.
            most = sys.maxsize if seen.status is UploadStatus.RECEIVING else seen.size
            with source, self.path(spool).open("xb") as target:
                while block := source.read(min(_BLOCK, most - target.tell())):
                    target.write(block)
                return target.tell()

        return await asyncio.get_running_loop().run_in_executor(self._storing, copy)

    def spools_before(self, moment: datetime, limit: int = 500) -> list[str]:
        """List files of uploads last written before a moment."""
        found: list[str] = []
        for path in self.settings.uploads_dir.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime < moment.timestamp():
                    found.append(path.name)
            if len(found) >= limit:
                break
        return found

    def now(self) -> datetime:
        """Give the time."""
        return self._clock()

    def domain(self) -> str:
        """Give our domain."""
        return self.settings.domain

    def visible(self) -> timedelta:
        """Give how long at least an accepted file is seen."""
        return self.settings.limits.accepted_visible

    def new_trace_id(self) -> str:
        """Make a trace id."""
        return make_trace_id(int(self.now().timestamp() * 1000), self._randomness(10))

    def new_spool(self) -> str:
        """Make the name of a spool file."""
        return self._randomness(16).hex()

    def new_visit(self) -> str:
        """Make the name of a visit: it begins with the node's."""
        return f"{self.node}/{self._randomness(16).hex()}"

    def ring(self) -> None:
        """Say that a file may have settled."""
        self._on_settling()

    async def forget(self, gone: Sequence[str]) -> None:
        """Delete spool files and blobs; what cannot be deleted now, or a backup holds, is left to the sweep."""
        try:
            if not gone or await self.ledger.read(is_held):
                return
        except TemporaryError:
            return
        for name in gone:
            try:
                if is_blob_id(name):
                    await asyncio.to_thread(self.blobs.delete, name)
                else:
                    await asyncio.to_thread(self.path(name).unlink, missing_ok=True)
            except OSError as error:
                log.warning("bytes that nothing needs cannot be deleted now", reason=str(error))

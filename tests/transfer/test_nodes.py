"""One folder behind two nodes: what was begun on one is seen, gone on with and ended on the other.

Two ways to share bytes: one disk, as on one machine, and an object store, where each node has a disk of its own.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from models.tables import FolderFile, Upload
from storage.blobs import BlobsAway, BlobWriter, MemoryBlobs
from storage.ledger.housekeeping import unnamed
from tests.storage.support import Store
from tests.transfer.support import NAME, UP, House, get, put
from transfer.view import Begin, NotAllowed, NotNow, Visit, Writer

PART = f"{UP}/Conversions_2026_05.csv.part"
FIRST, REST = b"header\n" * 300, b"rows\n" * 400


class Bytes(MemoryBlobs):
    """An object store that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    def _check(self) -> None:
        if self.away:
            raise BlobsAway("the object store does not answer")

    def commit(self, writers: Iterable[BlobWriter]) -> None:
        self._check()
        super().commit(writers)

    def open(self, blob_id: str) -> BinaryIO:
        self._check()
        return super().open(blob_id)

    def delete(self, blob_id: str) -> None:
        self._check()
        super().delete(blob_id)

    @property
    def kept(self) -> dict[str, bytes]:
        return {blob_id: data for blob_id, (data, _) in self._kept.items()}


@dataclass
class Nodes:
    """Two nodes over one ledger, and who lives."""

    store: Store
    shared: Any  #: the object store; None: they share a disk
    living: set[str] = field(default_factory=lambda: {"a", "b"})

    def __post_init__(self) -> None:
        self.a, self.b = self.start("a"), self.start("b")
        self.a.connect(duplicates="accept")

    def start(self, node: str, disk: str = "") -> House:
        """Start a process on the disk of a node."""
        self.living.add(node)
        store = self.store
        if self.shared is not None:
            folder = store.settings.data_dir / f"node-{disk or node}"
            for name in ("uploads", "spool"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            settings = store.settings.model_copy(update={"data_dir": folder, "blob_url": "s3://files/gate"})
            store = replace(store, settings=settings, blobs=self.shared)
        return House(store, node=node, alive=lambda session: set(self.living))

    async def kill(self, node: str) -> None:
        """Let a node be dead, and the other notice it."""
        self.living.discard(node)
        await self.look()

    async def look(self) -> None:
        for _ in range(2):
            await self.b.settler.tidy()

    async def settle(self) -> int:
        self.store.clock.forward(seconds=5)
        return await self.a.settler.work_once() + await self.b.settler.work_once()

    def only(self) -> Upload:
        (upload,) = [one for one in self.store.all(Upload) if one.status != "withdrawn"]
        return upload

    def content(self, upload: Upload) -> bytes:
        blobs = self.shared or self.store.blobs
        assert upload.blob is not None
        with blobs.open(upload.blob) as source:
            return bytes(source.read())

    def jobs(self) -> list[str]:
        return [upload for upload, _ in self.store.queue.jobs]

    def leftovers(self) -> list[Path]:
        """List the bytes that wait on any disk."""
        return [path for path in self.store.settings.data_dir.rglob("uploads/*") if path.is_file()]


@pytest.fixture(params=["disk", "store"])
async def nodes(request: pytest.FixtureRequest, store: Store) -> Nodes:
    made = Nodes(store, Bytes() if request.param == "store" else None)
    for house in (made.a, made.b):
        await house.folders.open()
    return made


async def begin(
    house: House, data: bytes = FIRST, path: str = NAME, mode: Begin = Begin.TRUNCATE
) -> tuple[Visit, Writer]:
    visit = await house.enter()
    writer = await visit.write(path, mode)
    await writer.write(0, data)
    return visit, writer


async def go_on(house: House, path: str = NAME) -> Visit:
    """Go on where the folder says that it ends, as a client does."""
    visit = await house.enter()
    size = (await visit.stat(path)).size
    writer = await visit.write(path, Begin.RESUME)
    assert writer.size == size
    await writer.write(size, (FIRST + REST)[size:])
    assert (await writer.close()).state in ("settling", "held")
    return visit


async def test_what_was_cut_on_one_node_is_listed_and_resumed_on_the_other(nodes: Nodes) -> None:
    visit, _ = await begin(nodes.a)
    await visit.leave()
    there = await nodes.b.enter()
    (entry,) = [one for one in await there.list(UP) if one.state]
    assert (entry.name, entry.size, entry.state) == ("Conversions_2026_05.csv", len(FIRST), "incomplete")
    assert await get(there, NAME) == FIRST
    await go_on(nodes.b)
    assert await get(await nodes.a.enter(), NAME) == FIRST + REST
    assert await nodes.settle() == 1
    assert nodes.jobs() == [nodes.only().id]
    assert nodes.content(nodes.only()) == FIRST + REST
    assert nodes.leftovers() == []


async def test_what_was_closed_on_one_node_is_renamed_on_the_other_and_judged_once(nodes: Nodes) -> None:
    assert (await put(await nodes.a.enter(), PART, FIRST)).state == "held"
    word = await (await nodes.b.enter()).rename(PART, NAME, replace=False)
    assert word is not None
    assert word.state == "settling"
    assert await nodes.settle() == 1
    assert nodes.jobs() == [nodes.only().id]
    assert (nodes.only().file_name, nodes.content(nodes.only())) == ("Conversions_2026_05.csv", FIRST)
    assert nodes.leftovers() == []


async def test_what_was_closed_on_one_node_is_removed_on_the_other(nodes: Nodes) -> None:
    await put(await nodes.a.enter(), NAME, FIRST)
    await (await nodes.b.enter()).remove(NAME)
    assert await nodes.settle() == 0
    assert [one.status for one in nodes.store.all(Upload)] == ["withdrawn"]
    assert nodes.leftovers() == []
    assert not nodes.shared or not nodes.shared.kept


async def test_an_upload_is_renamed_on_another_node_while_it_comes(nodes: Nodes) -> None:
    visit, writer = await begin(nodes.a, path=PART)
    await (await nodes.b.enter()).rename(PART, NAME, replace=False)
    assert (await writer.close()).state == "settling"  # judged by the name it has now
    assert await nodes.settle() == 1
    assert nodes.only().file_name == "Conversions_2026_05.csv"
    await visit.leave()


async def test_an_upload_of_a_dead_node_is_incomplete_and_one_of_a_living_node_is_not(nodes: Nodes) -> None:
    _, writer = await begin(nodes.a)
    await writer.read(0, 1)  # what is gathered is written
    await nodes.look()
    assert nodes.only().status == "receiving"
    await nodes.kill("a")
    assert nodes.only().status == "incomplete"
    # On one disk the bytes are there; those on a disk of the dead node's own are not, and the listing says so.
    assert (await (await nodes.b.enter()).stat(NAME)).size == (0 if nodes.shared else len(FIRST))
    await go_on(nodes.b)
    assert await nodes.settle() == 1
    assert nodes.content(nodes.only()) == FIRST + REST


async def test_a_node_that_only_seemed_dead_does_no_harm(nodes: Nodes) -> None:
    visit, writer = await begin(nodes.a)
    await nodes.kill("a")
    nodes.living.add("a")
    await writer.write(len(FIRST), b"more that comes late\n" * 7000)
    await go_on(nodes.b)
    with pytest.raises(NotAllowed, match="another session"):
        await writer.close()
    await visit.leave()
    assert await nodes.settle() == 1
    assert nodes.content(nodes.only()) == FIRST + REST


async def test_an_upload_is_taken_over_from_a_node_that_lives(nodes: Nodes) -> None:
    visit, writer = await begin(nodes.a)
    await writer.read(0, 1)
    taken = await go_on(nodes.b)
    await writer.write(len(FIRST), b"of the session that was left\n" * 7000)
    with pytest.raises(NotAllowed, match="another session"):
        await writer.close()
    await visit.leave()
    await taken.leave()
    assert await nodes.settle() == 1
    assert nodes.jobs() == [nodes.only().id]
    assert nodes.content(nodes.only()) == FIRST + REST


async def test_a_handle_that_was_overtaken_elsewhere_is_let_go(nodes: Nodes) -> None:
    _, writer = await begin(nodes.a)
    await go_on(nodes.b)
    for _ in range(2):
        await nodes.a.settler.tidy()
    assert nodes.a.folders.live.by_file == {}
    with pytest.raises(NotAllowed, match="another session"):
        await writer.write(0, b"x")


async def test_a_session_that_comes_back_goes_on_with_what_the_other_node_has(nodes: Nodes) -> None:
    """There and back again: the node that was left holds nothing against it."""
    first, _ = await begin(nodes.a)
    second, writer = await begin(nodes.b, path=NAME, mode=Begin.RESUME)
    await writer.read(0, 1)
    await second.leave()
    assert (await first.stat(NAME)).size == len(FIRST)
    await go_on(nodes.a)
    assert await nodes.settle() == 1
    assert nodes.content(nodes.only()) == FIRST + REST


async def test_the_start_of_a_node_ends_no_session_of_another(nodes: Nodes) -> None:
    await put(await nodes.a.enter(), NAME, FIRST)
    assert await nodes.settle() == 1
    await nodes.start("c").folders.open()
    assert nodes.store.all(FolderFile)[0].visit is not None
    nodes.living.discard("a")
    await nodes.start("d").folders.open()
    assert nodes.store.all(FolderFile)[0].visit is None


async def test_two_that_resume_at_once_are_not_mixed(nodes: Nodes) -> None:
    visit, _ = await begin(nodes.a)
    await visit.leave()
    _, one = await begin(nodes.a, FIRST + REST, mode=Begin.RESUME)
    _, other = await begin(nodes.b, FIRST + REST, mode=Begin.RESUME)
    with pytest.raises(NotAllowed, match="another session"):
        await one.close()
    await other.close()
    assert await nodes.settle() == 1
    assert nodes.content(nodes.only()) == FIRST + REST


async def test_stored_bytes_are_named_until_they_are_judged(nodes: Nodes) -> None:
    if nodes.shared is None:
        pytest.skip("only an object store has them")
    await put(await nodes.a.enter(), PART, FIRST)
    kept = list(nodes.shared.kept)
    assert len(kept) == 1
    assert nodes.store.ledger.read_now(unnamed, kept) == []
    assert nodes.leftovers() == []


async def test_a_rejected_file_leaves_no_bytes(nodes: Nodes) -> None:
    await put(await nodes.a.enter(), f"{UP}/unknown.txt", FIRST)
    assert await nodes.settle() == 1
    assert nodes.only().status == "upload_failed"
    assert nodes.leftovers() == []
    assert not nodes.shared or not nodes.shared.kept


async def test_a_version_that_goes_on_supersedes_the_one_before(nodes: Nodes) -> None:
    await put(await nodes.a.enter(), NAME, FIRST)
    assert await nodes.settle() == 1
    await put(await nodes.b.enter(), NAME, FIRST + REST)
    assert await nodes.settle() == 1
    first, second = nodes.jobs()
    assert nodes.store.get(Upload, second).supersedes == first


# --- an object store that is away


@pytest.fixture
async def apart(store: Store) -> Nodes:
    made = Nodes(store, Bytes())
    for house in (made.a, made.b):
        await house.folders.open()
    return made


async def test_nothing_is_kept_of_a_file_that_is_closed_while_the_store_is_away(apart: Nodes) -> None:
    visit, writer = await begin(apart.a)
    apart.shared.away = True
    with pytest.raises(NotNow, match="nothing of it is kept"):
        await writer.close()
    await visit.leave()
    assert [one.status for one in apart.store.all(Upload)] == ["withdrawn"]
    assert apart.leftovers() == []
    apart.shared.away = False
    await put(await apart.a.enter(), NAME, FIRST)
    assert await apart.settle() == 1
    assert list(apart.shared.kept.values()) == [FIRST]


async def test_a_file_that_is_cut_while_the_store_is_away_stays_and_is_brought_later(apart: Nodes) -> None:
    visit, _ = await begin(apart.a)
    apart.shared.away = True
    await visit.leave()
    assert (await (await apart.b.enter()).stat(NAME)).size == 0
    assert len(apart.leftovers()) == 1
    apart.shared.away = False
    await apart.a.settler.tidy()
    assert (await (await apart.b.enter()).stat(NAME)).size == len(FIRST)
    assert apart.leftovers() == []
    await go_on(apart.b)
    assert await apart.settle() == 1
    assert apart.content(apart.only()) == FIRST + REST


async def test_a_node_that_was_killed_brings_what_it_has_when_it_starts_again(apart: Nodes) -> None:
    _, writer = await begin(apart.a)
    await writer.read(0, 1)
    await apart.kill("a")
    again = apart.start("a2", disk="a")
    await again.folders.open()
    assert (await (await apart.b.enter()).stat(NAME)).size == len(FIRST)
    await go_on(apart.b)
    assert await apart.settle() == 1
    assert apart.content(apart.only()) == FIRST + REST


async def test_what_was_gone_on_with_elsewhere_is_not_brought_back(apart: Nodes) -> None:
    _, writer = await begin(apart.a)
    await writer.read(0, 1)
    await apart.kill("a")
    await go_on(apart.b)
    again = apart.start("a2", disk="a")
    await again.folders.open()
    assert await apart.settle() == 1
    assert apart.content(apart.only()) == FIRST + REST
    assert list(apart.shared.kept.values()) == [FIRST + REST]
    later = datetime.now(UTC) + timedelta(days=1)
    assert again.folders.spools_before(later) == [path.name for path in apart.leftovers()]  # which the sweep deletes


async def test_a_settled_file_waits_for_nothing_but_the_ledger(apart: Nodes) -> None:
    """Its bytes are where they belong since the close: judging asks the store for nothing."""
    await put(await apart.a.enter(), NAME, FIRST)
    apart.shared.away = True
    shutil.rmtree(apart.store.settings.data_dir / "node-a" / "uploads")
    assert await apart.settle() == 1
    assert apart.jobs() == [apart.only().id]

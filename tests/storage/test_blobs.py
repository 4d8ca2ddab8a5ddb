"""One contract for every place that keeps bytes."""

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.blobs import Blobs, DiskBlobs, MemoryBlobs
from tests.storage.support import START

Make = Callable[[], Blobs]


@pytest.fixture(params=["disk", "memory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    match request.param:
        case "disk":
            return DiskBlobs(tmp_path / "blobs")
        case "s3":
            made: Blobs = request.getfixturevalue("bucket").blobs(tmp_path / "spool")
            return made
        case _:
            return MemoryBlobs()


def keep(blobs: Blobs, *pieces: bytes) -> str:
    writer = blobs.create(START)
    for piece in pieces:
        writer.write(piece)
    blobs.commit([writer])
    return writer.id


@pytest.mark.parametrize("pieces", [(), (b"",), (b"a",), (b"one ", b"two"), (b"\0\r\n\xff" * 100_000, b"x")])
def test_what_was_written_is_read(blobs: Blobs, pieces: tuple[bytes, ...]) -> None:
    writer = blobs.create(START)
    for piece in pieces:
        writer.write(piece)
    whole = b"".join(pieces)
    assert (writer.size, writer.hexdigest()) == (len(whole), sha256(whole).hexdigest())
    blobs.commit([writer])
    with blobs.open(writer.id) as stored:
        assert stored.read() == whole
    assert writer.hexdigest() == sha256(whole).hexdigest()


def test_several_are_committed_together(blobs: Blobs) -> None:
    writers = [blobs.create(START + timedelta(days=day)) for day in range(20)]
    for number, writer in enumerate(writers):
        writer.write(b"%d" % number)
    blobs.commit(writers)
    assert [blobs.open(writer.id).read() for writer in writers] == [b"%d" % number for number in range(20)]


@pytest.mark.parametrize("size", [0, 1, 100_000, 6_000_000])
def test_a_stored_file_is_read_from_anywhere(blobs: Blobs, size: int) -> None:
    whole = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    with blobs.open(keep(blobs, whole)) as stored:
        assert stored.seek(0, os.SEEK_END) == size
        assert stored.read(1) == b""
        for offset in (0, size // 3, max(0, size - 7), size + 5):
            assert stored.seek(offset) == offset
            assert stored.read(10) == whole[offset : offset + 10]
        stored.seek(max(0, size - 2_000_000))
        assert stored.read() == whole[-2_000_000:]
        stored.seek(0)
        assert b"".join(iter(lambda: stored.read(1 << 20), b"")) == whole


def test_the_bytes_of_a_file_become_a_blob(blobs: Blobs, tmp_path: Path) -> None:
    for size in (0, 10, 6_000_000):
        source = tmp_path / f"upload-{size}"
        source.write_bytes(b"z" * size)
        writer = blobs.create(START, of=source)
        assert (writer.size, writer.hexdigest()) == (size, sha256(b"z" * size).hexdigest())
        blobs.commit([writer])
        source.unlink()
        with blobs.open(writer.id) as stored:
            assert stored.read() == b"z" * size


def test_no_bytes_are_committed_without_complaint(blobs: Blobs) -> None:
    blobs.commit([])


def test_ids_begin_with_their_day_in_utc_and_never_repeat(blobs: Blobs) -> None:
    evening = datetime.fromisoformat("2026-11-21T23:30:00-05:00")
    ids = {blobs.create(evening).id for _ in range(100)}
    assert len(ids) == 100
    assert {one[:9] for one in ids} == {"20261122-"}


def test_a_deleted_blob_is_gone_and_deleting_it_again_is_no_error(blobs: Blobs) -> None:
    blob = keep(blobs, b"a")
    other = keep(blobs, b"b")
    blobs.delete(blob)
    blobs.delete(blob)
    with pytest.raises(FileNotFoundError):
        blobs.open(blob)
    assert blobs.open(other).read() == b"b"


def test_one_that_was_never_committed_can_be_deleted(blobs: Blobs) -> None:
    writer = blobs.create(START)
    writer.write(b"half")
    blobs.delete(writer.id)
    with pytest.raises(FileNotFoundError):
        blobs.open(writer.id)


def test_older_than_lists_by_the_time_of_writing(blobs: Blobs) -> None:
    kept = {keep(blobs, b"a"), keep(blobs, b"b")}
    now = datetime.now(UTC)
    assert list(blobs.older_than(now - timedelta(hours=1))) == []
    assert set(blobs.older_than(now + timedelta(hours=1))) == kept


ODD = ["", ".", "..", "../../etc/passwd", "/etc/passwd", "a" * 300, "20261121", "20261121-", "20261121-\n", "-", "é"]


@pytest.mark.parametrize("odd", [*ODD, f"20261121-{'A' * 32}X", f"20261121-{'a' * 32}/.."])
def test_an_id_that_is_none_of_ours_finds_nothing(blobs: Blobs, odd: str) -> None:
    keep(blobs, b"a")
    with pytest.raises(FileNotFoundError):
        blobs.open(odd)


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_no_text_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    blobs = DiskBlobs(tmp_path_factory.getbasetemp() / "odd-ids")
    with pytest.raises(FileNotFoundError):
        blobs.open(text)


def test_an_uncommitted_file_on_disk_is_found_by_the_sweep(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    writer = blobs.create(START)
    writer.write(b"a crash follows")
    os.utime(blobs.path(writer.id), (0, 0))
    assert list(DiskBlobs(tmp_path).older_than(START)) == [writer.id]


def test_a_strange_file_in_the_store_is_not_listed(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    kept = keep(blobs, b"a")
    for name in ("lost+found", "README", f".{kept}.swp"):
        (blobs.path(kept).parent / name).write_text("not ours")
    (tmp_path / "notes.txt").write_text("not ours")
    assert list(blobs.older_than(datetime.now(UTC) + timedelta(hours=1))) == [kept]


def test_a_day_without_blobs_lists_nothing(tmp_path: Path) -> None:
    assert list(DiskBlobs(tmp_path / "not there yet").older_than(START)) == []


def test_a_failed_sync_reaches_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = DiskBlobs(tmp_path)
    writers = [blobs.create(START), blobs.create(START)]

    def refuse(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("storage.blobs.os.fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        blobs.commit(writers)
    with pytest.raises(OSError, match="Input/output"):
        blobs.commit([DiskBlobs.create(blobs, START)])


def test_a_commit_syncs_each_file_and_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = DiskBlobs(tmp_path)
    writers = [blobs.create(START), blobs.create(START), blobs.create(START + timedelta(days=1))]
    synced: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr("storage.blobs.os.fsync", note)
    blobs.commit(writers)
    files = {str(writer.path) for writer in writers}
    folders = {str(writer.path.parent) for writer in writers}
    assert len(folders) == 2
    assert set(synced) == files | folders
    assert max(synced.index(one) for one in files) < min(synced.index(one) for one in folders)


@pytest.mark.parametrize("linked", [True, False])
def test_a_blob_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool) -> None:
    """The bytes of a file become a blob by a second name, or as a copy across disks; as old as its name."""
    source = tmp_path / "upload"
    source.write_bytes(b"whole" * 1000)
    os.utime(source, (0, 0))
    if not linked:

        def across(*args: object) -> None:
            raise OSError(errno.EXDEV, "another disk")

        monkeypatch.setattr("storage.blobs.os.link", across)
    blobs = DiskBlobs(tmp_path / "blobs")
    writer = blobs.create(datetime.now(UTC), of=source)
    assert (writer.size, writer.hexdigest()) == (5000, sha256(b"whole" * 1000).hexdigest())
    blobs.commit([writer])
    source.unlink()
    with blobs.open(writer.id) as kept:
        assert kept.read() == b"whole" * 1000
    assert list(blobs.older_than(datetime.now(UTC) - timedelta(days=1))) == []
    if linked:
        with pytest.raises(ValueError, match="whole"):
            writer.write(b"more")

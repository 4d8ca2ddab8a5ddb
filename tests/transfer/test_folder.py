"""The real folder: what the ledger says of uploads, versions, quotas, pauses, expiry, and what dies in between."""

import asyncio
import errno
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from models.codes import Code
from models.states import ConnectionState, UploadStatus
from models.tables import Answer, Delivery, Event, FolderFile, Upload
from storage.ledger import LedgerBusy
from storage.ledger.history import Wanted, list_uploads
from storage.ledger.imports import release_held
from storage.ledger.settling import due
from tests.imports.support import Pool, conversions, summary
from tests.storage.support import Store, open_store
from tests.transfer.support import NAME, UP, House, get, names, put
from transfer.view import Begin, NoSuchName, NotAllowed, NotNow

SHORT = "Conversions_2026_05.csv"
RESULTS = f"{UP}/results"
RECEIPT = f"{RESULTS}/receipt_{SHORT}.txt"


def fields(receipt: bytes) -> dict[str, str]:
    return dict(line.partition(":")[::2] for line in receipt.decode().splitlines())


async def receipt(visit: Any, path: str = RECEIPT) -> dict[str, str]:
    return {key: value.strip() for key, value in fields(await get(visit, path)).items()}


def history(house: House) -> list[dict[str, Any]]:
    return house.store.ledger.read_now(list_uploads, Wanted())


def spools(house: House) -> list[Path]:
    return sorted(house.store.settings.uploads_dir.iterdir())


# --- the history


async def test_an_upload_is_in_the_history_from_its_first_byte(house: House) -> None:
    visit = await house.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    (row,) = history(house)
    assert (row["status"], row["delivery_verdict"], row["door"]) == ("receiving", None, "sftp")
    await writer.write(0, b"abc")
    word = await writer.close()
    (row,) = history(house)
    assert (row["status"], row["delivery_verdict"], row["bytes"], row["upload"]) == ("settling", None, 3, word.trace_id)
    await house.settle()
    (row,) = history(house)
    assert (row["status"], row["delivery_verdict"], row["import"]["status"]) == (
        "import_job_created", "accepted", "queued",
    )  # fmt: skip
    moves = [(e.before, e.after) for e in house.store.all(Event) if e.subject == word.trace_id]
    assert moves == [
        (None, "receiving"), ("receiving", "settling"), (None, "accepted"), ("settling", "import_job_created"),
    ]  # fmt: skip
    assert spools(house) == []


async def test_a_withdrawn_upload_says_why(house: House) -> None:
    visit = await house.enter()
    first = await put(visit, NAME, b"abc")
    await put(visit, NAME, b"xyz")
    upload = house.store.get(Upload, first.trace_id)
    assert (upload.status, upload.message) == ("withdrawn", "Withdrawn: replaced by a new upload of the same name.")
    assert house.store.get(Delivery, first.trace_id).verdict == "withdrawn"
    assert len(spools(house)) == 1


async def test_too_large_is_recorded_without_bytes(house: House) -> None:
    visit = await house.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    with pytest.raises(Exception, match="larger than 100,000,000 bytes"):
        await writer.write(100_000_000, b"x")
    (row,) = history(house)
    assert (row["status"], row["code"], row["delivery_verdict"]) == ("upload_failed", "FILE_TOO_LARGE", "rejected")
    assert spools(house) == []
    assert (await receipt(visit))["code"] == "FILE_TOO_LARGE"


# --- versions


async def test_a_version_that_begins_with_the_accepted_one_supersedes_it(house: House) -> None:
    visit = await house.enter()
    first = await put(visit, NAME, conversions(2))
    await house.settle()
    second = await put(visit, NAME, conversions(1, first=9)[-40:], Begin.APPEND)
    await house.settle()
    upload = house.store.get(Upload, second.trace_id)
    assert (upload.status, upload.supersedes) == ("import_job_created", first.trace_id)
    assert first.trace_id in (await receipt(visit))["message"]
    house.store.queue.jobs = [(second.trace_id, 1)]
    await house.import_all()
    result = json.loads(await get(visit, f"{RESULTS}/result_{SHORT}.json"))
    assert result["trace_id"] == second.trace_id
    assert result["message"] == (
        f"This file begins with the whole of {first.trace_id}, accepted before under the same name, and supersedes it."
    )


async def test_a_version_that_begins_otherwise_supersedes_nothing(house: House) -> None:
    visit = await house.enter()
    await put(visit, NAME, b"abc")
    await house.settle()
    second = await put(visit, NAME, b"abX and more")
    await house.settle()
    assert house.store.get(Upload, second.trace_id).supersedes is None


async def test_the_same_content_again_is_a_duplicate(house: House) -> None:
    visit = await house.enter()
    first = await put(visit, NAME, b"abc")
    await house.settle()
    second = await put(visit, NAME, b"abc")
    await house.settle()
    told = await receipt(visit)
    assert (told["status"], told["duplicate_of"], told["upload"]) == ("duplicate", first.trace_id, second.trace_id)
    assert (await receipt(visit, f"{RESULTS}/receipt_{SHORT}.{first.trace_id}.txt"))["upload"] == first.trace_id
    assert [upload for upload, _ in house.store.queue.jobs] == [first.trace_id]
    await visit.leave()
    house.store.clock.forward(seconds=60)
    assert await names(await house.enter(), UP) == ["dryrun", "results"]


async def test_touched_without_a_change_an_accepted_file_is_no_version(house: House) -> None:
    visit = await house.enter()
    first = await put(visit, NAME, b"abc")
    await house.settle()
    writer = await visit.write(NAME, Begin.RESUME)
    assert writer.size == 3
    await writer.truncate(3)
    assert (await writer.close()).trace_id == first.trace_id
    assert len(house.store.all(Upload)) == 1


# --- answers


async def test_the_newest_result_has_the_plain_name(house: House) -> None:
    visit = await house.enter()
    pool = Pool(answers=[summary(entries=1), summary(entries=1), summary()])
    ids = []
    for content in (b"one", b"two", b"three"):
        ids.append((await put(visit, NAME, content)).trace_id)
        await house.settle()
        await house.import_all(pool)
    assert await names(visit, RESULTS) == sorted(
        [f"receipt_{SHORT}.txt", f"result_{SHORT}.json"]
        + [f"receipt_{SHORT}.{one}.txt" for one in ids[:2]]
        + [f"result_{SHORT}.{one}.json" for one in ids[:2]]
        + [f"result_{SHORT}.{one}.errors.csv" for one in ids[:2]]
    )
    errors = f"{RESULTS}/result_{SHORT}.{ids[0]}.errors.csv"
    assert await get(visit, errors) == b"row\r\n2\r\n"
    assert (await visit.stat(errors)).size == 8
    for entry in await visit.list(RESULTS):
        assert len(await get(visit, f"{RESULTS}/{entry.name}")) == entry.size


async def test_a_removed_answer_does_not_let_an_older_one_take_its_name(house: House) -> None:
    visit = await house.enter()
    first = await put(visit, NAME, b"one")
    await house.settle()
    await put(visit, NAME, b"two")
    await house.settle()
    await visit.remove(RECEIPT)
    assert await names(visit, RESULTS) == [f"receipt_{SHORT}.{first.trace_id}.txt"]


async def test_answers_go_when_their_time_is_over(house: House) -> None:
    visit = await house.enter()
    await put(visit, NAME, b"one")
    await put(visit, f"{UP}/wrong.txt", b"two")
    await house.settle()
    house.finish(history(house)[-1]["upload"])
    await visit.leave()
    house.store.clock.forward(days=29)
    await house.settler.tidy()
    assert "wrong.txt" in await names(visit, UP)
    assert RECEIPT.rpartition("/")[2] in await names(visit, RESULTS)
    house.store.clock.forward(days=2)
    await house.settler.tidy()
    assert await names(visit, UP) == ["dryrun", "results"]
    assert await names(visit, RESULTS) == []


async def test_answers_go_by_mail_too(house: House) -> None:
    visit = await house.enter()
    word = await put(visit, NAME, b"one")
    await house.settle()
    house.finish(word.trace_id)
    failed = await put(visit, f"{UP}/wrong.txt", b"two")
    await house.settle()
    assert house.store.owed(word.trace_id) == [("receipt", 1), ("result", 1)]
    assert house.store.owed(failed.trace_id) == [("receipt", 1)]


async def test_a_cut_upload_is_told_of_by_mail_once(house: House) -> None:
    visit = await house.enter()
    for offset in range(3):
        writer = await visit.write(NAME, Begin.RESUME)
        await writer.write(offset, b"x")
        await writer.break_off()
    (row,) = history(house)
    assert (row["status"], row["code"], row["delivery_verdict"]) == ("incomplete", "INCOMPLETE", "incomplete")
    assert house.store.owed(row["upload"]) == [("receipt", 1)]
    await put(visit, NAME, b"y", Begin.APPEND)
    await house.settle()
    assert house.store.owed(row["upload"]) == [("receipt", 1), ("receipt", 2)]
    assert (await receipt(visit))["status"] == "import_job_created"
    assert await names(visit, RESULTS) == [f"receipt_{SHORT}.txt"]
    assert len(house.store.all(Answer)) == 2


# --- what is kept how long


async def test_a_cut_upload_is_kept_for_a_day(house: House) -> None:
    visit = await house.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"abc")
    await writer.break_off()
    house.store.clock.forward(hours=23)
    await house.settler.tidy()
    assert (await visit.stat(NAME)).state == "incomplete"
    house.store.clock.forward(hours=2)
    await house.settler.tidy()
    assert await names(visit, UP) == ["dryrun", "results"]
    assert spools(house) == []
    assert (await receipt(visit))["status"] == "incomplete"


async def test_what_is_never_renamed_is_told_of(house: House) -> None:
    visit = await house.enter()
    await put(visit, f"{UP}/a.csv.part", b"abc")
    house.store.clock.forward(hours=25)
    await house.settler.tidy()
    there = await visit.stat(f"{UP}/a.csv.part")
    assert (there.state, there.code) == ("incomplete", Code.INCOMPLETE)
    told = await receipt(visit, f"{RESULTS}/receipt_a.csv.part.txt")
    assert "temporary name" in told["message"]
    house.store.clock.forward(hours=25)
    await house.settler.tidy()
    assert spools(house) == []


async def test_an_accepted_file_is_seen_until_all_is_over(house: House) -> None:
    visit = await house.enter()
    word = await put(visit, NAME, b"abc")
    await house.settle()
    house.store.clock.forward(seconds=61)
    house.finish(word.trace_id)
    assert (await visit.stat(NAME)).size == 3  # the session goes on
    await visit.leave()
    with pytest.raises(NoSuchName):
        await visit.stat(NAME)


async def test_an_accepted_file_is_seen_until_it_is_processed(house: House) -> None:
    visit = await house.enter()
    word = await put(visit, NAME, b"abc")
    await house.settle()
    await visit.leave()
    house.store.clock.forward(hours=1)
    with pytest.raises(NotAllowed, match="can no longer be withdrawn"):
        await visit.remove(NAME)
    house.finish(word.trace_id)
    assert await names(visit, UP) == ["dryrun", "results"]


async def test_what_vanished_is_counted_no_more(house: House) -> None:
    visit = await house.enter()
    word, running = await put(visit, NAME, b"abc"), await put(visit, f"{UP}/Conversions_2.csv", b"def")
    held = await put(visit, f"{UP}/.held", b"ghi")
    await house.settle()
    house.finish(word.trace_id)
    await house.settler.tidy()
    await visit.leave()
    house.store.clock.forward(seconds=60)
    assert {file.upload_id for file in house.store.all(FolderFile) if file.gone_at} == set()
    await house.settler.tidy()
    gone = {file.upload_id for file in house.store.all(FolderFile) if file.gone_at}
    assert gone == {word.trace_id}
    assert await names(await house.enter(), UP) == [".held", "Conversions_2.csv", "dryrun", "results"]
    assert (house.status(running.trace_id), house.status(held.trace_id)) == ("import_job_created", "held")


async def test_orphaned_bytes_are_swept(house: House) -> None:
    visit = await house.enter()
    await put(visit, f"{UP}/.held", b"abc")
    orphan = house.store.settings.uploads_dir / "0123"
    orphan.write_bytes(b"x")
    house.store.clock.now += timedelta(days=20_000)  # the files are of today
    kept = house.store.settings.limits.incomplete_kept
    house.store.clock.now -= kept

    def touch(session: Session) -> None:
        session.exec(sa.update(FolderFile).values(touched_at=house.store.clock()))

    house.store.ledger.write_now(touch)
    await house.settler.tidy()
    assert not orphan.exists()
    assert len(spools(house)) == 1


# --- connections


async def test_a_paused_connection_holds(house: House) -> None:
    ref = house.store.ref()
    house.store.set_state(ref, ConnectionState.PAUSED)
    visit = await house.enter()
    word, other = await put(visit, NAME, b"abc"), await put(visit, f"{UP}/Conversions_2.csv", b"def")
    assert await house.settle() == 2
    there = await visit.stat(NAME)
    assert (there.state, there.code) == ("held", Code.CONNECTION_PAUSED)
    assert (await receipt(visit))["status"] == "held"
    await visit.remove(f"{UP}/Conversions_2.csv")
    assert house.status(other.trace_id) == "withdrawn"
    house.store.clock.forward(days=3)
    await house.settler.tidy()
    assert (await visit.stat(NAME)).state == "held"
    house.store.set_state(ref, ConnectionState.ACTIVE)
    now = house.store.clock()
    released = house.store.ledger.write_now(
        release_held, ref.id, now, house.store.queue, duplicates_since=now - timedelta(days=30), domain="x.test"
    )
    assert released == [word.trace_id]
    assert (await receipt(visit))["status"] == "import_job_created"


async def test_a_connection_that_was_deleted_meanwhile(house: House) -> None:
    visit = await house.enter()
    word = await put(visit, NAME, b"abc")
    house.store.set_state(house.store.ref(), ConnectionState.DELETED)
    assert await house.settle() == 1
    assert house.status(word.trace_id) == UploadStatus.UPLOAD_FAILED
    with pytest.raises(NoSuchName):
        await visit.stat(NAME)


async def test_the_longest_beginning_wins(store: Store) -> None:
    house = House(store)
    house.share("acme", [
        {"name": "all", "folder": "/in", "pattern": "*.csv"},
        {"name": "conv", "folder": "/in", "pattern": "Conv*.csv"},
        {"name": "conv26", "folder": "/in", "pattern": "Conversions_2026*", "completion": "rename"},
        {"name": "people", "folder": "/in", "pattern": "", "data_type": "participants"},
    ])  # fmt: skip
    visit = await house.folders.enter("acme", door="sftp", peer="")
    for name, taker in {
        "a.csv": "all", "Conv.csv": "conv", "Conversions_2026_1.csv": "conv26", "PARTICIPANTS_1.csv": "people",
    }.items():  # fmt: skip
        await put(visit, f"/in/.{name}", name.encode())
        await visit.rename(f"/in/.{name}", f"/in/{name}", replace=False)
        await house.settle(0)
        assert history(house)[0]["file_name"] == name
        assert history(house)[0]["connection"] == taker
        store.clock.forward(seconds=1)
    await put(visit, "/in/a.txt", b"nobody's")
    await house.settle()
    assert history(house)[0]["code"] == "DATA_TYPE_UNKNOWN"


async def test_a_dry_run_is_one(house: House) -> None:
    visit = await house.enter()
    word = await put(visit, f"{UP}/dryrun/{SHORT}", b"abc")
    await house.settle()
    assert house.store.get(Delivery, word.trace_id).dry_run
    again = await put(visit, NAME, b"abc")
    await house.settle()
    assert house.status(again.trace_id) == "import_job_created"  # a dry run is no first


async def test_judged_twice_at_once_it_is_imported_once(house: House) -> None:
    visit = await house.enter()
    word = await put(visit, NAME, b"abc")
    house.store.clock.forward(seconds=5)
    intake = house.folders.intake
    ((_, held),) = house.store.ledger.read_now(due, house.store.clock())
    outcomes = await asyncio.gather(intake.accept_file(held), intake.accept_file(held), house.settler.work_once())
    assert sum(outcome not in (None, 0) for outcome in outcomes) == 1
    assert house.store.queue.jobs == [(word.trace_id, 1)]
    assert len([path for path in house.store.settings.blob_dir.rglob("*") if path.is_file()]) == 1


# --- quotas and faults


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"uploads_at_once": 1}, "1 uploads of this login are under way"),
        ({"names_per_folder": 1}, "the folder holds 1 names"),
        ({"upload_bytes_held": 3}, "the quota of bytes"),
        ({"minimum_free_bytes": 1 << 60}, "no space"),
    ],
)
async def test_quotas(tmp_path: Path, template: Path, limits: dict[str, int], reason: str) -> None:
    with open_store(tmp_path / "quota", template, limits=limits) as store:
        house = House(store)
        house.connect()
        visit = await house.enter()
        if "minimum_free_bytes" not in limits:
            first = await visit.write(NAME, Begin.TRUNCATE)
            await first.write(0, b"abc")
        with pytest.raises(NotNow, match=reason):
            await visit.write(f"{UP}/Conversions_2.csv", Begin.TRUNCATE)
        assert len(store.all(Upload)) == len(spools(house)) <= 1


async def test_a_quota_reached_amid_an_upload(tmp_path: Path, template: Path) -> None:
    with open_store(tmp_path / "quota", template, limits={"upload_bytes_held": 1000}) as store:
        house = House(store)
        house.connect()
        visit = await house.enter()
        writer = await visit.write(NAME, Begin.TRUNCATE)
        await writer.write(0, b"x" * 1000)
        for refused in (writer.write(1000, b"x"), writer.close()):
            with pytest.raises(NotNow, match="quota"):
                await refused
        assert spools(house) == []
        assert await names(visit, UP) == ["dryrun", "results"]
        assert (await put(visit, NAME, b"x" * 1000)).state == "settling"


@pytest.mark.parametrize("call", ["fsync", "pwritev", "open"])
@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
async def test_a_disk_that_fails(house: House, monkeypatch: pytest.MonkeyPatch, call: str, fault: int) -> None:
    def fail(*args: Any) -> Any:
        raise OSError(fault, "failed")

    visit = await house.enter()
    with monkeypatch.context() as patched:
        patched.setattr(f"transfer.under_way.os.{call}", fail)
        with pytest.raises(NotNow):
            await put(visit, NAME, b"abc")
    assert spools(house) == []
    assert await names(visit, UP) == ["dryrun", "results"]
    assert (await put(visit, NAME, b"abc")).state == "settling"
    assert await house.settle() == 1


async def test_a_database_that_is_busy_at_the_close(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    visit = await house.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"abc")

    async def busy(*args: Any, **kwargs: Any) -> Any:
        raise LedgerBusy("locked")

    with monkeypatch.context() as patched:
        patched.setattr(house.store.ledger, "write", busy)
        with pytest.raises(NotNow):
            await writer.close()
    word = await put(visit, NAME, b"abc")
    assert await house.settle() == 1
    for _ in range(2):  # seen at two looks in a row to be nobody's
        await house.settler.tidy()
    assert sorted(row["status"] for row in history(house)) == ["import_job_created", "withdrawn"]
    assert [job for job, _ in house.store.queue.jobs] == [word.trace_id]


async def test_bytes_that_are_gone(house: House) -> None:
    visit = await house.enter()
    word = await put(visit, NAME, b"abc")
    for path in spools(house):
        path.unlink()
    assert await house.settle() == 1
    upload = house.store.get(Upload, word.trace_id)
    assert (upload.status, upload.code) == ("upload_failed", "SYSTEM_ERROR")
    assert (await receipt(visit))["code"] == "SYSTEM_ERROR"
    assert house.store.alarms() == ["UPLOAD_LOST"]
    await put(visit, NAME, b"abc")
    assert await house.settle() == 1
    assert house.store.alarms() == []


async def test_a_file_that_cannot_be_judged_raises_an_alarm(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.ENOSPC, "full")

    visit = await house.enter()
    await put(visit, NAME, b"abc")
    with monkeypatch.context() as patched:
        patched.setattr(house.store.blobs, "create", full)
        assert await house.settle() == 0
        house.store.clock.forward(minutes=31)
        for _ in range(2):
            await house.settler.tidy()
            assert house.store.alarms() == ["UPLOAD_STUCK"]
        assert (await visit.stat(NAME)).state == "settling"
    assert await house.settle() == 1
    assert house.store.alarms() == []

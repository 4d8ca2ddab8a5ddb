"""Housekeeping: late results, retention, and what no row names."""

import json
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imports.housekeeping import Housekeeper
from models.codes import Code
from models.states import ConnectionState, ImportStatus
from models.tables import Alarm, Answer, Attempt, Event, Upload
from storage.ledger import holding, housekeeping, nodes
from tests.imports.support import Courier, body, emptied, files, post, shown
from tests.storage.support import START, Store


@dataclass
class Engine:
    """The durable engine at its seam."""

    asked: list[list[tuple[str, int]]] = field(default_factory=list)
    alive: list[set[str]] = field(default_factory=list)

    async def lost(self, attempts: list[tuple[str, int]]) -> list[tuple[str, int, int]]:
        self.asked.append(attempts)
        return [(upload, attempt, 1) for upload, attempt in attempts]

    async def hand_on(self, alive: set[str]) -> list[str]:
        self.alive.append(alive)
        return []

    async def forget_ended(self, before: datetime) -> int:
        return 0


def keeper(store: Store, engine: Any = None) -> Housekeeper:
    return Housekeeper(store.ledger, store.blobs, engine or Engine(), store.queue, store.settings, clock=store.clock)


def kept(store: Store) -> set[str]:
    """Give the ids of every blob there is."""
    return {path.name for path in store.settings.blob_dir.rglob("*") if path.is_file()}


def alarms(store: Store) -> list[tuple[str, bool]]:
    return [(alarm.kind, alarm.cleared_at is None) for alarm in store.all(Alarm)]


# Late results.


async def test_a_late_result_is_told_to_operators_and_sender_and_the_rest_follows(store: Store) -> None:
    trace_id = store.deliver(
        store.connect(), *(store.file(n, f"{n.decode()}.csv") for n in (b"1", b"2", b"3"))
    ).trace_id
    store.finish(f"{trace_id}.1")
    courier = Courier()
    works, house = post(store, courier), keeper(store)
    await emptied(works)
    courier.take()

    store.clock.forward(minutes=29)
    await house.look_for_late_results()
    assert alarms(store) == []

    store.clock.forward(minutes=2)
    await house.look_for_late_results()
    await house.look_for_late_results()
    assert alarms(store) == [("RESULT_LATE", True)]
    assert f"{trace_id}.2, {trace_id}.3" in store.all(Alarm)[0].message
    await emptied(works)
    (partial,) = courier.take()
    assert list(files(partial)) == ["result_1.csv.json"]
    assert "Still being imported, the result follows: 2.csv, 3.csv." in body(partial)

    store.finish(f"{trace_id}.2")
    await house.look_for_late_results()
    await emptied(works)
    assert courier.take() == []
    assert alarms(store) == [("RESULT_LATE", True)]

    store.finish(f"{trace_id}.3", ImportStatus.REJECTED)
    await house.look_for_late_results()
    await emptied(works)
    (rest,) = courier.take()
    assert list(files(rest)) == ["result_2.csv.json", "result_3.csv.json"]
    assert rest["Subject"] == "[Result: rejected] 1.csv (+2 more)"
    assert alarms(store) == [("RESULT_LATE", False)]


async def test_a_late_result_of_which_nothing_has_come_says_so(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    store.clock.forward(minutes=31)
    await keeper(store).look_for_late_results()
    courier = Courier()
    await emptied(post(store, courier))
    assert sorted(shown(courier.mails)) == ["[Receipt] a.csv", "[Result: in progress] a.csv"]
    store.finish(trace_id)
    await emptied(post(store, courier))
    result = json.loads(files(courier.mails[-1])["result_a.csv.json"])
    assert result["status"] == "completed"


async def test_a_late_result_for_nobody_is_an_alarm_all_the_same(store: Store) -> None:
    store.deliver(store.connect(back=""), b"A")
    store.clock.forward(minutes=31)
    await keeper(store).look_for_late_results()
    assert alarms(store) == [("RESULT_LATE", True)]
    assert store.all(Answer) == []


async def test_a_replay_that_is_late_raises_a_new_alarm(store: Store) -> None:
    from storage.ledger import imports

    trace_id = store.deliver(store.connect(), b"A").trace_id
    store.finish(trace_id)
    store.clock.forward(hours=2)
    store.ledger.write_now(imports.replay, trace_id, store.clock(), store.queue, with_rule_of_then=False)
    house = keeper(store)
    await house.look_for_late_results()
    assert alarms(store) == []
    store.clock.forward(hours=1)
    await house.look_for_late_results()
    assert alarms(store) == [("RESULT_LATE", True)]


async def test_a_lost_job_is_handed_over_anew_when_it_was_missed_twice(store: Store) -> None:
    ref = store.connect()
    left, done = (store.deliver(ref, data).trace_id for data in (b"A", b"B"))
    store.finish(done)
    engine = Engine()
    house = keeper(store, engine)
    await house.hand_over_lost_jobs()
    store.clock.forward(seconds=31)
    await house.hand_over_lost_jobs()
    assert store.queue.jobs == [(left, 1), (done, 1)]
    await house.hand_over_lost_jobs()
    assert engine.asked == [[], [], [(left, 1)]]
    assert store.queue.jobs == [(left, 1), (done, 1), (left, 1)]
    assert "handed over anew" in store.all(Event)[-1].why


# Retention.

TAKEN: dict[str, ImportStatus] = {status: status for status in ("completed", "rejected", "aborted")}  # type: ignore[misc]


def one_of_each(store: Store) -> dict[str, str]:
    """Take in one upload of each sort; gives the upload by its sort."""
    ref = store.connect()
    found = {status: store.deliver(ref, status.encode()).trace_id for status in TAKEN}
    for status, upload in found.items():
        store.finish(upload, ImportStatus(status))
    found["waiting"] = store.deliver(ref, b"waiting").trace_id
    found["duplicate"] = store.deliver(ref, b"completed").trace_id
    found["ignored"] = store.ignored(ref, Code.NAME_NOT_MATCHED, b"ignored").trace_id
    paused = store.set_state(ref, ConnectionState.PAUSED)
    assert paused is not None
    found["held"] = store.ignored(paused, Code.CONNECTION_PAUSED, b"held").trace_id
    return found


@pytest.mark.parametrize(
    ("days", "gone"),
    [
        (6.9, set()),
        (7.1, {"duplicate", "ignored"}),
        (89.9, {"duplicate", "ignored"}),
        (90.1, {"duplicate", "ignored", "completed", "rejected", "aborted", "held"}),
    ],
)
async def test_originals_go_at_their_time(store: Store, days: float, gone: set[str]) -> None:
    found = one_of_each(store)
    blobs = {sort: store.get(Upload, upload).blob for sort, upload in found.items()}
    store.clock.forward(days=days)
    await keeper(store).sweep()
    for sort, upload in found.items():
        assert (store.get(Upload, upload).blob is None) == (sort in gone), sort
        assert (blobs[sort] not in kept(store)) == (sort in gone), sort
        told = [event.why for event in store.all(Event) if event.subject == upload and "no longer kept" in event.why]
        assert len(told) == (sort in gone)
    assert {upload.status for upload in store.all(Upload)} >= {"ignored", "duplicate", "held", "import_job_created"}


async def test_errors_files_go_after_thirty_days_and_their_record_stays(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    errors = store.keep(b"errors")
    store.finish(trace_id, ImportStatus.COMPLETED_WITH_ERRORS, errors_blob=errors)
    for days, there in ((29, True), (2, False)):
        store.clock.forward(days=days)
        await keeper(store).sweep()
        assert (errors in kept(store)) is there
    attempt = store.get(Attempt, (trace_id, 1))
    assert (attempt.errors_blob, attempt.status) == (None, "completed_with_errors")
    courier = Courier()
    await emptied(post(store, courier))
    assert any("result_a.csv.json" in files(mail) for mail in courier.mails)


async def test_one_sweep_lets_go_of_everything_past_its_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_BATCH", 3)
    ref = store.connect()
    for n in range(10):
        store.ignored(ref, Code.NAME_NOT_MATCHED, bytes([n]))
        trace_id = store.deliver(ref, b"x" + bytes([n])).trace_id
        store.finish(trace_id, ImportStatus.COMPLETED_WITH_ERRORS, errors_blob=store.keep(b"errors"))
    store.clock.forward(days=91)
    await keeper(store).sweep()
    assert kept(store) == set()


@pytest.mark.parametrize(("quota", "left"), [(100, 4), (40, 4), (39, 3), (20, 2), (19, 1), (9, 0)])
async def test_the_quota_of_files_not_taken(store: Store, quota: int, left: int) -> None:
    limits = store.settings.limits.model_copy(update={"ignored_quota_bytes": quota})
    object.__setattr__(store.settings, "limits", limits)
    ref, other = store.connect(), store.connect("other")
    taken = store.deliver(ref, b"taken" * 100).trace_id
    uploads = []
    for n in range(4):
        store.clock.forward(minutes=1)
        uploads.append(store.ignored(ref, Code.NAME_NOT_MATCHED, b"ten bytes" + bytes([n])).trace_id)
    small = store.ignored(other, Code.NAME_NOT_MATCHED, b"x").trace_id
    await keeper(store).sweep()
    assert [store.get(Upload, upload).blob is not None for upload in uploads] == [False] * (4 - left) + [True] * left
    assert store.get(Upload, taken).blob is not None
    assert store.get(Upload, small).blob is not None
    assert len(kept(store)) == left + 2


# What no row names.


def age(path: Path, hours: float) -> None:
    moment = (START - timedelta(hours=hours)).timestamp()
    os.utime(path, (moment, moment))


async def test_orphans_go_after_a_day_and_what_a_row_names_stays(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    original = store.get(Upload, trace_id).blob or ""
    errors, old, young = store.keep(b"errors"), store.keep(b"old"), store.keep(b"young")
    store.finish(trace_id, errors_blob=errors)
    for blob, hours in ((original, 48), (errors, 48), (old, 24.1), (young, 23.9)):
        age(store.blobs.path(blob), hours)
    await keeper(store).sweep()
    assert kept(store) == {original, errors, young}


async def test_a_strange_file_in_the_blob_store_stops_no_sweep(store: Store) -> None:
    old = store.keep(b"old")
    strange = store.blobs.path(old).parent / "notes.txt"
    strange.write_text("not ours")
    for path in (store.blobs.path(old), strange):
        age(path, 48)
    await keeper(store).sweep()
    assert kept(store) == {"notes.txt"}


async def test_spool_files_left_by_a_crash_go_after_a_day(store: Store) -> None:
    spool = store.settings.spool_dir
    for name, hours in (("a.spool", 25), ("b.errors", 25), ("c.spool", 23)):
        (spool / name).write_bytes(b"x")
        age(spool / name, hours)
    (spool / "folder").mkdir()
    age(spool / "folder", 48)
    await keeper(store).sweep_spool()
    assert sorted(path.name for path in spool.iterdir()) == ["c.spool", "folder"]


async def test_more_orphans_than_one_look_takes(store: Store) -> None:
    for _ in range(3):
        folder = store.blobs.path(store.keep(b"x")).parent
    for n in range(700):
        (folder / f"20261121-{n:032x}").touch()
    for path in folder.iterdir():
        age(path, 48)
    await keeper(store).sweep()
    assert kept(store) == set()


async def test_while_a_backup_goes_on_no_bytes_are_deleted(store: Store) -> None:
    orphan = store.keep(b"x")
    age(store.blobs.path(orphan), 48)
    store.ledger.write_now(holding.hold, "a", timedelta(minutes=10))
    await keeper(store).sweep()
    assert kept(store) == {orphan}
    store.ledger.write_now(holding.release, "a")
    await keeper(store).sweep()
    assert kept(store) == set()


async def test_the_work_of_nodes_that_are_dead_is_handed_on(store: Store) -> None:
    store.ledger.write_now(nodes.beat, "alive", ["worker"], "1")
    engine = Engine()
    await keeper(store, engine).hand_on()
    assert engine.alive == [{"alive"}]

"""One import, from its order to its end: each step may be repeated, and whatever fails has an end too."""

import asyncio
import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from imports.workers import ParsePool, WorkerDied
from models.codes import Code
from models.connection import Rule
from models.faults import Fault, PermanentError
from models.states import ImportStatus, Verdict
from models.tables import Alarm, Answer, Attempt, Delivery, Event, Upload
from storage.ledger import LedgerBusy, imports
from storage.ledger.imports import NotReplayable, Order, Patience
from tests.imports.support import Pool, attempt, conversions, importer, summary
from tests.storage.support import DOMAIN, START, Store

PATIENCE = Patience(failures=5, starts=25)
MANY = 10_000


def arrived(store: Store, data: bytes = b"", **rule: Any) -> str:
    """Take in one file; gives its upload."""
    ref = store.connect(**rule)
    return store.deliver(ref, store.file(data or conversions(), "Conversions_1.csv")).trace_id


def begin(store: Store, upload: str, number: int = 1, patience: Patience = PATIENCE) -> Order | None:
    return store.ledger.write_now(imports.begin, upload, number, store.clock(), patience, DOMAIN)


def results(store: Store) -> list[list[str]]:
    return [answer.uploads for answer in store.all(Answer) if answer.kind == "result"]


async def test_a_good_file(store: Store, pool: ParsePool) -> None:
    upload = arrived(store, conversions(3))
    assert await importer(store, pool).run(upload, 1) == "completed"
    done = attempt(store, upload)
    assert (done.status, done.errors_blob, done.tries, done.failures) == ("completed", None, 1, 0)
    assert (done.started_at, done.finished_at) == (START, START)
    result = done.result or {}
    expected = {
        "trace_id": upload, "upload": upload, "parent_trace_id": None, "connection": "acme-conversions",
        "data_type": "conversions", "file_name": "Conversions_1.csv", "status": "completed", "attempt": 1,
        "total_rows": 3, "successful_rows": 3, "unchanged_rows": 0, "error_rows": 0, "not_applied_rows": 0,
        "warnings": [], "encoding": "utf-8", "delimiter": ",", "errors_file": None, "code": None,
        "started_at": "2026-11-21T12:00:00.000Z", "finished_at": "2026-11-21T12:00:00.000Z",
    }  # fmt: skip
    assert {key: result[key] for key in expected} == expected
    assert results(store) == [[f"{upload}#1"]]
    assert list(store.settings.spool_dir.iterdir()) == []


async def test_a_file_with_bad_rows_leaves_its_errors_file(store: Store, pool: ParsePool) -> None:
    upload = arrived(store, conversions(2, bad=2))
    assert await importer(store, pool).run(upload, 1) == "completed_with_errors"
    done = attempt(store, upload)
    assert (done.result or {})["errors_file"] == "result_Conversions_1.csv.errors.csv"
    assert done.errors_blob is not None
    with store.blobs.open(done.errors_blob) as source:
        rows = list(csv.DictReader(io.StringIO(source.read().decode())))
    assert {row["trace_id"] for row in rows} == {upload}
    assert [row["row"] for row in rows] == ["4", "5"]
    assert list(store.settings.spool_dir.iterdir()) == []


POLICIES = [
    ("accept_valid", 3, 1, "completed_with_errors", (3, 0)),
    ("all_or_nothing", 4, 0, "completed", (4, 0)),
    ("all_or_nothing", 3, 1, "rejected", (0, 3)),
    ("max_bad_percent=25", 3, 1, "completed_with_errors", (3, 0)),
    ("max_bad_percent=24.9", 3, 1, "rejected", (0, 3)),
    ("max_bad_percent=0", 3, 0, "completed", (3, 0)),
]


@pytest.mark.parametrize(("policy", "good", "bad", "status", "counts"), POLICIES)
async def test_policies(
    store: Store, pool: ParsePool, policy: str, good: int, bad: int, status: str, counts: tuple[int, int]
) -> None:
    upload = arrived(store, conversions(good, bad=bad), policy=policy)
    assert await importer(store, pool).run(upload, 1) == status
    result = attempt(store, upload).result or {}
    assert (result["successful_rows"], result["not_applied_rows"]) == counts
    assert result["total_rows"] == good + bad
    assert result["code"] == ("TOO_MANY_BAD_ROWS" if status == "rejected" else None)
    assert store.get(Upload, upload).status == "import_job_created"


async def test_a_header_without_rows_does_not_count_as_the_first(store: Store, pool: ParsePool) -> None:
    data = conversions(0)
    upload = arrived(store, data)
    await importer(store, pool).run(upload, 1)
    assert attempt(store, upload).no_rows
    assert store.deliver(store.ref(), data).verdict is Verdict.ACCEPTED


async def test_a_duplicate_that_is_only_warned_of_says_so(store: Store, pool: ParsePool) -> None:
    first = arrived(store, conversions(), duplicates="warn")
    second = store.deliver(store.ref(), conversions()).trace_id
    await importer(store, pool).run(second, 1)
    warnings = (attempt(store, second).result or {})["warnings"]
    assert [warning["code"] for warning in warnings] == ["DUPLICATE_FILE"]
    assert first in warnings[0]["message"]


@pytest.mark.parametrize("same", [True, False])
async def test_a_mended_file_names_its_parent_of_the_same_connection_only(
    store: Store, pool: ParsePool, same: bool
) -> None:
    other = store.connect("other")
    upload = arrived(store, conversions(1, bad=1))
    parent = upload if same else store.deliver(other, conversions(1, bad=1)).trace_id
    await importer(store, pool).run(upload, 1)
    with store.blobs.open(attempt(store, upload).errors_blob or "") as source:
        mended = source.read().replace(upload.encode(), parent.encode()).replace(b",,2001", b",1000,2001")
    fixed = store.deliver(store.ref(), mended).trace_id
    await importer(store, pool).run(fixed, 1)
    assert (attempt(store, fixed).result or {})["parent_trace_id"] == (parent if same else None)


# Steps that are repeated.


def test_beginning_again_goes_on(store: Store) -> None:
    upload = arrived(store)
    first = begin(store, upload)
    store.clock.forward(minutes=5)
    again = begin(store, upload)
    assert first is not None
    assert first.started_at == START
    assert again == replace(first, begun=2)
    done = attempt(store, upload)
    assert (done.status, done.tries) == ("in_progress", 2)
    moves = [(e.before, e.after) for e in store.all(Event) if e.subject == f"{upload}#1"]
    assert moves == [(None, "queued"), ("queued", "in_progress")]


def test_an_attempt_that_was_begun_elsewhere_is_no_longer_the_first_ones(store: Store) -> None:
    upload = arrived(store)
    paused, other = begin(store, upload), begin(store, upload)
    assert paused is not None
    assert other is not None
    now, patience = store.clock(), PATIENCE
    assert not store.finish_as(paused)
    assert store.ledger.write_now(imports.note_failure, upload, 1, "x", now, paused.begun) == 0
    store.ledger.write_now(imports.abort, upload, 1, "x", now, DOMAIN, paused.begun)
    assert store.ledger.write_now(imports.begin, upload, 1, now, patience, DOMAIN, begun=paused.begun) is None
    assert attempt(store, upload).status == "in_progress"
    assert store.ledger.write_now(imports.begin, upload, 1, now, patience, DOMAIN, begun=other.begun) == other
    assert store.finish_as(other)
    assert len(results(store)) == 1


def test_finishing_again_changes_nothing(store: Store) -> None:
    upload = arrived(store)
    assert store.finish(upload)
    before = (attempt(store, upload), store.all(Event), store.all(Answer))
    store.clock.forward(minutes=5)
    assert not store.finish(upload, ImportStatus.REJECTED)
    assert (attempt(store, upload), store.all(Event), store.all(Answer)) == before
    assert begin(store, upload) is None


async def test_a_crash_between_parsing_and_the_end_leaves_one_result(
    store: Store, pool: ParsePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = arrived(store, conversions(1, bad=1))
    order = begin(store, upload)
    assert order is not None

    class Crash(BaseException):
        pass

    def die(*_words: object, **_more: object) -> None:
        raise Crash

    with monkeypatch.context() as broken:
        broken.setattr(store.ledger, "write", die)  # the file is parsed, its end is not written
        with pytest.raises(Crash):
            await importer(store, pool)._once(order)
    assert attempt(store, upload).status == "in_progress"
    assert await importer(store, pool).run(upload, 1) == "completed_with_errors"
    assert results(store) == [[f"{upload}#1"]]
    assert attempt(store, upload).tries == 2
    assert (attempt(store, upload).result or {})["attempt"] == 1


async def test_two_who_run_the_same_attempt_write_one_result(store: Store) -> None:
    upload = arrived(store)
    one, two = importer(store, Pool()), importer(store, Pool())
    await asyncio.gather(one.run(upload, 1), two.run(upload, 1), one.run(upload, 1))
    assert results(store) == [[f"{upload}#1"]]
    ends = [event for event in store.all(Event) if event.after == "completed"]
    assert len(ends) == 1


async def test_what_has_ended_is_not_parsed_again(store: Store) -> None:
    upload = arrived(store)
    store.finish(upload)
    pool = Pool()
    assert await importer(store, pool).run(upload, 1) == "ended"
    assert pool.jobs == []


# What fails.


async def test_an_import_that_fails_now_and_then_ends_well(store: Store, waits: list[float]) -> None:
    upload = arrived(store)
    pool = Pool([WorkerDied("killed"), MemoryError(), summary()])
    assert await importer(store, pool).run(upload, 1) == "completed"
    done = attempt(store, upload)
    assert (done.failures, done.tries) == (2, 1)
    assert waits == [0.2, 0.8]
    assert store.alarms() == []
    failures = [event.why for event in store.all(Event) if "failed" in event.why]
    assert failures == ["try 1 failed: WorkerDied('killed')", "try 2 failed: MemoryError()"]


async def test_a_disk_that_fails_is_no_fault_of_the_file(store: Store, waits: list[float]) -> None:
    upload = arrived(store)
    pool = Pool([OSError(5, "Input/output error"), OSError(28, "No space left on device"), summary()])
    assert await importer(store, pool).run(upload, 1) == "completed"
    assert (attempt(store, upload).failures, waits) == (0, [1.0, 1.0])


async def test_an_import_that_fails_always_is_parked_with_an_alarm_and_answered(
    store: Store, waits: list[float]
) -> None:
    upload = arrived(store)
    pool = Pool([WorkerDied("killed")] * MANY)
    assert await importer(store, pool).run(upload, 1) == "ended"
    assert len(pool.jobs) == store.settings.limits.import_tries == 5
    done = attempt(store, upload)
    assert (done.status, done.code, done.failures) == ("aborted", "SYSTEM_ERROR", 5)
    assert "can be replayed" in done.message
    assert store.alarms() == ["IMPORT_PARKED"]
    assert results(store) == [[f"{upload}#1"]]
    assert max(waits) <= 30


async def test_an_import_that_processes_die_over_is_parked(store: Store) -> None:
    upload = arrived(store)
    for _ in range(25):
        assert begin(store, upload) is not None
    assert begin(store, upload) is None
    assert attempt(store, upload).status == "aborted"
    assert store.alarms() == ["IMPORT_PARKED"]


async def test_a_replay_that_ends_well_clears_the_alarm_of_a_parked_import(store: Store) -> None:
    upload = arrived(store)
    assert begin(store, upload, patience=Patience(failures=0, starts=1)) is None
    assert store.alarms() == ["IMPORT_PARKED"]
    await importer(store, Pool()).run(upload, replay(store, upload))
    assert store.alarms() == []


def test_an_import_parked_again_has_one_open_alarm(store: Store) -> None:
    upload = arrived(store)
    for number in (1, 2):
        assert begin(store, upload, number, Patience(failures=0, starts=1)) is None
        if number == 1:
            replay(store, upload)
    assert store.alarms() == ["IMPORT_PARKED"]
    assert len(store.all(Alarm)) == 2


def test_an_end_clears_no_alarm_of_another_kind(store: Store) -> None:
    upload = arrived(store)
    store.ledger.write_now(
        lambda session: session.add(
            Alarm(kind="ANSWER_UNDELIVERABLE", subject=upload, message="550", raised_at=store.clock())
        )
    )
    store.finish(upload)
    assert store.alarms() == ["ANSWER_UNDELIVERABLE"]


async def test_a_file_that_takes_too_much_is_rejected_at_once(store: Store) -> None:
    upload = arrived(store)
    fault = Fault(code=Code.RESOURCE_LIMIT, message="too much")
    assert await importer(store, Pool([PermanentError(fault)])).run(upload, 1) == "rejected"
    done = attempt(store, upload)
    assert (done.code, done.message, done.failures) == ("RESOURCE_LIMIT", "too much", 0)
    assert (done.result or {})["total_rows"] is None
    assert results(store) == [[f"{upload}#1"]]


async def test_a_ledger_that_is_busy_is_waited_for(
    store: Store, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = arrived(store)
    real, left = store.ledger.write, [1, 1]

    async def write(*words: Any, **more: Any) -> Any:
        if left:
            left.pop()
            raise LedgerBusy("locked")
        return await real(*words, **more)

    monkeypatch.setattr(store.ledger, "write", write)
    assert await importer(store, Pool()).run(upload, 1) == "completed"
    assert attempt(store, upload).failures == 0
    assert waits == [1.0, 1.0]


async def test_a_lost_original_is_a_failure_not_a_silence(store: Store, waits: list[float]) -> None:
    upload = arrived(store)
    store.blobs.delete(store.get(Upload, upload).blob or "")
    await importer(store, Pool()).run(upload, 1)
    assert attempt(store, upload).status == "aborted"
    assert store.alarms() == ["IMPORT_PARKED"]


def test_an_original_no_longer_kept_aborts(store: Store) -> None:
    upload = arrived(store)

    def let_go(session: Any) -> None:
        session.get_one(Upload, upload).blob = None

    store.ledger.write_now(let_go)
    assert begin(store, upload) is None
    assert (attempt(store, upload).status, attempt(store, upload).message) == (
        "aborted", "Its original is no longer kept.",
    )  # fmt: skip
    assert results(store) == [[f"{upload}#1"]]


async def test_stopping_waits_for_what_runs_and_begins_nothing_new(store: Store) -> None:
    first = arrived(store)
    second = store.deliver(store.ref(), b"other").trace_id
    works = importer(store, Pool())
    await works.run(first, 1)
    await works.stop(5)
    later = asyncio.create_task(works.run(second, 1))
    await asyncio.sleep(0)
    assert not later.done()
    later.cancel()
    assert attempt(store, second).status == "queued"


# Cancelling and replaying.


def cancel(store: Store, upload: str) -> str:
    return store.ledger.write_now(imports.request_cancel, upload, store.clock(), DOMAIN)


def replay(store: Store, upload: str, *, then: bool = False) -> int:
    return store.ledger.write_now(imports.replay, upload, store.clock(), store.queue, with_rule_of_then=then)


async def test_cancelling_one_that_waits_ends_it_with_an_answer(store: Store) -> None:
    upload = arrived(store)
    assert cancel(store, upload) == "aborted"
    assert (attempt(store, upload).status, attempt(store, upload).code) == ("aborted", "SYSTEM_ERROR")
    assert results(store) == [[f"{upload}#1"]]
    pool = Pool()
    assert await importer(store, pool).run(upload, 1) == "ended"
    assert pool.jobs == []
    assert cancel(store, upload) == "ended"


async def test_cancelling_one_that_runs_stops_it_before_its_end(store: Store) -> None:
    upload = arrived(store)
    said: list[str] = []
    pool = Pool(meanwhile=lambda: said.append(cancel(store, upload)))
    assert await importer(store, pool).run(upload, 1) == "aborted"
    assert said == ["requested"]
    assert attempt(store, upload).message == "It was cancelled by an operator."
    assert results(store) == [[f"{upload}#1"]]


async def test_one_cancelled_while_its_process_was_dead_is_not_begun_again(store: Store) -> None:
    upload = arrived(store)
    begin(store, upload)
    assert cancel(store, upload) == "requested"
    assert begin(store, upload) is None
    assert attempt(store, upload).status == "aborted"


async def test_a_replay_is_a_further_attempt_with_a_result_of_its_own(store: Store, pool: ParsePool) -> None:
    upload = arrived(store, conversions(1, bad=1))
    works = importer(store, pool)
    await works.run(upload, 1)
    assert replay(store, upload) == 2
    assert store.queue.jobs == [(upload, 1), (upload, 2)]
    await works.run(upload, 2)
    assert (attempt(store, upload, 2).result or {})["attempt"] == 2
    assert attempt(store, upload, 2).replay
    assert results(store) == [[f"{upload}#1"], [f"{upload}#2"]]
    ids = [answer.message_id for answer in store.all(Answer) if answer.kind == "result"]
    assert ids == [f"<{upload}.result@{DOMAIN}>", f"<{upload}.result.2@{DOMAIN}>"]


@pytest.mark.parametrize(("then", "version", "status"), [(False, 2, "rejected"), (True, 1, "completed_with_errors")])
async def test_a_replay_goes_by_the_rule_of_now_or_of_then(
    store: Store, pool: ParsePool, then: bool, version: int, status: str
) -> None:
    upload = arrived(store, conversions(1, bad=1))
    works = importer(store, pool)
    await works.run(upload, 1)
    store.connect(policy="all_or_nothing")
    assert await works.run(upload, replay(store, upload, then=then)) == status
    assert attempt(store, upload, 2).version == version


async def test_a_duplicate_can_be_replayed(store: Store) -> None:
    arrived(store)
    duplicate = store.deliver(store.ref(), conversions()).trace_id
    assert store.statuses(duplicate) == ["duplicate"]
    assert replay(store, duplicate) == 1
    assert store.statuses(duplicate) == ["import_job_created"]
    assert await importer(store, Pool()).run(duplicate, 1) == "completed"


def test_what_cannot_be_replayed(store: Store) -> None:
    waiting = arrived(store)
    ref = store.ref()
    ignored = store.ignored(ref, Code.NAME_NOT_MATCHED, b"x").trace_id
    lost = store.deliver(ref, store.paper(b"y", blob=None)).trace_id
    for upload, why in [(waiting, "under way"), (ignored, "was not accepted"), (lost, "no longer kept")]:
        with pytest.raises(NotReplayable, match=why):
            replay(store, upload)
    assert len(store.all(Attempt)) == 2


def test_an_order_says_which_bytes_and_which_rule(store: Store) -> None:
    upload = arrived(store, segment="vip")
    order = begin(store, upload)
    assert order is not None
    row = store.get(Upload, upload)
    assert (order.blob, order.sha256, order.file_name) == (row.blob, row.sha256, "Conversions_1.csv")
    assert isinstance(order.rule, Rule)
    assert (order.rule.segment, order.dry_run, order.duplicate_of) == ("vip", False, None)


# Held files.


def release(store: Store, days: int = 30) -> list[str]:
    from datetime import timedelta

    since = store.clock() - timedelta(days=days)
    return store.ledger.write_now(
        imports.release_held,
        store.ref().id,
        store.clock(),
        store.queue,
        duplicates_since=since,
        domain="intake.localhost",
    )


def held(store: Store, *data: bytes, **more: Any) -> str:
    from models.states import ConnectionState

    paused = store.set_state(store.ref(), ConnectionState.PAUSED)
    assert paused is not None
    trace_id = store.ignored(paused, Code.CONNECTION_PAUSED, *data, **more).trace_id
    store.set_state(paused, ConnectionState.ACTIVE)
    return trace_id


async def test_what_was_held_is_imported_oldest_first(store: Store) -> None:
    store.connect()
    first = held(store, b"A", b"B")
    store.clock.forward(minutes=1)
    second = held(store, b"C")
    assert release(store) == [f"{first}.1", f"{first}.2", second]
    assert [upload for upload, _ in store.queue.jobs] == [f"{first}.1", f"{first}.2", second]
    assert store.get(Delivery, first).verdict == "accepted"
    moves = [(e.before, e.after) for e in store.all(Event) if e.subject == first]
    assert moves == [(None, "ignored"), ("ignored", "accepted")]
    await importer(store, Pool()).run(second, 1)
    assert results(store) == [[f"{second}#1"]]
    assert release(store) == []


HELD = [
    ("reject", {}, "duplicate", "duplicate"),
    ("warn", {}, "import_job_created", "accepted"),
    ("accept", {}, "import_job_created", "accepted"),
    ("reject", {"dry_run": True}, "import_job_created", "accepted"),
]


@pytest.mark.parametrize(("policy", "more", "status", "verdict"), HELD)
def test_what_was_held_and_came_before(
    store: Store, policy: str, more: dict[str, Any], status: str, verdict: str
) -> None:
    ref = store.connect(duplicates=policy)
    first = store.deliver(ref, b"A").trace_id
    again = held(store, b"A", **more)
    release(store)
    upload, delivery = store.get(Upload, again), store.get(Delivery, again)
    assert (upload.status, delivery.verdict) == (status, verdict)
    named = None if policy == "accept" or more else first
    assert upload.duplicate_of == named
    assert delivery.duplicate_of == (first if verdict == "duplicate" else None)


def test_two_equal_files_that_were_held_are_imported_once(store: Store) -> None:
    store.connect()
    one, two = held(store, b"A"), held(store, b"A", b"B")
    assert release(store) == [one, f"{two}.2"]
    assert store.statuses(two) == ["duplicate", "import_job_created"]
    assert store.get(Delivery, two).verdict == "accepted"

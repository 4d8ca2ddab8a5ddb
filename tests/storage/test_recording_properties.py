"""After any sequence of deliveries and what follows them, the ledger keeps its promises."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.codes import Code
from models.states import (
    COUNTS_AS_FIRST,
    ENDED,
    IMPORT_MOVES,
    UPLOAD_MOVES,
    ConnectionState,
    ImportStatus,
    UploadStatus,
    Verdict,
)
from models.tables import Answer, Attempt, Delivery, Event, Upload
from models.trace import is_trace_id, upload_id
from storage.ledger import imports
from storage.ledger.recording import NewDelivery, Recorded
from tests.storage.support import DOMAIN, Store, open_store

LONG_AGO = timedelta(days=30)
MAILS = st.fixed_dictionaries({
    "files": st.lists(st.sampled_from([b"A", b"B", b"C"]), max_size=3),
    "to": st.sampled_from([("one",), ("other",), ("one", "other")]),
    "message_id": st.sampled_from(["", "<1@x>", "<2@x>"]),
    "dry_run": st.sampled_from([False, False, False, True]),
    "outcome": st.sampled_from(
        [(Verdict.ACCEPTED, None)] * 4
        + [(Verdict.IGNORED, Code.NAME_NOT_MATCHED), (Verdict.IGNORED, Code.LOOP), (Verdict.REJECTED, Code.ENCRYPTED)]
    ),
})  # fmt: skip
STEPS = st.lists(
    st.one_of(
        MAILS,
        MAILS,
        st.tuples(st.just("end"), st.sampled_from([*ENDED]), st.booleans()),
        st.tuples(st.just("cancel")),
        st.tuples(st.just("replay"), st.booleans()),
        st.tuples(st.just("pause"), st.sampled_from(["one", "other"])),
        st.tuples(st.just("resume"), st.sampled_from(["one", "other"])),
        st.tuples(st.just("wait"), st.sampled_from([1, 20, 31])),
    ),
    max_size=14,
)


@dataclass
class Seen:
    """A second, slower opinion on rules 8 and 9, and what each mail was."""

    files: dict[str, int] = field(default_factory=dict)
    receipts: dict[str, bool] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def any_store(template: Path) -> Iterator[Store]:
    with TemporaryDirectory() as folder, open_store(Path(folder), template) as store:
        yield store


def firsts(store: Store, since: datetime) -> set[tuple[int, str]]:
    """Give the contents that count as brought before, by reading rule 8 aloud."""
    dry = {delivery.trace_id for delivery in store.all(Delivery) if delivery.dry_run}
    last: dict[str, Attempt] = {}
    for attempt in sorted(store.all(Attempt), key=lambda a: a.number):
        if not attempt.replay:
            last[attempt.upload_id] = attempt
    return {
        (upload.connection_id, upload.sha256)
        for upload in store.all(Upload)
        if upload.id in last and upload.trace_id not in dry and upload.received_at >= since
        if ImportStatus(last[upload.id].status) in COUNTS_AS_FIRST and not last[upload.id].no_rows
    }


def mail(store: Store, step: dict[str, Any], seen: Seen) -> None:
    verdict, code = step["outcome"]
    if verdict is Verdict.IGNORED and not step["files"]:
        code = Code.NO_ATTACHMENT
    refs = [store.ref(name) for name in step["to"]]
    news: list[NewDelivery] = []
    for ref in refs:
        paused = ref.state is ConnectionState.PAUSED and verdict is Verdict.ACCEPTED
        files = [store.paper(data, f"{place}.csv") for place, data in enumerate(step["files"] or [b"D"])]
        if verdict is not Verdict.ACCEPTED and not step["files"]:
            files = []
        news.append(
            store.judged(
                ref, *files, message_id=step["message_id"], dry_run=step["dry_run"],
                verdict=Verdict.IGNORED if paused else verdict, code=Code.CONNECTION_PAUSED if paused else code,
            )
        )  # fmt: skip
    before = firsts(store, store.clock() - LONG_AGO)
    outcomes = store.record(*news)
    behind_250 = any(outcome.verdict is not Verdict.REJECTED for outcome in outcomes)
    for new, outcome in zip(news, outcomes, strict=True):
        note(store, new, outcome, before, seen, behind_250=behind_250)


def note(
    store: Store, new: NewDelivery, outcome: Recorded, before: set[tuple[int, str]], seen: Seen, *,
    behind_250: bool,
) -> None:  # fmt: skip
    if outcome.seen_again:
        return
    trace = outcome.trace_id
    seen.files[trace] = len(new.files)
    match new.verdict:
        case Verdict.IGNORED:
            seen.receipts[trace] = new.code in {Code.NAME_NOT_MATCHED, Code.NO_ATTACHMENT, Code.CONNECTION_PAUSED}
        case Verdict.REJECTED:
            seen.receipts[trace] = behind_250
        case _:
            seen.receipts[trace] = True
    if new.verdict is not Verdict.ACCEPTED:
        return
    known = {digest for connection, digest in before if connection == new.connection_id}
    expected = []
    for file in new.files:
        duplicate = file.sha256 in known and not new.dry_run
        expected.append("duplicate" if duplicate else "import_job_created")
        known.add(file.sha256)
    if store.statuses(trace) != expected:
        seen.wrong.append(f"{trace}: {store.statuses(trace)} instead of {expected}")
    if (outcome.verdict is Verdict.DUPLICATE) != (set(expected) == {"duplicate"}):
        seen.wrong.append(f"{trace} is {outcome.verdict}")


def step_on(store: Store, step: tuple[Any, ...]) -> None:
    waiting = [a for a in store.all(Attempt) if a.status not in ENDED]
    match step:
        case ("end", status, no_rows) if waiting:
            one = waiting[0]
            store.finish(one.upload_id, status, number=one.number, no_rows=no_rows)
        case ("cancel",) if waiting:
            store.ledger.write_now(imports.request_cancel, waiting[-1].upload_id, store.clock(), DOMAIN)
        case ("replay", then):
            for upload in store.all(Upload)[-1:]:
                try:
                    store.ledger.write_now(
                        imports.replay, upload.id, store.clock(), store.queue, with_rule_of_then=then
                    )
                except imports.NotReplayable:
                    continue
        case ("pause", name):
            store.set_state(store.ref(name), ConnectionState.PAUSED)
        case ("resume", name):
            ref = store.ref(name)
            store.set_state(ref, ConnectionState.ACTIVE)
            since = store.clock() - LONG_AGO
            store.ledger.write_now(
                imports.release_held,
                ref.id,
                store.clock(),
                store.queue,
                duplicates_since=since,
                domain="intake.localhost",
            )
        case ("wait", days):
            store.clock.forward(days=days)
        case _:
            pass


def check_files(store: Store, seen: Seen) -> None:
    by_trace: dict[str, list[Upload]] = {}
    for upload in store.all(Upload):
        by_trace.setdefault(upload.trace_id, []).append(upload)
    assert {d.trace_id for d in store.all(Delivery)} == set(seen.files)
    for trace, count in seen.files.items():
        assert is_trace_id(trace)
        found = sorted(by_trace.get(trace, []), key=lambda u: u.part)
        assert [u.id for u in found] == [upload_id(trace, part, count) for part in range(1, count + 1)]


def check_attempts(store: Store) -> None:
    attempts = store.all(Attempt)
    firsts = Counter(a.upload_id for a in attempts if a.number == 1)
    created = [u.id for u in store.all(Upload) if u.status == UploadStatus.IMPORT_JOB_CREATED]
    assert firsts == Counter(created)  # one each, and none for any other upload
    assert Counter(store.queue.jobs) == Counter((a.upload_id, a.number) for a in attempts)
    for upload in created:
        numbers = sorted(a.number for a in attempts if a.upload_id == upload)
        assert numbers == list(range(1, len(numbers) + 1))
        assert sum(a.status not in ENDED for a in attempts if a.upload_id == upload) <= 1


def check_events(store: Store) -> None:
    """Every state was reached by moves of the tables, each with its event."""
    moves: dict[str, list[tuple[str | None, str]]] = {}
    for event in store.all(Event):
        moves.setdefault(event.subject, []).append((event.before, event.after))
    for attempt in store.all(Attempt):
        check_chain(moves[f"{attempt.upload_id}#{attempt.number}"], attempt.status, IMPORT_MOVES)
    for upload in store.all(Upload):
        if upload.id != upload.trace_id:
            check_chain(moves[upload.id], upload.status, UPLOAD_MOVES)
        else:  # a delivery of one file goes by the same name, so the two stories are mixed
            assert upload.status in {after for _, after in moves[upload.id]}
    for delivery in store.all(Delivery):
        assert delivery.verdict in {after for _, after in moves[delivery.trace_id]}


def check_chain(moves: list[tuple[str | None, str]], now: str, table: Any) -> None:
    at = None
    for before, after in moves:
        assert before == at
        assert after in table[at]
        at = after
    assert at == now


def check_answers(store: Store, seen: Seen) -> None:
    answers = store.all(Answer)
    receipts = Counter(a.trace_id for a in answers if a.kind == "receipt" and a.sequence == 1)
    assert receipts == Counter(trace for trace, owed in seen.receipts.items() if owed)
    again = Counter(a.trace_id for a in answers if a.kind == "receipt" and a.sequence > 1)
    released = {e.trace_id for e in store.all(Event) if e.subject == e.trace_id and e.why == "released after a pause"}
    assert again == Counter(released)  # told of the pause before, and now of what became of it
    told = Counter(name for a in answers if a.kind == "result" for name in a.uploads)
    assert all(count == 1 for count in told.values())
    last = {a.upload_id: a for a in sorted(store.all(Attempt), key=lambda a: a.number)}
    waiting = {upload.partition(".")[0] for upload, attempt in last.items() if attempt.status not in ENDED}
    for upload, attempt in last.items():
        if upload.partition(".")[0] not in waiting:
            assert told[f"{upload}#{attempt.number}"] == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_ledger_keeps_its_promises(template: Path, steps: list[Any]) -> None:
    seen = Seen()
    with any_store(template) as store:
        store.connect("one")
        store.connect("other")
        for step in steps:
            store.clock.forward(minutes=1)
            if isinstance(step, dict):
                mail(store, step, seen)
            else:
                step_on(store, step)
        assert seen.wrong == []
        check_files(store, seen)
        check_attempts(store)
        check_events(store)
        check_answers(store, seen)

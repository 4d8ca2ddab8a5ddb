"""Recording arrivals: what is the same delivery (product rule 9), what is a duplicate (rule 8), who is owed what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from models.codes import Code
from models.states import ConnectionState, ImportStatus, Verdict
from models.tables import Answer, Attempt, Connection, Delivery, Event, Upload
from models.trace import is_trace_id
from storage.ledger.imports import replay, request_cancel
from storage.ledger.recording import RuleChanged
from tests.storage.support import BACK, DOMAIN, Store

NOT_TAKEN: dict[str, Code] = {"NAME": Code.NAME_NOT_MATCHED, "SENDER": Code.SENDER_NOT_ALLOWED}


@dataclass(frozen=True, kw_only=True)
class Came:
    """One mail of a sequence, what is expected of it, and what becomes of its imports afterwards."""

    files: str  #: one letter a file
    is_now: str  #: verdict, with "again" before it when it was seen before; then the status of each file
    id: str = ""
    days: float = 0  #: since the one before
    ignored: str = ""
    then: str = ""  #: how its imports end; empty: they wait
    dry_run: bool = False
    segment: str = ""


def came(files: str, is_now: str, **more: Any) -> Came:
    return Came(files=files, is_now=is_now, **more)


NEW, DUP = "accepted: created", "duplicate: duplicate"
SEQUENCES: dict[str, list[Came]] = {
    "the same mail again": [came("A", NEW, id="1"), came("A", "again duplicate", id="1")],
    "the same mail a third time": [
        came("A", NEW, id="1"), came("A", "again duplicate", id="1"), came("A", "again duplicate", id="1"),
    ],
    "the same mail again after its import failed": [
        came("A", NEW, id="1", then="rejected"), came("A", "again duplicate", id="1"),
    ],
    "the same mail again after a year": [came("A", NEW, id="1"), came("A", "again duplicate", id="1", days=365)],
    "the same Message-ID with other content": [came("A", NEW, id="1"), came("B", NEW, id="1")],
    "the same Message-ID with one file more": [
        came("A", NEW, id="1"), came("AB", "accepted: duplicate created", id="1"),
    ],
    "the same files in another order": [came("AB", "accepted: created created", id="1"),
                                        came("BA", "again duplicate", id="1")],
    "the same content in another mail": [came("A", NEW, id="1"), came("A", DUP, id="2")],
    "the duplicate itself again": [
        came("A", NEW, id="1"), came("A", DUP, id="2"), came("A", "again duplicate", id="2"),
    ],
    "some files are new": [
        came("A", NEW), came("AB", "accepted: duplicate created"), came("AB", "duplicate: duplicate duplicate"),
    ],
    "two equal files in one mail": [came("AA", "accepted: created duplicate")],
    "three equal files, and another": [came("ABAA", "accepted: created created duplicate duplicate")],
    "two equal files that came before": [came("A", NEW), came("AA", "duplicate: duplicate duplicate")],
    "no file at all": [came("", "ignored:", ignored="NAME")],
    "an import under way counts": [came("A", NEW, then="in_progress"), came("A", DUP)],
    "a completed import counts": [came("A", NEW, then="completed"), came("A", DUP)],
    "one with errors counts": [came("A", NEW, then="completed_with_errors"), came("A", DUP)],
    "a rejected import never counts": [came("A", NEW, then="rejected"), came("A", NEW)],
    "an aborted import never counts": [came("A", NEW, then="aborted"), came("A", NEW)],
    "a cancelled import never counts": [came("A", NEW, then="cancelled"), came("A", NEW)],
    "a header without rows never counts": [came("A", NEW, then="no_rows"), came("A", NEW), came("A", DUP)],
    "a dry run never counts": [came("A", NEW, dry_run=True, then="completed"), came("A", NEW)],
    "a dry run is never a duplicate": [came("A", NEW), came("A", NEW, dry_run=True), came("A", NEW, dry_run=True)],
    "a dry run is another delivery than the same mail": [came("A", NEW, id="1", dry_run=True), came("A", NEW, id="1")],
    "a replay never counts": [came("A", NEW, then="rejected replayed completed"), came("A", NEW)],
    "a first that was replayed counts still": [came("A", NEW, then="completed replayed rejected"), came("A", DUP)],
    "a duplicate does not count": [
        came("A", NEW, then="completed"), came("A", DUP, days=20), came("A", NEW, days=11),
    ],
    "within thirty days": [came("A", NEW), came("A", DUP, days=29.9)],
    "on the thirtieth day": [came("A", NEW), came("A", DUP, days=29.9999)],
    "after thirty days": [came("A", NEW), came("A", NEW, days=30.1)],
    "another segment": [came("A", NEW, segment="vip"), came("A", NEW, segment="all"), came("A", DUP, segment="vip")],
    "ignored twice is one": [
        came("A", "ignored: ignored", id="1", ignored="NAME"), came("A", "again ignored", id="1", ignored="NAME"),
    ],
    "ignored, then accepted": [
        came("A", "ignored: ignored", id="1", ignored="NAME"), came("A", NEW, id="1"),
        came("A", "again duplicate", id="1"),
    ],
    "ignored, then ignored for another reason": [
        came("A", "ignored: ignored", id="1", ignored="NAME"), came("A", "ignored: ignored", id="1", ignored="SENDER"),
        came("A", "again ignored", id="1", ignored="SENDER"),
    ],
    "accepted, then it would be ignored": [
        came("A", NEW, id="1"), came("A", "again duplicate", id="1", ignored="NAME"),
    ],
    "ignored content does not count": [came("A", "ignored: ignored", ignored="NAME"), came("A", NEW)],
    "rejected content does not count": [came("A", "rejected: failed", ignored="REJECTED"), came("A", NEW)],
    "rejected twice is two": [
        came("A", "rejected: failed", id="1", ignored="REJECTED"),
        came("A", "rejected: failed", id="1", ignored="REJECTED"), came("A", NEW, id="1"),
    ],
}  # fmt: skip

_SHORT = {"import_job_created": "created", "upload_failed": "failed"}


def play(store: Store, ref: Any, mail: Came) -> str:
    store.clock.forward(days=mail.days, seconds=1)
    more: dict[str, Any] = {"message_id": f"<{mail.id}@acme.example>" if mail.id else "", "dry_run": mail.dry_run}
    if mail.ignored == "REJECTED":
        more.update(verdict=Verdict.REJECTED, code=Code.ATTACHMENT_DAMAGED)
    elif mail.ignored:
        more.update(verdict=Verdict.IGNORED, code=NOT_TAKEN[mail.ignored])
    files = [store.paper(letter.encode(), f"{place}.csv") for place, letter in enumerate(mail.files)]
    outcome = store.deliver(ref, *files, **more)
    if outcome.seen_again:
        return f"again {outcome.verdict}"
    for upload in [u for u in store.all(Upload) if u.trace_id == outcome.trace_id]:
        end(store, upload, mail.then)
    statuses = [_SHORT.get(status, status) for status in store.statuses(outcome.trace_id)]
    return f"{outcome.verdict}: {' '.join(statuses)}".strip()


def end(store: Store, upload: Upload, how: str) -> None:
    """Bring an upload's attempts to what the words say, one attempt after the other."""
    if upload.status != "import_job_created":
        return
    number = 1
    for word in how.split():
        if word == "replayed":
            number = store.ledger.write_now(replay, upload.id, store.clock(), store.queue, with_rule_of_then=True)
        elif word == "cancelled":
            store.ledger.write_now(request_cancel, upload.id, store.clock(), DOMAIN)
        elif word == "no_rows":
            store.finish(upload.id, number=number, no_rows=True)
        elif word == "in_progress":
            store.ledger.write_now(_begin, upload.id, number, store)
        else:
            store.finish(upload.id, ImportStatus(word), number=number)


def _begin(session: Any, upload: str, number: int, store: Store) -> None:
    from storage.ledger.imports import Patience, begin

    begin(session, upload, number, store.clock(), Patience(failures=5, starts=25), DOMAIN)


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence(store: Store, name: str) -> None:
    store.connect()
    for number, mail in enumerate(SEQUENCES[name], 1):
        if store.ref().rule.segment != mail.segment:
            store.connect(segment=mail.segment)
        assert play(store, store.ref(), mail) == mail.is_now, f"mail {number}"


@pytest.mark.parametrize(
    ("policy", "again"),
    [("reject", "duplicate: duplicate"), ("warn", "accepted: created"), ("accept", "accepted: created")],
)
def test_duplicates_by_policy(store: Store, policy: str, again: str) -> None:
    ref = store.connect(duplicates=policy)
    first = store.deliver(ref, b"A")
    assert play(store, ref, came("A", again)) == again
    upload = next(u for u in store.all(Upload) if u.trace_id != first.trace_id)
    assert upload.duplicate_of == (None if policy == "accept" else first.trace_id)
    assert upload.code == ("DUPLICATE_FILE" if policy == "reject" else None)


def test_the_first_is_named(store: Store) -> None:
    ref = store.connect()
    first = store.deliver(ref, b"A")
    second = store.deliver(ref, b"A")
    mixed = store.deliver(ref, b"A", b"B")
    delivery = store.get(Delivery, second.trace_id)
    assert (delivery.verdict, delivery.code, delivery.duplicate_of) == ("duplicate", "DUPLICATE_FILE", first.trace_id)
    assert first.trace_id in delivery.message
    assert store.get(Delivery, mixed.trace_id).duplicate_of is None
    named = store.get(Upload, f"{mixed.trace_id}.1")
    assert (named.code, named.duplicate_of) == ("DUPLICATE_FILE", first.trace_id)
    fresh = store.get(Upload, f"{mixed.trace_id}.2")
    assert (fresh.code, fresh.duplicate_of) == (None, None)


def test_the_same_again_is_told_with_the_first_trace_id_and_leaves_an_event(store: Store) -> None:
    ref = store.connect()
    first = store.deliver(ref, b"A", message_id="<1@x>")
    again = store.deliver(ref, b"A", message_id="<1@x>", peer="198.51.100.7")
    assert (again.trace_id, again.verdict, again.seen_again) == (first.trace_id, Verdict.DUPLICATE, True)
    assert len(store.all(Delivery)) == len(store.all(Upload)) == len(store.queue.jobs) == 1
    event = store.all(Event)[-1]
    assert "ALREADY_SEEN" in event.why
    assert "198.51.100.7" in event.why
    assert store.owed(first.trace_id) == [("receipt", 1)]


def test_two_connections_know_nothing_of_each_other(store: Store) -> None:
    one, other = store.connect("one"), store.connect("other")
    mail = [store.judged(ref, store.paper(b"A"), message_id="<1@x>") for ref in (one, other)]
    outcomes = store.record(*mail)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ACCEPTED] * 2
    assert len({outcome.trace_id for outcome in outcomes}) == 2
    again = store.record(*mail)
    assert [(a.trace_id, a.seen_again) for a in again] == [(o.trace_id, True) for o in outcomes]


def test_the_name_of_an_upload(store: Store) -> None:
    ref = store.connect()
    one = store.deliver(ref, b"A").trace_id
    three = store.deliver(ref, b"B", b"C", b"D").trace_id
    assert is_trace_id(one)
    assert [upload.id for upload in store.all(Upload)] == [one, f"{three}.1", f"{three}.2", f"{three}.3"]


def test_the_order_of_imports_is_the_order_of_arrival(store: Store) -> None:
    ref = store.connect()
    for data in (b"A", b"B", b"C"):
        store.deliver(ref, data, data + b"2")
    assert store.queue.sequences == [1, 2, 3, 4, 5, 6]
    assert store.all(Connection)[0].sequence == 6


def test_an_arrival_is_recorded_whole_or_not_at_all(store: Store) -> None:
    one, other = store.connect("one"), store.connect("other")
    stale = store.judged(other, b"A")
    store.connect("other", pattern="other*")
    with pytest.raises(RuleChanged):
        store.record(store.judged(one, b"A"), stale)
    assert store.all(Delivery) == store.all(Upload) == store.all(Attempt) == store.all(Answer) == store.all(Event) == []
    assert store.queue.jobs == []


CHANGES: dict[str, Callable[[Store], object]] = {
    "a new version": lambda store: store.connect(pattern="New_*"),
    "paused": lambda store: store.set_state(store.ref(), ConnectionState.PAUSED),
    "deleted": lambda store: store.set_state(store.ref(), ConnectionState.DELETED),
    "deleted and made again": lambda store: (store.set_state(store.ref(), ConnectionState.DELETED), store.connect()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_connection_is_judged_again(store: Store, name: str) -> None:
    judged = store.judged(store.connect(), b"A")
    CHANGES[name](store)
    with pytest.raises(RuleChanged):
        store.record(judged)
    assert store.all(Delivery) == []


def test_a_connection_resumed_meanwhile_is_judged_again(store: Store) -> None:
    paused = store.set_state(store.connect(), ConnectionState.PAUSED)
    assert paused is not None
    judged = store.judged(paused, b"A", verdict=Verdict.IGNORED, code=Code.CONNECTION_PAUSED)
    store.set_state(paused, ConnectionState.ACTIVE)
    with pytest.raises(RuleChanged):
        store.record(judged)


def test_an_apply_that_changes_nothing_makes_no_judgement_stale(store: Store) -> None:
    judged = store.judged(store.connect(), b"A")
    store.connect()
    assert store.record(judged)[0].verdict is Verdict.ACCEPTED


def test_a_paused_connection_holds(store: Store) -> None:
    paused = store.set_state(store.connect(), ConnectionState.PAUSED)
    assert paused is not None
    held = store.ignored(paused, Code.CONNECTION_PAUSED, b"A", b"B")
    assert store.statuses(held.trace_id) == ["held", "held"]
    assert store.queue.jobs == []
    assert store.owed(held.trace_id) == [("receipt", 1)]


# Who is answered (formats.md): a receipt, or nothing.
ANSWERED: dict[str, tuple[dict[str, Any], bool]] = {
    "accepted": ({}, True),
    **{
        f"ignored {code}": (
            {"verdict": Verdict.IGNORED, "code": code},
            code in {Code.NAME_NOT_MATCHED, Code.NO_ATTACHMENT, Code.CONNECTION_PAUSED},
        )
        for code in (
            Code.NAME_NOT_MATCHED, Code.NO_ATTACHMENT, Code.CONNECTION_PAUSED, Code.RESERVED_PREFIX,
            Code.AUTO_SUBMITTED, Code.BOUNCE, Code.LOOP, Code.SENDER_NOT_ALLOWED, Code.NOT_AUTHENTIC,
        )
    },
    "rejected on the spot": ({"verdict": Verdict.REJECTED, "code": Code.MESSAGE_AMBIGUOUS}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERED)
@pytest.mark.parametrize("back", [BACK, ""])
@pytest.mark.parametrize("notify", [True, False])
def test_who_is_owed_a_receipt(store: Store, name: str, back: str, notify: bool) -> None:
    more, answered = ANSWERED[name]
    ref = store.connect(back=back, notify_ignored=notify)
    outcome = store.deliver(ref, b"A", **more)
    expected = answered and bool(back) and (notify or more.get("verdict") is not Verdict.IGNORED)
    assert store.owed(outcome.trace_id) == ([("receipt", 1)] if expected else [])
    assert [answer.to_address for answer in store.all(Answer)] == ([back] if expected else [])


def test_a_duplicate_by_content_is_owed_a_receipt(store: Store) -> None:
    ref = store.connect(notify_ignored=False)
    store.deliver(ref, b"A")
    assert store.owed(store.deliver(ref, b"A").trace_id) == [("receipt", 1)]


@pytest.mark.parametrize(
    ("beside", "behind"),
    [
        ({}, True),
        ({"verdict": Verdict.IGNORED, "code": Code.SENDER_NOT_ALLOWED}, True),
        ({"verdict": Verdict.REJECTED, "code": Code.ENCRYPTED}, False),
    ],
)
def test_one_rejected_behind_a_250_is_told_by_a_receipt(store: Store, beside: dict[str, Any], behind: bool) -> None:
    one, other = store.connect("one"), store.connect("other")
    rejected = store.judged(one, verdict=Verdict.REJECTED, code=Code.MESSAGE_LIMIT)
    outcomes = store.record(rejected, store.judged(other, b"A", **beside))
    assert store.owed(outcomes[0].trace_id) == ([("receipt", 1)] if behind else [])


def test_a_connection_without_a_credential_answers_nobody(store: Store) -> None:
    ref = store.connect(credential="")
    assert store.owed(store.deliver(ref, b"A").trace_id) == []


def test_an_answer_keeps_its_message_id(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    store.finish(trace_id)
    found = [(answer.message_id, answer.state, answer.uploads) for answer in store.all(Answer)]
    assert found == [
        (f"<{trace_id}.receipt@{DOMAIN}>", "waiting", []),
        (f"<{trace_id}.result@{DOMAIN}>", "waiting", [f"{trace_id}#1"]),
    ]

"""The post: everything that is owed goes out, once; what cannot go now goes later, and nothing holds up the rest."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from imports.post import retry_delay
from models.codes import Code
from models.faults import Fault, PermanentError, TemporaryError
from models.tables import Alarm, Answer, Event
from storage.ledger import LedgerBusy, answers
from tests.imports.support import Courier, Pool, body, emptied, files, importer, post, shown
from tests.storage.support import BACK, DOMAIN, START, Store

REFUSED = PermanentError(Fault(code=Code.SYSTEM_ERROR, message="550 5.1.1 no such user"))
LATER = TemporaryError("421 try later")


def limit(store: Store, **more: Any) -> None:
    object.__setattr__(store.settings, "limits", store.settings.limits.model_copy(update=more))


def states(store: Store) -> list[str]:
    return [answer.state for answer in store.all(Answer)]


def alarms(store: Store, kind: str) -> list[tuple[str, bool]]:
    """Give the alarms of a kind: what each is about, and whether it is open."""
    return [(alarm.subject, alarm.cleared_at is None) for alarm in store.all(Alarm) if alarm.kind == kind]


async def test_an_answer_goes_out_once(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    courier = Courier()
    assert await emptied(post(store, courier)) == 1
    assert await emptied(post(store, courier)) == 0
    assert shown(courier.mails) == ["[Receipt] a.csv"]
    (answer,) = store.all(Answer)
    assert (answer.state, answer.sent_at, answer.error) == ("sent", START, "")
    event = store.all(Event)[-1]
    assert (event.subject, event.before, event.after) == (f"{trace_id}:receipt:1", "waiting", "sent")


async def test_a_receipt_goes_out_before_anything_is_imported(store: Store) -> None:
    store.deliver(store.connect(), b"A")
    courier = Courier()
    await emptied(post(store, courier))
    assert [reply.kind for reply in courier.replies] == ["receipt"]


def test_the_waits_between_tries() -> None:
    minutes = [retry_delay(tries) / timedelta(minutes=1) for tries in range(9)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_what_cannot_go_now_is_tried_again_at_its_time(store: Store) -> None:
    store.deliver(store.connect(), b"A")
    courier = Courier(refusals=[LATER, LATER])
    works = post(store, courier)
    for tries, minutes in ((1, 1), (2, 2)):
        assert await works.work_once() == 1
        (answer,) = store.all(Answer)
        assert (answer.state, answer.tries, answer.error) == ("waiting", tries, "421 try later")
        assert answer.next_at == store.clock() + timedelta(minutes=minutes)
        store.clock.forward(minutes=minutes, seconds=-1)
        assert await works.work_once() == 0
        store.clock.forward(seconds=1)
    assert await works.work_once() == 1
    assert states(store) == ["sent"]
    assert store.all(Answer)[0].error == ""


async def test_an_answer_is_given_up_after_a_day_with_event_and_alarm(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    courier = Courier(refusals=[LATER] * 1000)
    works = post(store, courier)
    tries = 0
    while states(store) == ["waiting"]:
        tries += await works.work_once()
        store.clock.forward(minutes=10)
    assert START + timedelta(days=1) < store.clock() < START + timedelta(days=1, hours=2)
    assert 20 < tries < 60
    assert states(store) == ["undeliverable"]
    assert "given up after a day: 421 try later" in store.all(Event)[-1].why
    assert alarms(store, "ANSWER_UNDELIVERABLE") == [(trace_id, True)]


async def test_a_refusal_for_good_is_told_by_event_and_alarm(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    await emptied(post(store, Courier(refusals=[REFUSED])))
    assert states(store) == ["undeliverable"]
    event = store.all(Event)[-1]
    assert event.after == "undeliverable"
    assert "no such user" in event.why
    assert alarms(store, "ANSWER_UNDELIVERABLE") == [(trace_id, True)]


async def test_receipt_and_result_refused_raise_one_alarm_and_a_resend_clears_it(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    courier = Courier(refusals=[REFUSED])
    works = post(store, courier)
    await emptied(works)
    await importer(store, Pool()).run(trace_id, 1)
    assert alarms(store, "ANSWER_UNDELIVERABLE") == [(trace_id, True)]  # an import that ended clears it not
    courier.refusals.append(REFUSED)
    await emptied(works)
    assert alarms(store, "ANSWER_UNDELIVERABLE") == [(trace_id, True)]
    assert store.ledger.write_now(answers.resend, trace_id, store.clock(), DOMAIN) == 2
    assert alarms(store, "ANSWER_UNDELIVERABLE") == [(trace_id, True)]
    await emptied(works)
    assert alarms(store, "ANSWER_UNDELIVERABLE") == [(trace_id, False)]
    assert sorted(shown(courier.mails)) == ["[Receipt] a.csv", "[Result: completed] a.csv"]
    ids = [answer.message_id for answer in store.all(Answer)]
    assert len(set(ids)) == 4


async def test_a_resend_refused_again_leaves_the_alarm(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"A").trace_id
    courier = Courier(refusals=[REFUSED, REFUSED])
    await emptied(post(store, courier))
    store.ledger.write_now(answers.resend, trace_id, store.clock(), DOMAIN)
    await emptied(post(store, courier))
    assert alarms(store, "ANSWER_UNDELIVERABLE") == [(trace_id, True)]


def test_nothing_is_resent_where_nothing_was_owed(store: Store) -> None:
    silent = store.deliver(store.connect("silent", back=""), b"A").trace_id
    bounce = store.ignored(store.connect(), Code.BOUNCE).trace_id
    for trace_id in (silent, bounce):
        assert store.ledger.write_now(answers.resend, trace_id, store.clock(), DOMAIN) == 0


@pytest.mark.parametrize("fault", [RuntimeError("a fault of ours"), LATER, REFUSED])
async def test_one_bad_answer_holds_up_no_other(store: Store, fault: Exception) -> None:
    ref = store.connect()
    for data in (b"A", b"B", b"C"):
        store.deliver(ref, data)
    courier = Courier(refusals=[None, fault])
    await emptied(post(store, courier))
    assert states(store).count("sent") == 2
    assert len(courier.replies) == 2


async def test_a_lost_errors_file_holds_up_no_other_answer(store: Store) -> None:
    from models.states import ImportStatus

    ref = store.connect()
    bad, good = (store.deliver(ref, data).trace_id for data in (b"A", b"B"))
    lost = store.keep(b"errors")
    store.blobs.delete(lost)
    store.finish(bad, ImportStatus.COMPLETED_WITH_ERRORS, errors_blob=lost)
    store.finish(good)
    courier = Courier()
    await emptied(post(store, courier))
    assert sorted(reply.trace_id for reply in courier.replies if reply.kind == "result") == [good]
    waiting = [answer for answer in store.all(Answer) if answer.state == "waiting"]
    assert [(answer.trace_id, answer.tries) for answer in waiting] == [(bad, 1)]


# At most so many answers an hour to one address.


async def test_more_than_the_hourly_share_waits_and_goes_out_as_one_digest(store: Store) -> None:
    limit(store, answers_per_hour=3)
    ref = store.connect()
    trace_ids = [store.deliver(ref, store.file(bytes([n]), f"{n}.csv")).trace_id for n in range(7)]
    courier = Courier()
    works = post(store, courier)
    assert await emptied(works) == 3
    assert sorted(shown(courier.take())) == ["[Receipt] 0.csv", "[Receipt] 1.csv", "[Receipt] 2.csv"]
    assert alarms(store, "ANSWERS_DELAYED") == [(BACK, True)]
    store.clock.forward(minutes=59)
    assert await works.work_once() == 0
    store.clock.forward(minutes=1)
    assert await works.work_once() == 1
    (digest,) = courier.take()
    assert digest["Subject"] == "[Digest] 4 answers"
    assert list(files(digest)) == [f"receipt_{n}.csv.txt" for n in range(3, 7)]
    assert all(f"[Receipt] {n}.csv" in body(digest) for n in range(3, 7))
    assert "In-Reply-To" not in digest
    assert digest["Auto-Submitted"] == "auto-replied"
    assert states(store) == ["sent"] * 7
    assert alarms(store, "ANSWERS_DELAYED") == [(BACK, False)]
    assert len(trace_ids) == len(store.all(Answer))
    assert await works.work_once() == 0


async def test_a_digest_counts_as_one_mail_of_the_hour(store: Store) -> None:
    limit(store, answers_per_hour=2)
    ref = store.connect()
    works = post(store, courier := Courier())
    for n in range(5):
        store.deliver(ref, bytes([n]))
    await emptied(works)
    store.clock.forward(hours=1)
    await emptied(works)
    assert [reply.kind for reply in courier.replies] == ["receipt", "receipt", "digest"]
    store.deliver(ref, b"x")
    await emptied(works)
    assert [reply.kind for reply in courier.replies][3:] == ["receipt"]


async def test_a_digest_that_cannot_go_is_kept_whole(store: Store) -> None:
    limit(store, answers_per_hour=1)
    ref = store.connect()
    for n in range(3):
        store.deliver(ref, bytes([n]))
    courier = Courier(refusals=[None, LATER])
    works = post(store, courier)
    await emptied(works)
    store.clock.forward(hours=1)
    await works.work_once()
    assert states(store) == ["sent", "waiting", "waiting"]
    assert alarms(store, "ANSWERS_DELAYED") == [(BACK, True)]
    store.clock.forward(minutes=5)
    await works.work_once()
    assert states(store) == ["sent"] * 3
    assert list(files(courier.mails[-1])) == ["receipt_a.csv.1.txt", "receipt_a.csv.2.txt"]


async def test_the_share_of_one_address_is_not_the_share_of_another(store: Store) -> None:
    limit(store, answers_per_hour=1)
    one, other = store.connect("one", back="one@x.example"), store.connect("other", back="other@x.example")
    for n in range(3):
        store.deliver(one, bytes([n]))
        store.deliver(other, bytes([n]))
    courier = Courier()
    await emptied(post(store, courier))
    assert sorted(mail["To"] for mail in courier.mails) == ["one@x.example", "other@x.example"]


async def test_a_flood_to_one_address_keeps_no_other_waiting(store: Store) -> None:
    limit(store, answers_per_hour=1)
    trace_id = store.deliver(store.connect("flood", back="flood@x.example"), b"A").trace_id
    courier = Courier()
    works = post(store, courier)
    await emptied(works)

    def flood(session: Any) -> None:
        for sequence in range(2, 2300):
            row = answers.answer_row(trace_id, "receipt", sequence, "flood@x.example", store.clock(), DOMAIN)
            session.add(Answer(**row))

    store.ledger.write_now(flood)
    store.deliver(store.connect("calm"), b"B")
    courier.take()
    await emptied(works)
    assert [mail["To"] for mail in courier.mails] == [BACK]


# Alarms by mail.


def raise_alarm(store: Store, kind: str = "RESULT_LATE") -> None:
    store.ledger.write_now(
        lambda session: session.add(Alarm(kind=kind, subject="x", message="no result of x", raised_at=store.clock()))
    )


def operators(store: Store, *addresses: str) -> None:
    object.__setattr__(store.settings, "operators", addresses)


async def test_every_operator_is_told_once_of_an_alarm(store: Store) -> None:
    operators(store, "a@ops.example", "b@ops.example")
    raise_alarm(store)
    courier = Courier()
    works = post(store, courier)
    await works.tell_operators()
    await works.tell_operators()
    assert [(mail["To"], mail["Subject"]) for mail in courier.mails] == [
        ("a@ops.example", "[Alarm] RESULT_LATE"), ("b@ops.example", "[Alarm] RESULT_LATE"),
    ]  # fmt: skip
    assert len({mail["Message-ID"] for mail in courier.mails}) == 2
    assert all(mail["Mailgate-Trace-Id"] for mail in courier.mails)
    assert "No result of x" in body(courier.mails[0])


async def test_nobody_is_told_where_there_is_no_operator(store: Store) -> None:
    raise_alarm(store)
    courier = Courier()
    await post(store, courier).tell_operators()
    assert courier.replies == []


async def test_an_alarm_that_cannot_go_now_goes_later_and_is_told_to_each_once(store: Store) -> None:
    operators(store, "a@ops.example", "b@ops.example", "c@ops.example")
    raise_alarm(store)
    courier = Courier(refusals=[None, LATER])
    works = post(store, courier)
    for _ in range(3):
        await works.tell_operators()
    assert sorted(mail["To"] for mail in courier.mails) == ["a@ops.example", "b@ops.example", "c@ops.example"]


async def test_an_operator_who_refuses_keeps_no_other_from_being_told(store: Store) -> None:
    operators(store, "gone@ops.example", "b@ops.example")
    raise_alarm(store)
    courier = Courier(refusals=[REFUSED])
    works = post(store, courier)
    await works.tell_operators()
    await works.tell_operators()
    assert [mail["To"] for mail in courier.mails] == ["b@ops.example"]


# The loop.


async def test_the_bell_wakes_the_post(store: Store) -> None:
    done = asyncio.Event()

    class Ringing(Courier):
        async def deliver(self, reply: Any) -> None:
            await super().deliver(reply)
            done.set()

    works = post(store, Ringing())
    works.ring()  # before it runs: nobody hears it, and it is no fault
    running = asyncio.create_task(works.run())
    await asyncio.to_thread(store.deliver, store.connect(), b"A")
    works.ring()
    await asyncio.wait_for(done.wait(), 20)
    running.cancel()


@pytest.mark.parametrize("fault", [LedgerBusy("locked"), RuntimeError("a fault of ours")])
async def test_the_post_outlives_a_fault(store: Store, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    works = post(store, Courier())
    rounds: list[int] = []
    enough = asyncio.Event()

    async def work_once() -> int:
        rounds.append(1)
        works.ring()
        if len(rounds) == 3:
            enough.set()
        raise fault

    monkeypatch.setattr(works, "work_once", work_once)
    running = asyncio.create_task(works.run())
    await asyncio.wait_for(enough.wait(), 20)
    assert not running.done()
    running.cancel()

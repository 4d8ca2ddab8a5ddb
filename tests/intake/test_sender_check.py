"""The check of senders on its way in: demanded or only recorded, its bounds, and what it delays."""

import asyncio
import threading
from datetime import datetime
from typing import Any

import pytest

from intake.mail import SenderNotKnownNow
from intake.sender_check import SenderCheck
from models.authenticity import Authenticity, Dmarc, Origin, Outcome
from models.codes import Code
from models.message import Message
from models.states import Verdict
from models.tables import Delivery, Upload
from tests.intake.support import blobs_on_disk, intake, mail, named, part, raw
from tests.storage.support import Store

ONE = raw(part(b"one", "a.csv"), head="Message-ID: <1@x>\r\n")


def found(result: Outcome, reason: str = "") -> Authenticity:
    return Authenticity(dmarc=Dmarc(result=result, domain="acme.example", reason=reason))


class Told:
    """A check that says what it is told to, and remembers what it was asked."""

    def __init__(self, *results: Outcome) -> None:
        self.results = list(results)
        self.asked: list[tuple[Message, Origin, datetime, float]] = []

    def check(self, source: Any, message: Message, origin: Origin, *, now: datetime, seconds: float) -> Authenticity:
        assert source.read(0, 5) == b"From:"
        self.asked.append((message, origin, now, seconds))
        return found(self.results.pop(0) if len(self.results) > 1 else self.results[0])


@pytest.mark.parametrize("result", list(Outcome))
@pytest.mark.parametrize("demand", ["off", "dmarc"])
async def test_each_result_where_it_is_demanded_and_where_not(store: Store, result: Outcome, demand: str) -> None:
    store.connect(pattern="*.csv", authenticity=demand)
    door = intake(store, senders=Told(result))
    if demand == "dmarc" and result is Outcome.TEMPERROR:
        with pytest.raises(SenderNotKnownNow, match=r"DMARC temperror for acme\.example"):
            await door.accept(mail(store, ONE))
        assert store.all(Delivery) == []
        assert blobs_on_disk(store) == []
        return
    (outcome,) = await door.accept(mail(store, ONE))
    taken = demand == "off" or result is Outcome.PASS
    assert outcome.verdict is (Verdict.ACCEPTED if taken else Verdict.IGNORED)
    assert outcome.code is (None if taken else Code.NOT_AUTHENTIC)
    (delivery,) = store.all(Delivery)
    assert delivery.authenticity is not None
    assert delivery.authenticity["dmarc"] == result
    assert delivery.authenticity["header"].startswith("intake.test; ")
    assert blobs_on_disk(store) == [b"one"]
    assert store.owed(outcome.trace_id) == ([("receipt", 1)] if taken else [])
    if not taken:
        assert named(store) == [("a.csv", "ignored")]
        assert delivery.message == f"DMARC {result} for acme.example."


async def test_what_the_check_is_told(store: Store) -> None:
    store.connect(pattern="*.csv")
    told = Told(Outcome.NONE)
    known: dict[str, Any] = {
        "client": "192.0.2.7", "helo": "h", "sender": "a@b.example", "authenticated_as": "c",
        "trusted": ("mx.example",),
    }  # fmt: skip
    await intake(store, senders=told).accept(mail(store, ONE, **known))
    ((message, origin, now, seconds),) = told.asked
    assert origin == Origin(**known)
    assert message.headers.from_addresses == ("bob@acme.example",)
    assert (now, seconds) == (store.clock(), 2.0)


async def test_where_it_is_demanded_dns_has_more_time(store: Store) -> None:
    plain, proven = store.connect(), store.connect("proven", authenticity="dmarc")
    told = Told(Outcome.PASS)
    await intake(store, senders=told).accept(mail(store, ONE, plain, proven))
    assert told.asked[0][3] == 20.0


async def test_one_connection_that_cannot_know_delays_the_whole_mail(store: Store) -> None:
    plain, proven = store.connect(pattern="*.csv"), store.connect("proven", authenticity="dmarc")
    with pytest.raises(SenderNotKnownNow):
        await intake(store, senders=Told(Outcome.TEMPERROR)).accept(mail(store, ONE, plain, proven))
    assert store.all(Delivery) == []
    assert blobs_on_disk(store) == []


async def test_a_mail_that_is_ignored_anyway_is_not_delayed(store: Store) -> None:
    store.connect(authenticity="dmarc", allowed_senders=("*@other.example",))
    (outcome,) = await intake(store, senders=Told(Outcome.TEMPERROR)).accept(mail(store, ONE))
    assert outcome.code is Code.SENDER_NOT_ALLOWED


async def test_at_the_last_try_what_is_not_known_is_not_proven(store: Store) -> None:
    store.connect(authenticity="dmarc")
    (outcome,) = await intake(store, senders=Told(Outcome.TEMPERROR)).accept(mail(store, ONE, last_try=True))
    assert outcome.code is Code.NOT_AUTHENTIC


async def test_without_the_extra_a_demand_delays_and_nothing_is_recorded(store: Store) -> None:
    store.connect(pattern="*.csv")
    await intake(store).accept(mail(store, ONE))
    (delivery,) = store.all(Delivery)
    assert delivery.authenticity is None
    proven = store.connect("proven", authenticity="dmarc")
    with pytest.raises(SenderNotKnownNow, match="extra that checks it is not installed"):
        await intake(store).accept(mail(store, ONE, proven))


async def test_a_mail_that_proves_itself_later_is_new(store: Store) -> None:
    store.connect(pattern="*.csv", authenticity="dmarc")
    door = intake(store, senders=Told(Outcome.FAIL, Outcome.PASS))
    (first,) = await door.accept(mail(store, ONE))
    (second,) = await door.accept(mail(store, ONE))
    assert (first.code, second.verdict) == (Code.NOT_AUTHENTIC, Verdict.ACCEPTED)
    assert sorted(upload.status for upload in store.all(Upload)) == ["ignored", "import_job_created"]


async def test_a_connection_that_changes_meanwhile_asks_dns_no_second_time(store: Store) -> None:
    old = store.connect(pattern="*.txt")
    store.connect(pattern="*.csv")
    told = Told(Outcome.PASS)
    (outcome,) = await intake(store, senders=told).accept(mail(store, ONE, old))
    assert outcome.verdict is Verdict.ACCEPTED
    assert len(told.asked) == 1


async def test_bytes_that_are_no_mail_are_not_checked(store: Store) -> None:
    from models.faults import Fault

    store.connect()
    told = Told(Outcome.PASS)
    fault = Fault(code=Code.MESSAGE_MALFORMED, message="bare line ends")
    (outcome,) = await intake(store, senders=told).accept(mail(store, ONE, fault=fault))
    assert (outcome.code, told.asked) == (Code.MESSAGE_MALFORMED, [])


class Slow:
    """A check that goes on only when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def check(self, _source: Any, _message: Message, _origin: Origin, **_: Any) -> Authenticity:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.go.wait(30)
        with self._lock:
            self.running -= 1
        return found(Outcome.PASS)


async def test_a_slow_dns_holds_up_neither_many_threads_nor_what_demands_proof(store: Store) -> None:
    """Mails that demand nothing take half of the places, wait for a short while, and go on without a result."""
    plain, proven = store.connect(), store.connect("proven", authenticity="dmarc")
    slow = Slow()
    checks = SenderCheck(slow, store.settings.limits)
    message = Message()
    waiting = [asyncio.create_task(checks.check(mail(store, ONE, plain), message, store.clock())) for _ in range(30)]
    done, pending = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    while len(pending) > 8:
        more, pending = await asyncio.wait(pending, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert all(one.result().dmarc.reason == "too many senders were being checked at once" for one in done)
    asked = asyncio.create_task(checks.check(mail(store, ONE, proven), message, store.clock()))
    while slow.running < 9:
        await asyncio.sleep(0)
    slow.go.set()
    assert (await asked).aligned
    assert all(one.aligned for one in await asyncio.gather(*pending))
    assert slow.most == 9
    checks.close()

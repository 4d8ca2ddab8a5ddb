"""Accept: the order of things, and that nothing is kept of what was not recorded."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from intake.accept import NoSpace
from models.faults import TemporaryError
from models.states import ConnectionState, Verdict
from models.tables import Delivery, Upload
from storage.blobs import BlobWriter, DiskBlobs
from storage.ledger import LedgerBusy
from tests.intake.support import CREATED, blobs_on_disk, intake, mail, named, part, raw
from tests.storage.support import Store

ONE = raw(part(b"one", "a.csv"), head="Message-ID: <1@x>\r\n")


def spooled(store: Store) -> list[str]:
    return [path.name for path in store.settings.spool_dir.iterdir()]


async def test_an_accepted_mail(store: Store) -> None:
    rings: list[int] = []
    store.connect(pattern="*.csv")
    (outcome,) = await intake(store, on_recorded=lambda: rings.append(1)).accept(mail(store, ONE, in_memory=0))
    assert outcome.verdict is Verdict.ACCEPTED
    assert named(store) == [("a.csv", CREATED)]
    assert blobs_on_disk(store) == [b"one"]
    assert spooled(store) == []
    assert rings == [1]


async def test_the_same_mail_again_keeps_no_second_copy(store: Store) -> None:
    store.connect(pattern="*.csv")
    door = intake(store)
    first = await door.accept(mail(store, ONE))
    again = await door.accept(mail(store, ONE))
    assert (again[0].trace_id, again[0].seen_again) == (first[0].trace_id, True)
    assert blobs_on_disk(store) == [b"one"]


async def test_many_of_the_same_mail_at_once_are_one(store: Store) -> None:
    store.connect(pattern="*.csv")
    door = intake(store)
    outcomes = await asyncio.gather(*(door.accept(mail(store, ONE)) for _ in range(20)))
    assert len({outcome.trace_id for (outcome,) in outcomes}) == 1
    assert [outcome.seen_again for (outcome,) in outcomes].count(False) == 1
    assert len(store.all(Upload)) == len(store.queue.jobs) == 1
    assert blobs_on_disk(store) == [b"one"]


async def test_the_same_content_in_many_mails_at_once_is_imported_once(store: Store) -> None:
    store.connect(pattern="*.csv")
    door = intake(store)
    mails = [raw(part(b"one", "a.csv"), head=f"Message-ID: <{n}@x>\r\n") for n in range(20)]
    outcomes = await asyncio.gather(*(door.accept(mail(store, one)) for one in mails))
    assert sorted(outcome.verdict for (outcome,) in outcomes) == ["accepted", *["duplicate"] * 19]
    assert len(store.queue.jobs) == 1


async def test_a_connection_changed_meanwhile_judges_anew(store: Store) -> None:
    stale = store.connect(pattern="*.csv")
    store.connect(pattern="*.txt")
    (outcome,) = await intake(store).accept(mail(store, ONE, stale))
    assert outcome.verdict is Verdict.IGNORED
    assert [(d.version, d.code) for d in store.all(Delivery)] == [(2, "NAME_NOT_MATCHED")]
    assert blobs_on_disk(store) == [b"one"]


async def test_a_connection_deleted_meanwhile_is_a_fault_for_now(store: Store) -> None:
    stale = store.connect(pattern="*.csv")
    store.set_state(stale, ConnectionState.DELETED)
    with pytest.raises(TemporaryError, match="is gone"):
        await intake(store).accept(mail(store, ONE, stale, in_memory=0))
    assert blobs_on_disk(store) == spooled(store) == []


class Broken(DiskBlobs):
    """A store whose disk fails at one of its two moments."""

    at = "create"

    def create(self, now: Any) -> Any:
        if self.at == "create":
            raise OSError(28, "No space left on device")
        return super().create(now)

    def commit(self, writers: Iterable[BlobWriter]) -> None:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("at", ["create", "commit"])
async def test_a_disk_that_fails_keeps_nothing(store: Store, at: str) -> None:
    store.connect(pattern="*.csv")
    broken = Broken(store.settings.blob_dir)
    broken.at = at
    store.blobs = broken
    with pytest.raises(NoSpace):
        await intake(store).accept(mail(store, ONE, in_memory=0))
    assert blobs_on_disk(store) == spooled(store) == store.all(Delivery) == []


async def test_no_room_for_the_reserve(store: Store) -> None:
    store.connect(pattern="*.csv")
    limits = store.settings.limits.model_copy(update={"minimum_free_bytes": 1 << 60})
    object.__setattr__(store.settings, "limits", limits)
    with pytest.raises(NoSpace, match="fewer than the reserve"):
        await intake(store).accept(mail(store, ONE))
    assert store.all(Delivery) == []


async def test_after_a_commit_that_failed_the_blobs_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can tell whether the rows that name them are on the disk."""
    store.connect(pattern="*.csv")

    async def busy(*_words: object) -> None:
        raise LedgerBusy("the disk hangs")

    monkeypatch.setattr(store.ledger, "write_together", busy)
    with pytest.raises(LedgerBusy):
        await intake(store).accept(mail(store, ONE, in_memory=0))
    assert blobs_on_disk(store) == [b"one"]
    assert spooled(store) == []


async def test_a_caller_that_goes_away_undoes_nothing(store: Store) -> None:
    store.connect(pattern="*.csv")
    door = intake(store)
    waiting = asyncio.create_task(door.accept(mail(store, ONE, in_memory=0)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await door.drain()
    assert named(store) == [("a.csv", CREATED)]
    assert spooled(store) == []


async def test_several_connections_are_recorded_together(store: Store) -> None:
    refs = [store.connect("one", pattern="*.csv"), store.connect("other", pattern="*.txt")]
    outcomes = await intake(store).accept(mail(store, ONE, *refs))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ACCEPTED, Verdict.IGNORED]
    assert len({outcome.trace_id for outcome in outcomes}) == 2

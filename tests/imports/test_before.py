"""What an import is told of those before it: the columns of the last one, and how many rows are usual."""

from typing import Any

import pytest

from imports.perform import Importer
from imports.workers import ParsePool
from mailgate.settings import DataTypeSettings
from models.result import Summary
from models.states import ImportStatus
from storage.ledger import imports
from storage.ledger.before import Before, files_before
from tests.imports.support import HEADER, Pool, attempt, conversions, importer, summary
from tests.storage.support import Store

COLUMNS = tuple(HEADER.split(","))


async def done(store: Store, pool: Any, data: bytes, name: str = "Conversions_1.csv", **more: Any) -> str:
    """Take in one more file of the connection, a while later, and import it; gives its upload."""
    store.clock.forward(hours=1)
    upload = store.deliver(store.ref(), store.file(data, name), **more).trace_id
    await importer(store, pool).run(upload, 1)
    return upload


def codes(store: Store, upload: str, number: int = 1) -> list[str]:
    return [warning["code"] for warning in (attempt(store, upload, number).result or {})["warnings"]]


async def test_other_columns_are_warned_of(store: Store, pool: ParsePool) -> None:
    store.connect()
    assert codes(store, await done(store, pool, conversions(1))) == []
    more = conversions(2).replace(b"ClickId", b"ClickId,Sku").replace(b"click-1", b"click-1,s").replace(
        b"click-2", b"click-2,s"
    )  # fmt: skip
    upload = await done(store, pool, more)
    assert codes(store, upload) == ["HEADER_CHANGED"]
    assert "Sku came" in (attempt(store, upload).result or {})["warnings"][0]["message"]
    assert codes(store, await done(store, pool, more + b"1000,2001,NOW,A-3,c,s\r\n")) == []


async def test_a_short_file_is_warned_of_once_it_is_known_what_is_usual(store: Store, pool: ParsePool) -> None:
    store.connect()
    for number in range(3):
        assert codes(store, await done(store, pool, conversions(30 - number))) == []
    upload = await done(store, pool, conversions(14))
    assert codes(store, upload) == ["FILE_SHORT"]
    message = (attempt(store, upload).result or {})["warnings"][0]["message"]
    assert message == "The file has 14 rows where about 29 are usual; check that it is whole."
    assert codes(store, await done(store, pool, conversions(15))) == []


async def test_a_replay_is_compared_with_what_was_before_it(store: Store, pool: ParsePool) -> None:
    store.connect()
    early = [await done(store, pool, conversions(number)) for number in (12, 30, 31, 32)]
    store.ledger.write_now(imports.replay, early[0], store.clock(), store.queue, with_rule_of_then=True)
    await importer(store, pool).run(early[0], 2)
    assert codes(store, early[0], 2) == []


async def test_a_mended_file_is_neither_short_nor_usual(store: Store, pool: ParsePool) -> None:
    store.connect()
    for number in (30, 31, 32):
        await done(store, pool, conversions(number))
    parent = await done(store, pool, conversions(30, bad=1))
    with store.blobs.open(attempt(store, parent).errors_blob or "") as source:
        mended = source.read().replace(b",,2001", b",1000,2001")
    upload = await done(store, pool, mended)
    assert codes(store, upload) == []
    assert (attempt(store, upload).result or {})["parent_trace_id"] == parent
    last = await done(store, pool, conversions(33))
    assert store.ledger.read_now(files_before, last, "conversions") == Before(COLUMNS, 31)


async def told(store: Store, summaries: list[Summary], data_type: str = "conversions") -> Before:
    """Import files that came to these results, and give what the next one is told."""
    pool = Pool(answers=list(summaries))
    for _ in summaries:
        await done(store, pool, conversions(1), name=f"{store.clock()}.csv")
    store.clock.forward(hours=1)
    upload = store.deliver(store.ref(), conversions(1)).trace_id
    return store.ledger.read_now(files_before, upload, data_type)


def of_rows(*rows: int, **more: Any) -> list[Summary]:
    return [summary(total_rows=number, successful_rows=number, **more) for number in rows]


#: (results of the imports before, header, usual rows)
TOLD = [
    ([], None, None),
    (of_rows(10, 20), ("a",), None),
    (of_rows(10, 30, 20), ("a",), 20),
    (of_rows(10, 30, 20, 40), ("a",), 20),
    (of_rows(*range(100, 90, -1), 1, 2, 3), ("a",), 92),
    (of_rows(1, 2, 3, header=("a", "b")) + of_rows(4, header=("c",)), ("c",), 2),
    (of_rows(1, 2, 3) + of_rows(4, delimiter=None, header=("j",)), ("a",), 2),
    (of_rows(1, 2, 3) + of_rows(9, header=("r",), status=ImportStatus.REJECTED), ("a",), 2),
    (of_rows(1, 2, 3) + of_rows(9, header=("e",), status=ImportStatus.COMPLETED_WITH_ERRORS), ("e",), 2),
    ([*of_rows(1, 2), Summary(status=ImportStatus.REJECTED)], ("a",), None),
]


@pytest.mark.parametrize(("summaries", "header", "usual"), TOLD)
async def test_what_is_told(
    store: Store, summaries: list[Summary], header: tuple[str, ...] | None, usual: int | None
) -> None:
    store.connect(duplicates="accept")
    assert await told(store, summaries) == Before(header, usual)


async def test_what_does_not_count(store: Store, pool: ParsePool) -> None:
    store.connect(duplicates="accept")
    store.connect("other", duplicates="accept")
    for number in range(3):
        await done(store, pool, conversions(number + 20), dry_run=True)
        await done(store, pool, HEADER.encode() + b"\r\n")
        store.clock.forward(hours=1)
        other = store.deliver(store.ref("other"), conversions(3)).trace_id
        await importer(store, pool).run(other, 1)
    last = await done(store, pool, conversions(1))
    assert store.ledger.read_now(files_before, last, "conversions") == Before()
    assert store.ledger.read_now(files_before, other, "conversions") == Before(COLUMNS)
    assert store.ledger.read_now(files_before, other, "rewards") == Before()


async def test_the_files_of_one_mail_go_in_their_order(store: Store) -> None:
    store.connect()
    names = ("a.csv", "b.csv", "c.csv")
    trace_id = store.deliver(
        store.ref(), *(store.file(conversions(n + 1), name) for n, name in enumerate(names))
    ).trace_id
    pool = Pool(answers=[summary(header=(name,)) for name in names])
    for part in (1, 2, 3):
        await importer(store, pool).run(f"{trace_id}.{part}", 1)
    assert [job.previous_header for job in pool.jobs] == [None, ("a.csv",), ("b.csv",)]


async def test_lists_of_values_reach_the_worker(store: Store, pool: ParsePool) -> None:
    store.connect("mods", data_type="action-modifications")
    listed = {"action-modifications": DataTypeSettings(enums={"Reason": ("LATE",)})}
    settings = store.settings.model_copy(update={"data_types": listed})
    changed = Importer(store.ledger, store.blobs, pool, settings, clock=store.clock)
    upload = store.deliver(store.ref("mods"), b"ActionId,Reason\n1,LATE\n2,OTHER\n").trace_id
    assert await changed.run(upload, 1) == "completed_with_errors"
    assert (attempt(store, upload).result or {})["top_errors"] == [{"code": "VALUE_NOT_ALLOWED", "count": 1}]

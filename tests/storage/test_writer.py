"""The one writer: group commit, faults that stay where they belong, and how the database is opened."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from models.faults import TemporaryError
from storage.engine import database_url, make_engine, make_job_engine
from storage.ledger import Ledger, LedgerBusy
from storage.writer import Writer
from tests.storage.support import in_loop


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = make_engine(database_url(tmp_path / "t.sqlite3"))
    with made.connect().execution_options(writes=True) as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    yield made
    made.dispose()


@pytest.fixture
def writer(engine: sa.Engine) -> Iterator[Writer]:
    made = Writer(engine)
    yield made
    made.close()


class Group:
    """Hold the writer busy, so that what is submitted meanwhile becomes one group."""

    def __init__(self, writer: Writer) -> None:
        self._go = threading.Event()
        busy = threading.Event()

        def hold(_session: Session) -> None:
            busy.set()
            assert self._go.wait(30)

        self._held = writer.submit(hold)
        assert busy.wait(30)

    def go(self, *futures: "Future[Any]") -> None:
        self._go.set()
        wait([self._held, *futures], timeout=30)


def insert(number: int) -> Callable[[Session], int]:
    def work(session: Session) -> int:
        session.connection().exec_driver_sql("INSERT INTO t VALUES (?)", (number,))
        return number

    return work


def insert_all(session: Session, items: list[int]) -> list[int | Exception]:
    for item in items:
        session.connection().exec_driver_sql("INSERT INTO t VALUES (?)", (item,))
    return [item * 10 for item in items]


def numbers(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT n FROM t ORDER BY n")]


def commits_of(engine: sa.Engine) -> list[int]:
    counted: list[int] = []
    sa.event.listen(engine, "commit", lambda _connection: counted.append(1))
    return counted


def test_jobs_that_wait_share_one_commit(engine: sa.Engine, writer: Writer) -> None:
    group = Group(writer)
    counted = commits_of(engine)
    futures = [writer.submit(insert(number)) for number in range(50)]
    group.go(*futures)
    assert [future.result() for future in futures] == list(range(50))
    assert len(counted) == 2  # the one that held it, and the group
    assert numbers(engine) == list(range(50))


def test_nobody_hears_of_success_before_the_commit(engine: sa.Engine, writer: Writer) -> None:
    seen: list[bool] = []
    group = Group(writer)
    futures: list[Future[Any]] = []
    sa.event.listen(engine, "commit", lambda _connection: seen.extend(future.done() for future in futures))
    futures.extend(writer.submit(insert(number)) for number in range(3))
    group.go(*futures)
    assert len(seen) >= 3
    assert not any(seen)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_failing_job_hurts_no_other_of_its_group(engine: sa.Engine, writer: Writer, place: int) -> None:
    def fail(session: Session) -> None:
        insert(77)(session)
        raise ZeroDivisionError

    jobs: list[Callable[[Session], Any]] = [insert(1), insert(2)]
    jobs.insert(place, fail)
    group = Group(writer)
    futures = [writer.submit(job) for job in jobs]
    group.go(*futures)
    assert isinstance(futures.pop(place).exception(), ZeroDivisionError)
    assert [future.result() for future in futures] == [1, 2]
    assert numbers(engine) == [1, 2]


def test_a_refused_statement_hurts_no_other_of_its_group(engine: sa.Engine, writer: Writer) -> None:
    group = Group(writer)
    futures = [writer.submit(insert(number)) for number in (1, 1, 2)]
    group.go(*futures)
    assert [future.result() for future in (futures[0], futures[2])] == [1, 2]
    assert isinstance(futures[1].exception(), sa.exc.IntegrityError)


def test_items_of_one_function_are_taken_at_once(engine: sa.Engine, writer: Writer) -> None:
    calls: list[list[int]] = []

    def together(session: Session, items: list[int]) -> list[int | Exception]:
        calls.append(items)
        return insert_all(session, items)

    group = Group(writer)
    futures = [writer.submit_together(together, number) for number in (1, 2, 3)]
    group.go(*futures)
    assert [future.result() for future in futures] == [10, 20, 30]
    assert calls == [[1, 2, 3]]


def test_a_function_may_fail_one_item_by_giving_an_exception(writer: Writer) -> None:
    def together(_session: Session, items: list[int]) -> list[int | Exception]:
        return [ValueError(str(item)) if item % 2 else item for item in items]

    group = Group(writer)
    futures = [writer.submit_together(together, number) for number in (1, 2)]
    group.go(*futures)
    assert isinstance(futures[0].exception(), ValueError)
    assert futures[1].result() == 2


def test_when_items_fail_together_each_is_tried_by_itself(engine: sa.Engine, writer: Writer) -> None:
    group = Group(writer)
    futures = [writer.submit_together(insert_all, number) for number in (1, 2, 2, 3)]
    group.go(*futures)
    assert [future.result() for future in (futures[0], futures[1], futures[3])] == [10, 20, 30]
    assert isinstance(futures[2].exception(), sa.exc.IntegrityError)
    assert numbers(engine) == [1, 2, 3]


def test_jobs_between_items_keep_their_place(engine: sa.Engine, writer: Writer) -> None:
    order: list[object] = []

    def together(_session: Session, items: list[str]) -> list[str | Exception]:
        order.append(items)
        return list(items)

    group = Group(writer)
    futures = [
        writer.submit_together(together, "a"),
        writer.submit_together(together, "b"),
        writer.submit(lambda _session: order.append("alone")),
        writer.submit_together(together, "c"),
    ]
    group.go(*futures)
    assert order == [["a", "b"], "alone", ["c"]]


def test_a_failing_commit_reaches_everybody_of_the_group(engine: sa.Engine, writer: Writer) -> None:
    group = Group(writer)
    broken = threading.Event()

    def refuse(_connection: sa.Connection) -> None:
        if broken.is_set():
            raise sa.exc.OperationalError("COMMIT", {}, OSError("disk I/O error"))

    sa.event.listen(engine, "commit", refuse)
    broken.set()
    futures = [writer.submit(insert(1)), writer.submit_together(insert_all, 2), writer.submit(insert(3))]
    group.go(*futures)
    assert [type(future.exception()) for future in futures] == [sa.exc.OperationalError] * 3
    broken.clear()
    assert numbers(engine) == []
    assert writer.submit(insert(4)).result(30) == 4  # and the writer goes on
    assert numbers(engine) == [4]


def test_closing_finishes_what_is_queued(engine: sa.Engine) -> None:
    writer = Writer(engine)
    futures = [writer.submit(insert(number)) for number in range(200)]
    writer.close()
    assert all(future.done() for future in futures)
    assert numbers(engine) == list(range(200))


# How the database is opened.


@pytest.mark.parametrize(("make", "busy_timeout"), [(make_engine, 8000), (make_job_engine, 30000)])
def test_pragmas(tmp_path: Path, make: Callable[[str], sa.Engine], busy_timeout: int) -> None:
    engine = make(database_url(tmp_path / "p.sqlite3"))
    wanted = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "busy_timeout": busy_timeout}
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
            assert found == wanted
    engine.dispose()


def statements(engine: sa.Engine) -> list[str]:
    seen: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _cur, text, *_rest: seen.append(text))
    return seen


def test_a_writing_transaction_begins_at_once(engine: sa.Engine) -> None:
    seen = statements(engine)
    ledger = Ledger(engine)
    ledger.write_now(insert(1))
    assert seen[0] == "BEGIN IMMEDIATE"
    seen.clear()
    ledger.read_now(lambda session: session.connection().exec_driver_sql("SELECT n FROM t").all())
    assert seen[0] == "BEGIN"
    ledger.close()


@pytest.mark.parametrize("how", ["write", "write_now", "read", "together"])
def test_a_database_that_cannot_answer_is_a_fault_for_now(engine: sa.Engine, how: str) -> None:
    ledger = Ledger(engine)

    def locked(_session: Session, *_items: object) -> Any:
        raise sa.exc.OperationalError("SELECT", {}, OSError("database is locked"))

    ask: dict[str, Callable[[], object]] = {
        "write": lambda: in_loop(ledger.write(locked)),
        "write_now": lambda: ledger.write_now(locked),
        "read": lambda: in_loop(ledger.read(locked)),
        "together": lambda: in_loop(ledger.write_together(locked, 1)),
    }
    with pytest.raises(LedgerBusy) as caught:
        ask[how]()
    assert isinstance(caught.value, TemporaryError)
    ledger.close()


def test_a_fault_of_ours_is_not_called_temporary(engine: sa.Engine) -> None:
    ledger = Ledger(engine)
    ledger.write_now(insert(1))
    with pytest.raises(sa.exc.IntegrityError):
        ledger.write_now(insert(1))
    ledger.close()

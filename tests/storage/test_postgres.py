"""What only Postgres brings: several processes that write at once, a server that goes away, a pooler between."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from models.states import ImportStatus, Verdict
from models.tables import Attempt, Connection, Delivery, Event, FolderFile, Upload
from storage.engine import make_engine
from storage.ledger import Ledger, LedgerBusy, arriving
from storage.ledger.folders import Place
from storage.ledger.imports import Patience, begin, request_cancel
from storage.ledger.recording import NewDelivery
from storage.locks import together, touched, touches
from storage.postgres import connect_to
from tests.postgres import PostgresServer, free_port, program
from tests.storage.support import DOMAIN, Store, in_loop

DATABASES = ["postgres"]


@contextmanager
def second(store: Store) -> Iterator[Store]:
    """Open the same ledger once more, as another process has it: an engine and a writer of its own."""
    ledger = Ledger(make_engine(store.settings.ledger_url))
    try:
        yield Store(store.settings, ledger, store.blobs, store.clock, store.queue)
    finally:
        ledger.close()


def at_once(*works: Any) -> list[Any]:
    """Run works in threads that begin together; an exception stands in the place of its result."""
    gate = threading.Barrier(len(works))

    def one(work: Any) -> Any:
        gate.wait(30)
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def judged(store: Store, ref: Any, data: bytes, message_id: str = "") -> NewDelivery:
    return store.judged(ref, store.paper(data), message_id=message_id)


def _record_at_once(nodes: tuple[Store, ...], ref: Any, data: bytes, message_id: str = "") -> list[Any]:
    return at_once(*(lambda at=at: at.record(judged(at, ref, data, message_id))[0] for at in nodes))


def test_the_same_mail_at_two_nodes_is_one_delivery(store: Store) -> None:
    ref = store.connect()
    with second(store) as other:
        for number in range(25):
            outcomes = _record_at_once((store, other), ref, f"mail {number}".encode(), f"<{number}@acme.example>")
            assert len({one.trace_id for one in outcomes}) == 1
            assert sorted(one.seen_again for one in outcomes) == [False, True]
    assert len(store.all(Delivery)) == len(store.queue.jobs) == 25


def test_the_same_content_at_two_nodes_is_imported_once_and_sequences_have_no_gap(store: Store) -> None:
    ref = store.connect()
    with second(store) as other:
        for number in range(25):
            outcomes = _record_at_once((store, other), ref, f"content {number}".encode())
            assert sorted(one.verdict for one in outcomes) == [Verdict.ACCEPTED, Verdict.DUPLICATE]
    assert sorted(store.queue.sequences) == list(range(1, 26))
    assert store.get(Connection, ref.id).sequence == 25


def test_different_connections_do_not_wait_for_each_other(store: Store) -> None:
    one, two = store.connect("one"), store.connect("two")
    with second(store) as other, make_engine(store.settings.ledger_url).connect() as holder:
        holder = holder.execution_options(writes=frozenset({f"connection:{one.id}"}), patient=True)
        with holder.begin():
            assert other.record(judged(other, two, b"two"))[0].verdict is Verdict.ACCEPTED
            with pytest.raises(LedgerBusy):  # after the five seconds that a lock is waited for
                store.record(judged(store, one, b"one"))
        assert store.record(judged(store, one, b"one"))[0].verdict is Verdict.ACCEPTED


def test_a_cancel_and_a_begin_at_once_agree(store: Store) -> None:
    ref = store.connect()
    patience = Patience(failures=5, starts=5)
    with second(store) as other:
        for number in range(20):
            trace_id = store.record(judged(store, ref, f"{number}".encode()))[0].trace_id
            order, word = at_once(
                partial(store.ledger.write_now, begin, trace_id, 1, store.clock(), patience, DOMAIN),
                partial(other.ledger.write_now, request_cancel, trace_id, other.clock(), DOMAIN),
            )
            attempt = store.get(Attempt, (trace_id, 1))
            if word == "aborted":
                assert (order, attempt.status) == (None, ImportStatus.ABORTED)
            else:
                assert (word, order is not None, attempt.cancel_requested) == ("requested", True, True)


def _opening(ref: Any, trace_id: str, place: Place, name: str, at_once: int) -> arriving.Opening:
    return arriving.Opening(
        trace_id=trace_id, place=place, name=name, connection=ref, credential="acme", door="sftp", peer="",
        visit=trace_id, node="a", spool=trace_id, at_once=at_once, names=1000,
    )  # fmt: skip


def test_a_quota_of_uploads_holds_over_two_nodes(store: Store) -> None:
    ref = store.connect(method="sftp", folder="/up")
    place = Place(credential_id=1, folder="/up")
    with second(store) as other:
        works = [
            lambda at=(store, other)[n % 2], n=n: at.ledger.write_now(
                arriving.begin, _opening(ref, f"T{n}", place, f"{n}.csv", 7), at.clock()
            )
            for n in range(12)
        ]
        outcomes = at_once(*works)
    refused = [one for one in outcomes if isinstance(one, arriving.QuotaReached)]
    assert len(outcomes) - len(refused) == len(store.all(FolderFile)) == 7


def test_a_file_is_resumed_by_one_of_two_nodes_at_a_time(store: Store) -> None:
    ref = store.connect(method="sftp", folder="/up")
    place = Place(credential_id=1, folder="/up")
    held, _ = store.ledger.write_now(arriving.begin, _opening(ref, "T", place, "a.csv", 7), store.clock())
    with second(store) as other:
        for _ in range(10):
            reopens = (
                partial(at.ledger.write_now, arriving.reopen, held, "v", "resumed", at.clock(), node="b")
                for at in (store, other)
            )  # fmt: skip
            outcomes = at_once(*reopens)
            ((again, _),) = (one for one in outcomes if not isinstance(one, arriving.Overtaken))
            assert again.generation == held.generation + 1
            held = again


def test_what_does_not_say_what_it_touches_locks_everything(store: Store) -> None:
    @touches(lambda name: {name})
    def modest(_session: Session, name: str) -> str:
        return name

    assert touched(modest, "a") == {"a"}
    assert touched(lambda _session: None) is None
    assert together([frozenset({"a"}), frozenset({"b"})]) == {"a", "b"}
    assert together([frozenset({"a"}), None]) is None
    first, go = threading.Event(), threading.Event()

    def greedy(_session: Session) -> None:
        first.set()
        assert go.wait(30)

    with second(store) as other, ThreadPoolExecutor(2) as pool:
        holding = pool.submit(store.ledger.write_now, greedy)
        assert first.wait(30)
        waiting = pool.submit(other.ledger.write_now, modest, "a")
        assert _waits_for_a_lock(store)
        assert not waiting.done()
        go.set()
        holding.result(30)
        assert waiting.result(30) == "a"


def _waits_for_a_lock(store: Store) -> bool:
    deadline = time.monotonic() + 20
    with psycopg.connect(store.settings.database_url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            if connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone():
                return True
            time.sleep(0.01)
    return False


def test_a_process_that_stops_within_a_transaction_does_not_hold_up_the_others(store: Store) -> None:
    began, go = threading.Event(), threading.Event()

    def pause(session: Session) -> None:
        session.add(Event(trace_id="none", subject="x", after="x", at=datetime.now(UTC)))
        began.set()
        assert go.wait(60)

    with second(store) as other, ThreadPoolExecutor(1) as pool:
        paused = pool.submit(other.ledger.write_now, pause)
        assert began.wait(30)
        ref = _patiently(store.connect)  # the server ends the paused session after ten seconds
        go.set()
        with pytest.raises(LedgerBusy):
            paused.result(30)
        assert other.record(judged(other, ref, b"x"))[0].verdict is Verdict.ACCEPTED  # and it goes on by itself


def _patiently(work: Any) -> Any:
    for _ in range(5):
        try:
            return work()
        except LedgerBusy:
            continue
    raise AssertionError("the ledger stays busy")


@pytest.mark.parametrize("text", ["a\0b.csv", "\0", "ä\0\N{PILE OF POO}"])
def test_text_with_nul_is_kept_without_it(store: Store, text: str) -> None:
    ref = store.connect()
    trace_id = store.record(store.judged(ref, store.paper(b"x", text), subject=text))[0].trace_id
    assert store.get(Upload, trace_id).file_name == text.replace("\0", "\ufffd")
    assert store.get(Delivery, trace_id).subject == text.replace("\0", "\ufffd")


def test_large_numbers(store: Store) -> None:
    ref = store.connect()
    trace_id = store.record(store.judged(ref, store.paper(b"x", size=5 << 32), size=6 << 32))[0].trace_id
    assert (store.get(Upload, trace_id).size, store.get(Delivery, trace_id).size) == (5 << 32, 6 << 32)


# A server that goes away.


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    made = PostgresServer()
    try:
        made.start()
        made.make_template()
        yield made
    finally:
        made.remove()


@pytest.fixture
def away(own_server: PostgresServer) -> Iterator[tuple[PostgresServer, Ledger]]:
    ledger = Ledger(make_engine(own_server.url("template")))
    ledger.read_now(_look)
    ledger.write_now(_look)
    yield own_server, ledger
    ledger.close()


def _look(session: Session) -> int:
    return len(session.exec(select(Delivery)).all())


@pytest.mark.parametrize("how", ["stopped", "killed", "silent"])
def test_a_server_that_is_away_is_a_fault_for_now_within_ten_seconds(
    away: tuple[PostgresServer, Ledger], how: str
) -> None:
    server, ledger = away
    if how == "silent":
        server.signal_all(signal.SIGSTOP)
    else:
        server.stop(signal.SIGKILL if how == "killed" else signal.SIGINT)
    try:
        began = time.monotonic()
        with pytest.raises(LedgerBusy) as caught:
            in_loop(ledger.read(_look))
        with pytest.raises(LedgerBusy):
            in_loop(ledger.write(_look))
        assert time.monotonic() - began < 2 * 10
        assert "mailgate@" not in str(caught.value)
    finally:
        if how == "silent":
            server.signal_all(signal.SIGCONT)
        else:
            server.start()
    assert _patiently(lambda: ledger.read_now(_look)) == 0  # nobody opened anything anew
    assert _patiently(lambda: ledger.write_now(_look)) == 0


def test_a_transaction_whose_caller_gave_up_is_not_begun_later(away: tuple[PostgresServer, Ledger]) -> None:
    server, ledger = away
    done: list[str] = []
    server.signal_all(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(2) as pool:
            told = list(pool.map(lambda n: _told(ledger, lambda _session: done.append(n)), "ab"))
    finally:
        server.signal_all(signal.SIGCONT)
    assert told == [True, True]
    assert _patiently(lambda: ledger.write_now(_look)) == 0
    assert len(done) <= 1  # the one that was on its way when the server fell silent may have come through


def _told(ledger: Ledger, work: Any) -> bool:
    try:
        in_loop(ledger.write(work))
    except LedgerBusy:
        return True
    return False


def test_the_driver_gives_up_a_silent_server(own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.postgres._ANSWER", 0.2)
    connection = connect_to(sa.make_url(own_server.url()))()
    with pytest.raises(psycopg.OperationalError, match="has not answered"):
        connection.execute("SELECT pg_sleep(30)")
    assert connection.closed


def test_an_error_names_no_password(own_server: PostgresServer) -> None:
    port = free_port()
    url = f"postgresql://mailgate:sesame@127.0.0.1:{port}/x?connect_timeout=2"
    engine = make_engine(url)
    ledger = Ledger(engine)
    with pytest.raises(LedgerBusy) as caught:
        ledger.read_now(_look)
    ledger.close()
    assert "sesame" not in f"{caught.value!r} {caught.value} {caught.value.__cause__} {engine!r} {engine.url!r}"


# PgBouncer, pooling by transaction.


@pytest.fixture
def bouncer(own_server: PostgresServer, tmp_path: Path) -> Iterator[str]:
    found = next((path for path in ("/usr/sbin/pgbouncer", "/usr/bin/pgbouncer") if Path(path).exists()), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("pgbouncer is not installed")
    port = free_port()
    folder = own_server.folder / "bouncer"
    folder.mkdir(exist_ok=True)
    (folder / "users.txt").write_text('"mailgate" ""\n')
    (folder / "bouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={own_server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = trust\nauth_file = {folder}/users.txt\npool_mode = transaction\n"
        f"default_pool_size = 3\nunix_socket_dir =\nlogfile = {folder}/log\n"
    )
    user = own_server._user
    if user is not None:
        subprocess.run(["chown", "-R", user, str(folder)], check=True)
    with ExitStack() as stack:
        process = subprocess.Popen(
            [str(found), "-q", str(folder / "bouncer.ini")], user=user, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(process.wait, 30)
        stack.callback(process.kill)
        url = f"postgresql://mailgate@127.0.0.1:{port}/template"
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(url, connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.02)
        yield url


def test_behind_a_pooler_two_nodes_record_and_nothing_is_left_in_a_session(
    bouncer: str, own_server: PostgresServer, store: Store
) -> None:
    settings = store.settings.model_copy(update={"database_url": bouncer})
    with ExitStack() as stack:
        nodes = []
        for _ in range(2):
            ledger = Ledger(make_engine(bouncer))
            stack.callback(ledger.close)
            nodes.append(Store(settings, ledger, store.blobs, store.clock, store.queue))
        ref = nodes[0].connect()
        outcomes = at_once(
            *(
                lambda at=at, n=n: at.record(judged(at, ref, f"{n}".encode(), f"<{n}@x>"))[0]
                for n in range(8)
                for at in nodes
            )
        )
        assert len({one.trace_id for one in outcomes}) == 8
    with psycopg.connect(own_server.url("template")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
    own_server.execute("TRUNCATE delivery, account, connection, credential CASCADE", database="template")


def test_the_private_names_are_there() -> None:
    assert issubclass(psycopg.errors._WaitTimeout, psycopg.Error)
    assert "timeout" in psycopg.Connection.wait.__annotations__
    assert program("pg_dump")

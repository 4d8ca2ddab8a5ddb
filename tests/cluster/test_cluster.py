"""Several processes on one Postgres, as operators run them: killed, paused, ended, and what became of their work."""

import signal
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house import SENDER, RunningService, conversions, mail, rows_of, unique, wait_until
from tests.postgres import PostgresServer, server

LONG = 30.0  # seconds in which the work of a dead node must be taken over
CONNECTIONS = """
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
return_address = "batch@acme.example"
""" + "".join(
    f"""
[[connection]]
name = "c{number}"
account = "acme"
data_type = "conversions"
pattern = "*.csv"
credential = "acme-batch"
address = "c{number}"
"""
    for number in range(4)
)


class Cluster:
    """Processes of one data directory and one Postgres database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self._stack = ExitStack()
        self.first = RunningService(folder)
        self.first.set_up("")
        config = folder / "mailgate.toml"
        config.write_text(f'database_url = "{url}"\n' + config.read_text())
        self.first.apply(CONNECTIONS)

    def start(self, roles: str, **variables: str) -> RunningService:
        """Start one more process."""
        node = RunningService(self.folder)
        self._stack.callback(self._end, node)
        return node.start(roles=roles, **variables)

    @staticmethod
    def _end(node: RunningService) -> None:
        if node._process is not None:
            node._process.send_signal(signal.SIGCONT)
            node.stop(signal.SIGKILL)

    def close(self) -> None:
        self._stack.close()

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return rows_of(self.url, statement, *values)

    def send(self, node: RunningService, count: int, rows: int = 5) -> list[str]:
        """Send mails with one file each; gives the trace ids that were acknowledged."""
        told = []
        with smtplib.SMTP("127.0.0.1", node.port, timeout=20) as client:
            client.ehlo()
            for number in range(count):
                client.mail(SENDER)
                client.rcpt(f"c{number % 4}@intake.localhost")
                code, text = client.data(mail([(f"{unique()}.csv", conversions(rows))]))
                assert code == 250, text
                told.append(text.decode().split()[2])
        return told

    def ended(self, told: list[str]) -> bool:
        done = self.rows("SELECT count(*) FROM attempt WHERE upload_id = ANY(?) AND status = 'completed'", told)
        return bool(done[0][0] == len(told))

    def check(self, told: list[str]) -> None:
        """Each acknowledged file was imported once and answered once, receipt and result."""
        wait_until(lambda: self.ended(told), 60)
        wait_until(lambda: not self.rows("SELECT 1 FROM answer WHERE state = 'waiting'"), 60)
        ends = self.rows("SELECT subject, count(*) FROM event WHERE after = 'completed' GROUP BY 1")
        assert dict(ends) == {f"{one}#1": 1 for one in told}
        answers = Counter(one["Message-ID"] for one in self.first.outbox())
        assert len(answers) == 2 * len(told)
        assert set(answers.values()) == {1}
        assert not self.rows("SELECT 1 FROM alarm")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with server().lend() as url:
        made = Cluster(tmp_path / "node", url)
        yield made
        made.close()


def executors(cluster: Cluster) -> set[str]:
    return {row[0] for row in cluster.rows("SELECT DISTINCT executor_id FROM dbos.workflow_status")}


def test_roles_on_several_processes(cluster: Cluster) -> None:
    door, other = cluster.start("smtp"), cluster.start("smtp,sftp")
    cluster.start("worker"), cluster.start("worker")
    told = cluster.send(door, 20) + cluster.send(other, 20)
    cluster.check(told)
    seen = cluster.rows("SELECT roles::text FROM node")
    assert sorted(row[0] for row in seen) == ['["smtp", "sftp"]', '["smtp"]', '["worker"]', '["worker"]']
    assert cluster.rows("SELECT count(*) FROM lease") == [(2,)]


@contextmanager
def busy(cluster: Cluster) -> Iterator[tuple[RunningService, RunningService, list[str]]]:
    """Give two workers in the midst of long imports, and what was acknowledged."""
    door = cluster.start("smtp")
    workers = [cluster.start("worker", LIMITS__PARSE_WORKERS="2") for _ in range(2)]
    told = cluster.send(door, 12, rows=20_000)
    by_number = {f"/{worker.process.pid}/": worker for worker in workers}

    def running() -> RunningService | None:
        for (executor,) in cluster.rows("SELECT executor_id FROM dbos.workflow_status WHERE status = 'PENDING'"):
            for number, worker in by_number.items():
                if number in (executor or ""):
                    return worker
        return None

    one = wait_until(running)
    yield one, next(worker for worker in workers if worker is not one), told


def test_the_work_of_a_killed_node_is_taken_over(cluster: Cluster) -> None:
    with busy(cluster) as (victim, _, told):
        victim.stop(signal.SIGKILL)
        wait_until(lambda: cluster.ended(told), LONG)
        cluster.check(told)


def test_a_paused_node_does_no_harm_when_it_wakes_up(cluster: Cluster) -> None:
    with busy(cluster) as (victim, _, told):
        victim.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: cluster.ended(told), LONG + 10)  # ten seconds for a lock it may have held
        victim.process.send_signal(signal.SIGCONT)
        name = f"%/{victim.process.pid}/%"
        wait_until(lambda: cluster.rows("SELECT 1 FROM node WHERE id LIKE ? AND seen_at > now() - interval '4s'", name))
        cluster.check(told)
        more = cluster.send(cluster.start("smtp"), 8)
        cluster.check(told + more)


def test_a_node_that_ends_leaves_its_work_to_the_others_at_once(cluster: Cluster) -> None:
    with busy(cluster) as (leaver, _, told):
        number = leaver.process.pid
        assert leaver.stop(signal.SIGTERM) == 0
        wait_until(lambda: cluster.ended(told), 15)
        cluster.check(told)
        assert not cluster.rows("SELECT 1 FROM node WHERE id LIKE ?", f"%/{number}/%")


def test_a_rolling_change_loses_no_mail(cluster: Cluster) -> None:
    door, worker = cluster.start("smtp"), cluster.start("worker")
    told = cluster.send(door, 8)
    cluster.first.mailgate("migrate")  # a second migration changes nothing
    new_door, _ = cluster.start("smtp"), cluster.start("worker")
    told += cluster.send(new_door, 4) + cluster.send(door, 4)
    assert door.stop() == worker.stop() == 0
    cluster.check(told + cluster.send(new_door, 4))


def test_threads_of_mail_at_two_doors_are_one_sequence(cluster: Cluster) -> None:
    doors = [cluster.start("smtp"), cluster.start("smtp")]
    cluster.start("worker")
    data = [conversions(3) for _ in range(10)]
    words: list[str] = []

    def send(door: RunningService) -> None:
        with smtplib.SMTP("127.0.0.1", door.port, timeout=30) as client:
            client.ehlo()
            for one in data:
                client.mail(SENDER)
                client.rcpt("c0@intake.localhost")
                words.append(client.data(mail([("a.csv", one)]))[1].decode().split()[1])

    threads = [threading.Thread(target=send, args=(door,)) for door in doors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(words) == {"accepted": 10, "duplicate": 10}
    assert cluster.rows("SELECT sequence FROM connection WHERE name = 'c0'") == [(10,)]


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    made = PostgresServer()
    try:
        made.start()
        made.make_template()
        yield made
    finally:
        made.remove()


def _try(node: RunningService) -> tuple[int, str, float]:
    """Send one mail; gives the first answer that is no yes, or the last one, its text, and the longest wait."""
    longest = 0.0
    with smtplib.SMTP("127.0.0.1", node.port, timeout=20) as client:
        client.ehlo()
        data = mail([(f"{unique()}.csv", conversions(2))])
        for step in (
            lambda: client.mail(SENDER),
            lambda: client.rcpt("c0@intake.localhost"),
            lambda: client.data(data),
        ):
            began = time.monotonic()
            code, text = step()
            longest = max(longest, time.monotonic() - began)
            if code >= 400:
                break
        return code, text.decode(), longest


def test_a_database_that_is_away_means_not_now_and_nothing_is_lost(own_server: PostgresServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "node", own_server.url("template"))
    try:
        node = cluster.start("smtp,worker")
        told = cluster.send(node, 12)
        own_server.signal_all(signal.SIGSTOP)
        code, text, seconds = _try(node)
        assert (code, text[:5]) == (451, "4.3.0")
        assert seconds < 10
        own_server.signal_all(signal.SIGCONT)
        told += wait_until(lambda: _told(_try(node)))
        own_server.stop(signal.SIGKILL)
        for _ in range(3):
            code, _, seconds = _try(node)
            assert code == 451
            assert seconds < 10
        own_server.start()
        told += wait_until(lambda: _told(_try(node)), 40)
        told += cluster.send(node, 4)
        wait_until(lambda: cluster.ended(told), 90)
        cluster.check(told)
        log = (cluster.folder / "service.log").read_text()
        assert "mailgate@127" not in log
    finally:
        cluster.close()


def _told(outcome: tuple[int, str, float]) -> list[str]:
    code, text, _ = outcome
    return [text.split()[2]] if code == 250 else []

"""What one delivery costs: statements, transactions, syncs, rows, processor time, door to result.

A file of ten rows, over SMTP and over SFTP, one after the other and many together, and what an idle service does. The
figures of ``docs/scaling.md`` come from here: ``python -m benchmarks.cost`` for SQLite and the disk in one process, and
``python -m benchmarks.cost shared`` for Postgres and an object store (moto's), with gateway and worker apart.
"""

import contextlib
import json
import os
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.peers import _cpu, _tree, free_port
from tests.house import conversions, mail
from tests.postgres import PostgresServer

_ROWS = 10
_CONNECTIONS = """
[[account]]
name = "bench"
[[credential]]
name = "bench"
account = "bench"
username = "bench"
return_address = "batch@acme.example"
ssh_keys = ["{key}"]
"""
_ONE = """
[[connection]]
name = "mail-{n}"
account = "bench"
data_type = "conversions"
pattern = "*.csv"
credential = "bench"
address = "mail-{n}-x7"
duplicates = "accept"
[[connection]]
name = "files-{n}"
account = "bench"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "bench"
folder = "/upload/{n}"
duplicates = "accept"
"""
_STREAMS = 20  # connections of each kind: imports of one go one after the other
_SETTINGS = {
    "MAILGATE_DNS__LOOKUPS": "false", "MAILGATE_SETTLE_SECONDS": "0", "MAILGATE_LIMITS__ANSWERS_PER_HOUR": "1000000",
    "MAILGATE_LIMITS__METRICS_KEPT": "0s", "MAILGATE_FTP__PORT": "0",
}  # fmt: skip


@dataclass(kw_only=True)
class Site:
    """A mailgate whose costs are counted; several processes where its database serves several."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)
    metrics: dict[str, int] = field(default_factory=dict)
    outside: "Outside | None" = None  #: what stands beside it
    idle: dict[str, float] = field(default_factory=dict)  #: what each process does in a second in which nothing comes

    def start(self, name: str, roles: str) -> None:
        """Run one process with its counts."""
        ports = {door: free_port() for door in ("smtp", "sftp", "metrics")}
        environment = {**os.environ, **_SETTINGS}
        environment |= {f"MAILGATE_{door.upper()}__PORT": str(port) for door, port in ports.items()}
        if name != "all":
            environment["MAILGATE_DATA_DIR"] = str(self.folder / f"data-{name}")
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.counted", str(self.folder / f"{name}.json"),
                 "--config", str(self.folder / "mailgate.toml"), "serve", "--roles", roles],
                stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
            )  # fmt: skip
        process = self.processes[name]
        assert process.stdout is not None
        assert any(line.strip() == "ready" for line in process.stdout), (self.folder / f"{name}.log").read_text()
        self.ports |= {door: port for door, port in ports.items() if door in roles}
        self.metrics[name] = ports["metrics"]

    def counts(self, name: str) -> dict[str, int]:
        """Give what a process has counted."""
        time.sleep(0.25)  # it is written ten times a second
        found: dict[str, int] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def page(self, name: str) -> dict[tuple[str, ...], float]:
        """Give the metrics of a process."""
        done = subprocess.run(
            ["curl", "-s", f"http://127.0.0.1:{self.metrics[name]}/metrics"], capture_output=True, text=True, check=True
        )
        return {
            (one.name, *one.labels.values()): one.value
            for family in text_string_to_metric_families(done.stdout)
            for one in family.samples
        }  # fmt: skip

    def done(self) -> int:
        """Give how many results have been handed over."""
        return int(sum(self.page(name).get(("mailgate_answers_total", "result", "sent"), 0) for name in self.processes))

    def cpu(self) -> dict[str, float]:
        """Give the processor seconds of each process, and of what they have started."""
        found: dict[str, float] = {}
        for name, process in self.processes.items():
            found[name] = _cpu(process.pid)
            found[f"{name}'s parsers"] = sum(map(_cpu, set(_tree(process.pid)) - {process.pid}))
        return found


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Set up a site, and end it."""
    with tempfile.TemporaryDirectory(prefix="mailgate-bench-") as name:
        folder = Path(name)
        config = ["--config", str(folder / "mailgate.toml")]
        subprocess.run([sys.executable, "-m", "mailgate", "init", "--dir", name], check=True, stdout=subprocess.DEVNULL)
        keys = str(folder / "mailgate-data" / "keys")
        os.environ["MAILGATE_SMTP__CERTIFICATE"], os.environ["MAILGATE_SMTP__KEY"] = (
            f"{keys}/tls.crt",
            f"{keys}/tls.key",
        )
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
        text = _CONNECTIONS.format(key=(folder / "key.pub").read_text().strip())
        (folder / "c.toml").write_text(text + "".join(_ONE.format(n=n) for n in range(_STREAMS)))
        subprocess.run(
            [sys.executable, "-m", "mailgate", *config, "connection", "apply", str(folder / "c.toml")],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        made = Site(folder=folder)
        try:
            yield made
        finally:
            for process in made.processes.values():
                process.terminate()
            for process in made.processes.values():
                process.wait(30)


class Outside:
    """A Postgres that syncs, and moto's object store, whose work is counted as well."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self._server = server
        self._database = database
        self.requests: Counter[str] = Counter()
        self._before: dict[str, float] = {}
        self._began = 0.0
        self._idle: dict[str, float] = {}  # in a second
        self.connections = 0

    def heard(self, method: str) -> None:
        """Count a request to the object store."""
        self.requests[method] += 1

    def _now(self) -> dict[str, float]:
        time.sleep(11)  # a backend that is idle tells its statistics after ten seconds
        with psycopg.connect(self._server.url(self._database)) as connection:
            (commits,) = connection.execute(
                "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone() or (0,)
            syncs, octets = connection.execute("SELECT wal_sync, wal_bytes FROM pg_stat_wal").fetchone() or (0, 0)
            (there,) = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchone() or (0,)
        process = self._server._process  # noqa: SLF001 - nobody else asks for it
        assert process is not None
        found = {"transactions": float(commits), "WAL syncs": float(syncs), "bytes of WAL": float(octets)}
        found |= {f"{method} requests": float(count) for method, count in self.requests.items()}
        found["ms of CPU in Postgres"] = 1000 * sum(map(_cpu, _tree(process.pid)))
        self.connections = there - 1
        return found

    def begin(self) -> None:
        """Note where things stand."""
        self._before = self._now()
        self._began = time.monotonic()

    def rest(self) -> None:
        """Note that nothing came since, and print what was done all the same."""
        after, seconds = self._now(), time.monotonic() - self._began
        self._idle = {name: (value - self._before.get(name, 0)) / seconds for name, value in after.items()}
        print("idle, outside: a second has " + ", ".join(f"{value:.1f} {name}" for name, value in self._idle.items()))

    def tell(self, count: int) -> None:
        """Print what a delivery has cost since."""
        after, seconds = self._now(), time.monotonic() - self._began
        spent = {
            name: (value - self._before.get(name, 0) - seconds * self._idle.get(name, 0)) / count
            for name, value in after.items()
        }
        print("  outside: a delivery has " + ", ".join(f"{value:.1f} {name}" for name, value in spent.items()))
        print(f"  outside: {self.connections} connections to Postgres are open")


@contextlib.contextmanager
def outside() -> Iterator[Outside]:
    """Run a Postgres and an object store, and have mailgates use them."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer
    from werkzeug.serving import WSGIRequestHandler

    server = PostgresServer()
    server.start()
    server.execute("CREATE DATABASE bench")
    made = Outside(server, "bench")
    WSGIRequestHandler.log_request = lambda handler, *_words: made.heard(handler.command)  # type: ignore[method-assign]
    objects = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    objects.start()
    host, port = objects.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/bench", method="PUT"), timeout=10).close()
    os.environ |= {
        "MAILGATE_DATABASE_URL": server.url("bench"), "MAILGATE_BLOB_URL": "s3://bench/files",
        "MAILGATE_S3__ENDPOINT": f"http://{host}:{port}", "MAILGATE_S3__ACCESS_KEY_ID": "x",
        "MAILGATE_S3__SECRET_ACCESS_KEY": "y",
    }  # fmt: skip
    try:
        yield made
    finally:
        objects.stop()
        server.stop()
        server.remove()


def by_mail(place: Site, count: int, at_once: int, streams: int = _STREAMS) -> None:
    """Send so many mails over so many sessions, to so many connections."""

    def session(number: int) -> None:
        with smtplib.SMTP("127.0.0.1", place.ports["smtp"]) as client:
            for n in range(number, count, at_once):
                to = f"mail-{n % streams}-x7@intake.localhost"
                client.sendmail("batch@acme.example", [to], mail([("a.csv", conversions(_ROWS))]))

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(session, range(at_once)))


def by_mail_to_one(place: Site, count: int, at_once: int) -> None:
    """Send all mails to one connection, whose imports go one after the other."""
    by_mail(place, count, at_once, streams=1)


def by_sftp(place: Site, count: int, at_once: int) -> None:
    """Upload so many files over so many connections, with OpenSSH."""

    def session(number: int) -> None:
        lines = []
        for n in range(number, count, at_once):
            path = place.folder / f"up-{time.monotonic_ns()}-{n}.csv"
            path.write_bytes(conversions(_ROWS))
            lines.append(f"put {path} /upload/{n % _STREAMS}/\n")
        subprocess.run(
            ["sftp", "-F", "none", "-P", str(place.ports["sftp"]), "-i", str(place.folder / "key"), "-b", "-",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "bench@127.0.0.1"],
            input="".join(lines), text=True, check=True, capture_output=True,
        )  # fmt: skip

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(session, range(at_once)))


def _wait(place: Site, wanted: int) -> None:
    deadline = time.monotonic() + 300
    while place.done() < wanted:
        assert time.monotonic() < deadline, f"{place.done()} of {wanted} results"
        time.sleep(0.1)


def measure(place: Site, what: str, send: Callable[[Site, int, int], None], count: int, at_once: int) -> None:
    """Send, wait for the last result, and print what one delivery took."""
    if place.outside is not None:
        place.outside.begin()
    before = {name: place.counts(name) for name in place.processes}
    pages = {name: place.page(name) for name in place.processes}
    cpu, began, wanted = place.cpu(), time.monotonic(), place.done() + count
    send(place, count, at_once)
    accepted = time.monotonic() - began
    _wait(place, wanted)
    seconds = time.monotonic() - began
    print(f"{what}: {count} deliveries, {at_once} at once: {count / seconds:.1f} a second to the result, "
          f"{count / accepted:.1f} to the door's word")  # fmt: skip
    for name in place.processes:
        after, page = place.counts(name), place.page(name)
        spent = {
            key: (after.get(key, 0) - before[name].get(key, 0) - seconds * place.idle.get(f"{name} {key}", 0)) / count
            for key in sorted(after)
        }
        groups = page["mailgate_database_group_size_count",] - pages[name]["mailgate_database_group_size_count",]
        jobs = page["mailgate_database_group_size_sum",] - pages[name]["mailgate_database_group_size_sum",]
        print(f"  {name}: a delivery has " + ", ".join(f"{value:.1f} {key}" for key, value in spent.items()))
        print(f"  {name}: {jobs / count:.1f} writing transactions of ours in {groups / count:.2f} commits")
    for name, value in place.cpu().items():
        net = value - cpu[name] - seconds * place.idle.get(name, 0)
        print(f"  {name}: {net / count * 1000:.1f} ms of CPU, {(value - cpu[name]) / count * 1000:.1f} with its idling")
    if place.outside is not None:
        place.outside.tell(count)


def idle(place: Site, seconds: float = 20) -> None:
    """Print what a service does while nothing comes, and keep it: it is no part of a delivery's cost."""
    time.sleep(5)
    if place.outside is not None:
        place.outside.begin()
    before, cpu = {name: place.counts(name) for name in place.processes}, place.cpu()
    time.sleep(seconds)
    for name in place.processes:
        after = place.counts(name)
        spent = {key: (after.get(key, 0) - before[name].get(key, 0)) / seconds for key in sorted(after)}
        place.idle |= {f"{name} {key}": value for key, value in spent.items()}
        print(f"idle, {name}: a second has " + ", ".join(f"{value:.1f} {key}" for key, value in spent.items()))
    for name, value in place.cpu().items():
        place.idle[name] = (value - cpu[name]) / seconds
        print(f"idle, {name}: {place.idle[name] * 100:.1f} % of a core")
    if place.outside is not None:
        place.outside.rest()


def syncs(place: Site, what: str, send: Callable[[Site, int, int], None], count: int, at_once: int) -> None:
    """Count syncs with strace, which slows what it watches: only the counts are told."""
    out = place.folder / "strace"
    pids = [word for process in place.processes.values() for word in ("-p", str(process.pid))]
    wanted = place.done() + count
    with subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(out), "-e", "trace=fsync,fdatasync", *pids], stderr=subprocess.DEVNULL
    ) as program:
        time.sleep(2)
        send(place, count, at_once)
        _wait(place, wanted)
        program.send_signal(signal.SIGINT)
        program.wait(30)
    lines = [line for line in out.read_text().splitlines() if "resumed" not in line]
    print(f"{what}, {at_once} at once: {len(lines) / count:.1f} syncs a delivery "
          f"({sum('fdatasync' in line for line in lines) / count:.1f} of them fdatasync)")  # fmt: skip


def rows(place: Site) -> None:
    """Print how many rows and bytes of the database a delivery leaves."""
    import sqlite3

    path = place.folder / "mailgate-data" / "mailgate.sqlite3"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    total = connection.execute("SELECT count(*) FROM delivery").fetchone()[0]
    found = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] / total for name in names}
    size = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
    told = ", ".join(f"{name} {count:.1f}" for name, count in found.items() if count >= 0.05)
    print(f"rows a delivery ({total} of them): {told}; {size / total / 1000:.1f} kB of database each")


_WAYS: list[tuple[str, Any]] = [("SMTP", by_mail), ("SFTP", by_sftp)]


def shared(count: int = 100) -> None:
    """Measure a gateway and a worker over Postgres and an object store, then two workers."""
    with outside() as beside, site() as place:
        place.outside = beside
        place.start("gateway", "smtp,sftp")
        place.start("worker", "worker")
        idle(place)
        for what, send in _WAYS:
            before = place.done()
            send(place, 20, 2)  # warm
            _wait(place, before + 20)
            measure(place, what, send, count // 2, 1)
            measure(place, what, send, count, 20)
        place.start("worker-2", "worker")
        measure(place, "SMTP, two workers", by_mail, count, 20)


def main(count: int = 200) -> None:
    """Measure one process over SQLite and the disk."""
    with site() as place:
        place.start("all", "smtp,sftp,worker")
        idle(place)
        ways = _WAYS
        for what, send in ways:
            before = place.done()
            send(place, 20, 2)  # warm
            _wait(place, before + 20)
            measure(place, what, send, count // 2, 1)
            measure(place, what, send, count, 20)
        measure(place, "SMTP, all to one connection", by_mail_to_one, count // 2, 20)
        for what, send in ways:
            syncs(place, what, send, 40, 1)
            syncs(place, what, send, 100, 20)
        rows(place)


if __name__ == "__main__":
    shared() if sys.argv[1:] == ["shared"] else main()

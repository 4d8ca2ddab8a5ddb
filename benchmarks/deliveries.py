"""Whole deliveries per second: ten-row files by mail, from the door to the result that is handed over.

On SQLite with one process, and on Postgres with a door and one or two workers; all on this machine, everything synced.
Then 1,000 mails of 10 KB on fifty sessions, the door alone, Postgres against SQLite. Processor seconds are those of our
processes and of the database server together.
"""

import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.peers import _cpu, _tree, free_port
from benchmarks.smtp import _SMALL, _SMALL_COUNT, Client, _mail, send_small
from tests.postgres import PostgresServer

_DELIVERIES, _SESSIONS, _CONNECTIONS, _ROUNDS = 200, 10, 10, 3
_HEADER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerStatus,CurrencyCode,Amount"
_APPLY = (
    '[[account]]\nname = "b"\n[[credential]]\nname = "b"\naccount = "b"\nreturn_address = "b@acme.example"\n'
    + "".join(
        f'[[connection]]\nname = "b{n}"\naccount = "b"\ndata_type = "conversions"\npattern = "*.csv"\n'
        'credential = "b"\n'
        f'address = "{"bench-0000000000" if n == 0 else f"b{n}"}"\n'
        for n in range(_CONNECTIONS)
    )
)


@dataclass
class Site:
    """Processes of one configuration, and their database."""

    name: str
    folder: Path
    server: PostgresServer | None = None
    port: int = 0
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "mailgate", "--config", str(self.folder / "mailgate.toml"), *words]

    def start(self, roles: str) -> None:
        port = free_port()
        settings = {
            "SMTP__PORT": port,
            "LIMITS__ANSWERS_PER_HOUR": 1_000_000,
            "METRICS__PORT": 0,
            "DNS__LOOKUPS": "false",
        }
        environment = {**os.environ, **{f"MAILGATE_{key}": str(value) for key, value in settings.items()}}
        process = subprocess.Popen(
            self.command("serve", "--roles", roles), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip
        self.processes.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "ready":
                break
        self.port = self.port or port

    def ask(self, statement: str) -> int:
        """Ask the database for one number."""
        if self.server is not None:
            with psycopg.connect(self.server.url("template")) as connection:
                row = connection.execute(statement).fetchone()  # type: ignore[call-overload]
        else:
            path = self.folder / "mailgate-data/mailgate.sqlite3"
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                row = connection.execute(statement).fetchone()
        return int(row[0])

    def cpu(self) -> float:
        roots = [process.pid for process in self.processes]
        if self.server is not None:
            roots.append(self.server.pid)
        return sum(_cpu(pid) for root in roots for pid in _tree(root))


@contextlib.contextmanager
def site(name: str, *roles: str, postgres: bool) -> Iterator[Site]:
    """Set up a site and run its processes, the first with the door."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        made = Site(name, Path(folder) / "site")
        subprocess.run(made.command("init", "--dir", str(made.folder)), check=True, stdout=subprocess.DEVNULL)
        if postgres:
            made.server = PostgresServer()
            stack.callback(made.server.remove)
            made.server.start().make_template()
            config = made.folder / "mailgate.toml"
            config.write_text(f'database_url = "{made.server.url("template")}"\n' + config.read_text())
        (made.folder / "apply.toml").write_text(_APPLY)
        words = made.command("connection", "apply", str(made.folder / "apply.toml"))
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        for one in roles:
            made.start(one)
        try:
            yield made
        finally:
            for process in made.processes:
                process.terminate()
            for process in made.processes:
                process.wait(30)


def _ten_rows(number: int, tag: str) -> bytes:
    rows = "".join(f"1000,2001,NOW,{tag}-{number}-{row},c-{row},NEW,EUR,1.00\r\n" for row in range(10))
    return (
        f"From: a@acme.example\r\nMessage-ID: <{tag}-{number}@acme.example>\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: text/csv\r\nContent-Disposition: attachment; filename="{tag}{number}.csv"\r\n\r\n'
        f"{_HEADER}\r\n{rows}"
    ).encode()


def _deliver(made: Site) -> tuple[float, float]:
    """Send files on ten sessions; gives deliveries per second until the last result went out, and processor seconds."""
    tag, before = os.urandom(4).hex(), made.ask("SELECT count(*) FROM answer WHERE kind = 'result' AND state = 'sent'")

    def work(first: int) -> None:
        client = Client(made.port)
        for number in range(first, _DELIVERIES, _SESSIONS):
            connection = number % _CONNECTIONS
            address = "bench-0000000000" if connection == 0 else f"b{connection}"
            client.send(_ten_rows(number, tag), f"{address}@intake.localhost")
        client.close()

    cpu, started = made.cpu(), time.perf_counter()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(_SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while made.ask("SELECT count(*) FROM answer WHERE kind = 'result' AND state = 'sent'") - before < _DELIVERIES:
        time.sleep(0.05)
    return _DELIVERIES / (time.perf_counter() - started), made.cpu() - cpu


def _small(made: Site) -> tuple[float, float]:
    tag = os.urandom(4).hex()
    mails = [_mail(_SMALL, f"{tag}{n}") for n in range(_SMALL_COUNT)]
    cpu, started = made.cpu(), time.perf_counter()
    send_small(made, mails)  # type: ignore[arg-type]
    return time.perf_counter() - started, made.cpu() - cpu


def main() -> None:
    """Print both comparisons, rounds in turn."""
    print(f"Whole deliveries, {_DELIVERIES} ten-row files on {_SESSIONS} sessions, {_CONNECTIONS} connections")
    with (
        site("SQLite, one process", "smtp,worker", postgres=False) as one,
        site("Postgres, door and one worker", "smtp", "worker", postgres=True) as two,
        site("Postgres, door and two workers", "smtp", "worker", "worker", postgres=True) as three,
    ):
        _print([(made, [_deliver(made) for _ in range(1)]) for made in (one, two, three)], "warm-up")
        _print(_rounds(_deliver, [one, two, three]), "deliveries/s")
    print(f"SMTP, {_SMALL_COUNT} x {_SMALL // 1000} KB on 50 sessions, the door alone")
    with site("SQLite", "smtp", postgres=False) as one, site("Postgres", "smtp", postgres=True) as two:
        for made in (one, two):
            _small(made)
        _print(_rounds(_small, [one, two]), "s")


def _rounds(measure, sites):  # type: ignore[no-untyped-def]
    found = {made.name: (made, []) for made in sites}
    for _ in range(_ROUNDS):
        for made in sites:
            found[made.name][1].append(measure(made))
    return list(found.values())


def _print(results: list[tuple[Site, list[tuple[float, float]]]], unit: str) -> None:
    base = statistics.median(value for value, _ in results[0][1])
    for made, values in results:
        value, cpu = statistics.median(v for v, _ in values), statistics.median(c for _, c in values)
        print(f"  {made.name:32} {value:8.2f} {unit} = {value / base:5.2f} x   cpu {cpu:6.2f} s", flush=True)


if __name__ == "__main__":
    main()

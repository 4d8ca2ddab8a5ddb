"""What the check of senders costs: CPU for one mail, and the SMTP door with and without it.

The DNS is a small server on loopback, in a process of its own.
"""

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from benchmarks.peers import Peer, mailgate
from benchmarks.smtp import _mail, send_small
from mailgate.authenticity import Checker, Signer
from mailgate.message import BytesSource, split
from models.authenticity import Origin
from tests.authenticity.name_server import SILENT, name_server
from tests.authenticity.support import record, rsa_key

_ROUNDS = 5
_MAILS = 500
_GOOD: dict[tuple[str, str], Any] = {
    ("acme.example", "TXT"): "v=spf1 include:spf.acme.example -all",
    ("spf.acme.example", "TXT"): "v=spf1 ip4:127.0.0.1 -all",
    ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=reject",
}


class _Known:
    """DNS as a dict: what it costs is left out."""

    def __init__(self, records: dict[tuple[str, str], Any]) -> None:
        self._records = records

    def ask(self, name: str, kind: Any, seconds: float) -> tuple[str, ...]:
        found = self._records.get((name, kind), ())
        return (found,) if isinstance(found, str) else tuple(found)


def check_alone() -> None:
    """Print the processor time of one check, and of one split beside it."""
    signer = Signer("acme.example", "s", rsa_key())
    checker = Checker(_Known({**_GOOD, ("s._domainkey.acme.example", "TXT"): record()}))
    now = datetime.now(UTC)
    origin = Origin(client="127.0.0.1", helo="mail.acme.example", sender="a@acme.example")
    for size, times in ((10_000, 300), (25_000_000, 5), (136_000_000, 3)):
        plain = _mail(size, "x")
        for name, mail in (("unsigned", plain), ("signed", signer.sign(plain, now))):
            source = BytesSource(mail)
            began = time.process_time()
            for _ in range(times):
                message = split(source)
            splitting = (time.process_time() - began) / times
            began = time.process_time()
            for _ in range(times):
                found = checker.check(source, message, origin, now=now, seconds=5)
            assert found.aligned
            cost = (time.process_time() - began) / times
            print(f"{len(mail):>12,} bytes, {name:8}: check {cost * 1e3:8.3f} ms CPU, split {splitting * 1e3:8.3f} ms")


def _serve(records: dict[tuple[str, str], Any], pipe: Any) -> None:
    with name_server(records) as server:
        pipe.send(server.address)
        pipe.recv()


@contextlib.contextmanager
def _dns(records: dict[tuple[str, str], Any]) -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(records, theirs))
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()


def at_the_door() -> None:
    """Print how long 500 mails of 10 KB take on fifty sessions, with and without the check."""
    silent: dict[tuple[str, str], Any] = dict.fromkeys(_GOOD, SILENT)
    with contextlib.ExitStack() as stack:
        good, dead = stack.enter_context(_dns(_GOOD)), stack.enter_context(_dns(silent))
        asking = {"DNS__LOOKUPS": "true"}
        peers: list[tuple[str, Peer]] = [
            ("DNS not asked", stack.enter_context(mailgate())),
            ("DNS answers", stack.enter_context(mailgate(**asking, DNS__SERVERS=f'["{good}"]'))),
            ("DNS is silent", stack.enter_context(mailgate(**asking, DNS__SERVERS=f'["{dead}"]'))),
        ]
        walls: dict[str, list[float]] = {name: [] for name, _ in peers}
        cpus: dict[str, list[float]] = {name: [] for name, _ in peers}
        for number in range(_ROUNDS + 1):
            for name, peer in peers:
                mails = [_mail(10_000, f"{os.urandom(4).hex()}{n}") for n in range(_MAILS)]
                cpu, began = peer.cpu_seconds(), time.perf_counter()
                send_small(peer, mails)
                if number:
                    walls[name].append(time.perf_counter() - began)
                    cpus[name].append(peer.cpu_seconds() - cpu)
    for name in walls:
        wall, cpu = statistics.median(walls[name]), statistics.median(cpus[name])
        rate = f"{_MAILS / wall:6.0f} mails/s (slowest round {_MAILS / max(walls[name]):.0f})"
        print(f"{name:14} {rate}, {cpu / _MAILS * 1e3:.2f} ms CPU a mail")


def main() -> None:
    """Print both."""
    check_alone()
    at_the_door()


if __name__ == "__main__":
    main()

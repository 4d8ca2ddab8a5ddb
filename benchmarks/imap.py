"""Mails out of a mailbox: against a bare fetch with the same library, from the hint to the receipt, memory.

What is compared: 200 mails of 50 KB from Debian's Dovecot, each fetched by size and content with IMAPClient, and the
same taken by mailgate: fetched, judged, recorded with its blob synced and its transaction committed, and moved.
"""

import logging
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import structlog

from benchmarks.peers import mailgate
from tests.house import conversions, mail
from tests.imap.dovecot import Dovecot, open_dovecot
from tests.imap.support import HEAD, Rig, connection, open_rig
from tests.storage.support import make_template

_MAILS, _ROUNDS, _HINTS = 200, 5, 20
_NAME = "Conversions_1.csv"
_MOVES = 'processed_folder = "Done"\nignored_folder = "Other"'


def _bare(dovecot: Dovecot, user: str) -> None:
    with dovecot.client(user) as client:
        client.select_folder("INBOX")
        for uid in client.search("ALL"):
            client.fetch([uid], ["RFC822.SIZE"])
            client.fetch([uid], ["BODY.PEEK[]<0.1048576>"])


def _timed(work: object) -> tuple[float, float]:
    assert callable(work)
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _throughput(dovecot: Dovecot, folder: Path, template: Path) -> None:
    bare: list[tuple[float, float]] = []
    ours: list[tuple[float, float]] = []
    for number in range(_ROUNDS + 1):
        user = f"bench{number}"
        dovecot.put(user, [mail([(_NAME, conversions(550))]) for _ in range(_MAILS)])
        with open_rig(folder / user, template) as rig:
            rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=_MOVES))
            poller = rig.poller()
            first = _timed(lambda user=user: _bare(dovecot, user))  # type: ignore[misc]
            second = _timed(poller.once)
            assert len(rig.history()) == _MAILS
        if number:  # the first round warms up
            bare.append(first)
            ours.append(second)
    print(f"IMAP, {_MAILS} x 50 KB from Dovecot, commit and move included (median of {_ROUNDS} pairs)")
    for name, times in (("bare fetch", bare), ("mailgate", ours)):
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"  {name:12} {wall:6.3f} s   cpu {cpu:5.2f} s")
    wall, cpu = (
        statistics.median(one[place] / other[place] for one, other in zip(ours, bare, strict=True)) for place in (0, 1)
    )
    print(f"  ratio        {wall:6.2f} x   cpu {cpu:5.2f} x")


def _hints(dovecot: Dovecot) -> None:
    times = []
    os.environ["MAILGATE_PULL__ALLOW_PRIVATE"] = "true"
    with mailgate("poller,worker", "batch@acme.example") as ours, dovecot.client("hints") as client:
        text = HEAD + connection("hints", dovecot.port, dovecot.password_file, remote=_MOVES)
        ours.apply(text)
        outbox = ours.folder / "mailgate-data/outbox"
        time.sleep(2)
        for _ in range(_HINTS):
            before = len(list(outbox.glob("*-receipt.eml")))
            data = mail([(_NAME, conversions(10))])
            started = time.perf_counter()
            client.append("INBOX", data)
            while len(list(outbox.glob("*-receipt.eml"))) == before:
                time.sleep(0.001)
            times.append((time.perf_counter() - started) * 1000)
            time.sleep(0.3)
    median, slowest = statistics.median(times), max(times)
    print(f"IDLE, {_HINTS} mails, from APPEND to the receipt: median {median:.0f} ms, slowest {slowest:.0f} ms")


def _memory(dovecot: Dovecot, folder: Path, template: Path) -> None:
    def peak(rig: Rig, megabytes: int) -> float:
        user = f"large{megabytes}"
        line = b"1000,2001,NOW,order,click,NEW,EUR,1.50\r\n"
        dovecot.put(user, [mail([(_NAME, line * (megabytes * 1_000_000 // len(line)))])])
        rig.apply(connection(user, dovecot.port, dovecot.password_file, name=user))
        _forget_peak()
        before = _peak()
        rig.poller().once()
        return _peak() - before

    with open_rig(folder / "memory", template) as rig:
        small, large = peak(rig, 10), peak(rig, 97)
        verdicts = {verdict for verdict, _ in rig.verdicts()}
    print(f"Memory beyond rest: {small:.1f} MB for a file of 10 MB, {large:.1f} MB for one of 97 MB ({verdicts})")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Print the three figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="mailgate-bench-") as name, open_dovecot() as dovecot:
        folder = Path(name)
        template = make_template(folder)
        _throughput(dovecot, folder, template)
        _memory(dovecot, folder, template)
        _hints(dovecot)


if __name__ == "__main__":
    main()

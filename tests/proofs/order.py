"""P4: the system calls of one delivery stand in the order that the promise needs.

What is proven: before the service writes ``250 2.0.0 accepted``, or ``226 stored``, to the client's socket, the
file's bytes were synced, then the folder that names it, then the database's write-ahead log with the rows, each with
success and each after the last write that it must cover. The judge is a pure function of strace's lines; tests take
each line away and see it turn red.

What the figures mean: ``deliveries`` traced, and ``out of order``, those with at least one complaint: must be 0.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house import conversions
from tests.proofs.ftp_kill import by_ftplib, set_up_ftp
from tests.proofs.gate import Gate, open_gate
from tests.proofs.kill import send
from tests.proofs.mails import Sent, compose
from tests.proofs.strace import Call, attached, read_calls
from tests.proofs.tally import Tally, wait_and_count

TRACED = "fsync,fdatasync,openat,rename,write,writev,pwrite64,pwritev,sendto,sendmsg"
_WORD = "250 2.0.0 accepted"
_BLOB = re.compile(r".*/blobs/\d{8}/[0-9a-f-]+")
_UPLOAD = re.compile(r".*/uploads/[0-9a-f]+")
_SYNCS = ("fsync", "fdatasync")
_WRITES = ("write", "writev", "pwrite64", "pwritev")
_TALKS = ("write", "writev", "sendto", "sendmsg")


def complaints(lines: Iterable[str], *, said: str = _WORD, stored: re.Pattern[str] = _BLOB) -> list[str]:
    """Say what is wrong with the order of one delivery's calls; empty: nothing is.

    ``said``: the word that promises; ``stored``: the path of the file that it is about.
    """
    calls = read_calls(lines)
    word = next((call for call in calls if _is_word(call, said)), None)
    if word is None:
        return [f"{said[:3]} was never said"]
    before = [call for call in calls if call.ended < word.began and call.worked]
    blobs = [
        call for call in before if call.name == "openat" and "O_CREAT" in call.text and stored.fullmatch(call.path)
    ]
    if not blobs:
        return [f"no file was stored before {said[:3]}"]
    found: list[str] = []
    folder_synced = 0
    for blob in blobs:
        written = max((call.ended for call in _of(before, blob.path, _WRITES)), default=blob.ended)
        synced = _sync_behind(before, blob.path, written)
        if synced is None:
            found.append(f"the file was not synced between its last write and {said[:3]}")
            continue
        folder = _sync_behind(before, str(Path(blob.path).parent), synced.ended)
        if folder is None:
            found.append(f"the file's folder was not synced between the file's sync and {said[:3]}")
            continue
        folder_synced = max(folder_synced, folder.ended)
    return found or _database(before, folder_synced, said[:3])


def _database(before: Sequence[Call], since: int, code: str) -> list[str]:
    written = [call for call in before if call.path.endswith("-wal") and call.name in _WRITES and call.began > since]
    if not written:
        return [f"the database was not written between the folder's sync and {code}"]
    last = max(call.ended for call in written)
    if not any(call.path.endswith("-wal") and call.name in _SYNCS and call.began > last for call in before):
        return [f"the database was not synced between its last write and {code}"]
    return []


def _is_word(call: Call, said: str) -> bool:
    to_client = call.path.startswith(("socket:", "TCP:"))
    return call.name in _TALKS and to_client and said in call.text


def _of(calls: Iterable[Call], path: str, names: Sequence[str]) -> list[Call]:
    return [call for call in calls if call.path == path and call.name in names]


def _sync_behind(calls: Iterable[Call], path: str, moment: int) -> Call | None:
    return next((call for call in _of(calls, path, _SYNCS) if call.began > moment), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ordered:
    """What one run of P4 came to."""

    deliveries: int
    out_of_order: tuple[str, ...]  #: one line a delivery
    tally: Tally | None  #: None: they were not imported
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether every delivery was in order."""
        return not self.out_of_order and (self.tally is None or self.tally.good)

    def __str__(self) -> str:
        told = f"deliveries {self.deliveries}, out of order {len(self.out_of_order)}"
        told += f", lost {self.tally.lost}" if self.tally is not None else ""
        return "; ".join((f"{told} ({self.seconds:.0f} s)", *self.out_of_order))


def trace_deliveries(number: int) -> Ordered:
    """Trace so many deliveries one by one, small and large ones, and judge each."""
    began = time.monotonic()
    sent = [compose("order", place, rows=5 if place % 2 == 0 else 7000) for place in range(number)]
    with open_gate() as gate:
        gate.start(roles="smtp")  # the door alone: every write to the database is the delivery's
        found = [f"{one.file_name}: {', '.join(wrong)}" for one in sent if (wrong := complaints(_traced(gate, one)))]
        gate.stop()
        gate.start()
        tally = wait_and_count(gate, sent, {}, seconds=30)
    return Ordered(deliveries=number, out_of_order=tuple(found), tally=tally, seconds=time.monotonic() - began)


def _traced(gate: Gate, one: Sent) -> list[str]:
    out = gate.folder / "order.strace"
    with attached(gate.pid, out, trace=TRACED):
        code, text = send(gate.port, one.mail)
    assert code == 250, f"{code} {text}"
    return out.read_text(errors="replace").splitlines()


def trace_uploads(number: int) -> Ordered:
    """Trace so many uploads over FTP, small and large ones, and judge each."""
    began = time.monotonic()
    found = []
    with open_gate() as gate:
        port = set_up_ftp(gate)
        gate.start(roles="ftp")
        for place in range(number):
            name = f"order-{place}.csv"
            (gate.folder / name).write_bytes(conversions(5 if place % 2 == 0 else 7000))
            out = gate.folder / "order.strace"
            with attached(gate.pid, out, trace=TRACED):
                assert by_ftplib(gate, port, name), gate.log()
            lines = out.read_text(errors="replace").splitlines()
            if wrong := complaints(lines, said="226 stored", stored=_UPLOAD):
                found.append(f"{name}: {', '.join(wrong)}")
    return Ordered(deliveries=number, out_of_order=tuple(found), tally=None, seconds=time.monotonic() - began)

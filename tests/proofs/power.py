"""P2: the power goes, on a file system that forgets what was not synced.

The system calls of a running service are recorded with their bytes while mails are delivered one after the other.
For each 250, and for as many moments at random, a disk is built as the strictest file system would leave it: of each
file only the bytes whose sync had ended, of each folder only the names that the folder's own sync had covered
(creations, renames and deletions alike), and nothing else. A new service is started on that disk, and the mail that
was not yet answered, if any, is sent again.

What is proven: every mail is imported once and answered once: those answered 250 before the cut without any help.

What the figures mean: ``cuts`` is how often the power went, ``forgotten`` the bytes and names that the disk lost by
it, over all cuts; the others are those of ``tally``, over all cuts.
"""

import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path

from tests.proofs.gate import Gate, open_gate
from tests.proofs.kill import send
from tests.proofs.mails import Sent, compose
from tests.proofs.strace import Call, attached, read_calls
from tests.proofs.tally import Tally, wait_and_count

TRACED = "openat,mkdir,rename,unlink,write,writev,pwrite64,ftruncate,fsync,fdatasync"
_STRINGS = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = "250 2.0.0 accepted"
_UNTOLD = ("-shm", "service.lock")  # rebuilt at each start; their bytes go through memory maps or mean nothing


@dataclass(slots=True, eq=False)
class File:
    """A file: what the running service sees of it, and what is synced. A folder is a file without bytes."""

    seen: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    folder: bool = False


@dataclass(slots=True)
class Disk:
    """The data directory as the service sees it, and as a power cut would leave it; paths are absolute."""

    root: str
    names: dict[str, File] = field(default_factory=dict)
    synced_names: dict[str, File] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> "Disk":
        """Take what is there now as synced."""
        disk = cls(str(root))
        for path in root.rglob("*"):
            if not path.name.endswith(_UNTOLD):
                content = b"" if path.is_dir() else path.read_bytes()
                disk.names[str(path)] = File(bytearray(content), content, folder=path.is_dir())
        disk.synced_names = dict(disk.names)
        return disk

    def forgotten(self) -> int:
        """Count what a power cut would lose: names, and bytes of files that keep theirs."""
        names = self.names.keys() ^ self.synced_names.keys()
        return len(names) + sum(abs(len(file.seen) - len(file.synced)) for file in self.synced_names.values())

    def lay_out(self, root: Path) -> None:
        """Write what a power cut leaves to a folder; a name counts only where its folders' names do."""
        for path in sorted(self.synced_names):
            file, target = self.synced_names[path], root / Path(path).relative_to(self.root)
            if not target.parent.is_dir():
                continue
            if file.folder:
                target.mkdir()
            else:
                target.write_bytes(file.synced)


def replay(disk: Disk, lines: Iterable[str], moments: Iterable[int] = ()) -> list[tuple[int, Disk]]:
    """Follow strace's lines; gives the disk at each 250 to a client, and before the lines with these numbers.

    Each disk comes with the count of 250s until then.
    """
    events: list[tuple[float, Callable[[Disk], None] | None]] = [(moment - 0.5, None) for moment in moments]
    words = 0
    for call in read_calls(lines):
        if not call.worked:
            continue
        if call.path.startswith("socket:"):
            events.extend([(call.began, None)] if _WORD in call.text else [])
        elif call.name in ("fsync", "fdatasync"):
            events.extend(_sync(call))
        elif call.path.startswith(disk.root) and not call.path.endswith(_UNTOLD):
            # A change counts for a sync only when it ended before, so it is made at its end.
            events.append((call.ended, _change(call)))
    cuts: list[tuple[int, Disk]] = []
    for moment, event in sorted(events, key=lambda one: one[0]):
        if event is None:
            words += moment == int(moment)
            cuts.append((words, deepcopy(disk)))
        else:
            event(disk)
    return cuts


def _sync(call: Call) -> list[tuple[float, Callable[[Disk], None] | None]]:
    """A sync covers what was there when it began, and counts from its end on."""
    path = call.path
    taken: list[tuple[File, bytes] | dict[str, File]] = []

    def begin(disk: Disk) -> None:
        file = disk.names.get(path)
        if path == disk.root or (file is not None and file.folder):
            taken.append({name: one for name, one in disk.names.items() if _folder(name) == path})
        elif file is not None:
            taken.append((file, bytes(file.seen)))

    def end(disk: Disk) -> None:
        for one in taken:
            if isinstance(one, dict):
                kept = {name: file for name, file in disk.synced_names.items() if _folder(name) != path}
                disk.synced_names = {**kept, **one}
            else:
                one[0].synced = one[1]

    return [(call.began, begin), (call.ended, end)]


def _change(call: Call) -> Callable[[Disk], None]:
    def make(disk: Disk) -> None:
        if call.name == "openat":
            if "O_CREAT" in call.text:
                disk.names.setdefault(call.path, File())
            if "O_TRUNC" in call.text:
                disk.names[call.path].seen.clear()
        elif call.name == "mkdir":
            disk.names[call.path] = File(folder=True)
        elif call.name == "unlink":
            disk.names.pop(call.path, None)
        elif call.name == "rename":
            source, target = _STRINGS.findall(call.text)
            disk.names[target] = disk.names.pop(source)
        elif call.path in disk.names:
            _write(disk.names[call.path], call)

    return make


def _write(file: File, call: Call) -> None:
    if call.name == "ftruncate":
        size = int(call.text.rpartition(",")[2])
        file.seen = file.seen[:size].ljust(size, b"\0")
        return
    data = b"".join(_bytes(piece) for piece in _STRINGS.findall(call.text))[: call.result]
    assert len(data) == call.result, f"strace cut the bytes of {call.path}"
    offset = int(call.text.rpartition(",")[2]) if call.name == "pwrite64" else len(file.seen)  # the others append
    if len(file.seen) < offset:
        file.seen = file.seen.ljust(offset, b"\0")
    file.seen[offset : offset + len(data)] = data


def _bytes(text: str) -> bytes:
    """Undo strace's escapes, which are C's."""
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """What one run of P2 came to."""

    tally: Tally  #: summed over all cuts
    cuts: int
    forgotten: int
    seed: int
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether the promise held at every cut."""
        return self.tally.good

    def __str__(self) -> str:
        told = f"cuts {self.cuts}, forgotten {self.forgotten}, over all cuts: {self.tally}"
        return f"{told} (seed {self.seed}, {self.seconds:.0f} s)"


def cut_power(mails: int, seed: int) -> Cut:
    """Deliver so many mails, and cut the power at each 250 and as often in between."""
    began = time.monotonic()
    sent = [compose("power", number, rows=5) for number in range(mails)]
    with open_gate() as gate:
        gate.start()
        gate.kill()
        gate.start()  # a database with a log, as any but the first life finds it
        cuts = _record(gate, sent, random.Random(seed))
        gate.kill()
        assert len(cuts) == 2 * mails, f"{len(cuts) - mails} of {mails} were answered 250"
        tallies = [_start_on(gate, disk, sent, acknowledged) for acknowledged, disk in cuts]
        forgotten = sum(disk.forgotten() for _, disk in cuts)
    summed = Tally(**{one.name: sum(getattr(tally, one.name) for tally in tallies) for one in fields(Tally)})
    return Cut(tally=summed, cuts=len(cuts), forgotten=forgotten, seed=seed, seconds=time.monotonic() - began)


def _record(gate: Gate, sent: Sequence[Sent], rng: random.Random) -> list[tuple[int, Disk]]:
    out = gate.folder / "power.strace"
    with attached(gate.pid, out, trace=TRACED, text=1 << 24):
        subprocess.run(["sync"], check=True)  # what came before is on the disk
        before = Disk.of(gate.data)
        for one in sent:
            code, text = send(gate.port, one.mail)
            assert code == 250, f"{code} {text}"
    lines = out.read_text(encoding="latin-1").split("\n")
    return replay(before, lines, rng.sample(range(len(lines)), len(sent)))


def _start_on(gate: Gate, disk: Disk, sent: Sequence[Sent], acknowledged: int) -> Tally:
    shutil.rmtree(gate.data)
    gate.data.mkdir(mode=0o700)
    disk.lay_out(gate.data)
    gate.start()
    try:
        for one in sent[acknowledged : acknowledged + 1]:  # perhaps under way when the power went: its client insists
            code, text = send(gate.port, one.mail)
            assert code == 250, f"{code} {text}"
        return wait_and_count(gate, sent[: acknowledged + 1], {}, seconds=30)
    finally:
        gate.kill()

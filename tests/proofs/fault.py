"""P3: the k-th write, sync, creation, rename or deletion of one delivery fails, for every k.

strace fails the call (``inject``) while one mail is delivered and answered. It counts calls by thread, so the service
is started with a single thread for its file work: the k-th call is then the k-th of the delivery, or of the ledger's
writer. Calls that sockets and logs share with the disk (``write``, ``openat``, ``unlink``) are scoped to the paths of
the next stored files; countable ids instead of random ones make them known. Nothing else is changed.

What is proven: each k ends in "refused for now" (4xx) with nothing kept, or in 250 and one import; the same mail sent
again without the fault ends in exactly one import and one set of answers.

What the figures mean: those of ``tally``, and of the deliveries with a fault: ``accepted``, ``refused`` for now;
``refused but kept`` (a row was there although the answer was 4xx), ``refused for good``, ``no word`` (the connection
ended without an answer), ``died`` (the service ended), which must be 0. ``left over`` counts stored files without a
row, which the sweep removes after a day.
"""

import smtplib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from tests.proofs.gate import Gate, open_gate, wait_until
from tests.proofs.kill import send
from tests.proofs.mails import Sent, compose
from tests.proofs.strace import attached
from tests.proofs.tally import Tally, outbox, rows, settled, wait_and_count

_BAD = ("refused but kept", "refused for good", "no word", "died")
_AHEAD = 48  # ids that one delivery will not get past
_LIFE = 1_000_000  # ids to a life of the service
_ANSWERED = 1.5  # seconds for the answers while the fault is on
_PATIENCE = 240.0  # an answer that could not be handed over is tried again after a minute or two
_SERVICE = """
import itertools, os, secrets
ids = itertools.count(int(os.environ["PROOF_IDS_FROM"]))
secrets.token_hex = lambda size=32: format(next(ids), f"0{2 * size}x")
import mailgate.app
assert mailgate.app._THREADS > 0
mailgate.app._THREADS = 1
from mailgate.cli import main
main()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One kind of fault; ``k`` runs from 1 on."""

    call: str
    errors: tuple[str, ...]  #: taken in turn
    files_only: bool = False  #: only calls on the paths of stored files and the spool
    large: bool = False  #: the mail is large enough for the spool folder
    most: int = 200

    @property
    def name(self) -> str:
        """Say what fails."""
        return f"{self.call}{' of a large file' if self.large else ''}"


ALL = (
    Series(call="fsync", errors=("EIO",)),
    Series(call="fdatasync", errors=("EIO",)),
    Series(call="pwrite64", errors=("ENOSPC", "EIO")),
    Series(call="write", errors=("ENOSPC", "EIO"), files_only=True),
    Series(call="write", errors=("ENOSPC", "EIO"), files_only=True, large=True),
    Series(call="openat", errors=("ENOSPC", "EIO"), files_only=True, large=True),
    Series(call="unlink", errors=("EIO",), files_only=True, large=True),
    Series(call="rename", errors=("ENOSPC", "EIO")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Faulted:
    """What one run of P3 came to."""

    tally: Tally
    ends: Counter[str]
    by_series: dict[str, Counter[str]]
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether each fault ended as promised."""
        return self.tally.good and not any(self.ends[name] for name in _BAD)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {self.ends[name]}" for name in ("accepted", "refused", *_BAD, "left over"))
        series = "; ".join(
            f"{name}: " + ", ".join(f"{end} {number}" for end, number in sorted(ends.items()))
            for name, ends in self.by_series.items()
        )
        return f"faults {self.ends['k']}, {told}, {self.tally} ({self.seconds:.0f} s) [{series}]"


class FaultRun:
    """One mailgate that suffers fault after fault."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._numbers = count()
        self.sent: list[Sent] = []
        self.acknowledged: dict[str, str] = {}
        self.by_series: dict[str, Counter[str]] = {}

    def start(self) -> None:
        """Start the service, with ids that no former life gave out."""
        self._gate.environment["PROOF_IDS_FROM"] = str((self._gate.starts + 1) * _LIFE)
        self._gate.start()

    def suffer(self, series: Series, most: int) -> None:
        """Let the k-th call fail for k = 1, 2, … until there is no such call, or ``most`` is reached."""
        ends = self.by_series.setdefault(series.name, Counter())
        for k in range(1, min(most, series.most) + 1):
            wait_until(lambda: settled(self._gate, self.sent), _ANSWERED)  # no fault for what came before
            left_over = len(self._left_over())
            one = compose("fault", next(self._numbers), rows=7000 if series.large else 5)
            end, injected = self._deliver_with_fault(series, k, one)
            if end.startswith("refused"):
                kept = rows(self._gate, "select 1 from upload where file_name = ?", one.file_name) if self._up() else []
                end = "refused but kept" if kept else end
            ends[end] += 1
            ends["k"] += 1
            self.sent.append(one)
            self._insist(one)
            ends["left over"] += len(self._left_over()) - left_over
            if not injected:
                return

    def result(self, began: float) -> Faulted:
        """Wait until all is answered, and count."""
        tally = wait_and_count(self._gate, self.sent, self.acknowledged, seconds=_PATIENCE)
        ends = sum(self.by_series.values(), Counter[str]())
        return Faulted(tally=tally, ends=ends, by_series=self.by_series, seconds=time.monotonic() - began)

    def _deliver_with_fault(self, series: Series, k: int, one: Sent) -> tuple[str, int]:
        """Deliver one mail while the k-th call fails; gives how it ended and how many calls failed."""
        out = self._gate.folder / "fault.strace"
        error = series.errors[k % len(series.errors)]
        more = ["-e", f"inject={series.call}:error={error}:when={k}"]
        if series.files_only:
            more += [word for path in self._next_paths() for word in ("-P", path)]
        with attached(self._gate.pid, out, trace=series.call, more=more):
            end = self._deliver(one)
            if end == "accepted":
                trace_id = self.acknowledged[one.file_name]
                wait_until(lambda: sum(a.trace_id == trace_id for a in outbox(self._gate)) == 2, _ANSWERED)
        return end, out.read_text(errors="replace").count("(INJECTED)")

    def _deliver(self, one: Sent) -> str:
        try:
            code, text = send(self._gate.port, one.mail)
        except (OSError, smtplib.SMTPException):
            return "no word" if self._gate.alive else "died"
        if code == 250:
            self.acknowledged[one.file_name] = text.split()[-1]
            return "accepted"
        return "refused" if 400 <= code <= 499 else "refused for good"

    def _insist(self, one: Sent) -> None:
        """Send until it is accepted, as a mail server would; a service that died is started again."""

        def accepted() -> bool:
            self._up()
            return self._deliver(one) == "accepted"

        if one.file_name not in self.acknowledged:
            assert wait_until(accepted, 30), f"no 250 without a fault:\n{self._gate.log()}"
        else:
            self._up()

    def _up(self) -> bool:
        if not self._gate.alive:
            self._gate.kill()
            self.start()
        return True

    def _next_paths(self) -> Iterator[str]:
        """Name the files that the next ids will have."""
        blobs, spool = self._gate.data / "blobs", self._gate.data / "spool"
        day = f"{datetime.now(UTC):%Y%m%d}"
        used = [int(path.name.partition("-")[2], 16) for path in blobs.glob("*/*")]
        first = max([*used, self._gate.starts * _LIFE - 1]) + 1
        for number in range(first, first + _AHEAD):
            yield str(blobs / day / f"{day}-{number:032x}")
            yield str(spool / f"{number:032x}.spool")

    def _left_over(self) -> set[str]:
        named = {blob for (blob,) in rows(self._gate, "select blob from upload where blob is not null")}
        return {path.name for path in (self._gate.data / "blobs").glob("*/*")} - named


def fail_every_call(series: Sequence[Series] = ALL, *, most: int = 1000) -> Faulted:
    """Let every k-th call of every series fail."""
    began = time.monotonic()
    with open_gate(command=(sys.executable, "-c", _SERVICE)) as gate:
        run = FaultRun(gate)
        run.start()
        warm_up = compose("fault", 99999)
        run.sent.append(warm_up)
        run._insist(warm_up)  # the first delivery of a life starts threads and folders
        for one in series:
            run.suffer(one, most)
        return run.result(began)

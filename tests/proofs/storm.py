"""P3 under load: many deliveries at once while calls fail again and again.

Deliveries that come together share syncs and commits, so that a fault of one may touch others. Several clients send
at once, each mail until it hears 250, while strace fails every n-th call of a kind in each thread; then the fault
ends and all must come to rest.

What is proven: a mail that was answered 250 amid the faults is imported once and answered once.

What the figures mean: those of ``tally``; ``faults`` is how many calls failed, ``died`` how often the service
ended and had to be started again, which must be 0.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.proofs.gate import Gate, open_gate, wait_until
from tests.proofs.kill import Clients
from tests.proofs.mails import Sent, compose
from tests.proofs.strace import attached
from tests.proofs.tally import Tally, wait_and_count

#: Which call fails, how, and when: the first one, and every so many behind it.
Storm = tuple[str, str, str]
STORMS: tuple[Storm, ...] = (
    ("fsync", "EIO", "3+7"),
    ("fdatasync", "EIO", "2+3"),
    ("pwrite64", "EIO", "5+97"),
    ("pwrite64", "ENOSPC", "9+61"),
    ("pread64", "EIO", "4+41"),
)
_STORM = 20.0  # seconds that one lasts at most
_PATIENCE = 240.0  # an answer that could not be handed over is tried again after a minute or two


@dataclass(frozen=True, kw_only=True, slots=True)
class Weathered:
    """What one run of storms came to."""

    tally: Tally
    faults: int
    died: int
    refused: int
    seed: int
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""
        return self.tally.good and not self.died and not self.refused

    def __str__(self) -> str:
        told = f"faults {self.faults}, died {self.died}, refused for good {self.refused}"
        return f"{told}, {self.tally} (seed {self.seed}, {self.seconds:.0f} s)"


def weather(mails: int, seed: int, storms: Sequence[Storm] = STORMS) -> Weathered:
    """Send so many mails through each storm."""
    began = time.monotonic()
    run = _Run()
    with open_gate() as gate:
        gate.start()
        for number, storm in enumerate(storms):
            some = [compose(f"storm{number}", place, rows=5) for place in range(mails)]
            _through(gate, storm, some, Clients(gate.port, seed + number, clients=8), run)
        tally = wait_and_count(gate, run.sent, run.acknowledged, seconds=_PATIENCE)
    return Weathered(
        tally=tally, faults=run.faults, died=run.died, refused=run.refused, seed=seed,
        seconds=time.monotonic() - began,
    )  # fmt: skip


@dataclass(slots=True)
class _Run:
    sent: list[Sent] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    faults: int = 0
    died: int = 0
    refused: int = 0


def _through(gate: Gate, storm: Storm, mails: list[Sent], clients: Clients, run: _Run) -> None:
    call, error, when = storm
    out = gate.folder / "storm.strace"
    with attached(gate.pid, out, trace=call, more=["-e", f"inject={call}:error={error}:when={when}"]):
        clients.offer(mails)
        wait_until(lambda: clients.acknowledged >= len(mails) or not gate.alive, _STORM)
    if not gate.alive:
        run.died += 1
        gate.kill()
        gate.start()
    run.acknowledged.update(clients.finish())
    run.faults += out.read_text(errors="replace").count("(INJECTED)")
    run.refused += clients.refused
    run.sent += mails

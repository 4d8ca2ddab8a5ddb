"""The proofs: programs that break mailgate while it works, count what came of it, and print figures.

``python -m tests.proofs`` runs the long forms one after the other, a line of figures each, and exits 1 when one of
them is bad. What is proven and what each figure means stands at the head of the module of that proof.
"""

import argparse
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.proofs.fault import fail_every_call
from tests.proofs.ftp_kill import kill_under_ftp
from tests.proofs.kill import kill_under_postfix, kill_under_script
from tests.proofs.mailbox import kill_under_mailbox
from tests.proofs.needs import missing
from tests.proofs.order import trace_deliveries, trace_uploads
from tests.proofs.power import cut_power
from tests.proofs.sftp_kill import kill_under_sftp
from tests.proofs.slow import attack_with_slowness
from tests.proofs.store_away import take_the_store_away
from tests.proofs.storm import weather
from tests.proofs.timing import time_logins


class Figures(Protocol):
    """What a proof came to; its text is one line."""

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One proof in its long form."""

    key: str
    title: str
    programs: tuple[str, ...]
    run: Callable[[], Figures]


def _proofs(sizes: argparse.Namespace) -> tuple[Proof, ...]:
    return (
        Proof(
            key="p1", title="P1 kill, under postfix", programs=("postfix", "postqueue"),
            run=lambda: kill_under_postfix(sizes.mails, sizes.kills, sizes.seed),
        ),
        Proof(
            key="p1", title="P1 kill, under a script", programs=(),
            run=lambda: kill_under_script(sizes.mails, sizes.kills, sizes.seed),
        ),
        Proof(
            key="p1", title="P1 kill, under SFTP", programs=("sftp", "ssh-keygen"),
            run=lambda: kill_under_sftp(sizes.mails, sizes.kills, sizes.seed),
        ),
        Proof(
            key="p1", title="P1 kill, under FTP", programs=("curl",),
            run=lambda: kill_under_ftp(sizes.mails, sizes.kills, sizes.seed),
        ),
        Proof(key="p2", title="P2 power", programs=("strace",), run=lambda: cut_power(sizes.cuts, sizes.seed)),
        Proof(key="p3", title="P3 fault", programs=("strace",), run=lambda: fail_every_call(most=sizes.faults)),
        Proof(
            key="p3", title="P3 fault, under load", programs=("strace",),
            run=lambda: weather(sizes.storm, sizes.seed),
        ),
        Proof(
            key="p3", title="P3 fault, object store away", programs=(),
            run=lambda: take_the_store_away(sizes.outages, sizes.outage_seconds, sizes.seed),
        ),
        Proof(key="p4", title="P4 order", programs=("strace",), run=lambda: trace_deliveries(sizes.deliveries)),
        Proof(
            key="p4", title="P4 order, over FTP", programs=("strace",), run=lambda: trace_uploads(sizes.deliveries)
        ),
        Proof(
            key="p5", title="P5 kill, under a mailbox", programs=("dovecot",),
            run=lambda: kill_under_mailbox(sizes.mailbox_mails, sizes.mailbox_kills, sizes.seed),
        ),
        Proof(
            key="t17", title="T17 slowness", programs=(),
            run=lambda: attack_with_slowness(sizes.slow_each, sizes.slow_seconds),
        ),
        Proof(key="t20", title="T20 timing", programs=(), run=lambda: time_logins(sizes.logins, sizes.seed)),
    )  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description="Prove what mailgate promises.")
    parser.add_argument(
        "--only",
        action="append",
        choices=("p1", "p2", "p3", "p4", "p5", "t17", "t20"),
        help="this one; may be repeated",
    )
    parser.add_argument("--mails", type=int, default=200, help="of P1")
    parser.add_argument("--kills", type=int, default=60, help="of P1")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the random moments")
    parser.add_argument("--cuts", type=int, default=20, help="of P2 at a 250, and as many in between")
    parser.add_argument("--faults", type=int, default=1000, help="of P3, at most so many of a kind")
    parser.add_argument("--storm", type=int, default=60, help="of P3 under load, mails to a storm")
    parser.add_argument(
        "--outages", type=int, default=4, help="of P3 with an object store, silent and refusing in turn"
    )
    parser.add_argument("--outage-seconds", type=float, default=60, help="of P3 with an object store")
    parser.add_argument("--deliveries", type=int, default=20, help="of P4")
    parser.add_argument("--mailbox-mails", type=int, default=500, help="of P5")
    parser.add_argument("--mailbox-kills", type=int, default=100, help="of P5")
    parser.add_argument("--slow-each", type=int, default=1000, help="of T17, silent connections and as many slow ones")
    parser.add_argument("--slow-seconds", type=float, default=120, help="of T17, at each door")
    parser.add_argument("--logins", type=int, default=1000, help="of T20, wrong passwords of either kind at each door")
    return parser.parse_args()


def main() -> int:
    """Run what is asked for; gives the exit code."""
    sizes = _arguments()
    good = True
    for proof in _proofs(sizes):
        if sizes.only and proof.key not in sizes.only:
            continue
        gone = missing(*proof.programs)
        if gone:
            print(f"{proof.title}: not run, missing {', '.join(gone)}", flush=True)
            good = good and os.environ.get("CI") != "true"
            continue
        figures = proof.run()
        print(f"{proof.title}: {'good' if figures.good else 'BAD'}: {figures}", flush=True)
        good = good and figures.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

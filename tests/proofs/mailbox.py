"""P5: mailgate is killed with SIGKILL while it takes mails out of a mailbox, again and again.

What is proven: between fetch, commit and move a mail may be at any place when the service dies; every mail ends in
exactly one import, one receipt and one result, and leaves the mailbox for the folder of what was taken.

What the figures mean: those of ``tally``; ``kills`` is how often the service was killed, ``left`` how many mails never
left the mailbox, ``between`` how often a kill came between the commit of a mail and its move, which is the moment that
this proof is about, ``copies`` how many messages the folder of what was taken holds beyond one for each mail.
"""

import random
import sqlite3
import time
from dataclasses import dataclass

from tests.imap.dovecot import Dovecot, open_dovecot
from tests.imap.support import HEAD
from tests.imap.support import connection as pull_connection
from tests.proofs.gate import Gate, open_gate
from tests.proofs.mails import compose
from tests.proofs.tally import Tally, rows, wait_and_count

USER = "batch"
_ROLES = "poller,worker"
_LIVES = (0.1, 0.6, 1.5)  # seconds within which a life ends, from ready on
_AIMED = 0.6  # share of the lives that end when a mail is recorded and not yet moved
_PATIENCE = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxKilled:
    """What one run of P5 came to."""

    tally: Tally
    kills: int
    between: int
    left: int
    copies: int
    seed: int
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""
        return self.tally.good and not self.left and not self.copies

    def __str__(self) -> str:
        return (
            f"{self.tally}, kills {self.kills}, between {self.between}, left {self.left}, copies {self.copies}"
            f" (seed {self.seed}, {self.seconds:.0f} s)"
        )


def kill_under_mailbox(mails: int, kills: int, seed: int) -> MailboxKilled:
    """Lay mails into a mailbox while mailgate is started and killed; the last life is let live."""
    began, rng = time.monotonic(), random.Random(seed)
    sent = [compose(f"mb{seed}", number) for number in range(mails)]
    shares = [sent[place :: kills + 1] for place in range(kills + 1)]
    between = 0
    with open_dovecot() as dovecot, open_gate() as gate:
        _connect(gate, dovecot)
        for share in shares[:-1]:
            dovecot.put(USER, [one.mail for one in share])
            gate.start(_ROLES)
            if rng.random() < _AIMED:
                _wait_for_a_commit(gate)
            else:
                time.sleep(rng.uniform(0, rng.choice(_LIVES)))
            gate.kill()
            between += int(rows(gate, _UNSETTLED)[0][0])
        dovecot.put(USER, [one.mail for one in shares[-1]])
        gate.start(_ROLES)
        tally = wait_and_count(gate, sent, {}, seconds=_PATIENCE)
        deadline = time.monotonic() + 20
        while (left := len(dovecot.uids(USER))) and time.monotonic() < deadline:
            time.sleep(0.2)
        copies = len(dovecot.uids(USER, "Done")) - len(sent)
        return MailboxKilled(
            tally=tally, kills=kills, between=between, left=left, copies=copies, seed=seed,
            seconds=time.monotonic() - began,
        )  # fmt: skip


def _wait_for_a_commit(gate: Gate) -> None:
    """Return as soon as a mail is recorded and not yet moved, or a life is over without."""
    deadline = time.monotonic() + 3
    connection = sqlite3.connect(f"file:{gate.data / 'mailgate.sqlite3'}?mode=ro", uri=True, timeout=30)
    try:
        while time.monotonic() < deadline:
            if connection.execute(_UNSETTLED).fetchone()[0]:
                return
    finally:
        connection.close()


_UNSETTLED = "select count(*) from mailbox_message where trace_id is not null and not settled"


def _connect(gate: Gate, dovecot: Dovecot) -> None:
    gate.environment["MAILGATE_PULL__ALLOW_PRIVATE"] = "true"
    text = HEAD + pull_connection(
        USER, dovecot.port, dovecot.password_file, pattern="Conversions_202?_*.csv",
        remote='processed_folder = "Done"\nignored_folder = "Not taken"',
    )  # fmt: skip
    (gate.folder / "mailbox.toml").write_text(text)
    gate.run("connection", "apply", str(gate.folder / "mailbox.toml"))

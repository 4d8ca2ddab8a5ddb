"""P1 for file doors: mailgate is killed with SIGKILL at random moments while scripts upload until they hear OK.

What is proven: a file whose upload was answered OK (exit 0 of OpenSSH's sftp, here) ends in exactly one import of
exactly its bytes. Half of the scripts put the file under its own name, the others under a temporary one and rename it.
Each tries again with the whole file until the client exits 0, as such scripts do.

What the figures mean: ``lost`` files without a completed import, ``twice`` files with more than one, ``half`` imports
of other bytes than were sent, ``unanswered`` files without a receipt in the results folder; all must be 0. ``again``
is how often an upload came although its content was taken before.
"""

import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.house import conversions
from tests.proofs.gate import Gate, open_gate, wait_until
from tests.proofs.tally import rows

_LIVES = (0.3, 3.0)  # seconds from ready to the kill
_PATIENCE = 120.0
_CLIENTS = 3
INBOX = "/upload/conversions"
_CONNECTION = """\
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
username = "acme"
ssh_keys = ["{key}"]
[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "acme-batch"
folder = "/upload/conversions"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadsKilled:
    """What one run came to."""

    sent: int
    lost: int
    twice: int
    half: int
    unanswered: int
    again: int
    kills: int
    seed: int
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""
        return not (self.lost or self.twice or self.half or self.unanswered)

    def __str__(self) -> str:
        return (
            f"sent {self.sent}, lost {self.lost}, twice {self.twice}, half {self.half}, unanswered {self.unanswered},"
            f" again {self.again}, kills {self.kills} (seed {self.seed}, {self.seconds:.0f} s)"
        )


def kill_under_sftp(files: int, kills: int, seed: int, *, rows_each: int = 3000) -> UploadsKilled:
    """Let scripts upload over SFTP while mailgate is killed; returns when all is imported and answered."""
    return kill_uploads(files, kills, seed, "sftp,worker", _set_up, _upload, rows_each=rows_each)


def kill_uploads(
    files: int, kills: int, seed: int, roles: str, set_up: Callable[[Gate], int],
    upload: Callable[[Gate, int, str], bool], *, rows_each: int = 3000,
) -> UploadsKilled:  # fmt: skip
    """Let scripts upload while mailgate is killed; returns when all is imported and answered.

    ``set_up`` applies the connection and gives the port that the door is to have; ``upload`` is one try of a script
    with a file of this name in the gate's folder, and tells whether it heard OK. A name that begins with ``r`` goes by
    a temporary one.
    """
    began = time.monotonic()
    rng = random.Random(seed)
    with open_gate() as gate:
        port = set_up(gate)
        sent = {
            f"{'r' if n % 2 else 'p'}{seed}-{n}.csv": conversions(rng.randrange(1, rows_each)) for n in range(files)
        }
        for name, data in sent.items():
            (gate.folder / name).write_bytes(data)
        gate.start(roles)
        todo = list(sent)
        share = files / (kills + 1)  # of each life
        threads = [threading.Thread(target=_work, args=(gate, partial(upload, gate, port), todo, share), daemon=True)
                   for _ in range(_CLIENTS)]  # fmt: skip
        for thread in threads:
            thread.start()
        killed = 0
        while killed < kills and any(thread.is_alive() for thread in threads):
            time.sleep(rng.uniform(*_LIVES))
            gate.kill()
            gate.start(roles)
            killed += 1
        for thread in threads:
            thread.join(_PATIENCE * 5)
            assert not thread.is_alive(), f"a client never heard OK (seed {seed})\n{gate.log()}"
        digests = {name: sha256(data).hexdigest() for name, data in sent.items()}
        wait_until(lambda: _count(gate, digests)[0] == 0, _PATIENCE)
        time.sleep(1)  # what would be imported twice gets its time
        lost, twice, half, unanswered, again = _count(gate, digests)
        return UploadsKilled(
            sent=files, lost=lost, twice=twice, half=half, unanswered=unanswered, again=again, kills=killed, seed=seed,
            seconds=time.monotonic() - began,
        )  # fmt: skip


def _set_up(gate: Gate) -> int:
    from benchmarks.peers import free_port

    key = gate.folder / "client"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "acme", "-f", str(key)], check=True)
    (gate.folder / "sftp.toml").write_text(_CONNECTION.format(key=Path(f"{key}.pub").read_text().strip()))
    gate.run("connection", "apply", str(gate.folder / "sftp.toml"))
    port = free_port()
    gate.environment = {"MAILGATE_SFTP__PORT": str(port), "MAILGATE_SETTLE_SECONDS": "1"}
    return port


def _work(gate: Gate, upload: Callable[[str], bool], todo: list[str], share: float) -> None:
    files = len(todo)
    while True:
        if todo and files - len(todo) >= share * gate.starts:
            time.sleep(0.02)  # the other lives have theirs
            continue
        try:
            name = todo.pop()
        except IndexError:
            return
        deadline = time.monotonic() + _PATIENCE * 5
        while not upload(name) and time.monotonic() < deadline:
            time.sleep(0.2)


def _upload(gate: Gate, port: int, name: str) -> bool:
    """Upload one file as a script would; tells whether the client exited 0."""
    local = gate.folder / name
    lines = [f"put {local} {INBOX}/{name}"]
    if name.startswith("r"):
        lines = [f"put {local} {INBOX}/{name}.part", f"rename {INBOX}/{name}.part {INBOX}/{name}"]
    done = subprocess.run(
        ["sftp", "-q", "-F", "none", "-P", str(port), "-i", str(gate.folder / "client"), "-b", "-",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5",
         "acme@127.0.0.1"],
        input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    return done.returncode == 0


def _count(gate: Gate, digests: dict[str, str]) -> tuple[int, int, int, int, int]:
    done: dict[str, int] = dict.fromkeys(digests, 0)
    half = 0
    for name, digest in rows(
        gate, "select u.file_name, u.sha256 from attempt a join upload u on u.id = a.upload_id"
        " where a.status = 'completed'",
    ):  # fmt: skip
        half += digest != digests[name]
        done[name] += 1
    answered = {name for (name,) in rows(
        gate, "select distinct u.file_name from folder_answer f join upload u on u.id = f.upload_id"
        " where f.kind = 'receipt'",
    )}  # fmt: skip
    again = int(rows(gate, "select count(*) from upload where status = 'duplicate'")[0][0])
    lost = sum(times == 0 for times in done.values())
    return lost, sum(times > 1 for times in done.values()), half, len(digests.keys() - answered), again

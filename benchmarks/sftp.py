"""SFTP against OpenSSH's own server: whole client commands, durable acknowledgement included on our side.

Debian's sshd runs as a private process on loopback. Each measure is a command of OpenSSH's client with its defaults,
the two servers in turn in one run; ratios compare medians of pairs. CPU seconds are those of the server with all its
children: on a busy machine they say more than the clock. The last figure is the memory of ``serve --roles sftp``.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.peers import free_port

_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
_TICK = os.sysconf("SC_CLK_TCK")
_CONNECTION = """\
[[account]]
name = "bench"
[[credential]]
name = "bench"
account = "bench"
username = "bench"
ssh_keys = ["{key}"]
[[connection]]
name = "bench"
account = "bench"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "bench"
folder = "/upload"
"""
_SETTINGS = {
    "MAILGATE_SETTLE_SECONDS": "3600", "MAILGATE_METRICS__PORT": "0", "MAILGATE_LIMITS__MAX_FILE_BYTES": "2000000000",
    "MAILGATE_LIMITS__UPLOAD_BYTES_HELD": "100000000000", "MAILGATE_LIMITS__UPLOADS_AT_ONCE": "10000",
}  # fmt: skip


@dataclass(kw_only=True)
class Server:
    """An SFTP server that listens."""

    name: str
    port: int
    pid: int
    user: str
    inbox: str
    key: Path
    _numbers: list[int] = field(default_factory=list)

    def sftp(self, *lines: str, check: bool = True) -> int:
        """Run lines in OpenSSH's client, with its defaults."""
        done = subprocess.run(
            ["sftp", "-q", "-F", "none", "-P", str(self.port), "-i", str(self.key), "-b", "-",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{self.user}@127.0.0.1"],
            input="\n".join(lines) + "\n", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr}")
        return done.returncode

    def name_of(self) -> str:
        """Give a name that was not used before."""
        self._numbers.append(0)
        return f"{self.inbox}/f{len(self._numbers)}-{os.getpid()}.csv"

    def cpu_seconds(self) -> float:
        """Give the processor time of the server and the children it has waited for."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / _TICK

    def memory(self) -> tuple[float, float]:
        """Give resident memory and its proportional share, in MB."""
        rollup = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        )
        return int(rollup["Rss"].split()[0]) / 1000 * 1.024, int(rollup["Pss"].split()[0]) / 1000 * 1.024


@contextlib.contextmanager
def mailgate(folder: Path, key: Path) -> Iterator[Server]:
    """Run mailgate's SFTP door alone."""
    command = [sys.executable, "-m", "mailgate", "--config", str(folder / "mailgate.toml")]
    subprocess.run([*command, "init", "--dir", str(folder)], check=True, stdout=subprocess.DEVNULL)
    (folder / "bench.toml").write_text(_CONNECTION.format(key=key.with_suffix(".pub").read_text().strip()))
    subprocess.run([*command, "connection", "apply", str(folder / "bench.toml")], check=True, stdout=-3)
    port = free_port()
    process = subprocess.Popen(
        [*command, "serve", "--roles", "sftp"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **_SETTINGS, "MAILGATE_SFTP__PORT": str(port)},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "ready":
            break
    try:
        yield Server(name="mailgate", port=port, pid=process.pid, user="bench", inbox="/upload", key=key)
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def openssh(folder: Path, key: Path) -> Iterator[Server]:
    """Run a private sshd with its internal SFTP server."""
    folder.mkdir()
    folder.chmod(0o755)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True)
    (folder / "in").mkdir()
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nAuthorizedKeysFile {key}.pub\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\nMaxStartups 200\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(folder / "config"), "-E", str(folder / "log")])
    user = os.environ.get("USER") or "root"
    server = Server(name="openssh", port=port, pid=process.pid, user=user, inbox=str(folder / "in"), key=key)
    while server.sftp("pwd", check=False):
        time.sleep(0.1)
    try:
        yield server
    finally:
        process.terminate()
        process.wait(10)


class Measured(Protocol):
    """A server whose processor time can be read."""

    @property
    def name(self) -> str:
        """Give the name to print."""

    def cpu_seconds(self) -> float:
        """Give the processor time used so far."""


S = TypeVar("S", bound=Measured)


def _measure(server: S, work: Callable[[S], None]) -> tuple[float, float]:
    cpu, began = server.cpu_seconds(), time.perf_counter()
    work(server)
    wall = time.perf_counter() - began
    time.sleep(0.2)  # children of sshd end, and are counted
    return wall, server.cpu_seconds() - cpu


def compare(name: str, work: Callable[[S], None], servers: list[S], aim: float, rounds: int) -> None:
    """Measure in turn and print medians and the median of the pairs' ratios."""
    found: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
    for number in range(rounds + 1):
        for server in servers if number % 2 else servers[::-1]:
            measured = _measure(server, work)
            if number:  # the first round warms up
                found[server.name].append(measured)
    ours, theirs = (found[server.name] for server in servers)
    wall = statistics.median(a[0] / b[0] for a, b in zip(ours, theirs, strict=True))
    cpu = statistics.median(a[1] for a in ours) / max(statistics.median(b[1] for b in theirs), 0.01)
    seconds = "   ".join(
        f"{server.name} {statistics.median(one[0] for one in found[server.name]):6.2f} s"
        f" (server cpu {statistics.median(one[1] for one in found[server.name]):5.2f} s)"
        for server in servers
    )
    print(f"  {name:34} {seconds}   ratio {wall:4.2f} (aim {aim}), server cpu {cpu:4.2f} x", flush=True)


def _together(calls: list[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(calls)) as threads:
        for done in [threads.submit(call) for call in calls]:
            done.result()


def main() -> None:
    """Print the four comparisons and the memory."""
    with tempfile.TemporaryDirectory(prefix="mailgate-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        key = folder / "client"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(key)], check=True)
        large, small = folder / "large", folder / "small"
        large.write_bytes(os.urandom(1_000_000) * 100)
        small.write_bytes(os.urandom(2_000_000))
        servers = [
            stack.enter_context(mailgate(folder / "mailgate", key)),
            stack.enter_context(openssh(folder / "openssh", key)),
        ]
        print(f"SFTP, OpenSSH's client, in turn against OpenSSH's server (medians of {_ROUNDS} pairs)")
        compare("upload of 100 MB", lambda s: _put(s, large), servers, 0.7, _ROUNDS)
        there = {server.name: server.name_of() for server in servers}
        for server in servers:
            server.sftp(f"put {large} {there[server.name]}")
        back = folder / "back"
        compare("download of 100 MB", lambda s: _get(s, there[s.name], back), servers, 0.7, _ROUNDS)
        compare("50 logins in parallel", lambda s: _together([lambda: s.sftp("pwd")] * 50), servers, 0.2, _ROUNDS)
        huge = folder / "huge"
        with huge.open("wb") as file:
            for _ in range(10):
                file.write(large.read_bytes())
        compare("3 uploads of 1 GB at once", lambda s: _put_three(s, huge), servers, 1.3, 1)
        huge.unlink()
        _memory(stack.enter_context(mailgate(folder / "fresh", key)), small)


def _put(server: Server, local: Path) -> None:
    there = server.name_of()
    server.sftp(f"put {local} {there}")


def _get(server: Server, there: str, local: Path) -> None:
    server.sftp(f"get {there} {local}")


def _put_three(server: Server, local: Path) -> None:
    names = [server.name_of() for _ in range(3)]
    _together([partial(server.sftp, f"put {local} {there}") for there in names])
    server.sftp(*(f"rm {there}" for there in names))


def _memory(server: Server, local: Path) -> None:
    """Upload with 50 sessions at once and print the most memory that was seen."""
    before, most, over = server.memory(), [0.0, 0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for place, value in enumerate(server.memory()):
                most[place] = max(most[place], value)

    watcher = threading.Thread(target=look)
    watcher.start()
    _together([partial(server.sftp, f"put {local} {server.name_of()}") for _ in range(50)])
    over.set()
    watcher.join()
    print(
        f"  memory with 50 sessions of 2 MB     resident {most[0]:.0f} MB, proportional share {most[1]:.0f} MB"
        f" (before: {before[0]:.0f} and {before[1]:.0f}; aim under 120)"
    )


if __name__ == "__main__":
    main()

"""The peers of the SMTP benchmarks: Debian's postfix, stock aiosmtpd, and mailgate itself, each as its own process.

What lives here: starting and stopping them on loopback, and reading the processor time they used.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
ADDRESS = "bench-0000000000@intake.localhost"
_CONNECTION = """\
[[account]]
name = "bench"
[[credential]]
name = "bench"
account = "bench"
return_address = "{answers}"
[[connection]]
name = "bench"
account = "bench"
data_type = "conversions"
pattern = "Conversions_*.csv"
credential = "bench"
address = "bench-0000000000"
"""
_STOCK = """
import asyncio, os, sys
from aiosmtpd.controller import Controller
class Keep:
    async def handle_DATA(self, server, session, envelope):
        path = os.path.join(sys.argv[1], os.urandom(8).hex())
        with open(path, "wb") as out:
            out.write(envelope.content); out.flush(); os.fsync(out.fileno())
        return "250 OK"
controller = Controller(Keep(), hostname="127.0.0.1", port=int(sys.argv[2]), data_size_limit=200_000_000)
controller.start()
asyncio.new_event_loop().run_forever()
"""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A mail server that listens."""

    name: str
    port: int
    pid: int
    folder: Path

    def apply(self, connections: str) -> None:
        """Apply a file of connections to a mailgate."""
        path = self.folder / "more.toml"
        path.write_text(connections)
        command = [sys.executable, "-m", "mailgate", "--config", str(self.folder / "mailgate.toml")]
        subprocess.run([*command, "connection", "apply", str(path)], check=True, stdout=subprocess.DEVNULL)

    def cpu_seconds(self) -> float:
        """Give the processor time of the process and everything it started."""
        return sum(_cpu(pid) for pid in _tree(self.pid))

    def resident_bytes(self) -> int:
        """Give the resident memory of the process itself."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mailgate(roles: str = "smtp", answers: str = "", **more: str) -> Iterator[Peer]:
    """Run mailgate with a connection that takes the benchmark's mails; keywords are settings, DNS is not asked."""
    with _folder() as folder:
        command = [sys.executable, "-m", "mailgate", "--config", str(folder / "mailgate.toml")]
        subprocess.run([*command, "init", "--dir", str(folder)], check=True, stdout=subprocess.DEVNULL)
        (folder / "connection.toml").write_text(_CONNECTION.format(answers=answers))
        subprocess.run([*command, "connection", "apply", str(folder / "connection.toml")], check=True, stdout=-3)
        port = free_port()
        variables = {"MAILGATE_SMTP__PORT": str(port), "MAILGATE_LIMITS__ANSWERS_PER_HOUR": "1000000"}
        variables |= {"MAILGATE_METRICS__PORT": "0", "MAILGATE_DNS__LOOKUPS": "false"}
        variables |= {f"MAILGATE_{key}": value for key, value in more.items()}
        process = subprocess.Popen(
            [*command, "serve", "--roles", roles], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **variables},
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "ready":
                break
        try:
            yield Peer(name=f"mailgate ({roles})", port=port, pid=process.pid, folder=folder)
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def stock_aiosmtpd() -> Iterator[Peer]:
    """Run aiosmtpd as it comes, keeping each mail in a file that is synced."""
    with _folder() as folder:
        port = free_port()
        process = subprocess.Popen([sys.executable, "-c", _STOCK, str(folder), str(port)])
        _wait_for(port)
        try:
            yield Peer(name="stock aiosmtpd", port=port, pid=process.pid, folder=folder)
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def postfix() -> Iterator[Peer]:
    """Run a private postfix that takes mail to its queue and holds it there."""
    with _folder() as folder:
        folder.chmod(0o755)
        port = free_port()
        config, queue, data = folder / "etc", folder / "queue", folder / "data"
        for path in (config, queue, data):
            path.mkdir()
        shutil.chown(data, "postfix")
        (config / "main.cf").write_text(_MAIN_CF.format(queue=queue, data=data, log=folder / "log"))
        (config / "master.cf").write_text(_MASTER_CF.format(port=port))
        run = ["/usr/sbin/postfix", "-c", str(config)]
        subprocess.run([*run, "start"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for(port)
        pid = int((queue / "pid/master.pid").read_text())
        try:
            yield Peer(name="postfix", port=port, pid=pid, folder=folder)
        finally:
            subprocess.run([*run, "stop"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = intake.localhost
mydestination = intake.localhost
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
message_size_limit = 0
mailbox_size_limit = 0
smtpd_sender_restrictions = static:HOLD
smtpd_client_connection_count_limit = 0
smtpd_client_message_rate_limit = 0
default_process_limit = 200
maillog_file = /dev/stdout
alias_maps =
alias_database =
"""
_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
local unix - n n - - local
"""


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mailgate-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            if probe.recv(3) == b"220":
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, []))
    return found


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICK

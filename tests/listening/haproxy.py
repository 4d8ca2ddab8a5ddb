"""A balancer of our own: Debian's HAProxy as a private process, which passes TCP connections on with a PROXY header."""

import contextlib
import csv
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house import wait_until
from tests.proofs.needs import find
from tests.smtp.wire import free_port

#: Where the balancer connects from.
SOURCE = "127.0.0.2"
_HEAD = """\
global
    stats socket {folder}/stats.sock
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout check 5s
"""
_DOOR = """\
listen {name}
    bind 127.0.0.1:{port}
    {check}
    server one 127.0.0.1:{target} source {source} check inter 500ms {sends}
"""


@dataclass(frozen=True, kw_only=True)
class Passed:
    """One door that is passed on."""

    target: int
    sends: str = "send-proxy-v2"
    check: str = "option tcp-check"  #: how its health is looked at


class Haproxy:
    """One running HAProxy."""

    def __init__(self, folder: Path, doors: dict[str, Passed]) -> None:
        self.ports = {name: free_port() for name in doors}
        self._folder = folder
        text = _HEAD.format(folder=folder) + "".join(
            _DOOR.format(
                name=name, port=self.ports[name], check=door.check, target=door.target, source=SOURCE, sends=door.sends
            )
            for name, door in doors.items()
        )
        (folder / "haproxy.cfg").write_text(text)

    def health(self) -> dict[str, str]:
        """Give how the last look at each door behind it ended, such as ``L7OK``."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(self._folder / "stats.sock"))
            asked.sendall(b"show stat\n")
            text = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return {row["pxname"]: row["check_status"] for row in rows if row["svname"] == "one"}


@contextlib.contextmanager
def haproxy(folder: Path, doors: dict[str, Passed]) -> Iterator[Haproxy]:
    """Run a balancer before some doors."""
    made = Haproxy(folder, doors)
    with (folder / "haproxy.log").open("w") as log:
        process = subprocess.Popen(
            [find("haproxy") or "haproxy", "-db", "-f", str(folder / "haproxy.cfg")], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: process.poll() is not None or all(map(_answers, made.ports.values())), 20)
        assert process.poll() is None, (folder / "haproxy.log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False

"""A mailgate to be broken: a real service process in a temporary folder, started and killed again and again.

It is set up and run through the public commands. It keeps its port over restarts, so that clients that try again
find it; nothing else is remembered between two lives but what is on the disk.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ADDRESS = "acme-conversions-x7@intake.localhost"
SENDER = "batch@acme.example"
_CONNECTION = """\
[[account]]
name = "acme"

[[credential]]
name = "acme-batch"
account = "acme"
return_address = "batch@acme.example"

[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
pattern = "Conversions_202?_*.csv"
credential = "acme-batch"
address = "acme-conversions-x7"
allowed_senders = ["*@acme.example"]
"""
_ROLES = "smtp,worker"
_COMMAND = (sys.executable, "-m", "mailgate")


class Gate:
    """One mailgate with one connection."""

    def __init__(self, folder: Path, *, command: Sequence[str] = _COMMAND) -> None:
        self.folder = folder
        self.data = folder / "mailgate-data"
        self.port = 0
        self.starts = 0
        self._command = command
        self.environment: dict[str, str] = {}  #: beside ours, for the next life
        self._process: subprocess.Popen[str] | None = None

    def set_up(self) -> None:
        """Write configuration, database and connection."""
        self.run("init", "--dir", str(self.folder))
        (self.folder / "acme.toml").write_text(_CONNECTION)
        self.run("connection", "apply", str(self.folder / "acme.toml"))

    @property
    def pid(self) -> int:
        """Give the process id of the service."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether the service runs."""
        return self._process is not None and self._process.poll() is None

    def log(self, last: int = 3000) -> str:
        """Give the end of what the service said."""
        path = self.folder / "service.log"
        return path.read_text(errors="replace")[-last:] if path.exists() else ""

    def launch(self, roles: str = _ROLES) -> None:
        """Start the service without waiting for it."""
        assert not self.alive
        environment = {
            **os.environ, **self.environment,
            "MAILGATE_SMTP__PORT": str(self.port), "MAILGATE_METRICS__PORT": "0", "MAILGATE_DNS__LOOKUPS": "false",
            "MAILGATE_LIMITS__ANSWERS_PER_HOUR": "1000000",
        }  # fmt: skip
        with (self.folder / "service.log").open("a") as log:
            self._process = subprocess.Popen(
                [*self._command, "--config", str(self.folder / "mailgate.toml"), "serve", "--roles", roles],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
            )  # fmt: skip
        self.starts += 1

    def start(self, roles: str = _ROLES) -> None:
        """Start the service and return when it is ready."""
        self.launch(roles)
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("door smtp "):
                self.port = int(line.rsplit(":", 1)[1])
            if line.strip() == "ready":
                return
        raise AssertionError(f"the service did not start:\n{self.log()}")

    def kill(self) -> None:
        """End the service as a power cut would: no word, no handler."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the service as an operator would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def run(self, *words: str) -> None:
        """Run a command beside the service."""
        done = subprocess.run(
            [sys.executable, "-m", "mailgate", "--config", str(self.folder / "mailgate.toml"), *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"mailgate {' '.join(words)}: {done.stderr}"


@contextmanager
def open_gate(*, command: Sequence[str] = _COMMAND) -> Iterator[Gate]:
    """Give a mailgate that is set up and not yet running; everything is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mailgate-proof-"))
    folder.chmod(0o711)  # a mail server beside it changes users and must get through
    gate = Gate(folder, command=command)
    try:
        gate.set_up()
        yield gate
    finally:
        gate.kill()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Look until something is true or the time is over; tells which."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

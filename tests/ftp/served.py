"""What the tests of the FTP door share: a whole running service, and what its clients are told.

What lives here: the connections, ``Served`` (one service with words for what tests ask of it) and how it is opened.
Everything is asked over the wire or by the command line; nothing here knows how the door is made.
"""

import contextlib
import ftplib
import json
import os
import random
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers import free_port
from tests.ftp.raw import Raw
from tests.house import UNDEFENDED, RunningService, running_service, unique, wait_until

INBOX = "/upload/conversions"
USER, PASSWORD = "acme", "correct horse"
CONNECTIONS = """
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
username = "acme"
password = "correct horse"
[[credential]]
name = "acme-other"
account = "acme"
username = "other"
password = "battery staple"
[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
method = "ftp"
pattern = "*.csv"
credential = "acme-batch"
folder = "/upload/conversions"
duplicates = "accept"
[[connection]]
name = "acme-others"
account = "acme"
data_type = "conversions"
method = "ftp"
pattern = "*.csv"
credential = "acme-other"
folder = "/upload/conversions"
duplicates = "accept"
[[credential]]
name = "suite"
account = "acme"
username = "user"
password = "12345"
[[connection]]
name = "suite"
account = "acme"
data_type = "conversions"
method = "ftp"
pattern = "*"
credential = "suite"
folder = "/suite"
duplicates = "accept"
"""
#: Files stand still in their folder, and many tests use one service.
STILL = {
    "SETTLE_SECONDS": "3600", "FTP__TLS": "optional",
    **{f"LIMITS__{name.upper()}": str(value) for name, value in UNDEFENDED.items()},
    "LIMITS__LOGIN_CONNECTIONS_PER_SECOND": "100000",
}  # fmt: skip
#: Files are imported as soon as they may be.
QUICK = {**STILL, "SETTLE_SECONDS": "0.5"}


@dataclass(kw_only=True)
class Served:
    """An FTP door that is open, and the service behind it."""

    port: int
    implicit_port: int
    certificate: Path
    folder: Path  #: for the client's own files
    service: RunningService
    passive_ports: range
    _names: set[str] = field(default_factory=set)

    # --- names and local files

    def name(self, suffix: str = ".csv") -> str:
        """Give the name of a file that no other test uses."""
        return f"f-{unique()}{suffix}"

    def local(self, data: bytes, name: str = "") -> Path:
        """Write a file of the client's."""
        path = self.folder / (name or self.name())
        path.write_bytes(data)
        return path

    # --- clients in this process

    @contextlib.contextmanager
    def ftp(self, user: str = USER, password: str = PASSWORD) -> Iterator[ftplib.FTP]:
        """Log in without TLS."""
        client = ftplib.FTP(timeout=30)
        try:
            client.connect("127.0.0.1", self.port)
            client.login(user, password)
            yield client
        finally:
            client.close()

    @contextlib.contextmanager
    def tls(self, user: str = USER, password: str = PASSWORD) -> Iterator[ftplib.FTP_TLS]:
        """Log in under explicit TLS, data connections too."""
        client = ftplib.FTP_TLS(timeout=30, context=self.context())
        try:
            client.connect("127.0.0.1", self.port)
            client.login(user, password)
            client.prot_p()
            yield client
        finally:
            client.close()

    @contextlib.contextmanager
    def raw(self, *, login: bool = True, tls: bool = False, source: str = "127.0.0.1") -> Iterator[Raw]:
        """Open a control connection of which each byte is ours."""
        with Raw(self.port, self.context(), source=source) as raw:
            if tls:
                raw.secure()
            if login:
                raw.log_in(USER, PASSWORD)
            yield raw

    def context(self) -> ssl.SSLContext:
        """Give the client's side of TLS: it trusts the certificate that ``init`` wrote and nothing else."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    def read(self, name: str, folder: str = INBOX) -> bytes:
        """Download a file."""
        pieces: list[bytes] = []
        with self.ftp() as client:
            client.retrbinary(f"RETR {folder}/{name}", pieces.append)
        return b"".join(pieces)

    def names(self, folder: str = INBOX) -> list[str]:
        """List a folder."""
        with self.ftp() as client:
            return [name.rpartition("/")[2] for name in client.nlst(folder)]

    # --- client programs

    def run(self, *words: str, ok: bool = True, text: str = "", **environment: str) -> Any:
        """Run a program in the client's folder."""
        done = subprocess.run(
            list(words), input=text, capture_output=True, text=True, timeout=120, check=False, cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", **environment},
        )  # fmt: skip
        assert not ok or done.returncode == 0, f"{words[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    # --- what became of a file

    def states(self, name: str) -> list[str]:
        """Give the status of each upload of this name, oldest first."""
        return [str(row[0]) for row in self.service.rows(
            "select status from upload where file_name = ? order by rowid", name)]  # fmt: skip

    def imports(self, name: str) -> list[str]:
        """Give the digest of each completed import of a file of this name."""
        return [str(row[0]) for row in self.service.rows(
            "select u.sha256 from attempt a join upload u on u.id = a.upload_id"
            " where a.status = 'completed' and u.file_name = ?", name)]  # fmt: skip

    def await_result(self, name: str) -> None:
        """Wait until the result of a file stands in the client's folder."""
        wait_until(lambda: self.service.rows(
            "select 1 from folder_answer f join upload u on u.id = f.upload_id"
            " where f.kind = 'result' and u.file_name = ?", name), 60)  # fmt: skip

    def result(self, name: str) -> dict[str, Any]:
        """Read the result of a file out of the client's folder."""
        found: dict[str, Any] = json.loads(self.read(f"result_{name}.json", f"{INBOX}/results"))
        return found


@contextlib.contextmanager
def served(folder: Path, *, roles: str = "ftp", ports: int = 200, **settings: str) -> Iterator[Served]:
    """Run a service with an FTP door, explicit and implicit TLS, and so many passive ports; keywords are settings."""
    implicit, first = free_port(), random.randrange(20_000, 30_000, 200)
    doors = {
        "FTP__PORT": "0", "FTP__IMPLICIT_PORT": str(implicit), "FTP__PASSIVE_PORTS": f"{first}-{first + ports - 1}",
    }  # fmt: skip
    words = {**STILL, **doors, **settings}
    with running_service(folder / "service", CONNECTIONS, roles=roles, **words) as service:
        own = folder / "client"
        own.mkdir()
        yield Served(
            port=service.ports["ftp"], implicit_port=service.ports.get("ftps", 0), certificate=service.certificate,
            folder=own, service=service, passive_ports=range(first, first + ports),
        )  # fmt: skip

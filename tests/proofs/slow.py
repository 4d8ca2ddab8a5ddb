"""T17: thousands of connections that say nothing, or next to nothing, keep nobody else out.

What is proven: while one half of the attackers connects and is silent, and the other sends a byte every five
seconds, both from many addresses and both again when they are cut off, a good client from another address is served at
that door and at every other. Limits are those of the default.

What the figures mean, for each door that is attacked: ``held``, the most connections that the attackers had open at
once; for the good client at each door how often it was served, how often ``refused`` (must be 0), and the time that 99
in 100 of its visits took at most (must be below 2 s), ``calm`` before the attack; ``fds`` of the service before, at
most, and within thirty seconds after the attack (must be back, five more or less), without those of the database.
"""

import asyncio
import contextlib
import ftplib
import io
import os
import resource
import smtplib
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from tests.house import ADDRESS, CONNECTION, SENDER, RunningService, conversions, mail, running_service

GOOD = "127.0.0.9"
_SETTLED = 5  # descriptors that may be more or fewer afterwards
_SLOWEST = 2.0  # seconds
_QUIET = 30.0  # seconds after the attack that descriptors may take to go
_AGAIN = 5.0  # seconds before an attacker that was cut off comes back
_CONNECTIONS = (
    CONNECTION.replace('return_address = "batch@acme.example"', 'username = "acme"\npassword = "correct horse"')
    + """
[[connection]]
name = "acme-files"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "Conversions_*.csv"
credential = "acme-batch"
folder = "/upload/conversions"
completion = "settle"
"""
)


@dataclass(kw_only=True, slots=True)
class Served:
    """How a good client fared at one door."""

    seconds: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        """Give the time that 99 in 100 visits took at most."""
        return sorted(self.seconds)[max(0, -(-len(self.seconds) * 99 // 100) - 1)] if self.seconds else float("inf")

    @property
    def good(self) -> bool:
        """Tell whether it was always served, and soon."""
        return not self.refused and self.slowest < _SLOWEST

    def __str__(self) -> str:
        said = f" ({self.refused[0]})" if self.refused else ""
        return f"served {len(self.seconds)}, refused {len(self.refused)}{said}, p99 {self.slowest:.2f} s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attacked:
    """What the attack on one door came to."""

    door: str
    held: int
    calm: dict[str, Served]
    served: dict[str, Served]
    fds: tuple[int, int, int]
    busy: float  #: of one core

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""
        before, _, after = self.fds
        return all(one.good for one in self.served.values()) and abs(after - before) <= _SETTLED

    def __str__(self) -> str:
        told = "; ".join(f"at {door} {one} (calm {self.calm[door].slowest:.2f} s)" for door, one in self.served.items())
        fds = " -> ".join(map(str, self.fds))
        return f"{self.door} attacked, held {self.held}: {told}; fds {fds}, service busy {self.busy:.0%}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """What one run came to."""

    attacks: tuple[Attacked, ...]

    @property
    def good(self) -> bool:
        """Tell whether every door held."""
        return all(one.good for one in self.attacks)

    def __str__(self) -> str:
        return " | ".join(map(str, self.attacks))


def attack_with_slowness(
    each: int, seconds: float, *, addresses: int = 40, doors: tuple[str, ...] = ("smtp", "sftp", "ftp")
) -> Slow:
    """Attack one door after the other with so many silent and as many slow connections, for so long."""
    _many_descriptors()
    with (
        tempfile.TemporaryDirectory(prefix="mailgate-proof-") as folder,
        running_service(Path(folder), _CONNECTIONS) as service,
    ):
        return Slow(attacks=tuple(_attack(service, door, each, seconds, addresses) for door in doors))


def _attack(service: RunningService, door: str, each: int, seconds: float, addresses: int) -> Attacked:
    calm, before = _visit_all(service, time.monotonic() + min(20.0, seconds / 3))
    with _attackers(service.ports[door], each, addresses) as crowd:
        time.sleep(min(5.0, seconds / 4))
        worked = _worked(service)
        served, most = _visit_all(service, time.monotonic() + seconds)
        busy = (_worked(service) - worked) / seconds
    deadline = time.monotonic() + _QUIET
    while abs(_descriptors(service) - before) > _SETTLED and time.monotonic() < deadline:
        time.sleep(0.5)
    return Attacked(
        door=door, held=crowd.most, calm=calm, served=served, fds=(before, most, _descriptors(service)), busy=busy
    )


def _visit_all(service: RunningService, until: float) -> tuple[dict[str, Served], int]:
    """Visit every door side by side, again and again; gives how that went, and the most descriptors seen."""
    served = {door: Served() for door in _VISITS}

    def visits(door: str) -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                _VISITS[door](service)
            except Exception as error:  # noqa: BLE001 - whatever keeps a good client out is what is counted
                served[door].refused.append(repr(error)[:200])
            else:
                served[door].seconds.append(time.monotonic() - began)
            time.sleep(0.2)

    threads = [threading.Thread(target=visits, args=(door,)) for door in _VISITS]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        most = max(most, _descriptors(service))
        time.sleep(0.5)
    return served, most


def _visit_smtp(service: RunningService) -> None:
    with smtplib.SMTP("127.0.0.1", service.ports["smtp"], timeout=30, source_address=(GOOD, 0)) as client:
        client.sendmail(SENDER, [ADDRESS], mail([("Conversions_2026_a.csv", conversions())]))


def _visit_sftp(service: RunningService) -> None:
    raw = socket.create_connection(("127.0.0.1", service.ports["sftp"]), 30, source_address=(GOOD, 0))
    transport = paramiko.Transport(raw)
    try:
        transport.connect(username="acme", password="correct horse")
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        client.putfo(io.BytesIO(conversions()), f"/upload/conversions/Conversions_{time.monotonic_ns()}.csv")
    finally:
        transport.close()


def _visit_ftp(service: RunningService) -> None:
    context = ssl.create_default_context(cafile=str(service.certificate))
    with ftplib.FTP_TLS(timeout=30, context=context, source_address=(GOOD, 0)) as client:
        client.connect("127.0.0.1", service.ports["ftp"])
        client.login("acme", "correct horse")
        client.prot_p()
        name = f"/upload/conversions/Conversions_{time.monotonic_ns()}.csv"
        client.storbinary(f"STOR {name}", io.BytesIO(conversions()))


_VISITS: dict[str, Callable[[RunningService], None]] = {
    "smtp": _visit_smtp, "sftp": _visit_sftp, "ftp": _visit_ftp,
}  # fmt: skip


class _Crowd:
    """The attackers, in an event loop of their own."""

    def __init__(self, port: int, each: int, addresses: int) -> None:
        self.most = 0
        self._open = 0
        self._port = port
        self._each = each
        self._addresses = addresses
        self.loop = asyncio.new_event_loop()

    async def run(self) -> None:
        await asyncio.gather(*(self._one(number) for number in range(2 * self._each)))

    async def _one(self, number: int) -> None:
        slow = number % 2 == 1
        source = f"127.0.{1 + number % self._addresses // 250}.{1 + number % self._addresses % 250}"
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(source, 0))
                self._open += 1
                self.most = max(self.most, self._open)
                try:
                    await self._stay(reader, writer, slow=slow)
                finally:
                    self._open -= 1
                    writer.transport.abort()
            await asyncio.sleep(_AGAIN)

    async def _stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        """Stay until the other side has closed."""
        reading = asyncio.ensure_future(_to_the_end(reader))
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=5.0)
                if slow and not reading.done():
                    writer.write(b"E")
        finally:
            reading.cancel()


async def _to_the_end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass


@contextlib.contextmanager
def _attackers(port: int, each: int, addresses: int) -> Iterator[_Crowd]:
    crowd = _Crowd(port, each, addresses)
    running = crowd.loop.create_task(crowd.run())

    def live() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            crowd.loop.run_until_complete(running)
        crowd.loop.run_until_complete(asyncio.sleep(0.5))  # for what was aborted

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield crowd
    finally:
        crowd.loop.call_soon_threadsafe(running.cancel)
        thread.join(30)
        crowd.loop.close()


def _descriptors(service: RunningService) -> int:
    """Count the service's descriptors, without those of the database: each thread of a bounded pool keeps its own."""
    folder = Path(f"/proc/{service.process.pid}/fd")
    kept = 0
    for one in folder.iterdir():
        with contextlib.suppress(OSError):
            kept += ".sqlite3" not in str(one.readlink())
    return kept


def _worked(service: RunningService) -> float:
    """Give the processor seconds that the service has used."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _many_descriptors() -> None:
    """Let this process, and the service that it starts, have as many descriptors as the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

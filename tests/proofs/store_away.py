"""The object store goes away, again and again, under a stream of mails and uploads that try until they are taken.

What is proven: while the store refuses connections or says nothing, doors say "not now" within ten seconds; what was
acknowledged is imported exactly once, of exactly its bytes, and what was not leaves nothing behind.

What the figures mean: ``sent`` files that were acknowledged, ``refused`` how often a door said "not now" (none: the
proof proved nothing), ``slowest`` seconds from the last byte to the answer; ``lost`` files without a completed import,
``twice`` files with more than one, ``damaged`` imports whose object is not what was sent. The last three must be 0.
"""

import contextlib
import random
import smtplib
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import paramiko
from paramiko.sftp import CMD_CLOSE

from tests.house import ADDRESS, CONNECTION, SENDER, RunningService, conversions, mail, unique, wait_until
from tests.s3 import Bucket, open_bucket, open_server

_LONGEST = 10.0  # seconds within which a door answers
_PATIENCE = 120.0
_LARGE = 120_000  # rows: more than one part
_UPLOADS = """
[[credential]]
name = "acme-files"
account = "acme"
username = "acme"
password = "correct horse"
[[connection]]
name = "acme-uploads"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "acme-files"
folder = "/upload/conversions"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreAway:
    """What one run came to."""

    sent: int
    refused: int
    slowest: float
    lost: int
    twice: int
    damaged: int
    seed: int
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""
        return not (self.lost or self.twice or self.damaged) and self.slowest < _LONGEST and self.refused > 0

    def __str__(self) -> str:
        return (
            f"sent {self.sent}, refused {self.refused}, slowest answer {self.slowest:.1f} s, lost {self.lost},"
            f" twice {self.twice}, damaged {self.damaged} (seed {self.seed}, {self.seconds:.0f} s)"
        )


@dataclass
class _Stream:
    """What the clients have sent, and what they heard."""

    taken: dict[str, bytes] = field(default_factory=dict)  #: digest → content
    refused: int = 0
    slowest: float = 0.0
    ending: threading.Event = field(default_factory=threading.Event)
    faults: list[BaseException] = field(default_factory=list)

    def run(self, send: Callable[[bytes], tuple[bool, float]], rng: random.Random, large: bool) -> None:
        """Send one file after the other, each until it is taken."""
        try:
            first = large
            while not self.ending.is_set():
                data = conversions(_LARGE if first else rng.randrange(1, 300))
                first = False
                while not self._once(send, data):
                    time.sleep(0.05)
        except BaseException as error:  # noqa: BLE001 - it is raised where the thread is waited for
            self.faults.append(error)

    def wait_for(self, more: int) -> None:
        """Wait until so many more files are taken: an outage hits a stream that flows."""
        wanted = len(self.taken) + more
        wait_until(lambda: len(self.taken) >= wanted or self.faults, _PATIENCE)

    def _once(self, send: Callable[[bytes], tuple[bool, float]], data: bytes) -> bool:
        taken, seconds = send(data)
        self.slowest = max(self.slowest, seconds)
        if taken:
            self.taken[sha256(data).hexdigest()] = data
        else:
            self.refused += 1
        return taken


def take_the_store_away(
    outages: int, seconds: float, seed: int, *, request: str = "5s", between: int = 20
) -> StoreAway:
    """Let clients send while the store goes away so often for so long, silent and refusing in turn.

    ``between``: files that are taken between two outages, so that each hits a stream that flows.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        bucket = stack.enter_context(open_bucket(stack.enter_context(open_server()), "proof"))
        service = RunningService(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        service.set_up(CONNECTION + _UPLOADS)
        stack.callback(service.stop)
        service.start(
            SETTLE_SECONDS="0.5", LIMITS__LOGIN_DELAY="0s", LIMITS__S3_REQUEST=request,
            LIMITS__ANSWERS_PER_HOUR="1000000", **bucket.variables,
        )  # fmt: skip
        stream = _Stream()
        threads = [
            threading.Thread(target=stream.run, args=(send, random.Random(seed + n), n == 0), daemon=True)
            for n, send in enumerate((_mailing(service), _mailing(service), _uploading(service), _uploading(service)))
        ]
        for thread in threads:
            thread.start()
        for number in range(outages):
            stream.wait_for(between)
            (bucket.road.hang, bucket.road.refuse)[number % 2]()
            time.sleep(seconds)
            bucket.road.through()
        stream.wait_for(between)
        stream.ending.set()
        for thread in threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), f"a client was never taken (seed {seed})"
        assert not stream.faults, stream.faults
        with contextlib.suppress(AssertionError):  # what is not there then is counted
            wait_until(lambda: set(stream.taken) <= set(_completed(service)), _PATIENCE)
        return StoreAway(
            sent=len(stream.taken), refused=stream.refused, slowest=stream.slowest, seed=seed,
            seconds=time.monotonic() - began, **_count(service, bucket, stream.taken),
        )  # fmt: skip


def _mailing(service: RunningService) -> Callable[[bytes], tuple[bool, float]]:
    def send(data: bytes) -> tuple[bool, float]:
        with smtplib.SMTP("127.0.0.1", service.port, timeout=60) as client:
            client.helo()
            client.mail(SENDER)
            client.rcpt(ADDRESS)
            client.putcmd("data")
            client.getreply()
            client.send(mail([(f"Conversions_2026_{unique()}.csv", data)]).replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
            began = time.monotonic()
            code, line = client.getreply()
            assert code in (250, 451), line
            return code == 250, time.monotonic() - began

    return send


def _uploading(service: RunningService) -> Callable[[bytes], tuple[bool, float]]:
    def send(data: bytes) -> tuple[bool, float]:
        transport = paramiko.Transport(("127.0.0.1", service.ports["sftp"]))
        try:
            transport.connect(username="acme", password="correct horse")
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            file = client.open(f"/upload/conversions/{unique()}.csv", "w")
            file.set_pipelined(True)
            file.write(data)
            file.flush()
            began = time.monotonic()
            try:
                client._request(CMD_CLOSE, file.handle)  # ``file.close`` of paramiko says nothing of a refusal
            except OSError as error:
                if "try again later" not in str(error):
                    raise
                return False, time.monotonic() - began
            return True, time.monotonic() - began
        finally:
            transport.close()

    return send


def _completed(service: RunningService) -> list[str]:
    statement = "select u.sha256 from upload u join attempt a on a.upload_id = u.id where a.status = 'completed'"
    return [digest for (digest,) in service.rows(statement)]


def _count(service: RunningService, bucket: Bucket, taken: dict[str, bytes]) -> dict[str, int]:
    done = _completed(service)
    store = bucket.store()
    damaged = 0
    for digest, blob in service.rows("select sha256, blob from upload where status = 'import_job_created'"):
        damaged += digest not in taken or bytes(store.get(f"gate/{blob[:8]}/{blob}").bytes()) != taken[digest]
    return {
        "lost": len(set(taken) - set(done)), "twice": sum(done.count(digest) > 1 for digest in taken),
        "damaged": damaged,
    }  # fmt: skip

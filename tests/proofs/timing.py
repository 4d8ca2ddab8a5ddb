"""T20: how long a refusal takes does not tell whether a user exists.

What is proven: wrong passwords of a user that exists and of users that do not, in random order and one after the
other at each door, are refused after times that cannot be told apart. The second that every failure waits is
taken away first, since it would hide what the work behind it takes.

What the figures mean, for each door: the median of both in milliseconds, ``apart`` by how much (must be below 2 ms),
and ``p`` of the Mann-Whitney test, two-sided: the chance of so great a difference where there is none (must be above
0.01).
"""

import contextlib
import ftplib
import math
import random
import smtplib
import socket
import ssl
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko

from tests.house import CONNECTION, RunningService, running_service

_USER = "acme"
_APART = 2.0  # milliseconds
_CHANCE = 0.01
_CONNECTIONS = CONNECTION.replace(
    'return_address = "batch@acme.example"', f'username = "{_USER}"\npassword = "correct horse"'
)
#: Nothing but the work itself: no delay, no ban, no end of a connection after some failures.
_ENDLESS = {
    "LIMITS__LOGIN_DELAY": "0s", "LIMITS__LOGIN_BAN_POINTS": "100000000", "LIMITS__LOGIN_GUARD_POINTS": "100000000",
    "LIMITS__SMTP_AUTH_ATTEMPTS": "1000000", "LIMITS__SMTP_COMMANDS": "1000000",
    "LIMITS__SFTP_LOGIN_ATTEMPTS": "1000000", "LIMITS__SFTP_LOGIN_TIME": "2h",
    "LIMITS__LOGIN_CONNECTIONS_PER_SECOND": "1000000",
    "LIMITS__FTP_LOGIN_ATTEMPTS": "1000000", "LIMITS__FTP_LOGIN_TIME": "2h", "FTP__PORT": "0",
}  # fmt: skip
Try = Callable[[str], float]  #: one wrong password for a user; gives the seconds it took


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What the times at one door tell."""

    door: str
    known: float  #: median, in milliseconds
    unknown: float
    p: float

    @property
    def good(self) -> bool:
        """Tell whether they tell nothing."""
        return abs(self.known - self.unknown) < _APART and self.p > _CHANCE

    def __str__(self) -> str:
        apart = abs(self.known - self.unknown)
        return f"{self.door}: {self.known:.2f} ms and {self.unknown:.2f} ms, apart {apart:.2f}, p {self.p:.3f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What one run came to."""

    doors: tuple[Told, ...]
    tries: int
    seed: int

    @property
    def good(self) -> bool:
        """Tell whether no door tells anything."""
        return all(one.good for one in self.doors)

    def __str__(self) -> str:
        return " | ".join(map(str, self.doors)) + f" ({self.tries} tries each, seed {self.seed})"


def time_logins(tries: int, seed: int) -> Timing:
    """Try so many wrong passwords of either kind at each door."""
    chance = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="mailgate-proof-") as folder,
        running_service(Path(folder), _CONNECTIONS, **_ENDLESS) as service,
    ):
        told = []
        for door, open_door in _DOORS.items():
            with open_door(service) as wrong:
                known, unknown = _times(wrong, tries, chance)
            told.append(
                Told(
                    door=door, known=statistics.median(known) * 1000, unknown=statistics.median(unknown) * 1000,
                    p=mann_whitney(known, unknown),
                )
            )  # fmt: skip
    return Timing(doors=tuple(told), tries=tries, seed=seed)


def _times(wrong: Try, tries: int, chance: random.Random) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    kinds = [0, 1] * tries
    chance.shuffle(kinds)
    for _ in range(10):
        wrong(_USER)  # what is made once is made
    for kind in kinds:
        name = _USER if kind == 0 else f"{chance.randrange(10**4):04d}"
        times[kind].append(wrong(name))
    return times


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Give the two-sided p of the Mann-Whitney U test, by the normal approximation with ties corrected."""
    everything = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, ties, at = 0.0, 0.0, 0
    while at < len(everything):
        end = at
        while end < len(everything) and everything[end][0] == everything[at][0]:
            end += 1
        ranks += (at + 1 + end) / 2 * sum(kind == 0 for _, kind in everything[at:end])
        ties += (end - at) ** 3 - (end - at)
        at = end
    m, n, total = len(first), len(second), len(everything)
    u = ranks - m * (m + 1) / 2
    variance = m * n / 12 * ((total + 1) - ties / (total * (total - 1)))
    if not variance:
        return 1.0
    return math.erfc(abs(u - m * n / 2) / math.sqrt(2 * variance))


# --- the doors


def _anyone() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def _smtp(service: RunningService) -> Iterator[Try]:
    with smtplib.SMTP("127.0.0.1", service.ports["smtp"], timeout=60) as client:
        client.starttls(context=_anyone())
        client.ehlo()

        def wrong(user: str) -> float:
            said = b64encode(f"\0{user}\0wrong".encode()).decode()
            began = time.perf_counter()
            code, _ = client.docmd("AUTH", f"PLAIN {said}")
            took = time.perf_counter() - began
            assert code == 535, code
            return took

        yield wrong


@contextmanager
def _sftp(service: RunningService) -> Iterator[Try]:
    """Connect anew for each try, since paramiko asks for the service each time; only the try is timed."""

    def wrong(user: str) -> float:
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", service.ports["sftp"]), 60))
        try:
            transport.start_client(timeout=60)
            began = time.perf_counter()
            with contextlib.suppress(paramiko.AuthenticationException):
                transport.auth_password(user, "wrong", fallback=False)
            took = time.perf_counter() - began
            assert not transport.is_authenticated()
            return took
        finally:
            transport.close()

    yield wrong


@contextmanager
def _ftp(service: RunningService) -> Iterator[Try]:
    with ftplib.FTP_TLS(context=_anyone(), timeout=60) as client:
        client.connect("127.0.0.1", service.ports["ftp"])
        client.auth()

        def wrong(user: str) -> float:
            began = time.perf_counter()
            client.sendcmd(f"USER {user}")
            client.putcmd("PASS wrong")
            said = client.getmultiline()
            took = time.perf_counter() - began
            assert said.startswith("530"), said
            return took

        yield wrong


_DOORS: dict[str, Callable[[RunningService], AbstractContextManager[Try]]] = {
    "smtp": _smtp, "sftp": _sftp, "ftp": _ftp,
}  # fmt: skip

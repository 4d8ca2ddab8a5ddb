"""Logins: does this password, or this public key, belong to this user name? For every door.

What lives here: hashing and checking of passwords, the same work and the same time for unknown users, and whether
what was proved still holds. Whether a password is looked at at all is the defender's ruling.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from intake.bans import Ruling
from intake.defender import Defender
from mailgate.observe import metrics
from mailgate.settings import Limits
from storage.ledger import Ledger
from storage.ledger.credentials import Secrets, secrets_by_name, secrets_of

#: argon2id at the strength that OWASP names for 19 MiB: memory counts, since several passwords may come at once.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _hasher.hash("no user has this password")


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """A credential that has proved itself, and by which of its secrets."""

    credential: str  #: its name
    proof: str  #: the stored hash of the password, or the line of the public key
    lenient: bool = False  #: its clients end TLS without close_notify, and are believed all the same


def hash_password(password: str) -> str:
    """Give the argon2id hash of a password; slow on purpose."""
    return _hasher.hash(password)


def password_matches(password: str, stored: str) -> bool:
    """Tell whether a password has this hash; slow on purpose."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def check_login(ledger: Ledger, username: str, password: str, now: datetime) -> Login | None:
    """Give what user name and password prove, or None; a former password during its overlap proves it too."""
    found = await ledger.read(secrets_of, username, now)
    current, former = (found.password_hash, found.former_hash) if found is not None else (None, None)
    for stored in (current or _NOBODY, former):
        if stored is None or not await asyncio.to_thread(password_matches, password, stored):
            continue
        if found is not None and stored is not _NOBODY:
            return Login(credential=found.credential, proof=stored, lenient=found.lenient)
    return None


class Logins:
    """Check logins for every door: the defender is asked first, and told after."""

    def __init__(
        self, ledger: Ledger, defender: Defender, limits: Limits, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self.defender = defender
        self._ledger = ledger
        self._delay = limits.login_delay.total_seconds()
        self._clock = clock
        self._hashing = asyncio.Semaphore(limits.login_checks)
        self._asking: set[asyncio.Task[Login | None]] = set()

    async def by_password(self, username: str, password: str, address: str) -> Login | None:
        """Give what a password proves, or None after the delay of a failure; raises TemporaryError.

        The delay counts from the beginning: a password that nobody looked at is answered as late as a wrong one. A
        client that hangs up meanwhile has guessed all the same.
        """
        asking = asyncio.create_task(self._by_password(username, password, address))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        return await asyncio.shield(asking)

    async def _by_password(self, username: str, password: str, address: str) -> Login | None:
        loop = asyncio.get_running_loop()
        answer_at = loop.time() + self._delay
        async with self.defender.password(address, username) as asked:
            login = None
            if asked.ruling is Ruling.LOOK:
                async with self._hashing:
                    login = await check_login(self._ledger, username, password, self._clock())
                asked.right = login is not None
        outcome = "right" if login else "wrong" if asked.ruling is Ruling.LOOK else asked.ruling.value
        metrics.logins.labels("password", outcome).inc()
        if login is None:
            await asyncio.sleep(answer_at - loop.time())
        return login

    async def by_key(self, username: str, line: str) -> Login | None:
        """Give what a public key (kind and base64) proves once its owner has signed with it, or None."""
        found = await self._ledger.read(secrets_of, username, self._clock())
        wanted = line.split()[:2]
        for stored in found.ssh_keys if found is not None else ():
            if stored.split()[:2] == wanted:
                assert found is not None
                return Login(credential=found.credential, proof=stored)
        return None

    async def ended(self, logins: Iterable[Login]) -> set[Login]:
        """Of logins that are in use, give those whose secret has been taken away since."""
        wanted = set(logins)
        if not wanted:
            return set()
        names = {login.credential for login in wanted}
        found = await self._ledger.read(secrets_by_name, names, self._clock())
        return {login for login in wanted if not _holds(login, found.get(login.credential))}


def _holds(login: Login, secrets: Secrets | None) -> bool:
    if secrets is None:
        return False
    keys = {_key(line) for line in secrets.ssh_keys}
    return login.proof in (secrets.password_hash, secrets.former_hash) or _key(login.proof) in keys


def _key(line: str) -> tuple[str, ...]:
    return tuple(line.split()[:2])

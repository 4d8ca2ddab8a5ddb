"""Who is inside the SFTP door: who may come in, who may stay, and who must leave.

What lives here: the guests of the door and what they share. No socket, no packet.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from intake.gate import Gate, Room
from intake.logins import Login, Logins
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.faults import TemporaryError
from transfer.view import Folders

log = get_logger("sftp")
_ON_THEIR_WAY = 2 * 1024 * 1024
_NARROWEST, _WIDEST = 64 * 1024, 2 * 1024 * 1024  # bytes of one session's window; the widest is OpenSSH's own
_LOOK = 1.0  # seconds between two looks at who must leave: a revocation is obeyed within two


class Visitor(Protocol):
    """One connection."""

    address: str
    username: str
    login: Login | None  #: once it has proved itself
    last_heard: float  #: of a request, by the loop's clock

    @property
    def busy(self) -> bool:
        """Tell whether an upload is under way."""

    def say_goodbye(self, reason: str) -> None:
        """End the connection with a sentence."""


class Company:
    """Everyone inside."""

    def __init__(
        self, settings: Settings, logins: Logins, folders: Folders, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        limits = settings.limits
        self.limits = limits
        self.logins = logins
        self.folders = folders
        self.clock = clock
        self.serving: set[asyncio.Task[None]] = set()  #: sessions that have not come to their end
        self.visitors: set[Visitor] = set()
        self._settings = settings
        self._admitted: Counter[str] = Counter()
        self._gate: Gate[Visitor] = Gate(
            Room(
                total=limits.sftp_connections, per_address=limits.sftp_connections_per_address,
                unproved=limits.sftp_unauthenticated, unproved_per_address=limits.sftp_unauthenticated_per_address,
                knocks_per_second=limits.login_connections_per_second,
            )
        )  # fmt: skip

    def enter(self, visitor: Visitor) -> str:
        """Let a connection in; gives the reason where it is one too many."""
        now = asyncio.get_running_loop().time()
        banned = self.logins.defender.banned(visitor.address)
        entrance = self._gate.enter(visitor, visitor.address, now, brief=banned)
        if entrance.evicted is not None:
            entrance.evicted.say_goodbye("too many connections from your address that have not logged in")
        if not entrance.reason:
            self.visitors.add(visitor)
        return entrance.reason

    def admit(self, visitor: Visitor) -> str:
        """Let a visitor stay that has logged in; gives the reason where its credential has too many connections."""
        assert visitor.login is not None
        self._gate.proved(visitor)
        self.logins.defender.known(visitor.address, visitor.username)
        self._admitted[visitor.login.credential] += 1
        most = self.limits.sftp_connections_per_credential
        return f"at most {most} connections with one login" if self._admitted[visitor.login.credential] > most else ""

    def leave(self, visitor: Visitor) -> None:
        """Note that a visitor is gone."""
        self._gate.leave(visitor)
        self.visitors.discard(visitor)
        if visitor.login is not None:
            self._admitted[visitor.login.credential] -= 1
            if not self._admitted[visitor.login.credential]:
                del self._admitted[visitor.login.credential]

    def window(self) -> int:
        """Give the bytes that one session may have on their way to us: its share, between sensible bounds."""
        return max(_NARROWEST, min(_WIDEST, _ON_THEIR_WAY // (len(self.serving) + 1)))

    def free_bytes(self) -> int:
        """Tell how much room there is for uploads."""
        return shutil.disk_usage(self._settings.data_dir).free - self.limits.minimum_free_bytes

    async def watch(self) -> None:
        """Look every second at who must leave, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self.look()
            except TemporaryError as error:
                log.warning("logins are not looked at now", reason=str(error))
            except Exception:
                log.exception("looking at the visitors failed")

    async def look(self) -> None:
        """End the connections whose login has been taken away, and those that are silent for too long."""
        inside = [visitor for visitor in self.visitors if visitor.login is not None]
        ended = await self.logins.ended(visitor.login for visitor in inside if visitor.login is not None)
        silent_since = asyncio.get_running_loop().time() - self.limits.sftp_idle.total_seconds()
        for visitor in inside:
            if visitor.login in ended:
                visitor.say_goodbye("this login has ended")
            elif visitor.last_heard < silent_since:
                visitor.say_goodbye("silent for too long")

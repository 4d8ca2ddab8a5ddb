"""One control connection: who it is, where it stands, and the one transfer it may have under way.

What lives here: the state of a session, and what every command needs of it. What each verb does stands in
``transfer.ftp_access``, ``transfer.ftp_files`` and ``transfer.ftp_transfer``.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from intake.logins import Login
from mailgate.observe import get_logger
from mailgate.settings import Settings
from transfer.company import Company
from transfer.ftp_data import Channel
from transfer.ftp_line import LineBuffer, reply
from transfer.ftp_tls import Certificate
from transfer.ftp_wire import Ending, Wire
from transfer.ftp_words import FACTS, absolute
from transfer.view import Folders, Visit

log = get_logger("ftp")
_LINGER = 5.0  # seconds for the last words
_ROOM, _MOST = 4096, 32 * 1024  # bytes of commands read at once, and waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What all sessions of the door share."""

    settings: Settings
    company: Company
    folders: Folders
    certificate: Certificate | None  #: None: TLS is off
    clock: Callable[[], datetime]
    token: Callable[[], str]  #: a random word, for the names of STOU


@dataclass(slots=True)
class Doing:
    """The transfer under way, for STAT and ABOR."""

    what: str
    upload: bool = False
    bytes: int = 0
    kept: int = 0  #: bytes of an upload that was broken off
    committing: bool = False  #: all bytes have come, and the file is being stored: nothing aborts that


@dataclass(slots=True)
class Ways:
    """How the next transfer goes; REIN brings it back to the beginning."""

    ascii: bool = True  #: TYPE A, which changes no byte
    restart: int = 0  #: REST
    allocated: int | None = None  #: ALLO
    renaming: str = ""  #: RNFR
    only_extended: bool = False  #: EPSV ALL
    facts: frozenset[str] = field(default_factory=lambda: frozenset(fact for fact, told in FACTS.items() if told))


class Session:
    """A control connection and its client."""

    def __init__(self, desk: Desk, *, implicit: bool, on_made: Callable[["Session"], None]) -> None:
        self.desk = desk
        self.implicit = implicit
        self.wire = Wire(room=_ROOM, most=_MOST, on_made=self._made)
        self.address = ""
        self._on_made = on_made
        self.lines = LineBuffer()
        self.tls: ssl.SSLContext | None = None
        self.protect = implicit  #: PROT P: on the port of implicit TLS the data are protected too
        self.username = ""
        self.login: Login | None = None
        self.visit: Visit | None = None
        self.failures = 0
        self.here = "/"
        self.ways = Ways()
        self.channel: Channel | None = None
        self.transfer: asyncio.Task[None] | None = None
        self.doing: Doing | None = None
        self.leaving = False  #: QUIT, or we have said goodbye
        self.last_heard = asyncio.get_running_loop().time()
        self._left: set[asyncio.Task[None]] = set()
        self._too_late: asyncio.TimerHandle | None = None

    # --- who is there

    def _made(self) -> None:
        self.address = self.wire.peer
        self._on_made(self)

    @property
    def who(self) -> dict[str, str]:
        """Say who it is, for log lines."""
        credential = self.login.credential if self.login is not None else ""
        return {"peer": self.address, "credential": credential}

    @property
    def busy(self) -> bool:
        """Tell whether an upload is under way."""
        return self.transferring and self.doing is not None and self.doing.upload

    @property
    def transferring(self) -> bool:
        """Tell whether a transfer is under way."""
        return self.transfer is not None and not self.transfer.done()

    def alive(self) -> bool:
        """Tell whether the client can still hear what we say."""
        return self.wire.ending is Ending.OPEN and not self.wire.closing

    def heard(self) -> None:
        """Note that the client is not silent."""
        self.last_heard = asyncio.get_running_loop().time()

    def expect_login(self) -> None:
        """Say goodbye to a client that does not log in in time."""
        if self._too_late is not None:
            self._too_late.cancel()
        seconds = self.desk.settings.limits.ftp_login_time.total_seconds()
        self._too_late = asyncio.get_running_loop().call_later(seconds, self._check_login)

    def _check_login(self) -> None:
        if self.login is None and not self.wire.closing:
            self.say_goodbye("the login took too long")

    # --- what is said

    def say(self, code: int, *lines: str) -> None:
        """Reply; several lines make one reply."""
        self.wire.send(reply(code, *lines))

    def say_goodbye(self, reason: str, code: int = 421) -> None:
        """End the connection with a sentence."""
        if not self.wire.closing:
            self.say(code, reason[:1].upper() + reason[1:] + ".")
        self.leaving = True
        self.wire.close()
        asyncio.get_running_loop().call_later(_LINGER, self.wire.abort)  # one that does not read hears nothing

    # --- where it stands

    def path(self, argument: str) -> str:
        """Give the absolute path of an argument; raises BadPath."""
        return absolute(self.here, argument)

    def there(self) -> Visit:
        """Give the folder of a client that has logged in."""
        assert self.visit is not None, "the table of verbs demands a login"
        return self.visit

    async def log_out(self) -> None:
        """Forget who it is; a transfer under way goes on to its end (RFC 959, REIN)."""
        visit, self.visit = self.visit, None
        if self.login is not None:
            self.expect_login()
        self.desk.company.log_out(self)
        self.login, self.username = None, ""
        self.here, self.ways = "/", Ways()
        await self.drop_channel()
        if visit is not None:
            leaving = asyncio.get_running_loop().create_task(self._leave(visit, self.transfer))
            self._left.add(leaving)
            leaving.add_done_callback(self._left.discard)

    async def end(self) -> None:
        """End: an upload that is not stored yet is broken off."""
        if self._too_late is not None:
            self._too_late.cancel()
        self.abort_transfer()
        if self.transfer is not None:
            await asyncio.wait([self.transfer])
        if self.visit is not None:
            await self._leave(self.visit, None)
        if self._left:
            await asyncio.wait(self._left)

    async def _leave(self, visit: Visit, transfer: "asyncio.Task[None] | None") -> None:
        if transfer is not None:
            await asyncio.wait([transfer])
        try:
            await visit.leave()
        except Exception:
            log.exception("a visit did not end well", **self.who)

    # --- the transfer

    def data_tls(self) -> ssl.SSLContext | None:
        """Give the TLS of data connections: that of the control connection, where the client asked for protection."""
        return self.tls if self.protect else None

    def begin_transfer(self, doing: Doing, work: Coroutine[Any, Any, None]) -> None:
        """Let a transfer run beside the commands that may come meanwhile."""
        self.doing = doing
        self.transfer = asyncio.get_running_loop().create_task(work)

    def abort_transfer(self) -> bool:
        """Cut the transfer under way, unless its file is being stored already; tells whether it was cut."""
        if not self.transferring or self.doing is None or self.doing.committing:
            return False
        assert self.transfer is not None
        self.transfer.cancel()
        return True

    def take_channel(self) -> Channel | None:
        """Give the data connection that was asked for, for one transfer."""
        channel, self.channel = self.channel, None
        return channel

    async def drop_channel(self) -> None:
        """Give up the data connection that was asked for; returns when its port is closed."""
        channel = self.take_channel()
        if channel is not None:
            await channel.gone()

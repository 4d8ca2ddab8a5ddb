"""The FTP door as a whole: its listeners, who comes in, and how it closes.

What lives here: sockets, the life of sessions, the graceful stop. What a session says stands in ``transfer.ftp_talk``.
"""

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from intake.gate import Room
from intake.logins import Logins
from mailgate.observe import get_logger
from mailgate.settings import Settings
from transfer.company import Company, House
from transfer.ftp_session import Desk, Session
from transfer.ftp_talk import talk
from transfer.ftp_tls import Certificate
from transfer.ftp_wire import urgent_inline
from transfer.view import Folders

log = get_logger("ftp")
_BACKLOG = 512
_GRACE = 4.0  # seconds for uploads under way, of the ten that a stop may take
_CLOSING = "closing for now, please come back"


class FtpDoor:
    """Open the FTP door over the virtual folders: one listener with AUTH TLS, one with implicit TLS where it is set."""

    def __init__(
        self, settings: Settings, logins: Logins, folders: Folders, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:  # fmt: skip
        limits = settings.limits
        room = Room(
            total=limits.ftp_connections, per_address=limits.ftp_connections_per_address,
            unproved=limits.ftp_unauthenticated, unproved_per_address=limits.ftp_unauthenticated_per_address,
            knocks_per_second=limits.login_connections_per_second,
        )  # fmt: skip
        house = House(room=room, per_credential=limits.ftp_connections_per_credential, idle=limits.ftp_idle)
        certificate = None
        if settings.ftp.tls != "off" or settings.ftp.implicit_port:
            certificate = Certificate(settings.certificate_path, settings.key_path)
        self._desk = Desk(
            settings=settings, company=Company(house, logins, "ftp"), folders=folders, certificate=certificate,
            clock=clock, token=token,
        )  # fmt: skip
        self._servers: list[asyncio.Server] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> list[tuple[str, str, int]]:
        """Begin to listen; gives name, host and port of each listener."""
        ftp = self._desk.settings.ftp
        doors = [await self._listen("ftp", ftp.port)]
        if ftp.implicit_port:
            doors.append(await self._listen("ftps", ftp.implicit_port))
        self._watching = asyncio.create_task(self._desk.company.watch())
        return doors

    async def close(self) -> None:
        """Take no new guests, let uploads under way finish for a while, then say goodbye to all."""
        for server in self._servers:
            server.close()
        if self._watching is not None:
            self._watching.cancel()
        visitors, loop = self._desk.company.visitors, asyncio.get_running_loop()
        deadline = loop.time() + _GRACE
        while True:
            for visitor in [visitor for visitor in visitors if not visitor.busy]:
                visitor.say_goodbye(_CLOSING)
            if not visitors or loop.time() > deadline:
                break
            await asyncio.sleep(0.05)
        for visitor in list(visitors):
            visitor.say_goodbye(_CLOSING)
        if self._serving:
            await asyncio.wait(self._serving, timeout=_GRACE)

    async def _listen(self, name: str, port: int) -> tuple[str, str, int]:
        host = self._desk.settings.ftp.host
        server = await asyncio.get_running_loop().create_server(
            lambda: Session(self._desk, implicit=name == "ftps", on_made=self._enter).wire, host, port, backlog=_BACKLOG
        )
        self._servers.append(server)
        return name, host, int(server.sockets[0].getsockname()[1])

    def _enter(self, session: Session) -> None:
        """Ask the gate, before anything is said or encrypted."""
        company = self._desk.company
        refusal = company.enter(session)
        if refusal:
            log.warning("turned away", peer=session.address, reason=refusal)
            if session.implicit:
                session.wire.abort()
            else:
                session.say_goodbye(refusal)
            return
        urgent_inline(session.wire)
        if session.implicit and self._desk.certificate is not None:
            session.tls = self._desk.certificate.context()
            session.wire.begin_tls(session.tls, tickets=True)
        session.expect_login()
        task = asyncio.get_running_loop().create_task(self._serve(session))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, session: Session) -> None:
        try:
            await talk(session)
        except Exception:
            log.exception("an FTP session failed", **session.who)
        finally:
            if session.login is not None:
                log.info("left", **session.who)
            await session.drop_channel()
            session.wire.close()
            await session.end()
            self._desk.company.leave(session)

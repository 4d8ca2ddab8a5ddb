"""The SMTP door as a whole: its listeners, how many may come in, and how it closes.

What lives here: sockets, TLS, the graceful stop.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any

from intake.accept import Intake
from mailgate.observe import get_logger
from mailgate.settings import Settings
from mailgate.smtp import replies
from mailgate.smtp.hooks import Hooks
from mailgate.smtp.session import SmtpSession
from mailgate.smtp.shared import Gate, Shared
from storage.ledger import Ledger

log = get_logger("smtp")
_GRACE = 5.0  # seconds for mails whose bytes are still coming, of the ten that a stop may take


class _Visitor(SmtpSession):
    """A session that first asks the gate."""

    def connection_made(self, transport: Any) -> None:
        if self._original_transport is None:  # not again behind STARTTLS
            peer = transport.get_extra_info("peername")
            address = str(peer[0]) if isinstance(peer, tuple) else ""
            if not self._shared.gate.enter(self, address):
                log.warning("too many connections", peer=address)
                transport.write(replies.TOO_MANY_CONNECTIONS.encode() + b"\r\n")
                transport.close()
                self._turned_away = True
                return
        super().connection_made(transport)

    _turned_away = False

    def connection_lost(self, error: Exception | None) -> None:
        if not self._turned_away:
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if not self._turned_away:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        if self._turned_away:
            return None
        kept: bool | None = super().eof_received()
        return kept


class SmtpDoor:
    """Open the SMTP door: one listener with STARTTLS, and one with implicit TLS where a port is set."""

    def __init__(self, settings: Settings, ledger: Ledger, intake: Intake) -> None:
        tls = server_tls(settings.certificate_path, settings.key_path)
        self._shared = Shared(settings=settings, ledger=ledger, intake=intake, gate=Gate(settings.limits), tls=tls)
        self._hooks = Hooks(self._shared)
        self._servers: list[asyncio.Server] = []

    async def open(self) -> list[tuple[str, str, int]]:
        """Begin to listen; gives name, host and port of each listener."""
        loop = asyncio.get_running_loop()
        smtp = self._shared.settings.smtp
        doors: list[tuple[str, str, int]] = []
        wanted: list[tuple[str, int, bool]] = [("smtp", smtp.port, False)]
        if smtp.tls_port:
            wanted.append(("smtps", smtp.tls_port, True))
        for name, port, over_tls in wanted:
            server = await loop.create_server(
                lambda over_tls=over_tls: _Visitor(self._shared, self._hooks, over_tls=over_tls),
                smtp.host, port, ssl=self._shared.tls if over_tls else None, backlog=512,
            )  # fmt: skip
            self._servers.append(server)
            doors.append((name, smtp.host, server.sockets[0].getsockname()[1]))
        return doors

    async def close(self) -> None:
        """Take no new sessions, let mails under way finish for a while, then end every session."""
        for server in self._servers:
            server.close()
        for session in list(self._shared.sessions):
            if not session.busy:
                session.say_and_close(replies.CLOSING)
        deadline = asyncio.get_running_loop().time() + _GRACE
        while any(session.busy for session in list(self._shared.sessions)):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        if self._shared.completing:
            await asyncio.wait(self._shared.completing, timeout=_GRACE)
        for session in list(self._shared.sessions):
            session.say_and_close(replies.CLOSING)


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the TLS context of our listeners: version 1.2 at least."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context

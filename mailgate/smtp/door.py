"""The SMTP door as a whole: its listeners, how many may come in, and how it closes.

What lives here: sockets, TLS, the gate, the graceful stop.
"""

import asyncio
import ssl
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

from intake.accept import Intake
from mailgate.observe import get_logger
from mailgate.settings import Limits, Settings
from mailgate.smtp import replies
from mailgate.smtp.session import Hooks, SmtpSession
from storage.ledger import Ledger

log = get_logger("smtp")
_GRACE = 5.0  # seconds for mails whose bytes are still coming, of the ten that a stop may take


class Gate:
    """Count sessions in total and per address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._inside: dict[int, str] = {}

    def enter(self, visitor: object, address: str) -> bool:
        """Let a visitor in, or say that there are too many."""
        if len(self._inside) >= self._limits.smtp_connections:
            return False
        if self._by_address[address] >= self._limits.smtp_connections_per_address:
            return False
        self._inside[id(visitor)] = address
        self._by_address[address] += 1
        return True

    def leave(self, visitor: object) -> None:
        """Note that a visitor is gone; one who never came in does not count."""
        address = self._inside.pop(id(visitor), None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


class _Visitor(SmtpSession):
    """A session that first asks the gate."""

    def connection_made(self, transport: Any) -> None:
        if self._original_transport is None:  # not again behind STARTTLS
            peer = transport.get_extra_info("peername")
            address = str(peer[0]) if isinstance(peer, tuple) else ""
            if not self._door.gate.enter(self, address):
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
        self.settings = settings
        self.ledger = ledger
        self.intake = intake
        self.gate = Gate(settings.limits)
        self.hooks = Hooks(self)
        self.tls = server_tls(settings.certificate_path, settings.key_path)
        self.sessions: weakref.WeakSet[SmtpSession] = weakref.WeakSet()
        self.completing: set[asyncio.Task[str]] = set()
        self._servers: list[asyncio.Server] = []

    async def open(self) -> list[tuple[str, str, int]]:
        """Begin to listen; gives name, host and port of each listener."""
        loop = asyncio.get_running_loop()
        smtp = self.settings.smtp
        doors: list[tuple[str, str, int]] = []
        wanted: list[tuple[str, int, bool]] = [("smtp", smtp.port, False)]
        if smtp.tls_port:
            wanted.append(("smtps", smtp.tls_port, True))
        for name, port, over_tls in wanted:
            server = await loop.create_server(
                lambda over_tls=over_tls: _Visitor(self, over_tls=over_tls),  # type: ignore[misc]
                smtp.host, port, ssl=self.tls if over_tls else None, backlog=512,
            )  # fmt: skip
            self._servers.append(server)
            doors.append((name, smtp.host, server.sockets[0].getsockname()[1]))
        return doors

    async def close(self) -> None:
        """Take no new sessions, let mails under way finish for a while, then end every session."""
        for server in self._servers:
            server.close()
        for session in list(self.sessions):
            if not session.busy:
                session.say_and_close(replies.CLOSING)
        deadline = asyncio.get_running_loop().time() + _GRACE
        while any(session.busy for session in list(self.sessions)):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        if self.completing:
            await asyncio.wait(self.completing, timeout=_GRACE)
        for session in list(self.sessions):
            session.say_and_close(replies.CLOSING)


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the TLS context of our listeners: version 1.2 at least."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context

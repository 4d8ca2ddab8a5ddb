"""The SMTP door as a whole: its listeners, how many may come in, and how it closes.

What lives here: sockets, TLS, the graceful stop.
"""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

from intake.accept import Intake
from intake.logins import Logins
from mailgate.observe import get_logger, metrics, notes
from mailgate.settings import Settings
from mailgate.smtp import replies
from mailgate.smtp.hooks import Hooks
from mailgate.smtp.session import SmtpSession
from mailgate.smtp.shared import Gate, Shared

log = get_logger("smtp")
_BACKLOG = 512
_GRACE = 4.0  # seconds for mails whose bytes are still coming, of the ten that a stop may take


class _Visitor(SmtpSession):
    """A session that first asks the gate."""

    _turned_away = False

    def connection_made(self, transport: Any) -> None:
        first = not self._over_tls and self._original_transport is None  # implicit TLS asked before its handshake
        if first and not self._shared.gate.enter(self, _address(transport)):
            log.warning("too many connections", peer=_address(transport))
            notes.refused("smtp", "too_many_connections")
            transport.write(replies.TOO_MANY_CONNECTIONS.encode() + b"\r\n")
            transport.close()
            self._turned_away = True
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.session is not None:  # it had begun: not turned away, and TLS agreed on
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if not self._turned_away:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        if self.session is None:
            return None
        kept: bool | None = super().eof_received()
        return kept


class _TlsListener:
    """Listen with implicit TLS, asking the gate before the handshake: a silent client counts from its first packet."""

    def __init__(self, shared: Shared, hooks: Hooks, listener: socket.socket) -> None:
        self._shared = shared
        self._hooks = hooks
        self._listener = listener
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Take no new clients."""
        self._accepting.cancel()
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, address = await loop.sock_accept(self._listener)
            except OSError as error:  # too many open files, or a client gone at once
                log.warning("a client was not accepted", reason=str(error))
                await asyncio.sleep(0.1)
                continue
            visitor = _Visitor(self._shared, self._hooks, over_tls=True)
            if not self._shared.gate.enter(visitor, str(address[0])):
                log.warning("too many connections", peer=str(address[0]))
                notes.refused("smtp", "too_many_connections")
                client.close()
                continue
            task = asyncio.create_task(self._shake_hands(client, visitor))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, client: socket.socket, visitor: _Visitor) -> None:
        limit = self._shared.settings.limits.smtp_tls_handshake.total_seconds()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: visitor, client, ssl=self._shared.tls, ssl_handshake_timeout=limit
            )
        except (OSError, ssl.SSLError) as error:  # TimeoutError and ConnectionError are among them
            log.info("no TLS", reason=str(error))
            self._shared.gate.leave(visitor)


def _address(transport: Any) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


class SmtpDoor:
    """Open the SMTP door: one listener with STARTTLS, and one with implicit TLS where a port is set."""

    def __init__(self, settings: Settings, logins: Logins, intake: Intake) -> None:
        tls = server_tls(settings.certificate_path, settings.key_path)
        self._shared = Shared(settings=settings, logins=logins, intake=intake, gate=Gate(settings.limits), tls=tls)
        self._hooks = Hooks(self._shared)
        self._servers: list[asyncio.Server | _TlsListener] = []

    async def open(self) -> list[tuple[str, str, int]]:
        """Begin to listen; gives name, host and port of each listener."""
        smtp = self._shared.settings.smtp
        metrics.connections.labels("smtp").set_function(lambda: len(self._shared.gate))
        server = await asyncio.get_running_loop().create_server(
            lambda: _Visitor(self._shared, self._hooks, over_tls=False), smtp.host, smtp.port, backlog=_BACKLOG
        )
        self._servers.append(server)
        doors = [("smtp", smtp.host, int(server.sockets[0].getsockname()[1]))]
        if smtp.tls_port:
            family = socket.AF_INET6 if ":" in smtp.host else socket.AF_INET
            listener = socket.create_server((smtp.host, smtp.tls_port), family=family, backlog=_BACKLOG)
            listener.setblocking(False)
            self._servers.append(_TlsListener(self._shared, self._hooks, listener))
            doors.append(("smtps", smtp.host, smtp.tls_port))
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

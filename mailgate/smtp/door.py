"""The SMTP door as a whole: its listeners, how many may come in, and how it closes.

What lives here: sockets, TLS, the graceful stop.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from intake.accept import Intake
from intake.logins import Logins
from mailgate.listening import Listener, Proxies, Tls
from mailgate.observe import get_logger, metrics, notes
from mailgate.settings import Settings
from mailgate.smtp import replies
from mailgate.smtp.hooks import Hooks
from mailgate.smtp.lmtp import LmtpSession
from mailgate.smtp.session import SmtpSession
from mailgate.smtp.shared import Gate, Shared

log = get_logger("smtp")
_GRACE = 4.0  # seconds for mails whose bytes are still coming, of the ten that a stop may take


class _Visitor(SmtpSession):
    """A session that first asks the gate."""

    _turned_away = False

    def connection_made(self, transport: Any) -> None:
        first = not self._over_tls and self._original_transport is None  # implicit TLS asked before its handshake
        if first and not self._shared.gate.enter(self, self._client):
            log.warning("too many connections", peer=self._client)
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


class _Server(_Visitor, LmtpSession):
    """A mail server of ours, at the LMTP door."""


class SmtpDoor:
    """Open the SMTP door: one listener with STARTTLS, and others for implicit TLS and LMTP where a port is set."""

    def __init__(self, settings: Settings, logins: Logins, intake: Intake) -> None:
        tls = server_tls(settings.certificate_path, settings.key_path)
        self._shared = Shared(settings=settings, logins=logins, intake=intake, gate=Gate(settings.limits), tls=tls)
        # The world must not be able to keep our own mail server out.
        self._for_lmtp = replace(self._shared, gate=Gate(settings.limits))
        self._listeners: list[Listener] = []

    async def open(self) -> list[tuple[str, str, int]]:
        """Begin to listen; gives name, host and port of each listener."""
        settings, shared = self._shared.settings, self._shared
        smtp, limits = settings.smtp, settings.limits
        metrics.connections.labels("smtp").set_function(lambda: len(shared.gate) + len(self._for_lmtp.gate))
        proxies = Proxies(
            networks=smtp.proxy_protocol_from, seconds=limits.proxy_header_time.total_seconds(),
            most=limits.proxy_header_bytes,
        )  # fmt: skip
        tls = Tls(context=shared.tls, seconds=limits.smtp_tls_handshake.total_seconds())
        hooks, lmtp_hooks = Hooks(shared), Hooks(self._for_lmtp)
        listeners = [
            (Listener("smtp", lambda client: _Visitor(shared, hooks, client=client), proxies), "smtp", smtp.port),
        ]
        if smtp.tls_port:
            listener = Listener("smtps", self._before_tls(hooks), proxies, tls=tls, gone=shared.gate.leave)
            listeners.append((listener, "smtps", smtp.tls_port))
        if smtp.lmtp_port:
            make = lambda client: _Server(self._for_lmtp, lmtp_hooks, client=client)  # noqa: E731
            listeners.append((Listener("lmtp", make, proxies), "lmtp", smtp.lmtp_port))
        self._listeners = [listener for listener, _, _ in listeners]
        return [(name, smtp.host, await listener.open(smtp.host, port)) for listener, name, port in listeners]

    def _before_tls(self, hooks: Hooks) -> Callable[[str], _Visitor | None]:
        """Ask the gate before the handshake: a silent client counts from its first packet."""

        def make(client: str) -> _Visitor | None:
            visitor = _Visitor(self._shared, hooks, client=client, over_tls=True)
            if self._shared.gate.enter(visitor, client):
                return visitor
            log.warning("too many connections", peer=client)
            notes.refused("smtp", "too_many_connections")
            return None

        return make

    async def close(self) -> None:
        """Take no new sessions, let mails under way finish for a while, then end every session."""
        for listener in self._listeners:
            listener.close()
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

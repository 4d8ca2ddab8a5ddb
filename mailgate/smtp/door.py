"""The SMTP door as a whole: its listeners, how many may come in, and how it closes.

What lives here: sockets, TLS, the graceful stop.
"""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

from intake.accept import Intake
from intake.logins import Logins
from mailgate.listening import Listener, Make, Proxies, Tls
from mailgate.observe import get_logger, metrics, notes
from mailgate.settings import Settings
from mailgate.smtp import replies
from mailgate.smtp.hooks import Hooks
from mailgate.smtp.lmtp import LmtpSession
from mailgate.smtp.session import SmtpSession
from mailgate.smtp.shared import Seat, Shared, make_gate

log = get_logger("smtp")
_GRACE = 4.0  # seconds for mails whose bytes are still coming, of the ten that a stop may take


class SmtpDoor:
    """Open the SMTP door: one listener with STARTTLS, and others for implicit TLS and LMTP where a port is set."""

    def __init__(self, settings: Settings, logins: Logins, intake: Intake) -> None:
        tls = server_tls(settings.certificate_path, settings.key_path)
        self._shared = Shared(settings=settings, logins=logins, intake=intake, gate=make_gate(settings.limits), tls=tls)
        # The world must not be able to keep our own mail server out.
        self._for_lmtp = replace(self._shared, gate=make_gate(settings.limits))
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
        wanted = [
            (Listener("smtp", self._make(SmtpSession, shared), proxies), "smtp", smtp.port),
            (
                Listener("smtps", self._make(SmtpSession, shared, tls=True), proxies, tls=tls, gone=_leave),
                "smtps",
                smtp.tls_port,
            ),
            (Listener("lmtp", self._make(LmtpSession, self._for_lmtp), proxies), "lmtp", smtp.lmtp_port),
        ]
        opening = [(listener, name, port) for listener, name, port in wanted if port or name == "smtp"]
        self._listeners = [listener for listener, _, _ in opening]
        return [(name, smtp.host, await listener.open(smtp.host, port)) for listener, name, port in opening]

    def _make(self, kind: type[SmtpSession], shared: Shared, *, tls: bool = False) -> Make:
        """Ask the gate for each client; under implicit TLS a silent one counts from its first packet."""
        hooks = Hooks(shared)

        def make(client: str) -> asyncio.BaseProtocol | bytes:
            seat = Seat()
            entrance = shared.gate.enter(seat, client, asyncio.get_running_loop().time())
            if entrance.evicted is not None:
                self._send_away(entrance.evicted)
            if entrance.reason:
                log.warning("turned away", peer=client, reason=entrance.reason)
                notes.refused("smtp", "too_many_connections")
                return b"" if tls else replies.TOO_MANY_CONNECTIONS.encode() + b"\r\n"
            seat.session = session = kind(shared, hooks, seat=seat, client=client, over_tls=tls)
            return session

        return make

    def _send_away(self, seat: Seat) -> None:
        """End the session of somebody who takes more room than others, for one of those."""
        notes.refused("smtp", "too_many_connections")
        seat.session.say_and_close(replies.TOO_MANY_CONNECTIONS)
        for listener in self._listeners:
            listener.drop(seat.session)

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


def _leave(session: asyncio.BaseProtocol) -> None:
    """Give back the place of a session whose connection never began."""
    assert isinstance(session, SmtpSession)
    session.leave()


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the TLS context of our listeners: version 1.2 at least."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context

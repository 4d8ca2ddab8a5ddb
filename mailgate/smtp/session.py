"""One SMTP session: aiosmtpd's commands with our own DATA, addresses, limits and logins.

What lives here: the protocol class and its hooks. It uses private names of aiosmtpd 1.4.6 (``_reader``,
``_smtp_methods``, ``_getaddr``, ``_set_rset_state``, ``_reset_timeout``, ``_timeout_cb``, ``_tls_protocol``); a test
holds each.
"""

import asyncio
import re
import time
from collections import defaultdict
from typing import Any

from aiosmtpd.smtp import SMTP, syntax

from intake.accept import NoSpace
from intake.logins import Login
from intake.mail import Mail, Recipient, SenderNotKnownNow
from intake.spool import Spool
from mailgate.observe import get_logger, notes
from mailgate.smtp import replies
from mailgate.smtp.hooks import Hooks
from mailgate.smtp.shared import Seat, Shared, is_trusted
from mailgate.smtp.stream import DataStream, Ending
from models.faults import TemporaryError

log = get_logger("smtp")
_HELLOS = frozenset({"HELO", "EHLO", "LHLO"})
_BEFORE_TLS = _HELLOS | {"NOOP", "STARTTLS", "QUIT"}  # RFC 3207 section 4
_PLAIN_ADDRESS = re.compile(r"<([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+)>")
_SIZE = re.compile(r"\sSIZE=(\d{1,20})(?=\s|$)", re.IGNORECASE)
_AUTH_PARAMETER = re.compile(r"\sAUTH=\S*", re.IGNORECASE)


class SmtpSession(SMTP):
    """Speak SMTP with one client."""

    # aiosmtpd types these as perhaps absent; during a session they are there, with attributes of our own.
    transport: Any
    envelope: Any
    session: Any
    _reader: Any
    _writer: Any

    ident = "mailgate"  #: behind our name in the greeting
    from_anybody = True  #: whether who connects may be the sender, so that SPF is asked about the address

    def __init__(self, shared: Shared, hooks: Hooks, *, seat: Seat, client: str, over_tls: bool = False) -> None:
        limits = shared.settings.limits
        self._shared = shared
        self._seat = seat
        self._client = client  # its address; behind a proxy the transport would name the proxy
        self._over_tls = over_tls
        self._tls_first = shared.settings.smtp.require_tls and not over_tls
        self._saying_hello = False
        self._stream: DataStream | None = None
        self._completing: asyncio.Task[str] | None = None
        self._commands = 0
        self._data_begun = 0.0  # by the monotonic clock
        # The library shares one table among all sessions, which each of them clears and widens.
        self.command_size_limits = defaultdict(lambda: SMTP.command_size_limit)
        super().__init__(
            hooks, hostname=shared.settings.domain, ident=self.ident, enable_SMTPUTF8=True,
            data_size_limit=shared.settings.smtp.max_message_bytes, tls_context=None if over_tls else shared.tls,
            auth_require_tls=not over_tls, timeout=limits.smtp_idle.total_seconds(),
            command_call_limit={"AUTH": limits.smtp_auth_attempts, "*": limits.smtp_commands},
            loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self._began = self.loop.time()
        self._smtp_methods = {name: self._counted(name, method) for name, method in self._smtp_methods.items()}

    # --- the life of the connection

    def connection_made(self, transport: Any) -> None:
        """Begin, or begin anew behind STARTTLS."""
        super().connection_made(transport)
        self.session.peer = self._client
        if is_trusted(self._client, self._shared.settings.smtp):
            self.stays()
        self._shared.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a mail that is whole goes on by itself."""
        self._shared.sessions.discard(self)
        self.leave()
        if self._stream is not None:
            self._stream.abandon()
        if self.session is not None:  # it had begun: TLS was agreed on
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """End with the client: the library leaves a session open whose task had not begun when it hung up."""
        if self.session is not None:
            super().eof_received()
        return None  # the transport closes itself

    def leave(self) -> None:
        """Give back the place inside the gate."""
        self._shared.gate.leave(self._seat)

    def stays(self) -> None:
        """Note that the client is known: it never has to make room for one who is not."""
        self._shared.gate.proved(self._seat)

    def data_received(self, data: bytes) -> None:
        """Send bytes of DATA straight to the spool, all others to the command reader."""
        if self._stream is None:
            super().data_received(data)
            return
        self._stream.feed(data)
        self._take_end()

    @property
    def busy(self) -> bool:
        """Tell whether a mail is under way."""
        return self._stream is not None or self._completing is not None

    def say_and_close(self, reply: str) -> None:
        """Send a last line and end the session."""
        if self.transport is not None and not self.transport.is_closing():
            self._writer.write(reply.encode() + b"\r\n")
            self.transport.close()

    def _timeout_cb(self) -> None:
        notes.refused("smtp", "too_slow")
        self.say_and_close(replies.TOO_SLOW)

    async def push(self, status: Any) -> None:
        """Say something, with an enhanced code wherever one belongs (RFC 2034)."""
        if isinstance(status, str) and not self._saying_hello and not status.startswith(f"220 {self.hostname} "):
            status = replies.with_enhanced_code(status)
        await super().push(status)

    def _counted(self, name: str, method: Any) -> Any:
        async def run(argument: str | None) -> None:
            self._commands += 1
            limits = self._shared.settings.limits
            too_long = self.loop.time() - self._began > limits.smtp_session_total.total_seconds()
            if too_long or self._commands > limits.smtp_commands:
                self.say_and_close(replies.TOO_MANY_COMMANDS)
                return
            if self._tls_first and self._tls_protocol is None and name not in _BEFORE_TLS:
                await self.push(replies.TLS_FIRST)
                return
            self._saying_hello = name in _HELLOS
            try:
                await method(argument)
            finally:
                self._saying_hello = False

        for told in ("__smtp_syntax__", "__smtp_syntax_extended__", "__smtp_syntax_when__"):
            if hasattr(method, told):
                setattr(run, told, getattr(method, told))
        return run

    # --- commands

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Read the common form of an address at once; the library's full parser reads the others.

        What makes that parser stumble, or is no text, is a malformed address: refused for good, never "not now".
        """
        match = _PLAIN_ADDRESS.match(arg)
        if match is not None and len(match[1]) <= 320:
            return match[1], arg[match.end() :]
        try:
            address, rest = super()._getaddr(arg)
            (address or "").encode()
        except (LookupError, AttributeError, ValueError, RecursionError):
            return None, None
        return address, rest

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:
        """Begin a mail; one announced as too large or that finds no space is refused at once (RFC 1870)."""
        if arg is not None:
            size = _SIZE.search(arg)
            if size is not None and int(size[1]) > self._shared.settings.smtp.max_message_bytes:
                notes.refused("smtp", "too_large")
                await self.push(replies.TOO_LARGE)
                return
            arg = _AUTH_PARAMETER.sub("", arg)  # RFC 4954 section 5 wants it taken; it tells us nothing
        await super().smtp_MAIL(arg)

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str | None) -> None:
        """Begin TLS once; the library would begin it a second time inside the first."""
        if self._tls_protocol is not None:
            await self.push("503 5.5.1 TLS is active already")
            return
        await super().smtp_STARTTLS(arg)

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str | None) -> None:
        """Prove a credential; mechanism names are case-insensitive (RFC 4954 section 4)."""
        if arg:
            mechanism, space, rest = arg.partition(" ")
            arg = mechanism.upper() + space + rest
        await super().smtp_AUTH(arg)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        """Take a mail's bytes to the spool and say what became of it, only after it is durable."""
        if await self.check_helo_needed():
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        limits = self._shared.settings.limits
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        self._reset_timeout(limits.smtp_data_total.total_seconds())
        self._begin_stream()
        stream = self._stream
        try:
            ending = await stream.ended if stream is not None else Ending.DOT
            if ending is not Ending.DOT:
                endless = ending is Ending.ENDLESS
                notes.refused("smtp", "too_large" if endless else "too_slow")
                self.say_and_close(self._to_each(replies.TOO_LARGE) if endless else replies.TOO_SLOW)
                return
            self._reset_timeout()
            assert self._completing is not None
            reply = await asyncio.shield(self._completing)
        finally:
            if self._completing is None and stream is not None:
                stream.discard()
            self._stream = None
        self._completing = None
        self._reset_timeout()
        self._set_rset_state()  # type: ignore[no-untyped-call]
        await self.push(reply)

    # --- the bytes of DATA

    def _begin_stream(self) -> None:
        limits = self._shared.settings.limits
        transport = self.transport
        self._completing = None
        self._data_begun = time.monotonic()
        self._stream = DataStream(
            Spool(self._shared.settings.spool_dir),
            most=self._shared.settings.smtp.max_message_bytes, minimum_rate=limits.smtp_minimum_rate,
            rate_window=limits.smtp_rate_window.total_seconds(),
            pause=transport.pause_reading, resume=transport.resume_reading,
        )  # fmt: skip
        early = bytes(self._reader._buffer)  # what a pipelining client sent behind DATA
        self._reader._buffer.clear()
        self._reader._maybe_resume_transport()
        if early:
            self._stream.feed(early)
            self._take_end()

    def _take_end(self) -> None:
        """At the final dot begin to accept at once: a client that hangs up now changes nothing."""
        stream = self._stream
        if stream is None or not stream.ended.done() or self._completing is not None:
            return
        if stream.ended.cancelled() or stream.ended.result() is not Ending.DOT:
            return
        self._completing = self.loop.create_task(self._complete(stream))
        self._shared.completing.add(self._completing)
        self._completing.add_done_callback(self._shared.completing.discard)
        self._stream = None
        if stream.framing.rest:
            super().data_received(stream.framing.rest)

    async def _proved(self) -> str:
        """Name the credential that has logged in, unless its secret was taken away since."""
        login: Login | None = self.session.auth_data
        if login is None or await self._shared.logins.ended([login]):
            return ""
        return login.credential

    async def _complete(self, stream: DataStream) -> str:
        try:
            await stream.finish()
            return await self._take_in(self._mail(stream, await self._proved()))
        except Exception as error:  # noqa: BLE001 - a door says "not now" whatever went wrong here
            return self._to_each(refusal(error, self._client))
        finally:
            stream.spool.close()

    def _mail(self, stream: DataStream, authenticated_as: str) -> Mail:
        peer = self._client
        ours = is_trusted(peer, self._shared.settings.smtp)
        return Mail(
            door="smtp", peer=peer, client=peer if self.from_anybody and not ours else "",
            helo=self.session.host_name or "",
            trusted=self._shared.settings.smtp.trusted_authserv if ours else (),
            sender=_reverse_path(self.envelope.mail_from),
            recipients=_one_each(self.envelope.recipients), spool=stream.spool,
            authenticated_as=authenticated_as, fault=stream.fault, begun=self._data_begun,
        )  # fmt: skip

    async def _take_in(self, mail: Mail) -> str:
        """Hand a mail over and say what became of it: one reply for all recipients."""
        return replies.final_reply(await self._shared.intake.accept(mail))

    def _to_each(self, reply: str) -> str:
        """Say the same of every recipient behind the dot: once is enough here."""
        return reply


def refusal(error: Exception, peer: str) -> str:
    """Say why a mail is not taken now, and note it."""
    for kind, (reason, reply) in _REFUSALS.items():
        if isinstance(error, kind):
            notes.refused("smtp", reason, peer=peer, error=str(error))
            return reply
    log.error("a mail could not be taken", exc_info=error)
    notes.refused("smtp", "fault", peer=peer, error=str(error))
    return replies.NOT_NOW


_REFUSALS: dict[type[Exception], tuple[str, str]] = {
    NoSpace: ("no_space", replies.NO_SPACE),
    OSError: ("no_space", replies.NO_SPACE),
    SenderNotKnownNow: ("sender_not_known", replies.SENDER_NOT_KNOWN_NOW),
    TemporaryError: ("not_now", replies.NOT_NOW),
}


def _reverse_path(address: str | None) -> str:
    return "" if address in (None, "<>") else str(address)


def _one_each(named: list[Recipient]) -> tuple[Recipient, ...]:
    """Keep one recipient per delivery; a dry run beside the real address is one of its own."""
    kept: dict[tuple[int, bool], Recipient] = {}
    for recipient in named:
        kept.setdefault(recipient.delivery, recipient)
    return tuple(kept.values())

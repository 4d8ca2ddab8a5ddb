"""One SMTP session: aiosmtpd's commands with our own DATA, addresses, limits and logins.

What lives here: the protocol class and its hooks. It uses private names of aiosmtpd 1.4.6 (``_reader``,
``_smtp_methods``, ``_getaddr``, ``_set_post_data_state``, ``_reset_timeout``, ``_timeout_cb``); a test holds each.
"""

import asyncio
import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, syntax
from aiosmtpd.smtp import Session as SessionState

from intake.accept import NoSpace
from intake.logins import check_login
from intake.mail import Mail, Recipient
from intake.spool import Spool
from mailgate.observe import get_logger
from mailgate.smtp import replies
from mailgate.smtp.stream import DataStream, Ending
from models.faults import TemporaryError

if TYPE_CHECKING:
    from mailgate.smtp.door import SmtpDoor

log = get_logger("smtp")
_PLAIN_ADDRESS = re.compile(r"<([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+)>")
_SIZE = re.compile(r"\sSIZE=(\d{1,20})(?=\s|$)", re.IGNORECASE)
_AUTH_PARAMETER = re.compile(r"\sAUTH=\S*", re.IGNORECASE)


class SmtpSession(SMTP):  # type: ignore[misc]  # aiosmtpd brings no types
    """Speak SMTP with one client."""

    def __init__(self, door: "SmtpDoor", *, over_tls: bool) -> None:
        limits = door.settings.limits
        self._door = door
        self._over_tls = over_tls
        self._stream: DataStream | None = None
        self._completing: asyncio.Task[str] | None = None
        self._commands = 0
        super().__init__(
            door.hooks, hostname=door.settings.domain, ident="mailgate", enable_SMTPUTF8=True,
            data_size_limit=door.settings.smtp.max_message_bytes, tls_context=None if over_tls else door.tls,
            require_starttls=door.settings.smtp.require_tls and not over_tls,
            auth_require_tls=not over_tls, timeout=limits.smtp_idle.total_seconds(),
            command_call_limit={"AUTH": limits.smtp_auth_attempts, "*": limits.smtp_commands},
            loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self._began = self.loop.time()
        self._smtp_methods = {name: self._counted(method) for name, method in self._smtp_methods.items()}

    # --- the life of the connection

    def connection_made(self, transport: Any) -> None:
        """Begin, or begin anew behind STARTTLS."""
        super().connection_made(transport)
        self._door.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a mail that is whole goes on by itself."""
        self._door.sessions.discard(self)
        self._door.gate.leave(self)
        if self._stream is not None:
            self._stream.abandon()
        super().connection_lost(error)

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
        self.say_and_close(replies.TOO_SLOW)

    def _counted(self, method: Any) -> Any:
        async def run(argument: str | None) -> None:
            self._commands += 1
            limits = self._door.settings.limits
            too_long = self.loop.time() - self._began > limits.smtp_session_total.total_seconds()
            if too_long or self._commands > limits.smtp_commands:
                self.say_and_close(replies.TOO_MANY_COMMANDS)
                return
            await method(argument)

        for name in ("__smtp_syntax__", "__smtp_syntax_extended__", "__smtp_syntax_when__"):
            if hasattr(method, name):
                setattr(run, name, getattr(method, name))
        return run

    # --- commands

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Read the common form of an address at once; the library's full parser reads the others."""
        match = _PLAIN_ADDRESS.match(arg)
        if match is not None and len(match[1]) <= 320:
            return match[1], arg[match.end() :]
        address, rest = super()._getaddr(arg)
        return address, rest

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:
        """Begin a mail; one announced as too large or that finds no space is refused at once (RFC 1870)."""
        if arg is not None:
            size = _SIZE.search(arg)
            if size is not None and int(size[1]) > self._door.settings.smtp.max_message_bytes:
                await self.push(replies.TOO_LARGE)
                return
            arg = _AUTH_PARAMETER.sub("", arg)  # RFC 4954 section 5 wants it taken; it tells us nothing
        await super().smtp_MAIL(arg)

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
        limits = self._door.settings.limits
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        self._reset_timeout(limits.smtp_data_total.total_seconds())
        self._begin_stream()
        stream = self._stream
        try:
            ending = await stream.ended if stream is not None else Ending.DOT
            if ending is not Ending.DOT:
                self.say_and_close(replies.TOO_LARGE if ending is Ending.ENDLESS else replies.TOO_SLOW)
                return
            self._reset_timeout()
            assert self._completing is not None
            reply = await asyncio.shield(self._completing)
        finally:
            if self._completing is None and stream is not None:
                stream.abandon()
                stream.spool.close()
            self._stream = None
        self._completing = None
        self._reset_timeout()
        self._set_post_data_state()
        await self.push(reply)

    # --- the bytes of DATA

    def _begin_stream(self) -> None:
        limits = self._door.settings.limits
        transport = self.transport
        self._completing = None
        self._stream = DataStream(
            Spool(self._door.settings.spool_dir),
            most=self._door.settings.smtp.max_message_bytes, minimum_rate=limits.smtp_minimum_rate,
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
        self._door.completing.add(self._completing)
        self._completing.add_done_callback(self._door.completing.discard)
        self._stream = None
        if stream.framing.rest:
            super().data_received(stream.framing.rest)

    async def _complete(self, stream: DataStream) -> str:
        try:
            await stream.finish()
            mail = Mail(
                door="smtp", peer=_peer(self.session), sender=_reverse_path(self.envelope.mail_from),
                recipients=_recipients(self.envelope.recipients), spool=stream.spool,
                authenticated_as=self.session.auth_data or "", fault=stream.fault,
            )  # fmt: skip
            outcomes = await self._door.intake.accept(mail)
        except (NoSpace, OSError) as error:
            log.warning("refused for now", reason=str(error))
            return replies.NO_SPACE
        except TemporaryError as error:
            log.warning("refused for now", reason=str(error))
            return replies.NOT_NOW
        except Exception:
            log.exception("a mail could not be taken")
            return replies.NOT_NOW
        finally:
            stream.spool.close()
        return replies.final_reply(outcomes)


class Hooks:
    """Answer aiosmtpd's questions: which addresses are ours, who logs in, what an exception means."""

    def __init__(self, door: "SmtpDoor") -> None:
        self._door = door

    async def handle_EHLO(
        self, _server: SmtpSession, session: SessionState, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Advertise PIPELINING, which the reader has always done (RFC 2920)."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_MAIL(
        self, _server: SmtpSession, _session: SessionState, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Begin an envelope, unless the disk is too full."""
        try:
            self._door.intake.check_space()
        except NoSpace:
            return replies.NO_SPACE
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        envelope.recipients = []
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, _server: SmtpSession, _session: SessionState, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take only addresses of connections; never relay."""
        local, _, domain = address.rpartition("@")
        if domain.lower() != self._door.settings.domain.lower():
            return replies.NO_RELAYING
        if len(envelope.rcpt_tos) >= self._door.settings.limits.smtp_recipients:
            return replies.TOO_MANY_RECIPIENTS
        name, _, tag = local.strip('"').partition("+")
        ref = await self._door.intake.connection_for(name)
        if ref is None:
            return replies.NO_SUCH_ADDRESS
        envelope.rcpt_tos.append(address)
        envelope.recipients.append(Recipient(connection=ref, address=address, tag=tag.lower()))
        return "250 2.1.5 OK"

    async def auth_PLAIN(self, server: SmtpSession, args: list[str]) -> AuthResult:
        """Read authorization id, user name and password at once (RFC 4616)."""
        if len(args) == 1:
            blob = await server.challenge_auth("")
            if blob is MISSING:
                return AuthResult(success=False)
        else:
            try:
                blob = b64decode(args[1], validate=True)
            except (Base64Error, ValueError):
                await server.push("501 5.5.2 that is not base64")
                return AuthResult(success=False)
        pieces = blob.split(b"\0")
        if len(pieces) != 3:
            await server.push("501 5.5.2 PLAIN takes three fields")
            return AuthResult(success=False)
        return await self._login(server, pieces[1], pieces[2])

    async def auth_LOGIN(self, server: SmtpSession, args: list[str]) -> AuthResult:
        """Ask for user name and password one after the other."""
        if len(args) > 1:
            try:
                name = b64decode(args[1], validate=True)
            except (Base64Error, ValueError):
                await server.push("501 5.5.2 that is not base64")
                return AuthResult(success=False)
        else:
            name = await server.challenge_auth("Username:")
        if name is MISSING:
            return AuthResult(success=False)
        password = await server.challenge_auth("Password:")
        if password is MISSING:
            return AuthResult(success=False)
        return await self._login(server, name, password)

    async def handle_exception(self, error: Exception) -> str:
        """Say "not now" whatever went wrong here: the sender's server tries again."""
        log.error("an SMTP session failed", error=repr(error), exc_info=error)
        return replies.NOT_NOW

    async def _login(self, server: SmtpSession, name: bytes, password: bytes) -> AuthResult:
        try:
            credential = await check_login(
                self._door.ledger, name.decode("utf-8", "replace"), password.decode("utf-8", "replace")
            )
        except TemporaryError:
            await server.push(replies.BAD_LOGIN_TRY_LATER)
            return AuthResult(success=False)
        if credential is None:
            log.warning("login refused", peer=_peer(server.session), username=name.decode("utf-8", "replace")[:100])
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=credential)


def _peer(session: Any) -> str:
    peer = session.peer
    return str(peer[0]) if isinstance(peer, tuple) else str(peer or "")


def _reverse_path(address: str | None) -> str:
    return "" if address in (None, "<>") else str(address)


def _recipients(named: list[Recipient]) -> tuple[Recipient, ...]:
    """Keep one recipient per connection; a dry run beside the real address is one of its own."""
    kept: dict[tuple[int, bool], Recipient] = {}
    for recipient in named:
        kept.setdefault((recipient.connection.id, recipient.tag == "dryrun"), recipient)
    return tuple(kept.values())

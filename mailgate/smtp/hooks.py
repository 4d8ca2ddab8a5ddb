"""The hooks of an SMTP session: which addresses are ours, who logs in, what an exception means.

What lives here: answers to aiosmtpd's questions, from settings and intake.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from aiosmtpd.smtp import MISSING, AuthResult
from aiosmtpd.smtp import Session as SessionState

from intake.accept import NoSpace
from intake.mail import Recipient
from mailgate.observe import get_logger, notes
from mailgate.smtp import replies
from mailgate.smtp.shared import Shared
from models.faults import TemporaryError

log = get_logger("smtp")


class Hooks:
    """Answer aiosmtpd's questions: which addresses are ours, who logs in, what an exception means."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def handle_EHLO(
        self, _server: Any, session: SessionState, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Advertise PIPELINING, which the reader has always done (RFC 2920), and enhanced codes (RFC 2034)."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_MAIL(
        self, _server: Any, _session: SessionState, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Begin an envelope, unless the disk is too full."""
        try:
            self._shared.intake.check_space()
        except NoSpace:
            notes.refused("smtp", "no_space")
            return replies.NO_SPACE
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        envelope.recipients = []
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, _server: Any, _session: SessionState, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take only addresses of connections; never relay."""
        local, _, domain = address.rpartition("@")
        if domain.lower() != self._shared.settings.domain.lower():
            notes.refused("smtp", "no_relaying")
            return replies.NO_RELAYING
        if len(envelope.rcpt_tos) >= self._shared.settings.limits.smtp_recipients:
            return replies.TOO_MANY_RECIPIENTS
        name, _, tag = local.strip('"').partition("+")
        ref = await self._shared.intake.connection_for(name)
        if ref is None:
            notes.refused("smtp", "no_such_address")
            return replies.NO_SUCH_ADDRESS
        envelope.rcpt_tos.append(address)
        envelope.recipients.append(Recipient(connection=ref, address=address, tag=tag.lower()))
        return "250 2.1.5 OK"

    async def auth_PLAIN(self, server: Any, args: list[str]) -> AuthResult:
        """Read authorization id, user name and password at once (RFC 4616)."""
        if len(args) == 1:
            blob: Any = await server.challenge_auth("")
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

    async def auth_LOGIN(self, server: Any, args: list[str]) -> AuthResult:
        """Ask for user name and password one after the other."""
        name: Any
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

    async def _login(self, server: Any, name: bytes, password: bytes) -> AuthResult:
        try:
            username = name.decode("utf-8", "replace")
            login = await self._shared.logins.by_password(
                username, password.decode("utf-8", "replace"), str(server.session.peer)
            )
        except TemporaryError:
            await server.push(replies.BAD_LOGIN_TRY_LATER)
            return AuthResult(success=False)
        if login is None:
            log.warning("login refused", peer=str(server.session.peer), username=username[:100])
            return AuthResult(success=False, handled=False)
        server.stays()
        return AuthResult(success=True, auth_data=login)

"""LMTP: a session in which each recipient hears for itself what became of its delivery (RFC 2033).

What lives here: LHLO, and one reply per recipient behind the dot. Everything else is SMTP's: framing, limits, logins.
"""

from typing import Any

from aiosmtpd.smtp import syntax

from intake.mail import Mail
from mailgate.smtp import replies
from mailgate.smtp.session import SmtpSession, refusal


class LmtpSession(SmtpSession):
    """Speak LMTP with a mail server of ours."""

    ident = "mailgate LMTP"
    from_anybody = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for command in ("HELO", "EHLO"):  # RFC 2033 section 4.1: never a positive reply
            del self._smtp_methods[command]

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, arg: str | None) -> None:
        """Begin; the words are those of EHLO (RFC 2033 section 4.1)."""
        if not arg:
            await self.push("501 5.5.4 LHLO wants a host name")
            return
        await super().smtp_EHLO(arg)

    async def check_helo_needed(self, helo: str = "LHLO") -> bool:
        """Ask for LHLO where it has not come."""
        return await super().check_helo_needed("LHLO")

    async def _take_in(self, mail: Mail) -> str:
        """Hand a mail over for each recipient by itself, and give one reply for each RCPT that was taken, in order.

        Two addresses of one delivery hear the same.
        """
        outcomes = await self._shared.intake.accept_each(mail)
        said = {
            recipient.delivery: refusal(outcome, mail.peer)
            if isinstance(outcome, Exception)
            else replies.final_reply([outcome])
            for recipient, outcome in zip(mail.recipients, outcomes, strict=True)
        }
        return "\r\n".join(said[recipient.delivery] for recipient in self.envelope.recipients)

    def _to_each(self, reply: str) -> str:
        return "\r\n".join([reply] * len(self.envelope.recipients))

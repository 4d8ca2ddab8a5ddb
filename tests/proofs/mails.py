"""The mails of a proof: each with a file of its own name and content, and a Message-ID of its own."""

import email.policy
import email.utils
from dataclasses import dataclass
from email.message import EmailMessage
from hashlib import sha256

from tests.proofs.gate import ADDRESS, SENDER

_HEADER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerStatus,CurrencyCode,Amount"
_SMALL, _LARGE = 5, 7000  # rows; a large file goes through the spool folder, a small one stays in memory
_EVERY = 10  # so many mails to one large one


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One mail, and what must be found of it later."""

    file_name: str
    message_id: str
    sha256: str  #: of the file
    mail: bytes


def compose(run: str, number: int, *, rows: int | None = None) -> Sent:
    """Write mail ``number`` of a run."""
    if rows is None:
        rows = _LARGE if number % _EVERY == _EVERY - 1 else _SMALL
    lines = (f"1000,2001,NOW,{run}-{number}-{row},click-{number}-{row},NEW,EUR,1.50" for row in range(rows))
    content = ("\r\n".join([_HEADER, *lines]) + "\r\n").encode()
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"] = f"Batch <{SENDER}>"
    mail["To"] = ADDRESS
    mail["Subject"] = f"Conversions {run} {number}"
    mail["Message-ID"] = f"<{run}-{number}@acme.example>"
    mail["Date"] = email.utils.localtime()
    mail.set_content("Please import the attached file.\n")
    file_name = f"Conversions_2026_{run}_{number:05d}.csv"
    mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=file_name)
    return Sent(
        file_name=file_name, message_id=str(mail["Message-ID"]), sha256=sha256(content).hexdigest(),
        mail=mail.as_bytes(),
    )  # fmt: skip

"""Fetching one mail: from the mailbox in chunks to the spool, and from its header to the mail that intake takes.

What lives here: when a mail is whole, and what is wrong with one that is not. No verdict is given here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from intake.mail import Mail
from intake.spool import Spool
from mailgate.imap.line_ends import LineEnds
from mailgate.imap.plan import FolderPlan
from mailgate.imap.session import CHUNK, Session
from mailgate.message import read_envelope
from mailgate.settings import Settings
from models.codes import Code
from models.connection import Remote
from models.faults import Fault
from storage.ledger.messages import MessageKey

_HEADER = 256 * 1024
UNKNOWN_SENDER = "(unknown)"  # neither Return-Path nor From: no wildcard for addresses fits it by chance


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What came of a mail, and what is wrong with it."""

    octets: int  #: as they came, before line ends were mended
    fault: Fault | None = None
    cut_off: Fault | None = None


def fetch(
    session: Session, uid: int, size: int | None, spool: Spool, most: int, on_chunk: Callable[[int], None]
) -> Fetched:
    """Bring a mail to the spool; stops when it is larger than ``most`` bytes. Raises MailboxError, OSError.

    The server's word on the size decides nothing but when to ask once more: Exchange gives an estimate. A mail ends
    where the server has no more bytes. ``on_chunk`` is told of each piece's length.
    """
    ends, offset, too_large = LineEnds(), 0, False
    while True:
        piece = session.chunk(uid, offset)
        offset += len(piece)
        on_chunk(len(piece))
        spool.append([ends.feed(piece)])
        if offset > most or (size is not None and size > 2 * most):
            too_large = True
            break
        if not piece or (len(piece) < CHUNK and offset == size):
            break
    spool.append([ends.end()])
    if too_large:
        message = f"The mail is larger than {most:,} bytes, the most we take."
        return Fetched(octets=offset, fault=Fault(code=Code.FILE_TOO_LARGE, message=message))
    if ends.bare_cr or ends.nul:
        what = "a carriage return that stands alone" if ends.bare_cr else "a NUL character"
        return Fetched(octets=offset, fault=Fault(code=Code.MESSAGE_MALFORMED, message=f"The mail holds {what}."))
    if size is not None and offset < size:
        message = f"The mail server announced {size:,} bytes of this mail and gave {offset:,}: its end may be missing."
        return Fetched(octets=offset, cut_off=Fault(code=Code.ATTACHMENT_DAMAGED, message=message))
    return Fetched(octets=offset)


def make_mail(
    fetched: Fetched, spool: Spool, folder: FolderPlan, remote: Remote, key: MessageKey, settings: Settings
) -> Mail:
    """Turn what was fetched into the mail that intake takes: whose it is, and who sent it as far as it says."""
    block = spool.read(0, min(_HEADER, settings.limits.message_header_bytes))
    end = block.find(b"\r\n\r\n")
    envelope = read_envelope(block if end < 0 else block[: end + 2])
    sender = envelope.return_path if envelope.return_path is not None else envelope.sender or UNKNOWN_SENDER
    recipients = folder.recipients(envelope, remote.username)
    unmatched = None
    if not recipients:
        nobody, unmatched = folder.nobody(remote.username)
        if fetched.fault is not None:
            unmatched = Fault(code=unmatched.code, message=f"{unmatched.message} {fetched.fault.message}")
        recipients = (nobody,)
    return Mail(
        door="imap", peer=imap_url(remote, key), sender=sender, recipients=recipients, spool=spool, fault=fetched.fault,
        cut_off=fetched.cut_off, unmatched=unmatched, message=key, trusted=remote.trusted_authserv,
    )  # fmt: skip


def imap_url(remote: Remote, key: MessageKey) -> str:
    """Name a message as RFC 5092 does."""
    host = f"[{remote.host}]" if ":" in remote.host else remote.host
    folder = quote(key.folder, safe="/.&")
    user = quote(remote.username, safe="&=~!$'()*+,")
    return f"imap://{user}@{host}:{remote.port_in_use}/{folder};UIDVALIDITY={key.uidvalidity}/;UID={key.uid}"

"""What a mail is, as facts: header facts and the leaves of its MIME tree. No judgement, no bytes.

``mailgate.message`` makes these from a spool, ``matching`` judges them, ``intake`` stores what was judged.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from models.faults import Fault


class NameSource(StrEnum):
    """Where a part's readable name was found, best first."""

    FILENAME_EXTENDED = "filename*"  # RFC 2231
    FILENAME = "filename"  # RFC 2183, with RFC 2047 words or raw UTF-8 as found in the wild
    NAME_EXTENDED = "name*"  # Content-Type, RFC 2231
    NAME = "name"  # Content-Type


@dataclass(frozen=True, kw_only=True, slots=True)
class PartName:
    """One readable name of a part, decoded, NFC, base name only (after the last slash or backslash)."""

    source: NameSource
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One leaf of the MIME tree, in the order of the mail."""

    number: int  #: from 1, in the mail's order
    path: str  #: IMAP section number, e.g. "1.2"
    content_type: str  #: lower case, "text/plain" where absent (RFC 2045 section 5.2)
    charset: str = ""  #: lower case, empty where absent
    disposition: str = ""  #: "attachment", "inline" or empty; any other value is "attachment" (RFC 2183 section 2.8)
    names: tuple[PartName, ...] = ()  #: distinct sources, best first; empty where the part has no name
    content_id: str = ""  #: without angle brackets
    referenced: bool = False  #: an HTML part of this mail shows it as cid:
    ancestors: tuple[str, ...] = ()  #: content types of the multiparts around it, outermost first
    position: int = 0  #: index among the children of its parent, from 0
    last: bool = False  #: the last child of its parent
    transfer_encoding: str = "7bit"  #: lower case: 7bit, 8bit, binary, quoted-printable, base64, or what stood there
    start: int = 0  #: offset of the body's first byte in the mail
    end: int = 0  #: offset behind the body's last byte (the line end before a boundary is not part of it)
    fault: Fault | None = None  #: what makes this part unreadable (found without decoding it)
    inner: "Message | None" = None  #: the forwarded mail, for message/rfc822


@dataclass(frozen=True, kw_only=True, slots=True)
class Headers:
    """What acceptance and answers need of a mail's header block."""

    message_id: str = ""  #: with angle brackets, as received; empty where absent
    date: str = ""  #: raw Date value
    subject: str = ""  #: decoded, one line
    from_addresses: tuple[str, ...] = ()  #: every address of every From field
    from_fields: int = 0  #: how many From fields there are
    references: tuple[str, ...] = ()  #: message ids of References
    auto_submitted: str = ""  #: keyword of Auto-Submitted, lower case (RFC 3834 section 5)
    out_of_office: bool = False  #: a well-known mark of an out-of-office robot
    received: int = 0  #: number of Received fields
    own_trace: bool = False  #: carries our Mailgate-Trace-Id
    content_type: str = "text/plain"  #: of the whole mail, lower case
    smime_or_pgp: bool = False  #: application/pkcs7-mime (not signed-data) or multipart/encrypted as a whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A mail: its header facts, its leaves, and what is wrong with it as a whole."""

    headers: Headers = field(default_factory=Headers)
    header_end: int = 0  #: offset behind the header block (the body's first byte)
    parts: tuple[Part, ...] = ()
    fault: Fault | None = None  #: MESSAGE_AMBIGUOUS, MESSAGE_LIMIT, ATTACHMENT_DAMAGED (missing boundary) …
    size: int = 0

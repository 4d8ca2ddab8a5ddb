"""What acceptance decided of one delivery, before anything was stored.

``matching`` returns it, ``intake`` acts on it. Values only.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.authenticity import Authenticity
from models.codes import Code
from models.message import Part
from models.states import Verdict


class Role(StrEnum):
    """What part of the mail a leaf plays."""

    COUNTED = "counted"  #: an attachment: it must match, and becomes an upload
    SKIPPED = "skipped"  #: reserved prefix: neither matches nor spoils
    EMBEDDED = "embedded"  #: a signature logo and the like: listed, not counted
    NEVER = "never"  #: body, footer, signature blocks: not an attachment at all


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedPart:
    """One leaf with its role and, where it counts, whether its name matched."""

    part: Part
    role: Role
    name: str = ""  #: the name it goes by; "(unnamed)" for a nameless attachment
    other_names: tuple[str, ...] = ()  #: further readable names that led to the same decision
    matched: bool = False
    code: Code | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What the door knows of a mail beside its bytes (RFC 5321 section 2.3.1)."""

    sender: str = ""  #: reverse-path, empty for the null sender
    recipient: str = ""  #: forward-path as given, for this connection
    tag: str = ""  #: the +tag of the recipient, recorded
    authenticated_as: str = ""  #: name of the credential of SMTP AUTH, empty without
    authenticity: Authenticity | None = None  #: what was found out about the sender; None: nobody looked


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The verdict on one delivery, with every leaf and its role."""

    verdict: Verdict
    code: Code | None = None
    message: str = ""
    parts: tuple[JudgedPart, ...] = ()

    @property
    def counted(self) -> tuple[JudgedPart, ...]:
        """List the attachments that count, in the mail's order."""
        return tuple(p for p in self.parts if p.role is Role.COUNTED)

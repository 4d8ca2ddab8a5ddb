"""What the Content-* fields of one header block say: of the mail as a whole or of one part.

What lives here: the reading of those fields, and every place where two readers would disagree about them. Where the
body lies is the splitter's matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mailgate.message.fields import Fields, clean
from mailgate.message.names import parameter_text, part_names
from mailgate.message.parameters import Doubt, Parameter, Structured, parse_structured
from models.codes import Code
from models.faults import Fault
from models.message import PartName

KNOWN_ENCODINGS = frozenset({"7bit", "8bit", "binary", "quoted-printable", "base64"})
IDENTITY_ENCODINGS = frozenset({"7bit", "8bit", "binary"})
FORWARDED = frozenset({"message/rfc822", "message/global"})  # RFC 2046 section 5.2.1, RFC 6532

# These decide what the attachments are; given twice, each reader picks its own.
_SINGLE = ("content-type", "content-disposition", "content-transfer-encoding")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """One header block's word on its body."""

    content_type: str
    boundary: bytes = b""  #: of a multipart, empty otherwise
    charset: str = ""
    disposition: str = ""
    names: tuple[PartName, ...] = ()
    content_id: str = ""
    transfer_encoding: str = "7bit"
    fault: Fault | None = None  #: what is wrong with the mail as a whole because of this block
    damage: Fault | None = None  #: what is wrong with this part alone

    @property
    def multipart(self) -> bool:
        """Say whether the body is made of parts."""
        return bool(self.boundary)


def read_entity(fields: Fields, *, default: str = "text/plain", boundary_limit: int = 1000) -> Entity:
    """Read the Content-* fields; ``default`` is the type where none is given (RFC 2046 section 5.1.5)."""
    fault = fields.fault
    for name in _SINGLE:
        if len(fields.every(name)) > 1:
            fault = fault or _ambiguous(f"{name} is given {len(fields.every(name))} times")
    kind, doubt = _structured(fields.first("content-type"))
    fault = fault or doubt
    placed, doubt = _structured(fields.first("content-disposition"))
    fault = fault or doubt
    names, doubt = _names(placed, kind)
    fault = fault or doubt
    encoding = clean(fields.first("content-transfer-encoding")).lower() or "7bit"
    content_type, boundary = default, b""
    try:
        content_type = _content_type(kind, default)
        if content_type.startswith("multipart/"):
            boundary = _boundary(kind.parameters, boundary_limit)
            if encoding not in IDENTITY_ENCODINGS:
                raise Doubt(f"a multipart is encoded as {encoding[:40]} (RFC 2045 section 6.4)")
    except Doubt as problem:
        fault = fault or _ambiguous(str(problem))
    return Entity(
        content_type=content_type,
        boundary=boundary,
        charset=_charset(kind),
        disposition=_disposition(placed),
        names=names,
        content_id=clean(fields.first("content-id")).strip("<> \t"),
        transfer_encoding=encoding,
        fault=fault,
        damage=None if encoding in KNOWN_ENCODINGS else _unknown_encoding(encoding),
    )


def _structured(text: str) -> tuple[Structured, Fault | None]:
    if not text:
        return Structured(), None
    try:
        return parse_structured(text), None
    except Doubt as problem:
        return Structured(), _ambiguous(str(problem))


def _names(placed: Structured, kind: Structured) -> tuple[tuple[PartName, ...], Fault | None]:
    if not placed.parameters and not kind.parameters:
        return (), None
    try:
        return part_names(placed.parameters, kind.parameters), None
    except Doubt as problem:
        return (), _ambiguous(str(problem))


def _content_type(kind: Structured, default: str) -> str:
    """Return the type, or text/plain where it is none (RFC 2045 section 5.2)."""
    if not kind.value and not kind.parameters:
        return default
    main, slash, sub = kind.value.partition("/")
    if slash and main and sub and "/" not in sub and not any(c.isspace() for c in kind.value):
        return clean(kind.value)
    if main.strip() == "multipart" or kind.named("boundary"):
        raise Doubt("the content type is no type, and names a multipart or a boundary")
    return "text/plain"


def _boundary(parameters: Sequence[Parameter], limit: int) -> bytes:
    given = [p for p in parameters if p.name == "boundary" or p.name.startswith("boundary*")]
    if not given:
        raise Doubt("a multipart names no boundary")
    if len(given) > 1:
        raise Doubt("a boundary is given twice")
    if given[0].name != "boundary":
        raise Doubt("a boundary is written in RFC 2231 sections")
    text = given[0].value.rstrip()
    if not text or len(text) > limit:
        raise Doubt(f"a boundary has {len(text)} characters")
    if "\\" in text or '"' in text or text[0] in " \t" or (not given[0].quoted and any(c in text for c in " \t(")):
        raise Doubt("a boundary holds characters that readers take differently")
    return text.encode("utf-8", "surrogateescape")


def _charset(kind: Structured) -> str:
    try:
        return parameter_text(kind.parameters, "charset").lower().strip("'\" \t")
    except Doubt:
        return ""  # decides nothing here: a file's own encoding is judged by what parses it


def _disposition(placed: Structured) -> str:
    if placed.value in ("", "inline"):
        return "attachment" if placed.parameters and not placed.value else placed.value
    return "attachment"


def _ambiguous(message: str) -> Fault:
    return Fault(code=Code.MESSAGE_AMBIGUOUS, message=message)


def _unknown_encoding(encoding: str) -> Fault:
    return Fault(
        code=Code.ATTACHMENT_DAMAGED, message=f"the transfer encoding {encoding[:40]!r} is unknown (RFC 2045 section 6)"
    )

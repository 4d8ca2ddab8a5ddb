"""Helpers of the message tests: how a mail is split and decoded, and how the standard library reads the same one."""

from email.message import Message as StdlibMessage
from pathlib import Path

from mailgate.message import BytesSource, Limits, decode, split
from models.codes import Code
from models.faults import PermanentError
from models.message import Message, Part

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "mail"
SUFFIXES = {".eml", ".msg", ".raw", ".golden"}


def crlf(text: str | bytes) -> bytes:
    """Return a mail written with LF as it goes over the wire."""
    raw = text.encode() if isinstance(text, str) else text
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def split_bytes(raw: bytes, **limits: int) -> Message:
    return split(BytesSource(raw), Limits(**limits))


def body(raw: bytes, part: Part, **options: int) -> bytes:
    runs: list[bytes] = []
    decode(BytesSource(raw), part, runs.append, **options)
    return b"".join(runs)


def body_or_code(raw: bytes, part: Part, **options: int) -> bytes | Code:
    try:
        return body(raw, part, **options)
    except PermanentError as error:
        return error.fault.code


def codes(raw: bytes) -> set[Code]:
    """Return every code that refuses a mail or one of its parts, decoding included; forwarded mails with them."""
    return _codes(raw, split_bytes(raw))


def _codes(raw: bytes, message: Message) -> set[Code]:
    found = {message.fault.code} if message.fault else set()
    for part in message.parts:
        outcome = body_or_code(raw, part)
        if isinstance(outcome, Code):
            found.add(outcome)
        if part.inner is not None:
            found |= _codes(raw, part.inner)
    return found


def corpus() -> list[Path]:
    return sorted(p for p in CORPORA.rglob("*") if p.suffix in SUFFIXES) if CORPORA.is_dir() else []


def corpus_id(path: Path) -> str:
    return path.relative_to(CORPORA).as_posix()


def stdlib_leaves(message: StdlibMessage) -> list[StdlibMessage]:
    """Return the leaves as the splitter counts them: message/* is one leaf, whatever stdlib makes of its inside."""
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        return [leaf for child in message.get_payload() for leaf in stdlib_leaves(child)]
    return [message]

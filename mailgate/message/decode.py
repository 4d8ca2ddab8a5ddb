"""The bytes of one part, decoded run by run from the source to wherever they are kept.

What lives here: the transfer encodings (RFC 2045 section 6), strictly: what a laxer reader would mend or leave out is
damage. Nothing here keeps more than a few runs in memory.
"""

import binascii
import re
from collections.abc import Callable, Iterator

import pybase64

from mailgate.message.source import Source
from models.codes import Code
from models.faults import Fault, PermanentError, TemporaryError
from models.message import Part

RUN = 1024 * 1024

_BLANKS = b"\r\n\t "
_BAD_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")

Write = Callable[[bytes], object]


def decode(source: Source, part: Part, write: Write, *, run: int = RUN) -> None:
    """Write a part's decoded bytes in runs of about 1 MiB; raises ``PermanentError`` ATTACHMENT_DAMAGED.

    What was written before the error is not the attachment: the caller drops it.
    """
    if part.fault is not None:
        raise PermanentError(part.fault)
    decoder = _DECODERS.get(part.transfer_encoding)
    if decoder is None:
        raise _damaged(part, f"is encoded as {part.transfer_encoding[:40]!r}, which is unknown")
    decoder(part, _runs(source, part, run), write)


def _runs(source: Source, part: Part, run: int) -> Iterator[bytes]:
    position = part.start
    while position < part.end:
        data = source.read(position, min(run, part.end - position))
        if not data:
            raise TemporaryError(f"the mail ends at {position}, {part.end} bytes were expected")
        position += len(data)
        yield data


def _identity(_part: Part, runs: Iterator[bytes], write: Write) -> None:
    for data in runs:
        write(data)


def _base64(part: Part, runs: Iterator[bytes], write: Write) -> None:
    """Decode base64; only line ends and blanks may stand between, padding only at the very end (RFC 4648 section 4)."""
    rest = b""
    padded = False
    for raw in runs:
        data = rest + raw.translate(None, _BLANKS)
        if padded and data:
            raise _damaged(part, "goes on behind the padding of its base64")
        whole = len(data) & ~3
        rest = data[whole:]
        if not whole:
            continue
        try:
            decoded = pybase64.b64decode(data[:whole], validate=True)
        except (binascii.Error, ValueError):
            raise _damaged(part, "is not sound base64") from None
        padded = data[whole - 1] == ord("=")
        if padded and rest:
            raise _damaged(part, "goes on behind the padding of its base64")
        write(decoded)
    if rest:
        raise _damaged(part, "ends in the middle of its base64")


def _quoted_printable(part: Part, runs: Iterator[bytes], write: Write) -> None:
    """Decode quoted-printable; an ``=`` must begin two hex digits or end a line (RFC 2045 section 6.7)."""
    rest = b""
    for raw in runs:
        data = rest + raw
        # An escape that may go on in the next run waits for it.
        cut = data.find(b"=", max(len(data) - 2, 0))
        rest = b"" if cut < 0 else data[cut:]
        _write_quoted(part, data[: len(data) - len(rest)], write)
    # The line end of a soft break in the last line belongs to the boundary behind it.
    if rest != b"=":
        _write_quoted(part, rest, write)


def _write_quoted(part: Part, data: bytes, write: Write) -> None:
    if not data:
        return
    if _BAD_ESCAPE.search(data) is not None:
        raise _damaged(part, "is not sound quoted-printable")
    decoded = binascii.a2b_qp(data)
    if decoded:
        write(decoded)


_DECODERS: dict[str, Callable[[Part, Iterator[bytes], Write], None]] = {
    "7bit": _identity,
    "8bit": _identity,
    "binary": _identity,
    "base64": _base64,
    "quoted-printable": _quoted_printable,
}


def _damaged(part: Part, what: str) -> PermanentError:
    name = part.names[0].text if part.names else "(unnamed)"
    return PermanentError(Fault(code=Code.ATTACHMENT_DAMAGED, message=f"part {part.path} {name[:200]!r} {what}"))

"""Which encoding a file is in. Nothing is guessed, nothing is replaced.

What lives here: byte-order marks, the encodings a connection may name, and what a file that is in none of them
probably is in. Records are not known here.
"""

import codecs
import re
from dataclasses import dataclass

from models.codes import Code
from models.faults import Fault, PermanentError
from parsing.source import Source

#: longest first: the UTF-32-LE mark begins with the UTF-16-LE one
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAY_BE_NAMED = re.compile(
    r"utf-(?:8|16|32)(?:-[lb]e)?|cp\d+|iso8859-\d+|mac-\w+|koi8-\w|gb2312|gbk|gb18030|big5(?:hkscs)?|euc_\w+"
    r"|shift_jis\w*|johab|tis-620|kz1048|ptcp154|hp-roman8|ascii"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How the bytes of a file are to be read."""

    name: str
    byte_order_mark: bool
    start: int  #: offset of the first byte behind the mark


class NotDecodable(Exception):
    """Say at which offset a file stops being in its encoding; ``read`` is what came before, as UTF-8."""

    def __init__(self, offset: int, read: Source) -> None:
        super().__init__(f"byte {offset} cannot be decoded")
        self.offset = offset
        self.read = read


def refuse(code: Code, message: str) -> PermanentError:
    """Make the error that rejects the whole file."""
    return PermanentError(Fault(code=code, message=message))


def known_encoding(name: str) -> str:
    """Give an encoding that a connection names in its usual spelling; raise ValueError where we do not read it."""
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        found = ""
    if not _MAY_BE_NAMED.fullmatch(found):
        raise ValueError(f"The encoding must be one such as cp1252, iso-8859-1 or utf-16, not {name!r}.")
    return {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(found, found)


def encoding_of(source: Source, named: str) -> Encoding:
    """Tell the encoding of a file; a byte-order mark counts more than what the connection names."""
    head = bytes(source.data[:512])
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name=name, byte_order_mark=True, start=len(mark))
    if named:
        return Encoding(name=known_encoding(named), byte_order_mark=False, start=0)
    pairs = head[: len(head) // 2 * 2]
    if len(pairs) >= 4 and (pairs[::2].strip(b"\0") == b"" or pairs[1::2].strip(b"\0") == b""):
        raise refuse(
            Code.ENCODING_UNSUPPORTED,
            "The file looks like UTF-16 without a byte-order mark; save it as UTF-8 (in Excel: CSV UTF-8).",
        )
    return Encoding(name="utf-8", byte_order_mark=False, start=0)


def likely_encoding(sample: bytes) -> str:
    """Name the encoding that bytes which are not UTF-8 most likely are in, for the message only."""
    if b"\0" in sample:
        return "UTF-16"
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "an older code page such as cp850 or Mac Roman"
    return "Windows-1252 (cp1252), also called ANSI or Latin-1"

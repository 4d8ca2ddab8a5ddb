"""Which encoding a file is in, and whether its bytes keep to it. Nothing is guessed, nothing is replaced.

What lives here: byte-order marks, bytes that are no text at all, UTF-8 validity. Records are not known here.
"""

import codecs
from dataclasses import dataclass

import polars as pl

from models.codes import Code
from models.faults import Fault, PermanentError
from parsing.source import Source

BLOCK = 4 << 20  #: bytes validated at once

#: longest first: the UTF-32-LE mark begins with the UTF-16-LE one
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_ARCHIVES = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
)
_OTHERS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)"),
    (b"%pdf-", "a PDF document"),
    (b"{\\rtf", "a formatted document (.rtf)"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How the bytes of a file are to be read."""

    name: str
    byte_order_mark: bool
    start: int  #: offset of the first byte behind the mark


def refuse(code: Code, message: str) -> PermanentError:
    """Make the error that rejects the whole file."""
    return PermanentError(Fault(code=code, message=message))


def recognise(source: Source) -> Encoding:
    """Tell the encoding from the first bytes; raise PermanentError where the file is not text we read."""
    if source.size == 0:
        raise refuse(Code.FILE_EMPTY, "The file is empty (0 bytes).")
    head = bytes(source.data[:512])
    for magic, what in _ARCHIVES:
        if head.startswith(magic):
            raise refuse(Code.ARCHIVE_NOT_ACCEPTED, f"The file is {what}; send the CSV file itself, saved as UTF-8.")
    encoding = _marked(head)
    text = head[encoding.start :].lstrip().lower()
    for magic, what in _OTHERS:
        if text.startswith(magic):
            raise refuse(Code.FORMAT_UNKNOWN, f"The file is {what}, not a CSV file; save it as CSV in UTF-8.")
    if text[:1] in (b"{", b"["):
        raise refuse(
            Code.FORMAT_UNKNOWN,
            "The file looks like JSON, which is not taken here; send it as a CSV file with a header.",
        )
    if not text and not bytes(source.data[encoding.start :]).strip():
        raise refuse(Code.FILE_EMPTY, "The file holds nothing but blanks and line ends.")
    return encoding


def _marked(head: bytes) -> Encoding:
    for mark, name in _MARKS:
        if head.startswith(mark):
            if name != "utf-8":
                raise refuse(
                    Code.ENCODING_UNSUPPORTED,
                    f"The file is encoded in {name}; save it as UTF-8 (in Excel: CSV UTF-8) and send it again.",
                )
            return Encoding(name=name, byte_order_mark=True, start=len(mark))
    pairs = head[: len(head) // 2 * 2]
    if pairs and (pairs[::2].strip(b"\0") == b"" or pairs[1::2].strip(b"\0") == b"") and len(pairs) >= 4:
        raise refuse(
            Code.ENCODING_UNSUPPORTED,
            "The file looks like UTF-16 without a byte-order mark; save it as UTF-8 (in Excel: CSV UTF-8).",
        )
    return Encoding(name="utf-8", byte_order_mark=False, start=0)


def first_invalid(source: Source, start: int) -> int | None:
    """Give the offset of the first byte that is not UTF-8, None where all are."""
    at = start
    while at < source.size:
        block = bytes(source.data[at : at + BLOCK])
        if at + BLOCK < source.size:
            block = block[: _whole_characters(block)]
        if not block.isascii() and not _is_utf8(block):
            try:
                block.decode("utf-8")
            except UnicodeDecodeError as error:
                return at + error.start
        at += len(block)
    return None


def _is_utf8(block: bytes) -> bool:
    """Tell whether bytes are UTF-8: a cast in polars is many times faster than decoding, but does not say where."""
    try:
        pl.Series([block], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def _whole_characters(block: bytes) -> int:
    """Give the length of a block without a character that it may cut at its end."""
    for back in range(1, 4):
        if block[-back] >= 0xC0:
            return len(block) - back
        if block[-back] < 0x80:
            break
    return len(block)


def likely_encoding(sample: bytes) -> str:
    """Name the encoding that bytes which are not UTF-8 most likely are in, for the message only."""
    if b"\0" in sample:
        return "UTF-16"
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "an older code page such as cp850 or Mac Roman"
    return "Windows-1252 (cp1252), also called ANSI or Latin-1"

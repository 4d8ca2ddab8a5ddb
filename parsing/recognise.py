"""What a file is by its first bytes: text in rows, JSON Lines, or something that is refused with advice.

What lives here: the marks of what is not read here. How text is encoded stands in ``parsing.encoding``.
"""

import json
import re

from models.codes import Code
from parsing.encoding import refuse
from parsing.source import Source

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
    (b"<table", "a web page"),
    (b"\x89png", "a picture"),
    (b"gif8", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"par1", "a Parquet file"),
    (b"sqlite format 3", "a database"),
    (b"<?xml", "an XML document"),
)
_ARRAY = re.compile(rb'\[\s*(?:[\[{"\]]|-?\d|true|false|null|\Z)')
_HEAD = 512  #: bytes looked at


def refuse_archives(source: Source) -> None:
    """Raise PermanentError where a file is empty, one that holds others, or has lost its content."""
    if source.size == 0:
        raise refuse(Code.FILE_EMPTY, "The file is empty (0 bytes).")
    head = bytes(source.data[:_HEAD])
    if not head.strip(b"\0"):
        message = "The file begins with nothing but NUL bytes: it was damaged before it came. Send it again."
        raise refuse(Code.FORMAT_UNKNOWN, message)
    for magic, what in _ARCHIVES:
        if head.startswith(magic):
            raise refuse(Code.ARCHIVE_NOT_ACCEPTED, f"The file is {what}; send the CSV file itself, saved as UTF-8.")


def is_json(source: Source, start: int) -> bool:
    """Tell whether the text of a file is JSON Lines; raise PermanentError where it is nothing with rows."""
    text = bytes(source.data[start : start + _HEAD]).lstrip()
    for magic, what in _OTHERS:
        if text.lower().startswith(magic):
            raise refuse(Code.FORMAT_UNKNOWN, f"The file is {what}, not a CSV file; save it as CSV in UTF-8.")
    if not text and not bytes(source.data[start:]).strip():
        raise refuse(Code.FILE_EMPTY, "The file holds nothing but blanks and line ends.")
    if not _ARRAY.match(text):
        return text.startswith(b"{")
    if _first_line_is_a_list(source, start):
        return True
    raise refuse(
        Code.FORMAT_UNKNOWN,
        "The file is one JSON list; send it as JSON Lines, one object on each line, or as a CSV file with a header.",
    )


def _first_line_is_a_list(source: Source, start: int) -> bool:
    """Tell whether the first line is a whole list and objects follow, so that it is one bad line of JSON Lines."""
    while start < source.size and source.data[start : start + 1].isspace():
        start += 1
    end = source.line_end(start)
    following = bytes(source.data[end : end + _HEAD]).lstrip()
    try:
        json.loads(bytes(source.data[start : min(end, start + (1 << 20))]))
    except (ValueError, RecursionError):
        return False
    return following.startswith((b"{", b"["))

"""Why a record cannot be read, in words its sender can act on.

What lives here: sentences about the bytes of one record or about single values, and the usual cause where it can be
seen. Whether something is wrong is decided elsewhere.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parsing.header import Header
from parsing.record import DELIMITERS, NAMED, grammar, is_quoted, raw_cells
from parsing.records import Records
from parsing.source import Source

if TYPE_CHECKING:
    import polars as pl

_LOOKED_AT = 2_000  #: bytes of a record that its style is told from
_OPEN = re.compile(rb'"[^"]*+(?:""[^"]*+)*+\Z')
_CLOSED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_TYPOGRAPHIC = ("“".encode(), "”".encode(), "„".encode())
_TWICE = 'write a quote inside a value twice ("")'
_UNSEEN = r"[\u{A0}\u{AD}\u{200B}-\u{200F}\u{202F}\u{2060}\u{FEFF}]"
_AROUND = r"^\s+\S|\S\s+$"


def with_cause(message: str, values: "pl.Series") -> str | list[str]:
    """Give the message about each of some values that are wrong, with the cause where it cannot be seen."""
    unseen, around = values.str.contains(_UNSEEN), values.str.contains(_AROUND)
    if not (unseen.any() or around.any()):
        return message
    hidden, blank = f"{message}; it holds a character that cannot be seen", f"{message}; a blank stands around it"
    return [hidden if one else blank if two else message for one, two in zip(unseen, around, strict=True)]


@dataclass(frozen=True, slots=True)
class Reasons:
    """Say why a record is broken, counted wrong or suspect; records are named by their index."""

    source: Source
    records: Records
    header: Header

    def _raw(self, i: int) -> bytes:
        return bytes(self.source.data[self.records.start[i] : self.records.end[i]])

    def broken(self, i: int) -> str:
        """Say what is wrong with the quotes of a record, or that it holds a NUL byte."""
        raw = self._raw(i)
        if b"\0" in raw:
            return "This row holds a NUL byte, which is no text"
        delimiter = self.header.delimiter
        found = grammar(delimiter).record.match(raw)
        before = len(raw_cells(raw[: found.end()], delimiter)) if found else 0
        cell = raw[found.end() + 1 :] if found else raw
        where = self._field(before)
        closed = _CLOSED.match(cell)
        if _OPEN.match(cell) or closed is None:
            return f"A quote opens in {where} and is not closed; close it, or {_TWICE}"
        return f"More text follows behind the closing quote in {where}; {_behind(raw, cell[closed.end() :], delimiter)}"

    def _field(self, number: int) -> str:
        offset = self.header.width - len(self.header.names)
        name = self.header.names[number - offset] if offset <= number < self.header.width else ""
        return name[:100] or f"field {number + 1}"

    def counted(self, i: int) -> str:
        """Say how many fields a record has, and the usual cause."""
        have, width = int(self.records.fields[i]), self.header.width
        fields = "1 field" if have == 1 else f"{have} fields"
        cause = self._too_many(i, have) if have > width else self._too_few(i, have)
        whole = "the header" if self.header.raw else "a list"
        return f"This row has {fields}, {whole} has {width}; {cause}"

    def _too_few(self, i: int, have: int) -> str:
        raw, width, delimiter = self._raw(i), self.header.width, self.header.delimiter
        for other in DELIMITERS:
            enough = other != delimiter and raw.count(other.encode()) >= width - 1 > 0
            if enough and len(raw_cells(raw, other)) == width:
                return f"it is separated by {NAMED[other]}, the header by {NAMED[delimiter]}"
        if have == 1 and is_quoted(raw) and delimiter.encode() in raw:
            return "the whole row stands in one pair of quotes: quote single values only"
        if have == width - 1 and not self.header.names[-1]:
            return f"the header ends with a {NAMED[delimiter]} too many"
        missing = f"it holds no {NAMED[delimiter]}" if have == 1 else f"a {NAMED[delimiter]} is missing"
        return f"{missing}, or a value with a line break stands without quotes"

    def _too_many(self, i: int, have: int) -> str:
        raw, width, delimiter = self._raw(i), self.header.width, self.header.delimiter
        mark, head = delimiter.encode(), raw[:_LOOKED_AT]
        if have == width + 1 and raw.endswith(mark):
            return f"a {NAMED[delimiter]} too many stands at its end"
        style = _style(head, re.escape(mark))
        if style:
            return style
        if width > 2 and 2 * width - 1 <= have <= 2 * width:
            return "a line break between two rows is probably missing"
        return f"put double quotes around values that hold a {NAMED[delimiter]}"

    def suspect(self, i: int) -> str:
        """Say what is odd about the quotes of a record that can be read."""
        if self.records.lines[i] > 1:
            return "A quoted value of this row holds lines that look like rows; a quote may be missing or too many"
        return "A quote stands inside a value that does not begin with one; it was read as text"


def _behind(raw: bytes, rest: bytes, delimiter: str) -> str:
    """Say what to do about text behind a closing quote."""
    following = rest.split(delimiter.encode(), 1)[0]
    if b'\\"' in raw:
        return f"{_TWICE}, not with a backslash"
    if not following.strip():
        return "remove the blanks behind it"
    return _TWICE


def _style(head: bytes, mark: bytes) -> str:
    """Name the way of quoting that is not ours and splits values, empty where none is seen."""
    if re.search(rb"(?:\A|" + mark + rb')[ \t]+"', head) and mark != rb"\t":
        return "a blank before a quote makes the quote a part of the text: remove the blank"
    if any(quote in head for quote in _TYPOGRAPHIC):
        return 'typographic quotes do not hold a value together: use double quotes (")'
    if re.search(rb"(?:\A|" + mark + rb")'[^']*" + mark + rb"[^']*'(?:" + mark + rb"|\Z)", head):
        return 'single quotes do not hold a value together: use double quotes (")'
    if re.search(rb"\\" + mark, head):
        return 'a backslash does not hold a value together: put double quotes (") around it'
    return ""

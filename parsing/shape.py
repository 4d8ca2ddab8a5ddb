"""What the shape of a record says: broken, too long, too few fields, cut off, blank.

What lives here: the judgement on what ``parsing.structure`` found. Values are not looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.codes import Code
from parsing.findings import ERROR, WARNING, Entry, Findings
from parsing.header import Header
from parsing.record import BLANK, MALFORMED, MAX_LINE, OPEN, SUSPECT, TOO_LARGE, UNFINISHED
from parsing.source import Source
from parsing.structure import Records

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shape:
    """Which records can be read, and which are no rows at all."""

    sound: Bools
    blank: Bools
    counted_wrong: bool  #: some record has another number of fields than the header
    cut_off: bool  #: the last record is unfinished


def judge_shape(source: Source, records: Records, header: Header, base: int, findings: Findings) -> Shape:
    """Judge the shape of some records, the first of which has the index ``base``; findings are added."""
    flags = records.flags
    blank = (flags & BLANK) > 0
    _mark_white(source, records, header, blank)
    large = (flags & TOO_LARGE) > 0
    broken = ((flags & MALFORMED) > 0) & ~large
    wrong = (records.fields != header.width) & ~(blank | large | broken)
    last = len(records) - 1
    cut_off = bool(
        flags[last] & UNFINISHED
        and not (blank[last] or large[last])
        and records.lines[last] == 1
        and (flags[last] & OPEN or (records.fields[last] < header.width and not broken[last]))
    )
    counted_wrong = bool(wrong.any())
    if cut_off:
        broken[last] = wrong[last] = False
    sound = ~(blank | large | broken | wrong)
    sound[last] &= not cut_off
    finder = _Finder(source, records, base, findings)
    finder.add(large, ERROR, Code.ROW_TOO_LARGE, lambda _: f"This row is longer than {MAX_LINE} bytes")
    finder.add(broken, ERROR, Code.MALFORMED_ROW, finder.why_broken)
    finder.add(
        wrong,
        ERROR,
        Code.FIELD_COUNT,
        lambda i: f"This row has {records.fields[i]} fields, the header has {header.width}",
    )
    if cut_off:
        end = np.zeros(len(records), np.bool_)
        end[last] = True
        text = "This last row is unfinished: the file was probably cut off"
        finder.add(end, ERROR, Code.UNEXPECTED_END, lambda _: text)
    finder.add(((flags & SUSPECT) > 0) & sound, WARNING, Code.SUSPECT_QUOTE, finder.why_suspect)
    return Shape(sound, blank, counted_wrong, cut_off)


def _mark_white(source: Source, records: Records, header: Header, blank: Bools) -> None:
    """Mark lines of nothing but blanks as blank, too."""
    begin = source.view[np.minimum(records.start, source.size - 1)]
    maybe = (records.fields == 1) & ~blank & (begin == 32)
    if header.delimiter != "\t":
        maybe |= (records.fields == 1) & ~blank & (begin == 9)
    for i in np.flatnonzero(maybe).tolist():
        blank[i] = not bytes(source.data[records.start[i] : records.end[i]]).strip(b" \t")


class _Finder:
    """Make entries for the records of a mask."""

    def __init__(self, source: Source, records: Records, base: int, findings: Findings) -> None:
        self._source, self._records, self._base, self._findings = source, records, base, findings
        self._full = findings.full

    def add(self, mask: Bools, severity: str, code: Code, message: Callable[[int], str]) -> None:
        which = np.flatnonzero(mask)
        if not len(which):
            return
        self._findings.count(code, severity, len(which))
        if self._full:
            return
        self._findings.keep(
            Entry(self._base + i, 0, "", None, severity, code, message(i))
            for i in which[: self._findings.limit].tolist()
        )

    def why_broken(self, i: int) -> str:
        start, end = int(self._records.start[i]), int(self._records.end[i])
        if b"\0" in self._source.data[start:end]:
            return "This row holds a NUL byte, which is no text"
        return "A quote in this row is not closed, or more text follows behind it before the next delimiter"

    def why_suspect(self, i: int) -> str:
        if self._records.lines[i] > 1:
            return "A quoted value of this row holds lines that look like rows; a quote may be missing or too many"
        return "A quote stands inside a value that does not begin with one; it was read as text"

"""What the shape of a record says: broken, too long, too few fields, cut off, blank.

What lives here: the judgement on what ``parsing.structure`` found. Values are not looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.codes import Code
from parsing.findings import ERROR, WARNING, Findings
from parsing.record import BLANK, MALFORMED, MAX_LINE, OPEN, SUSPECT, TOO_LARGE, UNFINISHED
from parsing.records import Records
from parsing.source import Source

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shape:
    """Which records can be read, and which are no rows at all."""

    sound: Bools
    blank: Bools
    counted_wrong: bool  #: some record has another number of fields than the header
    cut_off: bool  #: the last record is unfinished


def judge_shape(source: Source, records: Records, delimiter: str, width: int, base: int, findings: Findings) -> Shape:
    """Judge the shape of some records, the first of which has the index ``base``; findings are added."""
    flags = records.flags
    blank = (flags & BLANK) > 0
    _mark_white(source, records, delimiter, blank)
    large = (flags & TOO_LARGE) > 0
    broken = ((flags & MALFORMED) > 0) & ~large
    wrong = (records.fields != width) & ~(blank | large | broken)
    last = len(records) - 1
    cut_off = bool(
        flags[last] & UNFINISHED
        and not (blank[last] or large[last])
        and records.lines[last] == 1
        and (flags[last] & OPEN or (records.fields[last] < width and not broken[last]))
    )
    counted_wrong = bool(wrong.any())
    if cut_off:
        broken[last] = wrong[last] = False
    sound = ~(blank | large | broken | wrong)
    sound[last] &= not cut_off
    add = Adder(base, findings)
    why = _Reasons(source, records)
    add(large, ERROR, Code.ROW_TOO_LARGE, too_large)
    add(broken, ERROR, Code.MALFORMED_ROW, why.broken)
    add(wrong, ERROR, Code.FIELD_COUNT, lambda i: f"This row has {records.fields[i]} fields, the header has {width}")
    if cut_off:
        end = np.zeros(len(records), np.bool_)
        end[last] = True
        add(end, ERROR, Code.UNEXPECTED_END, lambda _: "This last row is unfinished: the file was probably cut off")
    add(((flags & SUSPECT) > 0) & sound, WARNING, Code.SUSPECT_QUOTE, why.suspect)
    return Shape(sound, blank, counted_wrong, cut_off)


def too_large(_: int) -> str:
    """Say why a record is too large."""
    return f"This row is longer than {MAX_LINE} bytes"


def _mark_white(source: Source, records: Records, delimiter: str, blank: Bools) -> None:
    """Mark lines of nothing but blanks as blank, too."""
    begin = source.view[np.minimum(records.start, source.size - 1)]
    maybe = (records.fields == 1) & ~blank & (begin == 32)
    if delimiter != "\t":
        maybe |= (records.fields == 1) & ~blank & (begin == 9)
    for i in np.flatnonzero(maybe).tolist():
        blank[i] = not bytes(source.data[records.start[i] : records.end[i]]).strip(b" \t")


@dataclass(frozen=True, slots=True)
class Adder:
    """Add one finding about each record of a mask, with a message of its own and its raw text as the value."""

    base: int
    findings: Findings

    def __call__(self, mask: Bools, severity: str, code: Code, message: Callable[[int], str]) -> None:
        """Add what a mask finds."""
        which = np.flatnonzero(mask)
        shown = [] if self.findings.full else which[: self.findings.limit].tolist()
        self.findings.add(which + self.base, code, severity, [message(i) for i in shown])


@dataclass(frozen=True, slots=True)
class _Reasons:
    """Say why a record is broken or suspect."""

    source: Source
    records: Records

    def broken(self, i: int) -> str:
        start, end = int(self.records.start[i]), int(self.records.end[i])
        if b"\0" in self.source.data[start:end]:
            return "This row holds a NUL byte, which is no text"
        return "A quote in this row is not closed, or more text follows behind it before the next delimiter"

    def suspect(self, i: int) -> str:
        if self.records.lines[i] > 1:
            return "A quoted value of this row holds lines that look like rows; a quote may be missing or too many"
        return "A quote stands inside a value that does not begin with one; it was read as text"

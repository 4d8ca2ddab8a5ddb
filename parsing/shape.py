"""What the shape of a record says: broken, too long, too few fields, cut off, blank.

What lives here: the judgement on what ``parsing.structure`` found. Values are not looked at.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.codes import Code
from parsing.findings import ERROR, WARNING, Findings
from parsing.header import Header
from parsing.reasons import Reasons
from parsing.record import BLANK, MALFORMED, MAX_LINE, OPEN, SUSPECT, TOO_LARGE, UNFINISHED
from parsing.records import Records
from parsing.source import Source

Bools = npt.NDArray[np.bool_]
END_MARK = b"\x1a"  #: how old systems mark the end of a file


@dataclass(frozen=True, slots=True)
class Shape:
    """Which records can be read, and which are no rows at all."""

    sound: Bools
    blank: Bools
    repeats: Bools  #: sound records that repeat the header line
    counted_wrong: bool  #: some record has another number of fields than the header
    cut_off: bool  #: the last record is unfinished


def judge_shape(source: Source, records: Records, header: Header, base: int, findings: Findings) -> Shape:
    """Judge the shape of some records, the first of which has the index ``base``; findings are added."""
    flags, width = records.flags, header.width
    blank = (flags & BLANK) > 0
    _mark_white(source, records, header.delimiter, blank)
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
    why = Reasons(source, records, header)
    add(large, ERROR, Code.ROW_TOO_LARGE, too_large)
    add(broken, ERROR, Code.MALFORMED_ROW, why.broken)
    add(wrong, ERROR, Code.FIELD_COUNT, why.counted)
    if cut_off:
        end = np.zeros(len(records), np.bool_)
        end[last] = True
        add(end, ERROR, Code.UNEXPECTED_END, lambda _: "This last row is unfinished: the file was probably cut off")
    add(((flags & SUSPECT) > 0) & sound, WARNING, Code.SUSPECT_QUOTE, why.suspect)
    repeats = sound & _repeats(source, records, header.raw)
    add(repeats, ERROR, Code.DUPLICATE_ROW, lambda _: "This row repeats the header line; leave it out")
    return Shape(sound, blank, repeats, counted_wrong, cut_off)


def too_large(_: int) -> str:
    """Say why a record is too large."""
    return f"This row is longer than {MAX_LINE} bytes"


def _repeats(source: Source, records: Records, raw: bytes) -> Bools:
    """Find the records that are the header line once more, as in files that were put together."""
    found = np.zeros(len(records), np.bool_)
    if not raw:
        return found
    for line in (raw, codecs.BOM_UTF8 + raw):
        same = np.flatnonzero(records.end - records.start == len(line))
        for at in (0, len(line) // 2, len(line) - 1):  # three bytes rule out nearly all
            same = same[source.view[records.start[same] + at] == line[at]]
        for i in same.tolist():
            found[i] = source.data[records.start[i] : records.end[i]] == line
    return found


def _mark_white(source: Source, records: Records, delimiter: str, blank: Bools) -> None:
    """Mark lines of nothing but blanks as blank, too, and the mark that old systems end a file with."""
    begin = source.view[np.minimum(records.start, source.size - 1)]
    maybe = (records.fields == 1) & ~blank & (begin == 32)
    if delimiter != "\t":
        maybe |= (records.fields == 1) & ~blank & (begin == 9)
    for i in np.flatnonzero(maybe).tolist():
        blank[i] = not bytes(source.data[records.start[i] : records.end[i]]).strip(b" \t")
    if records.after[-1] == source.size:
        blank[-1] |= source.data[records.start[-1] : records.end[-1]] == END_MARK


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

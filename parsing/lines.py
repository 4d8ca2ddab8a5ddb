"""Lines that are records by themselves, told without the lines before them.

What lives here: the vectorised look at single physical lines. A record that begins where such a line begins ends where
it ends, whatever faults stand before it; so a file with faults is read without looking at the same bytes again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parsing.marks import CR, LF, QUOTE, Counts, Ints, Marks
from parsing.record import BLANK, MALFORMED, MAX_LINE
from parsing.records import Records
from parsing.source import Source

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lines:
    """Physical lines; ``alone``: every quote of the line opens and closes in it, and where it may."""

    records: Records
    alone: Bools


def line_ends(source: Source, marks: Marks, start: int) -> Bools:
    """Tell which marks end a line: line feeds, and carriage returns that no line feed follows."""
    ends: Bools = marks.kind == LF
    if np.count_nonzero(ends) == len(ends):
        return ends
    back = np.flatnonzero(marks.kind == CR)
    following = marks.at[back] + start + 1
    lone = following >= source.size
    lone |= source.view[np.minimum(following, source.size - 1)] != LF
    ends[back[lone]] = True
    return ends


def lines_alone(source: Source, marks: Marks, start: int, opens_after: Bools) -> Lines | None:
    """Give the whole lines of a stretch that begins at a record's start; None where it has none."""
    every = np.flatnonzero(line_ends(source, marks, start))
    if not len(every):
        return None
    end = marks.at[every] + start
    after = end + 1
    begin = np.concatenate(([start], after[:-1]))
    crlf = (end > begin) & (source.view[end] == LF) & (source.view[end - 1] == CR)
    alone, fields = _quotes(source, marks, start, every, begin, opens_after)
    flags = np.where(end - crlf == begin, BLANK, 0).astype(np.uint8)
    if len(marks.nul):
        inner = marks.nul[marks.nul < after[-1] - start] + start
        flags[np.unique(np.searchsorted(begin, inner, "right") - 1)] |= MALFORMED
    one = np.ones(len(end), np.int64)
    records = Records(begin, end - crlf, after, fields, one, flags)
    return Lines(records, alone & (records.end - begin <= MAX_LINE))


def _quotes(
    source: Source, marks: Marks, start: int, every: Ints, begin: Ints, opens_after: Bools
) -> tuple[Bools, Ints]:
    """Tell which lines have sound quotes only, and how many fields those have."""
    quotes = np.flatnonzero(marks.kind == QUOTE)
    line = np.searchsorted(every, quotes)
    quotes, line = quotes[line < len(every)], line[line < len(every)]
    total = np.bincount(line, minlength=len(every))
    number = np.arange(len(quotes)) - (np.cumsum(total) - total)[line]  # of the quote in its line
    where = marks.at[quotes] + start
    opening = number % 2 == 0
    before = opens_after[source.view[np.maximum(where - 1, 0)]] | (where == begin[line])
    behind = where + 1
    closes = opens_after[source.view[np.minimum(behind, source.size - 1)]] | (behind >= source.size)
    alone: Bools = total % 2 == 0
    alone[line[~np.where(opening, before, closes)]] = False
    inside = np.zeros(len(marks.kind) + 1, np.bool_)  # of each gap: whether the quote before it in its line opens
    inside[1:][quotes[opening]] = True
    count: Counts = np.cumsum(marks.separators * ~inside, dtype=np.int32)[every]
    return alone, np.diff(count, prepend=0).astype(np.int64) + 1

"""Where the records of a file are: the exact structure, established before any value is read.

What lives here: one vectorised pass over the bytes. Blocks begin at a record's start, so the number of quotes before
a byte tells whether it stands inside quotes, as long as every quote opens and closes where it may. The first quote
that does not ends the block's trust: the records before its own are taken, its own is read exactly by
``parsing.record``, and the pass goes on behind it.
"""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from parsing.lines import Lines, line_ends, lines_alone
from parsing.marks import BLOCK, CR, LF, QUOTE, Counts, Finder, Ints, Marks
from parsing.record import BLANK, MALFORMED, MAX_LINE, SUSPECT, UNFINISHED, Record, read_record
from parsing.records import Records
from parsing.source import Source

Bools = npt.NDArray[np.bool_]

BATCH = 6 << 20  #: bytes handed on together
MANY = 250_000  #: records handed on together, where they are short
SMALL = 32 << 10  #: the step after a fault; it grows again
RESTARTS = 10_000  #: faults that may send the scan back; after them no quoted cell may span lines
FEW = 8  #: of so many lines at most one may be no record by itself, else faults are read around
REREAD = 64 << 20  #: bytes that faults may make us read twice, beside the size of the file

_TRUE = np.ones(1, np.bool_)


def _joined(parts: list[Records]) -> Records:
    if len(parts) == 1:
        return parts[0]
    return Records(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Records)))


def _of_records(found: list[Record]) -> Records:
    table = np.array([(r.start, r.end, r.after, r.fields, r.lines) for r in found], np.int64).reshape(-1, 5)
    start, end, after, number, lines = table.T
    return Records(start, end, after, number, lines, np.array([r.flags for r in found], np.uint8))


class Scanner:
    """Find the records of a source from ``start`` on; ``width`` is the header's number of fields."""

    def __init__(self, source: Source, start: int, delimiter: str, width: int) -> None:
        self.source, self.delimiter, self.width = source, delimiter, width
        self._at, self._step = start, BLOCK
        self._exact = 1  # records to read exactly after a fault
        self._since_fault = RESTARTS  # records taken by the vectorised pass since the last fault
        self._restarts, self._reread = 0, REREAD + source.size
        separator = ord(delimiter)
        self._opens_after = np.zeros(256, np.bool_)
        self._opens_after[[separator, LF, CR, QUOTE]] = True
        self._finder = Finder(source, separator)

    def batches(self) -> Iterator[Records]:
        """Give all records in order, some megabytes at a time."""
        parts: list[Records] = []
        size = records = 0
        while self._at < self.source.size:
            before, known = self._at, len(parts)
            parts += self._advance()
            size += self._at - before
            records += sum(map(len, parts[known:]))
            if size >= BATCH or records >= MANY:
                yield _joined(parts)
                parts, size, records = [], 0, 0
        if parts:
            yield _joined(parts)

    def _advance(self) -> list[Records]:
        """Take the records of one block, and after a fault some more one by one."""
        records, trusted = self._block(self._at, min(self._at + self._step, self.source.size))
        parts = []
        if len(records):
            parts.append(records)
            self._at = int(records.after[-1])
            self._since_fault += len(records)
        room = self._step < BLOCK and self._at + self._step < self.source.size
        if trusted and (len(records) or room):
            self._step = min(self._step * 4, BLOCK)
        elif self._at < self.source.size:
            parts += self._past_fault()
        return parts

    def _past_fault(self) -> list[Records]:
        """Take the record in which the block's trust ended, and those behind it as far as it pays."""
        stop = self._finder.known_to(self._at)
        lines = lines_alone(self.source, self._finder.marks(self._at, stop), self._at, self._opens_after)
        if lines and FEW * np.count_nonzero(~lines.alone) < len(lines.alone):
            self._step, self._since_fault = BLOCK, RESTARTS
            return self._line_by_line(lines)
        self._exact = min(self._exact * 2, 4096) if self._since_fault < 64 else 1
        self._since_fault, self._step = 0, SMALL
        return [_of_records(self._read_exactly(self._exact))]

    def _line_by_line(self, lines: Lines) -> list[Records]:
        """Take lines that are records by themselves as they stand, and read the others exactly."""
        parts: list[Records] = []
        known, line = lines.records, 0
        for strange in [*np.flatnonzero(~lines.alone).tolist(), len(known)]:
            if strange < line:
                continue  # part of a record of several lines
            if strange > line:
                parts.append(known.part(line, strange))
                self._at = int(known.after[strange - 1])
            if strange < len(known):
                parts.append(_of_records(self._read_exactly(1)))
                line = int(np.searchsorted(known.start, self._at))
        return parts

    def _read_exactly(self, count: int) -> list[Record]:
        found: list[Record] = []
        while len(found) < count and self._at < self.source.size:
            exhausted = self._restarts >= RESTARTS or self._reread <= 0
            record = read_record(self.source, self._at, self.delimiter, self.width, 0 if exhausted else MAX_LINE)
            if record.flags & MALFORMED and record.read_to > record.after:
                self._restarts += 1
                self._reread -= record.read_to - record.after
            found.append(record)
            self._at = record.after
        return found

    def _block(self, start: int, stop: int) -> tuple[Records, bool]:
        """Give the whole records between two offsets, and whether nothing stood in the way of more."""
        marks = self._finder.marks(start, stop)
        at, kind = marks.at, marks.kind
        ends = line_ends(self.source, marks, start)
        quotes = np.flatnonzero(kind == QUOTE)
        if not len(quotes):
            return self._cut(start, stop, marks, ends, None, len(at))
        inside = np.bitwise_and(np.cumsum(kind == QUOTE, dtype=np.uint8), 1, dtype=np.uint8)
        bad = self._first_bad_quote(self.source.view[start:stop], start, at, quotes)
        return self._cut(start, stop, marks, ends, inside == 0, bad)

    def _first_bad_quote(self, block: npt.NDArray[np.uint8], start: int, at: Ints, quotes: Ints) -> int:
        """Give the index among the marks of the first quote that stands where none may, else their number."""
        where = at[quotes]
        before, behind = where[::2], where[1::2] + start + 1  # every other quote opens
        opens = self._opens_after[block[before - 1]]
        opens[:1] |= before[:1] == 0
        closes = self._opens_after[self.source.view[np.minimum(behind, self.source.size - 1)]]
        closes[-1:] |= behind[-1:] >= self.source.size
        if opens.all() and closes.all():
            return len(at)
        allowed = np.empty(len(where), np.bool_)
        allowed[::2], allowed[1::2] = opens, closes
        return int(quotes[np.argmin(allowed)])

    def _cut(
        self, start: int, stop: int, marks: Marks, ends: Bools, outside: Bools | None, bad: int
    ) -> tuple[Records, bool]:
        """Cut a block into records at the line ends outside quotes that stand before a bad quote."""
        at, separators, nul = marks.at, marks.separators, marks.nul
        closing = np.flatnonzero(ends if outside is None else ends & outside)
        closing = closing[: np.searchsorted(closing, bad)]
        counted = separators
        if outside is not None:  # a gap is outside where the mark before it is
            counted = separators * np.concatenate((_TRUE, outside))
        total: Counts = np.cumsum(counted, dtype=np.int32)
        count = total[closing]
        end = at[closing] + start
        # a last record whose quotes are open or span lines is read exactly
        open_rest = outside is not None and (
            not outside[-1] or bool(ends[closing[-1] + 1 if len(closing) else 0 :].any())
        )
        if stop == self.source.size and bad == len(at) and not open_rest:
            end, count = self._with_rest(end, count, int(total[-1]), start, stop)
        if not len(end):
            return _of_records([]), bad == len(at)
        after = np.minimum(end + 1, stop)
        begin = np.concatenate(([start], after[:-1]))
        crlf = (end > begin) & (self.source.view[np.minimum(end, stop - 1)] == LF) & (self.source.view[end - 1] == CR)
        crlf &= end < stop
        end = end - crlf
        number = np.diff(count, prepend=0).astype(np.int64) + 1
        lines, suspect = self._inner_lines(separators, ends, closing, len(end), outside)
        flags = np.where(end == begin, BLANK, 0).astype(np.uint8)
        flags[suspect] |= SUSPECT
        if after[-1] == end[-1]:
            flags[-1] |= UNFINISHED
        if len(nul):
            inner = nul[nul < after[-1] - start] + start
            flags[np.unique(np.searchsorted(begin, inner, "right") - 1)] |= MALFORMED
        records = Records(begin, end, after, number, lines, flags)
        over = np.flatnonzero(end - begin > MAX_LINE)
        if len(over):
            return records.part(0, int(over[0])), False
        return records, bad == len(at)

    def _with_rest(self, end: Ints, count: Counts, total: int, start: int, stop: int) -> tuple[Ints, Counts]:
        """Add the last record of a file that does not end with a line end."""
        if (int(end[-1]) + 1 if len(end) else start) < stop:
            end, count = np.append(end, stop), np.append(count, np.int32(total))
        return end, count

    def _inner_lines(
        self, separators: Counts, ends: Bools, closing: Ints, size: int, outside: Bools | None
    ) -> tuple[Ints, Ints]:
        """Give the physical lines of each record, and which records of several lines look like rows."""
        lines = np.ones(size, np.int64)
        none = np.empty(0, np.int64)
        if outside is None or not len(closing) or np.count_nonzero(ends[: closing[-1] + 1]) == len(closing):
            return lines, none
        number = np.cumsum(ends, dtype=np.int64)[closing]
        lines[: len(closing)] = np.diff(number, prepend=0)
        several = np.flatnonzero(lines[: len(closing)] > 1)
        if not len(several):
            return lines, none
        every = np.flatnonzero(ends)
        per_line = np.diff(np.cumsum(separators, dtype=np.int64)[every], prepend=0)
        like_row = np.concatenate(([0], np.cumsum(per_line == self.width - 1)))
        last = number[several]  # lines are counted from 0: a record is the lines first..last-1
        first = last - lines[several]
        inner = lines[several] > 2
        low, high = first + inner, last - inner
        return lines, several[like_row[high] - like_row[low] == high - low]

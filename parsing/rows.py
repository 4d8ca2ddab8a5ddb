"""What is known of each record of a file: where it is, its row and line number, and how it fared.

What lives here: a few columnar arrays, about 14 bytes for a record, and the way back from a record to its cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from parsing.form import Form
from parsing.record import MAX_LINE
from parsing.records import Records

Offsets = npt.NDArray[np.uint32] | npt.NDArray[np.int64]
_SMALL = 1 << 32  #: files below it have offsets of four bytes


@dataclass
class Rows:
    """Gather the records of a file; ``state`` is as ``parsing.form`` names it."""

    form: Form
    count: int = 0
    blank: int = 0
    state: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    _parts: list[tuple[npt.NDArray[np.generic], ...]] = field(default_factory=list)
    _last_line: int = 0
    start: Offsets = field(default_factory=lambda: np.empty(0, np.int64))
    end: Offsets = field(default_factory=lambda: np.empty(0, np.int64))
    line: npt.NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    flags: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def add(self, records: Records, state: npt.NDArray[np.uint8]) -> None:
        """Take the next records with their state."""
        lines = np.cumsum(records.lines)
        first = self._last_line or self.form.first_line
        line = (lines - records.lines + first).astype(np.uint32)
        self._last_line = first + int(lines[-1])
        offset = np.uint32 if self.form.source.size < _SMALL else np.int64
        start, end = records.start.astype(offset), records.end.astype(offset)
        self._parts.append((start, end, line, records.flags, state))
        self.count += len(records)

    def close(self) -> None:
        """Join what was gathered; afterwards the arrays can be read."""
        if self._parts:
            columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
            self.start, self.end, self.line, self.flags, self.state = columns
        self._parts = []

    def row(self, index: int) -> int:
        """Give the row number that a spreadsheet shows."""
        return self.form.first_row + index

    def text(self, index: int, size: int) -> str:
        """Give the first characters of a record as they stand."""
        start, end = int(self.start[index]), int(self.end[index])
        # four bytes hold any character
        return self.form.source.data[start : min(end, start + 4 * size)].decode("utf-8", "replace")[:size]

    def cells(self, index: int) -> list[str]:
        """Give the original cells of a record as sent, by column; none of one that is too long."""
        start, end = int(self.start[index]), int(self.end[index])
        return [] if end - start > MAX_LINE else self.form.cells(bytes(self.form.source.data[start:end]))

    def compared(self, index: int) -> list[str]:
        """Give the cells of a record as keys see them, by column."""
        cells = self.cells(index)
        if self.form.folded:
            cells = [cell.strip().lower() for cell in cells]
        return cells

    def slices(self, size: int) -> Iterator[tuple[Records, slice]]:
        """Give the records again, some at a time, and which they are."""
        after = np.append(self.start[1:], self.start.dtype.type(self.form.source.size))
        one = np.ones(min(size, self.count), np.int64)
        for low in range(0, self.count, size):
            part = slice(low, min(low + size, self.count))
            same = one[: part.stop - low]
            start, end, behind = (column[part].astype(np.int64) for column in (self.start, self.end, after))
            yield Records(start, end, behind, same, same, self.flags[part]), part

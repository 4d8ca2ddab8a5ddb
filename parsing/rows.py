"""What is known of each record of a file: where it is, its row and line number, and how it fared.

What lives here: a few columnar arrays, about 22 bytes for a record, and the way back from a record to its cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from parsing.header import Header
from parsing.record import MAX_LINE, cells_of
from parsing.source import Source
from parsing.structure import Records

#: how a record fared
SKIPPED, GOOD, BAD, SAME = 0, 1, 2, 3
_GUARDS = ("'=", "'+", "'-", "'@", "'\t", "'\r")


@dataclass
class Rows:
    """Gather the records of a file; ``state`` is one of SKIPPED, GOOD, BAD, SAME."""

    source: Source
    header: Header
    folded: bool = False  #: values are compared trimmed and in lower case
    count: int = 0
    blank: int = 0
    state: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    _parts: list[tuple[npt.NDArray[np.generic], ...]] = field(default_factory=list)
    _last_line: int = 0
    start: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    end: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    line: npt.NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    flags: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def add(self, records: Records, state: npt.NDArray[np.uint8]) -> None:
        """Take the next records with their state."""
        lines = np.cumsum(records.lines)
        first = self._last_line or self.header.first_line
        line = (lines - records.lines + first).astype(np.uint32)
        self._last_line = first + int(lines[-1])
        self._parts.append((records.start, records.end, line, records.flags, state))
        self.count += len(records)

    def close(self) -> None:
        """Join what was gathered; afterwards the arrays can be read."""
        if self._parts:
            columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
            self.start, self.end, self.line, self.flags, self.state = columns
        self._parts = []

    def row(self, index: int) -> int:
        """Give the row number that a spreadsheet shows."""
        return self.header.first_row + index

    def raw(self, index: int) -> bytes:
        """Give the bytes of a record, without its line end."""
        return bytes(self.source.data[self.start[index] : self.end[index]])

    def text(self, index: int, size: int) -> str:
        """Give the first characters of a record as they stand."""
        start, end = int(self.start[index]), int(self.end[index])
        # four bytes hold any character
        return self.source.data[start : min(end, start + 4 * size)].decode("utf-8", "replace")[:size]

    def cells(self, index: int) -> list[str]:
        """Give the original cells of a record as sent, as many as there are names; none of one that is too long."""
        if self.end[index] - self.start[index] > MAX_LINE:
            return []
        cells = cells_of(self.raw(index), self.header.delimiter)
        if self.header.mended:
            cells = [unguard(cell) for cell in cells[self.header.width - len(self.header.names) :]]
        return cells[: len(self.header.names)]

    def compared(self, index: int) -> list[str]:
        """Give the cells of a record as keys see them, by the file's columns."""
        cells = self.cells(index)
        if self.folded:
            cells = [cell.strip().lower() for cell in cells]
        return [""] * (self.header.width - len(self.header.names)) + cells

    def slices(self, size: int) -> Iterator[tuple[Records, npt.NDArray[np.uint8]]]:
        """Give the records again with their state, some at a time."""
        stop = int(self.source.size)
        after = np.append(self.start[1:], stop)
        for low in range(0, self.count, size):
            part = slice(low, low + size)
            one = np.ones(len(self.start[part]), np.int64)
            yield (
                Records(self.start[part], self.end[part], after[part], one, one, self.flags[part]),
                self.state[part],
            )


def unguard(cell: str) -> str:
    """Take off the guard that an errors file puts before a cell a spreadsheet would calculate."""
    return cell[1:] if cell.startswith(_GUARDS) else cell

"""Where the bytes stand that make records of a file: quotes, line ends, NULs, and how many delimiters lie between.

What lives here: the look at every byte, once. What the marks mean is decided in ``parsing.structure``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parsing.source import Source

Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

BLOCK = 2 << 20  #: bytes whose marks are found together; more than a record may have
PIECE = 256 << 10  #: bytes in which they are looked for in one step, which the processor's cache holds
LF, CR, QUOTE = 10, 13, 34
_ZERO = np.zeros(1, np.int64)


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of a stretch; offsets count from its first byte."""

    at: Ints  #: of each quote, line feed and carriage return
    kind: Bytes  #: which of them
    separators: Counts  #: delimiters before each mark, from the one before on; one more for those behind the last
    nul: Ints  #: of each NUL byte

    def part(self, start: int, stop: int) -> "Marks":
        """Give the marks of a stretch of this one that begins behind a line end."""
        low, high = np.searchsorted(self.at, (start, stop)).tolist()
        nul = self.nul
        if len(nul):
            nul = nul[(nul >= start) & (nul < stop)] - start
        return Marks(self.at[low:high] - start, self.kind[low:high], self.separators[low : high + 1], nul)


class Finder:
    """Find the marks of a source, stretch after stretch; one that lies in what was looked at is not looked at again."""

    def __init__(self, source: Source, separator: int) -> None:
        self._source, self._separator = source, separator
        self._here, self._more = np.empty(PIECE, np.bool_), np.empty(PIECE, np.bool_)
        self._mask = np.empty(BLOCK, np.bool_)
        self._start = self._stop = 0
        self._known = Marks(_ZERO[:0], np.empty(0, np.uint8), np.zeros(1, np.int32), _ZERO[:0])

    def marks(self, start: int, stop: int) -> Marks:
        """Give the marks between two offsets, at most BLOCK apart, the first of which is behind a line end."""
        if not (self._start <= start and stop <= self._stop):
            self._start, self._stop = start, min(start + BLOCK, self._source.size)
            self._known = self._look(self._source.view[self._start : self._stop])
        if (start, stop) == (self._start, self._stop):
            return self._known
        return self._known.part(start - self._start, stop - self._start)

    def known_to(self, start: int) -> int:
        """Give up to where the marks behind an offset were found already."""
        return self._stop if self._start <= start < self._stop else start

    def _look(self, block: Bytes) -> Marks:
        found = []
        for low in range(0, len(block), PIECE):
            piece = block[low : low + PIECE]
            here, more = self._here[: len(piece)], self._more[: len(piece)]
            np.equal(piece, QUOTE, out=here)
            if self._separator > CR:
                np.logical_or(here, np.less_equal(piece, CR, out=more), out=here)
            else:
                for mark in (LF, CR, 0):
                    np.logical_or(here, np.equal(piece, mark, out=more), out=here)
            found.append(np.flatnonzero(here) + low)
        at = np.concatenate(found)
        kind = block[at]
        wanted = (kind == LF) | (kind == QUOTE) | (kind == CR)
        nul = at[:0]
        if not wanted.all():
            at, kind, nul = at[wanted], kind[wanted], at[kind == 0]
        return Marks(at, kind, self._separators(block, at), nul)

    def _separators(self, block: Bytes, at: Ints) -> Counts:
        edges = np.concatenate((_ZERO, at))
        mask = np.equal(block, self._separator, out=self._mask[: len(block)]).view(np.uint8)
        longest = int(np.diff(edges, append=len(block)).max())
        # a gap of up to 255 bytes has no more delimiters than one byte counts
        return np.add.reduceat(mask, edges, dtype=np.uint8 if longest < 256 else np.uint32).astype(np.int32)

"""Where the lines of a JSON Lines file are.

What lives here: the scan for line ends and for what the fast reader must not see. Lines end with LF or CRLF, with CR
only where the file has no LF at all.
"""

from collections.abc import Iterator

import numpy as np

from parsing.record import BLANK, MAX_LINE, TOO_LARGE, UNFINISHED
from parsing.records import Records
from parsing.source import Source

BLOCK = 8 << 20  #: bytes handed on together
LF, CR = 10, 13


def scan_lines(source: Source, start: int) -> Iterator[Records]:
    """Give the lines of a file as records, some megabytes at a time."""
    mark = LF if source.find(b"\n", start) < source.size or source.find(b"\r", start) == source.size else CR
    byte = bytes([mark])
    while start < source.size:
        stop = min(start + BLOCK, source.size)
        if stop < source.size:
            last = bytes(source.data[start:stop]).rfind(byte)
            stop = start + last + 1 if last >= 0 else min(source.find(byte, stop) + 1, source.size)
        yield _lines(source, start, stop, mark)
        start = stop


def _lines(source: Source, start: int, stop: int, mark: int) -> Records:
    block = source.view[start:stop]
    end = np.flatnonzero(block == mark) + start
    after = end + 1
    if not len(end) or after[-1] < stop:
        end, after = np.append(end, stop), np.append(after, stop)
    begin = np.concatenate(([start], after[:-1]))
    if mark == LF:
        end = end - ((end > begin) & (source.view[np.maximum(end - 1, 0)] == CR) & (after > end))
    one = np.ones(len(end), np.int64)
    flags = np.where(end == begin, BLANK, 0).astype(np.uint8)
    flags[end - begin > MAX_LINE] |= TOO_LARGE
    if after[-1] == end[-1]:
        flags[-1] |= UNFINISHED
    return Records(begin, end, after, one, one, flags)

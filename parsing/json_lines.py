"""Where the lines of a JSON Lines file are.

What lives here: the scan for line ends and for what the fast readers must not see: bytes that are not UTF-8, and
control characters. Lines end with LF or CRLF, with CR only where the file has no LF at all.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from parsing.record import BLANK, CONTROL, MAX_LINE, TOO_LARGE, UNFINISHED
from parsing.records import Records
from parsing.source import Source
from parsing.utf8 import SPARSE, check

BLOCK = 8 << 20  #: bytes handed on together
FIRST = 1 << 20  #: the first of them, which names and style are learned from
PIECE = 1 << 18  #: bytes that are looked at together, so that they stay near
LF, CR = 10, 13

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def scan_lines(source: Source, start: int) -> Iterator[Records]:
    """Give the lines of a file as records, some megabytes at a time; raise NotUtf8 where they are not UTF-8."""
    mark = LF if source.find(b"\n", start) < source.size or source.find(b"\r", start) == source.size else CR
    size = min(FIRST, BLOCK)
    while start < source.size:
        stop = _behind_line(source, start, min(start + size, source.size), mark)
        yield _lines(source, start, stop, mark)
        start, size = stop, BLOCK


def _behind_line(source: Source, start: int, stop: int, mark: int) -> int:
    """Give the offset behind the last line end between two offsets, else behind the next one."""
    byte = bytes([mark])
    at = stop
    while start < at < source.size:
        last = bytes(source.data[max(start, at - PIECE) : at]).rfind(byte)
        if last >= 0:
            return max(start, at - PIECE) + last + 1
        at -= PIECE
    return min(source.find(byte, stop) + 1, source.size)


def _lines(source: Source, start: int, stop: int, mark: int) -> Records:
    at, byte = _uncommon(source, start, stop)
    end = at[byte == mark]
    after = end + 1
    if not len(end) or after[-1] < stop:
        end, after = np.append(end, stop), np.append(after, stop)
    begin = np.concatenate(([start], after[:-1]))
    control = at[(byte < 32) & (byte != mark)]
    inside = np.searchsorted(end, control)  # the lines that control characters stand in
    if mark == LF and len(control):
        end = end - ((end > begin) & (source.view[np.maximum(end - 1, 0)] == CR) & (after > end))
    one = np.ones(len(end), np.int64)
    flags = np.where(end == begin, BLANK, 0).astype(np.uint8)
    flags[end - begin > MAX_LINE] |= TOO_LARGE
    flags[inside[control < end[inside]]] |= CONTROL
    if after[-1] == end[-1]:
        flags[-1] |= UNFINISHED
    return Records(begin, end, after, one, one, flags)


def _uncommon(source: Source, start: int, stop: int) -> tuple[Ints, Bytes]:
    """Give the control characters between two offsets and where they are, and maybe bytes that are not ASCII."""
    found, dense = [], False
    room = np.empty(min(PIECE, stop - start), np.bool_)
    for at in range(start, stop, PIECE):
        piece = source.view[at : min(at + PIECE, stop)]
        rare = room[: len(piece)]
        np.less(piece.view(np.int8), 32, out=rare)  # as signed numbers those that are not ASCII are negative
        here = np.flatnonzero(rare)
        if len(here) > len(piece) // SPARSE:
            here, dense = np.flatnonzero(piece < 32), True
        found.append(here + at)
    places = np.concatenate(found)
    byte = source.view[places]
    high = byte >= 0x80
    if dense or (high.any() and not _whole(places[high], byte[high])):
        check(source, start, stop)
    return places, byte


def _whole(places: Ints, byte: Bytes) -> bool:
    """Tell whether bytes that are not ASCII form whole characters, each of which stands together."""
    following = byte[1:] < 0xC0
    if not (places[1:][following] == places[:-1][following] + 1).all():
        return False
    try:
        byte.tobytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

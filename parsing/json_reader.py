"""The lines of a stretch as one buffer for the fast reader, and what is done where it refuses them together.

What lives here: the hand-over. What the reader's word is worth is decided in ``parsing.json_fast``.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from parsing.json_fast import Ints, Lines, Node, Style, read_lines
from parsing.records import Records
from parsing.source import Source

_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})))*"'
_SINGLE = rf"(?:{_STRING}|-?(?:0|[1-9][0-9]{{0,30}})(?:\.[0-9]{{1,30}})?|true|false|null)"
_B = r"[ \t]*"


def _object(value: str) -> str:
    pair = rf"{_B}{_STRING}{_B}:{_B}{value}{_B}"
    return rf"\{{(?:{_B}|{pair}(?:,{pair})*)\}}"


#: lines that the reader certainly takes: objects of single values, and of such objects
READABLE = rf"^{_B}{_object(f'(?:{_SINGLE}|{_object(_SINGLE)})')}{_B}\r?$"


def read_fast(source: Source, records: Records, which: Ints, tree: Node, style: Style) -> Lines | None:
    """Read some lines of a stretch; None where the reader takes none of them."""
    if not len(which):
        return None
    buffer, ends = _buffer(source, records, which)
    lines = read_lines(buffer, ends, tree, style)
    if lines is None:
        lines = _read_readable(buffer, ends, tree, style)
    traces = b"#" in buffer or b"\\u002" in buffer or (b"+" in buffer and b"E+" in buffer)
    return replace(lines, damaged=traces) if lines else None


def _buffer(source: Source, records: Records, which: Ints) -> tuple[bytes, Ints]:
    """Give lines one behind the other, each ended by a line feed, and where they end."""
    first, last = int(records.start[0]), int(records.after[-1])
    end, after = records.end, records.after
    plain = len(which) == len(records) and bool((after[:-1] == end[:-1] + 1).all())
    if plain and source.data[last - 1] == 10 and after[-1] == end[-1] + 1:
        return bytes(source.data[first:last]), end - first
    pieces = [source.data[start:stop] for start, stop in zip(records.start[which], end[which], strict=True)]
    return b"\n".join(pieces) + b"\n", np.cumsum(end[which] - records.start[which] + 1) - 1


def _read_readable(buffer: bytes, ends: Ints, tree: Node, style: Style) -> Lines | None:
    """Read those lines that are certainly sound; the others are left unread and unsure."""
    lines = pl.Series(buffer.decode("utf-8", "replace").split("\n")[:-1], dtype=pl.String)
    if len(lines) != len(ends):
        return None
    readable = lines.str.contains(READABLE)
    chosen = lines.filter(readable)
    if not len(chosen):
        return None
    sizes = chosen.str.len_bytes().to_numpy().astype(np.int64)
    again = ("\n".join(chosen.to_list()) + "\n").encode()
    some = read_lines(again, np.cumsum(sizes + 1) - 1, tree, style)
    if some is None:
        return None
    place = np.flatnonzero(readable.to_numpy())
    sure = np.zeros(len(ends), np.bool_)
    sure[place] = some.sure
    spread = pl.Series(np.full(len(ends), -1)).scatter(place, np.arange(len(place)))
    index = pl.select(pl.when(spread >= 0).then(spread)).to_series()
    return Lines(some.frame.select(pl.all().gather(index)), sure)

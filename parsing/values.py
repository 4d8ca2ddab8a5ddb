"""Sound records as columns of text: a fast reader over bytes that are known to be sound.

What lives here: the hand-over to polars. Records that it would misread are written anew for it, and what it gives
back is counted.
"""

import csv
import io

import numpy as np
import numpy.typing as npt
import polars as pl

from parsing.record import LITERAL, cells_of
from parsing.records import Records
from parsing.source import Source

Bools = npt.NDArray[np.bool_]
_GUARDED = r"^'[=+\-@\t\r]"


def column_name(index: int) -> str:
    """Name the column of a frame that holds the file's column ``index``."""
    return f"c{index}"


def read_columns(
    source: Source, records: Records, sound: Bools, delimiter: str, width: int, wanted: list[int], buffer: bytes
) -> pl.DataFrame:
    """Give the wanted columns of the sound records, whose bytes are at hand; empty cells are empty text."""
    rows = int(np.count_nonzero(sound))
    if not rows or not wanted:
        return pl.DataFrame({column_name(i): pl.Series([], dtype=pl.String) for i in wanted})
    frame = pl.read_csv(
        buffer,
        has_header=False,
        separator=delimiter,
        schema={column_name(i): pl.String for i in range(width)},
        columns=wanted,
        infer_schema=False,
        empty_string_is_null=False,
        extra_columns="raise",
        missing_columns="raise",
    )
    if frame.height == rows and frame.width == len(wanted):
        return frame
    return _read_slowly(source, records, sound, delimiter, wanted)


def sound_bytes(source: Source, records: Records, sound: Bools, delimiter: str) -> bytes:
    """Give the bytes of the sound records of a stretch, each ended by a line feed, quotes that are text made safe."""
    first, last = int(records.start[0]), int(records.after[-1])
    literal = (records.flags & LITERAL) > 0
    all_plain = bool(sound.all()) and not literal.any()
    if all_plain:
        whole = bytes(source.data[first:last])
        if b"\r" not in whole:
            return whole
    plain = sound & ~literal
    # runs of records that can be copied as they stand
    edges = np.flatnonzero(np.diff(plain.astype(np.int8), prepend=0, append=0))
    pieces = [
        (int(records.start[low]), _copied(source, records, low, high))
        for low, high in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    for i in np.flatnonzero(sound & literal).tolist():
        raw = bytes(source.data[records.start[i] : records.end[i]])
        pieces.append((int(records.start[i]), _quoted(cells_of(raw, delimiter), delimiter)))
    pieces.sort()
    return b"".join(piece for _, piece in pieces)


def _copied(source: Source, records: Records, low: int, high: int) -> bytes:
    """Give the bytes of neighbouring records; a line end that is a lone carriage return becomes a line feed."""
    start, stop = int(records.start[low]), int(records.after[high - 1])
    piece = bytes(source.data[start:stop])
    if b"\r" in piece:
        buffer = np.frombuffer(piece, np.uint8).copy()
        end, after = records.end[low:high], records.after[low:high]
        buffer[end[after == end + 1] - start] = 10
        piece = buffer.tobytes()
    return piece if records.after[high - 1] > records.end[high - 1] else piece + b"\n"


def _quoted(cells: list[str], delimiter: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(cells)
    return out.getvalue().encode()


def _read_slowly(source: Source, records: Records, sound: Bools, delimiter: str, wanted: list[int]) -> pl.DataFrame:
    """Read record by record, for whatever the fast reader does not count as we do."""
    rows = []
    for i in np.flatnonzero(sound).tolist():
        cells = cells_of(bytes(source.data[records.start[i] : records.end[i]]), delimiter)
        rows.append([cells[column] for column in wanted])
    return pl.DataFrame(rows, schema={column_name(i): pl.String for i in wanted}, orient="row")


def is_tidy(buffer: bytes) -> bool:
    """Tell whether no value can have blanks around it, capitals, quotes or characters beyond ASCII."""
    if b'"' in buffer:
        return False
    view = np.frombuffer(buffer, np.uint8)
    line_ends = np.count_nonzero(view == 10) + np.count_nonzero(view == 13)
    capital = (view - 65) < 26  # bytes below A wrap round
    return not capital.any() and not (view > 126).any() and np.count_nonzero(view <= 32) == line_ends


def unguarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Take off the guard that an errors file puts before cells a spreadsheet would calculate."""
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(_GUARDED)).then(pl.col(name).str.slice(1)).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
    )

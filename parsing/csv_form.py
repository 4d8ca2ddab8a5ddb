"""CSV as a form of file: records by the structure scan, values by a fast reader on bytes that are known to be sound.

What lives here: what ties header, structure and values together, and the unwrapping of a mended file.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from parsing.form import BAD, BROKEN, GOOD, SKIPPED, Bools, Part, Wanted
from parsing.header import ERROR_COLUMNS, Column, Header, without_guard
from parsing.record import cells_of
from parsing.records import Records
from parsing.source import Source
from parsing.structure import Scanner

if TYPE_CHECKING:
    import polars as pl

    from parsing.findings import Findings


class CsvForm:
    """Read a CSV file whose header is known."""

    folded = False
    threads = 1  # its reader works on several cores; a second part would cost memory and win nothing

    def __init__(self, source: Source, header: Header) -> None:
        self.source, self.header = source, header
        self.first_row, self.first_line = header.first_row, header.first_line
        self.parent: str | None = None
        self.settled = not header.mended  # a mended file names its parent in its first line

    @property
    def columns(self) -> tuple[Column, ...]:
        """Give the columns of the header."""
        return self.header.columns

    def batches(self) -> Iterator[Records]:
        """Find all records, some at a time."""
        return Scanner(self.source, self.header.after, self.header.delimiter, self.header.width).batches()

    def read(self, records: Records, wanted: Wanted, base: int, findings: "Findings") -> Part:
        """Judge the shape of some records and read the wanted columns of the sound ones."""
        from parsing.shape import judge_shape
        from parsing.values import is_tidy, read_columns, sound_bytes

        header = self.header
        shape = judge_shape(self.source, records, header, base, findings)
        state = np.where(shape.sound, GOOD, np.where(shape.blank, SKIPPED, BROKEN)).astype(np.uint8)
        state[shape.repeats] = BAD
        where = np.flatnonzero(shape.sound)
        buffer = sound_bytes(self.source, records, shape.sound, header.delimiter)
        # a search for one rare byte is many times faster than one for two of which the first is not rare
        damaged = b"#" in buffer or (b"+" in buffer and b"E+" in buffer) or b"[" in buffer or b"{" in buffer
        needed = list(range(header.width)) if header.mended else wanted(header.columns, damaged)
        frame = read_columns(self.source, records, shape.sound, header.delimiter, header.width, needed, buffer)
        if header.mended:
            frame, keep = self._mended(frame)
            state[where[~keep]] = SKIPPED
            where = where[keep]
        return Part(
            frame=frame, where=where, state=state, blank=int(np.count_nonzero(shape.blank)), columns=header.columns,
            cut_off=shape.cut_off, counted_wrong=shape.counted_wrong, damaged=damaged,
            tidy=self.folded and is_tidy(buffer),
        )  # fmt: skip

    def _mended(self, frame: "pl.DataFrame") -> "tuple[pl.DataFrame, Bools]":
        """Drop the lines of a mended file without original cells, and take the guards off the others."""
        import polars as pl

        from parsing.values import column_name, unguarded

        if self.parent is None and frame.height:
            self.parent = frame[column_name(0)][0].strip()
        original = [column_name(i) for i in range(len(ERROR_COLUMNS), self.header.width)]
        keep = ~frame.select(pl.all_horizontal(pl.col(name) == "" for name in original)).to_series().to_numpy()
        return unguarded(frame.filter(keep)), keep

    def pick(self, records: Records, sound: Bools, wanted: list[int]) -> "pl.DataFrame":
        """Read columns of some sound records of a stretch again."""
        from parsing.values import read_columns, sound_bytes, unguarded

        header = self.header
        buffer = sound_bytes(self.source, records, sound, header.delimiter)
        frame = read_columns(self.source, records, sound, header.delimiter, header.width, wanted, buffer)
        return unguarded(frame) if header.mended else frame

    def cells(self, raw: bytes) -> list[str]:
        """Give the cells of one record as sent, by column, as many as there are columns."""
        cells = cells_of(raw, self.header.delimiter)[: self.header.width]
        if self.header.mended:
            offset = len(ERROR_COLUMNS)
            cells[:offset] = [""] * offset
            cells[offset:] = [without_guard(cell) for cell in cells[offset:]]
        return cells

"""The seam between the kinds of files and the one way they are judged: CSV, lists and JSON Lines meet here.

What lives here: what a form of file must give, and the values it gives.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from parsing.header import Column
from parsing.records import Records
from parsing.source import Source

if TYPE_CHECKING:
    import polars as pl

    from models.faults import PermanentError
    from parsing.findings import Findings

#: how a record fared: no row, accepted, refused, the same as one before, refused because it cannot be read
SKIPPED, GOOD, BAD, SAME, BROKEN = 0, 1, 2, 3, 4

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some records, read: the sound ones as columns of text."""

    frame: "pl.DataFrame"  #: columns named by ``parsing.values.column_name``
    where: Ints  #: which of the records each row of the frame is
    state: npt.NDArray[np.uint8]  #: of each record: SKIPPED, GOOD or BROKEN
    blank: int  #: blank lines
    columns: tuple[Column, ...]  #: those known when it was read; later parts may have more behind them
    cut_off: bool = False  #: the last record is unfinished
    counted_wrong: bool = False  #: some record has another number of fields than the header
    damaged: bool = False  #: it may hold traces of a spreadsheet, or JSON in cells
    tidy: bool = False  #: values are known to be trimmed and in lower case
    fault: "PermanentError | None" = None  #: rejects the file once these records are counted


class Wanted(Protocol):
    """Tell which of some columns are looked at, more of them where a spreadsheet may have left its traces."""

    def __call__(self, columns: tuple[Column, ...], damaged: bool, /) -> list[int]:
        """Give their indexes."""


class Form(Protocol):
    """Find the records of a file and read them; safe to call from several threads once it is ``settled``."""

    source: Source
    first_row: int  #: number of the first record's row
    first_line: int  #: and of its physical line
    folded: bool  #: values are compared trimmed and in lower case
    threads: int  #: parts worth judging at once, beside what the reader of values does by itself
    parent: str | None  #: trace id of the file that a mended one mends

    @property
    def settled(self) -> bool:
        """Tell whether nothing is learned from the order of records any more."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Give the columns known so far, by their index."""

    def batches(self) -> Iterator[Records]:
        """Find all records, some at a time."""

    def read(self, records: Records, wanted: "Wanted", base: int, findings: "Findings") -> Part:
        """Judge the shape of some records and read the wanted columns of the sound ones."""

    def pick(self, records: Records, sound: Bools, wanted: list[int]) -> "pl.DataFrame":
        """Read columns of some sound records of a stretch again."""

    def cells(self, raw: bytes) -> list[str]:
        """Give the cells of one record as sent, by column, as many as can be read."""

"""The list of addresses: one column, no header line, all plain or all SHA-256.

What lives here: what makes a list a list. Its records and its report are those of every file.
"""

import polars as pl

from models.codes import Code
from models.data_type import DataType
from models.faults import PermanentError
from models.result import Warning_
from parsing.checks import EMAIL, Check
from parsing.encoding import refuse
from parsing.header import Column, Header, first_record, is_mended, read_header
from parsing.record import MAX_LINE, cells_of, read_record
from parsing.source import Source
from parsing.values import column_name

HASH = r"^[0-9a-f]{64}$"


def read_list_header(source: Source, start: int, data_type: DataType) -> Header:
    """Give the header of a list: none, a lone line with the column's name, or that of a mended errors file."""
    field = data_type.fields[0]
    record, delimiter, _ = first_record(source, start, data_type)
    if is_mended(cells_of(bytes(source.data[record.start : min(record.end, record.start + MAX_LINE)]), delimiter)):
        return read_header(source, start, data_type)
    first = read_record(source, start, ",", 1, MAX_LINE)
    cells = cells_of(bytes(source.data[first.start : min(first.end, first.start + MAX_LINE)]), ",")
    skipped = [cell.strip().casefold() for cell in cells] == [field.name.casefold()]
    warning = Warning_(
        code=Code.HEADER_SKIPPED,
        message=f"The first line, {cells[0].strip()}, was taken as a header.",
        column=field.name,
    )
    return Header(
        after=first.after if skipped else start,
        first_row=2 if skipped else 1,
        first_line=1 + first.lines if skipped else 1,
        delimiter=",",
        width=1,
        names=(field.name,),
        columns=(Column(index=0, name=field.name, field=field),),
        warnings=(warning,) if skipped else (),
    )


class ListKind:
    """Learn from the first values whether a list is plain or hashed, and hold the rest to it."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self._cell = pl.col(column_name(column.index))
        self._hashed: bool | None = None

    def normalised(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give the values trimmed and in lower case."""
        return frame.with_columns(self._cell.str.strip_chars().str.to_lowercase())

    def checks(self, frame: pl.DataFrame, fault: PermanentError | None) -> tuple[list[Check], PermanentError | None]:
        """Give the check for these values, and the fault where they are of two kinds or in two columns."""
        if not frame.height:
            return [], fault
        counts = frame.select(
            two=self._cell.str.contains(r"[;\t,]").any(),
            hashed=self._cell.str.contains(HASH).any(),
            plain=self._cell.str.contains("@", literal=True).any(),
        ).row(0, named=True)
        if counts["two"]:
            fault = fault or two_columns()
        if self._hashed is None and (counts["hashed"] or counts["plain"]):
            self._hashed = counts["hashed"]
        if (counts["plain"] and self._hashed) or (counts["hashed"] and not self._hashed):
            message = "The list holds plain addresses and SHA-256 values; send two files, one of each kind."
            fault = fault or refuse(Code.MIXED_HASH, message)
        name = self.column.name
        code, pattern, message = Code.INVALID_EMAIL, EMAIL, f"{name} must be an email address"
        if self._hashed:
            code, pattern, message = Code.INVALID_HASH, HASH, f"{name} must be a SHA-256 of 64 hexadecimal digits"
        mask = ~self._cell.str.contains(pattern)
        return [Check(mask=mask, code=code, column=name, index=self.column.index, message=message, order=16)], fault


def two_columns() -> PermanentError:
    """Make the error for a list with more than one column."""
    return refuse(Code.NOT_ONE_COLUMN, "The list must have one column; put each address on a line of its own.")

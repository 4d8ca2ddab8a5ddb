"""The list of addresses: all plain or all SHA-256.

What lives here: what the values of a list must be. Its records and its report are those of every file.
"""

import polars as pl

from models.codes import Code
from models.faults import PermanentError
from parsing.checks import EMAIL, Check
from parsing.encoding import refuse
from parsing.form import Form
from parsing.values import column_name

HASH = r"^[0-9a-f]{64}$"


class ListKind:
    """Learn from the first values whether a list is plain or hashed, and hold the rest to it."""

    def __init__(self, form: Form) -> None:
        self.column = next(column for column in form.columns if column.field)
        self.plain_file = self.column.index == 0  #: it is not a mended one
        self._cell = pl.col(column_name(self.column.index))
        self._hashed: bool | None = None

    @property
    def known(self) -> bool:
        """Tell whether the kind is known."""
        return self._hashed is not None

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

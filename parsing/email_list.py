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
HASH_LENGTH = 64


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
        hashed, plain, two = self._kinds(frame)
        if two:
            fault = fault or two_columns()
        if self._hashed is None and (hashed or plain):
            self._hashed = hashed
        if (plain and self._hashed) or (hashed and not self._hashed):
            message = "The list holds plain addresses and SHA-256 values; send two files, one of each kind."
            fault = fault or refuse(Code.MIXED_HASH, message)
        name = self.column.name
        code, pattern, message = Code.INVALID_EMAIL, EMAIL, f"{name} must be an email address"
        if self._hashed:
            code, pattern, message = Code.INVALID_HASH, HASH, f"{name} must be a SHA-256 of 64 hexadecimal digits"
        mask = ~self._cell.str.contains(pattern)
        return [Check(mask=mask, code=code, column=name, index=self.column.index, message=message, order=16)], fault

    def _kinds(self, frame: pl.DataFrame) -> tuple[bool, bool, bool]:
        """Tell whether there are SHA-256 values, plain addresses, and values with a delimiter."""
        long = frame.filter(self._cell.str.len_bytes() == HASH_LENGTH)
        hashed = long.select(self._cell.str.contains(HASH).any()).item() if long.height else False
        marks = frame.select(
            plain=self._cell.str.contains("@", literal=True).any(),
            **{str(i): self._cell.str.contains(mark, literal=True).any() for i, mark in enumerate(";\t,")},
        ).row(0)
        return bool(hashed), marks[0], any(marks[1:])


def two_columns() -> PermanentError:
    """Make the error for a list with more than one column."""
    return refuse(Code.NOT_ONE_COLUMN, "The list must have one column; put each address on a line of its own.")

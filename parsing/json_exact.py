"""Lines of JSON Lines read one by one, and what is wrong with those that are refused.

What lives here: the bookkeeping of line faults. What a line holds is decided in ``parsing.json_line``.
"""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.codes import Code
from parsing.form import Ints
from parsing.header import Column
from parsing.json_columns import nested
from parsing.json_line import LineFault, Nested, Object, Value
from parsing.record import UNFINISHED
from parsing.records import Records

if TYPE_CHECKING:
    from parsing.findings import Findings

NEW = 64  #: lines with new names that the fast reader is told of at once
_CUT = "This last line is unfinished: the file was probably cut off"


class LineReader(Protocol):
    """Read single lines."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Give the columns known so far."""

    def line(self, records: Records, i: int) -> tuple[dict[int, Value], bool]:
        """Read one line; gives its values by column and whether it has names that were not met before."""

    def object(self, records: Records, i: int) -> Object:
        """Read one line as the pairs of its object."""

    def grow(self, values: list[Object]) -> None:
        """Tell the fast reader of names that it did not know."""


class Exact:
    """Read lines one by one and say what is wrong with them."""

    def __init__(self, form: LineReader, records: Records, base: int, findings: "Findings") -> None:
        self._form, self._records, self._base, self._findings = form, records, base, findings
        self._faults: dict[tuple[Code, str], list[tuple[int, str, str]]] = {}
        self.columns: tuple[Column, ...] = ()
        self.broken: list[int] = []
        self.cut_off = False
        self.damaged = True  #: the lines may hold traces of a spreadsheet

    def read(self, which: Ints) -> tuple[list[dict[int, str]], Ints]:
        """Give the values of the lines that are sound, and which those are."""
        rows: list[dict[int, str]] = []
        where: list[int] = []
        new: list[Object] = []
        for i in which.tolist():
            try:
                row, strange = self._form.line(self._records, i)
            except LineFault as fault:
                self._refuse(i, fault)
                continue
            if strange and len(new) < NEW:
                new.append(self._form.object(self._records, i))
            lists = nested(row)
            for index in lists:
                name, value = self._form.columns[index].name, row[index]
                what = value.what if isinstance(value, Nested) else ""
                self._fault(i, Code.NESTED_VALUE, f"{name[:100]} must be a single value, not {what}", name[:100])
            if lists:
                self.broken.append(i)
            else:
                rows.append({index: value for index, value in row.items() if isinstance(value, str)})
                where.append(i)
        if new:
            self._form.grow(new)
        self._report()
        return rows, np.array(where, np.int64)

    def _refuse(self, i: int, fault: LineFault) -> None:
        self.broken.append(i)
        last = i == len(self._records) - 1
        if fault.cut and last and self._records.flags[i] & UNFINISHED:
            self.cut_off = True
            self._fault(i, Code.UNEXPECTED_END, _CUT, "")
        else:
            self._fault(i, fault.code, fault.message, fault.column)

    def _fault(self, i: int, code: Code, message: str, column: str) -> None:
        self._faults.setdefault((code, ""), []).append((i + self._base, message, column))

    def _report(self) -> None:
        from parsing.findings import ERROR

        for (code, _), found in self._faults.items():
            shown = found[: self._findings.limit]
            self._findings.add(
                np.array([record for record, _, _ in found], np.int64), code, ERROR,
                [message for _, message, _ in shown], column=[column for _, _, column in shown],
            )  # fmt: skip

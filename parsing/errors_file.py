"""The errors file: one line per finding, the original columns beside the first error of each row.

What lives here: the writing of that CSV, and the guard against cells that a spreadsheet would calculate.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from models.catalogue import CATALOGUE
from models.codes import Code
from parsing.findings import ERROR, MAX_VALUE, Entry
from parsing.header import ERROR_COLUMNS
from parsing.rows import Rows

STATUS = "400"  #: every code of a row is the sender's fault
_RISKY = frozenset("=+-@\t\r")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?")
_CHUNK = 500  #: lines written at once


def hint_for(code: Code) -> str:
    """Give the catalogue's sentence on how to mend what a code names."""
    return CATALOGUE[code].mend


def guarded(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would calculate, unless it is a number."""
    return f"'{cell}" if cell[:1] in _RISKY and not _NUMBER.fullmatch(cell) else cell


def write_errors(out: BinaryIO, trace_id: str, entries: Sequence[Entry], rows: Rows) -> None:
    """Write the errors CSV in UTF-8 with CRLF, some lines at a time."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([*ERROR_COLUMNS, *map(guarded, rows.header.names)])
    for number, line in enumerate(_lines(trace_id, entries, rows)):
        writer.writerow(line)
        if number % _CHUNK == _CHUNK - 1:
            _flush(buffer, out)
    _flush(buffer, out)


def _flush(buffer: io.StringIO, out: BinaryIO) -> None:
    out.write(buffer.getvalue().encode("utf-8", "replace"))
    buffer.seek(0)
    buffer.truncate()


def _lines(trace_id: str, entries: Iterable[Entry], rows: Rows) -> Iterable[list[str]]:
    filled = -1  # the record whose original columns are written already
    width = len(rows.header.names)
    for entry in entries:
        original: list[str] = []
        if entry.severity == ERROR and entry.record != filled:
            filled = entry.record
            original = rows.cells(entry.record)
        place = [str(rows.row(entry.record)), str(int(rows.line[entry.record]))]
        value = rows.text(entry.record, MAX_VALUE) if entry.value is None else entry.value
        what = [entry.column, value, entry.severity, str(entry.code), STATUS, entry.message, hint_for(entry.code)]
        yield [trace_id, *place, *map(guarded, [*what, *original]), *[""] * (width - len(original))]

"""The report of one parse: counts, and the two files that can be made of it.

What lives here: the summary's arithmetic and the handles for writing. What is found is decided before.
"""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from models.codes import Code
from models.faults import Fault
from models.result import Summary, Warning_
from models.states import ImportStatus
from parsing.changes import changed_header, short_file
from parsing.encoding import Encoding
from parsing.form import BAD, BROKEN, GOOD, SAME
from parsing.options import Options
from parsing.policy import refusal
from parsing.rows import Rows

if TYPE_CHECKING:
    import polars as pl

    from parsing.described import Described
    from parsing.reading import Reading

CUT_OFF = "The last row is unfinished: the file was probably cut off. Ask for it again whole."


class Report:
    """Say what one file holds, and write its errors and its accepted rows."""

    def __init__(
        self, summary: Summary, rows: Rows | None = None, entries: "pl.DataFrame | None" = None,
        names: tuple[tuple[int, str], ...] = (),
    ) -> None:  # fmt: skip
        self.summary = summary
        self.parent_trace_id = rows.form.parent if rows else None
        self._rows, self._entries, self._names = rows, entries, names

    def write_errors(self, out: BinaryIO, trace_id: str) -> None:
        """Write the errors CSV; nothing where the file was rejected before its rows were read."""
        from parsing.errors_file import write_errors

        if self._rows is not None and self._entries is not None:
            write_errors(out, trace_id, self._entries, self._rows, list(self._names))

    def write_accepted(self, path: Path) -> None:
        """Write the accepted rows as ``.csv`` or ``.parquet``; nothing where no row was read."""
        from parsing.accepted import write_accepted

        if self._rows is not None:
            write_accepted(path, self._rows, any_accepted=bool(self.summary.successful_rows))

    def accepted_bitmap(self) -> bytes:
        """Give one bit for each record and blank line behind the header, the first one highest; 1 is accepted."""
        if self._rows is None:
            return b""
        accepted = (self._rows.state == GOOD) & bool(self.summary.successful_rows)
        return np.packbits(accepted).tobytes()


def rejected(fault: Fault, encoding: Encoding | None, described: "Described | None") -> Report:
    """Report a file that was rejected before its rows were read."""
    return Report(
        Summary(
            status=ImportStatus.REJECTED,
            code=fault.code,
            message=fault.message,
            encoding=encoding.name if encoding else None,
            byte_order_mark=bool(encoding and encoding.byte_order_mark),
            delimiter=described.delimiter if described else None,
            header=described.header if described else None,
            warnings=described.warnings if described else (),
        )
    )


def report_of(
    reading: "Reading", described: "Described", encoding: Encoding, fault: Fault | None, options: Options
) -> Report:
    """Report a file whose rows were read, up to where it was rejected if it was."""
    rows, findings = reading.rows, reading.findings
    good, same = _count(rows, GOOD), _count(rows, SAME)
    bad = _count(rows, BAD) + _count(rows, BROKEN)
    total = good + bad + same
    fault = fault or refusal(options.policy, total, bad, reading.cut_off)
    loud = Fault(code=Code.UNEXPECTED_END, message=CUT_OFF) if reading.cut_off else None
    status = ImportStatus.COMPLETED_WITH_ERRORS if bad else ImportStatus.COMPLETED
    said = fault or loud
    found = sorted(((code, count) for code, count in findings.errors.items() if count), key=lambda e: (-e[1], e[0]))
    summary = Summary(
        status=ImportStatus.REJECTED if fault else status,
        code=said.code if said else None,
        message=said.message if said else "",
        total_rows=total,
        successful_rows=0 if fault else good,
        unchanged_rows=0 if fault else same,
        error_rows=bad,
        not_applied_rows=good + same if fault else 0,
        blank_rows=rows.blank,
        warnings=(
            *described.warnings,
            *_changes(described, rows, total, options),
        ),
        encoding=encoding.name,
        byte_order_mark=encoding.byte_order_mark,
        delimiter=described.delimiter,
        header=described.header,
        entries=min(findings.total, options.max_entries),
        entries_cut=findings.total > options.max_entries,
        top_errors=tuple(found[:10]),
    )
    return Report(summary, rows, findings.sorted(), described.originals)


def _changes(described: "Described", rows: Rows, total: int, options: Options) -> tuple[Warning_, ...]:
    """Warn of what is unlike the files before.

    The names in JSON Lines come and go with the values, and a mended file has a part of the rows only.
    """
    header = described.header if described.delimiter else None
    usual = options.usual_rows if rows.form.parent is None else None
    return (
        *changed_header(options.previous_header, header),
        *_size_warnings(total, options),
        *short_file(usual, total),
    )


def _count(rows: Rows, state: int) -> int:
    return int(np.count_nonzero(rows.state == state))


def _size_warnings(total: int, options: Options) -> tuple[Warning_, ...]:
    if total == 0:
        return (Warning_(code=Code.NO_ROWS, message="The file holds no rows."),)
    if total > options.warn_rows:
        message = f"The file has {total} rows, more than {options.warn_rows}; smaller files are answered sooner."
        return (Warning_(code=Code.MANY_ROWS, message=message),)
    return ()

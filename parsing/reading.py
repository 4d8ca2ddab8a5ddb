"""The way of one file through the stages: structure, values, checks, and what rows are towards each other.

What lives here: the order of things and the bookkeeping between them. Each stage decides in its own module.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import polars as pl

from models.codes import Code
from models.data_type import DataType
from parsing.between import Repeat, apart, keys_of, plain_prints, repeated, together_column
from parsing.checks import Check, checks_of
from parsing.email_list import ListKind, two_columns
from parsing.encoding import refuse
from parsing.findings import ERROR, MAX_VALUE, WARNING, Entry, Findings
from parsing.header import ERROR_COLUMNS, Column, Header
from parsing.options import Options
from parsing.rows import BAD, GOOD, SAME, SKIPPED, Rows
from parsing.rules import rule_checks
from parsing.shape import judge_shape
from parsing.source import Source
from parsing.structure import Records, Scanner
from parsing.values import column_name, read_columns, unguarded

Bools = npt.NDArray[np.bool_]
BLANK_SHARE = 4  #: with its blank lines a file may have so many times the rows allowed
_LAST = 1 << 24  #: findings between rows come behind all others of a row


class Reading:
    """Read one file whose header is known, gathering rows and findings."""

    def __init__(self, source: Source, header: Header, data_type: DataType, options: Options) -> None:
        self.source, self.header, self.options = source, header, options
        self.findings = Findings(options.max_entries)
        self.cut_off = False  #: the last record is unfinished
        self.parent: str | None = None  #: trace id of the file that a mended one mends
        columns = {column.field.name: column for column in header.columns if column.field}
        self._kind = ListKind(header.columns[0]) if data_type.layout == "list" else None
        if self._kind and header.mended:
            self._kind = ListKind(next(iter(columns.values())))
        self.rows = Rows(source, header, folded=self._kind is not None)
        self._keys = keys_of(columns, data_type)
        self._together = together_column(columns, data_type)
        self._checks = [] if self._kind else self._compile(columns, data_type)
        self._wanted = self._wanted_columns(columns)
        self._prints: list[npt.NDArray[np.uint64]] = []
        self._runs: list[npt.NDArray[np.uint64]] = []

    def _compile(self, columns: dict[str, Column], data_type: DataType) -> list[Check]:
        damage = self._maybe_damaged()
        found = [check for column in columns.values() for check in checks_of(column, damage)]
        return found + rule_checks(columns, data_type, self.options.now)

    def _maybe_damaged(self) -> bool:
        """Tell whether any mark is there that a spreadsheet leaves; most files have none, which a search tells."""
        first, none = self.header.after, self.source.size
        if self.source.find(b"#", first) < none:
            return True
        return self.source.find(b"+", first) < none and self.source.find(b"E+", first) < none

    def _wanted_columns(self, columns: dict[str, Column]) -> list[int]:
        """Give the columns that must be read: all of a mended file, else those that something looks at."""
        if self._kind or self.header.mended:
            return list(range(self.header.width))
        wanted = {check.index for check in self._checks} | (self._keys.columns() if self._keys else set())
        names = {column_name(column.index): column.index for column in columns.values()}
        wanted |= {names[name] for check in self._checks for name in check.mask.meta.root_names()}
        if self._together:
            wanted.add(self._together.index)
        return sorted(wanted)

    def run(self) -> None:
        """Read the whole file; raise PermanentError where it is rejected."""
        scanner = Scanner(self.source, self.header.after, self.header.delimiter, self.header.width)
        real = 0
        try:
            for records in _ahead(scanner.batches()):
                real += self._take(records)
                if real > self.options.max_rows or self.rows.count > BLANK_SHARE * self.options.max_rows:
                    message = f"The file has more than {self.options.max_rows} rows; split it into smaller files."
                    raise refuse(Code.TOO_MANY_ROWS, message)
                self.source.release(int(records.start[0]))
        finally:
            self.rows.close()
        self._judge_between()

    def _take(self, records: Records) -> int:
        """Judge some records; give how many of them are rows."""
        findings = self.findings
        shape = judge_shape(self.source, records, self.header, self.rows.count, findings)
        self.cut_off |= shape.cut_off
        state = np.where(shape.sound, GOOD, np.where(shape.blank, SKIPPED, BAD)).astype(np.uint8)
        frame = read_columns(self.source, records, shape.sound, self.header.delimiter, self.header.width, self._wanted)
        where = np.flatnonzero(shape.sound)
        if self.header.mended:
            frame, where = self._mended(frame, where, state)
        fault = two_columns() if self._kind and not self.header.mended and shape.counted_wrong else None
        if self._kind:
            frame = self._kind.normalised(frame)
            self._checks, fault = self._kind.checks(frame, fault)
        untidy = self._check(frame, where, state)
        self._fingerprint(frame, where, len(records), untidy)
        self.rows.blank += int(np.count_nonzero(shape.blank))
        self.rows.add(records, state)
        if fault:
            raise fault
        return int(np.count_nonzero(state))

    def _mended(
        self, frame: pl.DataFrame, where: npt.NDArray[np.int64], state: npt.NDArray[np.uint8]
    ) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
        """Drop the lines of a mended file without original cells, and take the guards off the others."""
        if self.parent is None and frame.height:
            self.parent = frame[column_name(0)][0].strip()
        original = [column_name(i) for i in range(len(ERROR_COLUMNS), self.header.width)]
        empty = frame.select(pl.all_horizontal(pl.col(name) == "" for name in original)).to_series().to_numpy()
        state[where[empty]] = SKIPPED
        return unguarded(frame.filter(~empty)), where[~empty]

    def _check(self, frame: pl.DataFrame, where: npt.NDArray[np.int64], state: npt.NDArray[np.uint8]) -> Bools:
        """Run every check; give the rows whose value in the column of ``together`` is not usable."""
        untidy = np.zeros(frame.height, np.bool_)
        if not frame.height or not self._checks:
            return untidy
        masks = frame.select(check.mask.alias(str(i)) for i, check in enumerate(self._checks))
        full = self.findings.full
        for number, (check, some) in enumerate(zip(self._checks, masks.sum().row(0), strict=True)):
            if not some:
                continue
            hits = np.flatnonzero(masks[str(number)].to_numpy())
            if check.refine:
                hits = hits[np.array(check.refine(frame[hits]), np.bool_)]
            self.findings.count(check.code, check.severity, len(hits))
            if check.severity == ERROR:
                state[where[hits]] = BAD
                if self._together and self._together.index == check.index:
                    untidy[hits] = True
            if not full:
                self._keep(check, frame, where, hits[: self.options.max_entries])
        return untidy

    def _keep(
        self, check: Check, frame: pl.DataFrame, where: npt.NDArray[np.int64], hits: npt.NDArray[np.int64]
    ) -> None:
        values = frame[column_name(check.index)].gather(hits.tolist()).str.slice(0, MAX_VALUE).to_list()
        self.findings.keep(
            Entry(record, check.order, check.column, value, check.severity, check.code, check.message)
            for record, value in zip((where[hits] + self.rows.count).tolist(), values, strict=True)
        )

    def _fingerprint(self, frame: pl.DataFrame, where: npt.NDArray[np.int64], size: int, untidy: Bools) -> None:
        """Keep what rows are compared by at the end of the file."""
        if self._keys:
            prints = np.zeros(size, np.uint64)
            if frame.height:
                prints[where] = self._keys.prints(frame.select(self._keys.expressions()))
            self._prints.append(prints)
        if self._together:
            runs = np.zeros(size, np.uint64)
            if frame.height:
                runs[where] = plain_prints(frame, self._together, ~untidy)
            self._runs.append(runs)

    def _judge_between(self) -> None:
        if self._runs and self._together:
            self._judge_apart(apart(np.concatenate(self._runs)), self._together)
        if self._prints and self._keys:
            found = list(repeated(np.concatenate(self._prints), self.rows.compared, self._keys))
            self._judge_repeated(sorted(found, key=lambda repeat: repeat.index))

    def _judge_apart(self, found: npt.NDArray[np.int64], column: Column) -> None:
        self.findings.count(Code.ORDER_NOT_TOGETHER, ERROR, len(found))
        self.rows.state[found] = BAD
        message = f"The rows with this {column.name} do not stand together; put them one below the other"
        self.findings.keep(
            Entry(i, _LAST, column.name, self._value(i, column.index), ERROR, Code.ORDER_NOT_TOGETHER, message)
            for i in found[: self.options.max_entries].tolist()
        )

    def _judge_repeated(self, found: list[Repeat]) -> None:
        state, rows = self.rows.state, self.rows
        for number, repeat in enumerate(found):
            severity = WARNING if repeat.same else ERROR
            self.findings.count(Code.DUPLICATE_ROW, severity, 1)
            if not repeat.same:
                state[repeat.index] = BAD
            elif state[repeat.index] == GOOD:
                state[repeat.index] = SAME
            if number < self.options.max_entries:
                what = "is the same as" if repeat.same else f"has the key ({repeat.names}) of"
                message = f"This row {what} row {rows.row(repeat.first)}; keep one of them"
                entry = Entry(
                    repeat.index,
                    _LAST + 1,
                    repeat.names,
                    repeat.value[:MAX_VALUE],
                    severity,
                    Code.DUPLICATE_ROW,
                    message,
                )
                self.findings.keep([entry])

    def _value(self, index: int, column: int) -> str:
        return self.rows.compared(index)[column][:MAX_VALUE]


def _ahead(batches: Iterator[Records]) -> Iterator[Records]:
    """Give what the iterator gives, while a thread already looks for the next."""
    with ThreadPoolExecutor(1, thread_name_prefix="structure") as pool:
        pending = pool.submit(next, batches, None)
        while (records := pending.result()) is not None:
            pending = pool.submit(next, batches, None)
            yield records

"""JSON Lines as a form of file: one object a line, the names of its values as columns.

What lives here: what ties the scan for lines, the fast reader and the exact one together.
"""

import re
import threading
from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from models.codes import Code
from models.data_type import DataType
from parsing.described import Described
from parsing.form import BROKEN, GOOD, SKIPPED, Bools, Ints, Part, Wanted
from parsing.header import Column, unknown_columns
from parsing.json_columns import JsonColumns
from parsing.json_exact import Exact
from parsing.json_line import LineFault, Object, Value, read_line, read_object, written
from parsing.json_lines import scan_lines
from parsing.options import Options
from parsing.record import BLANK, TOO_LARGE
from parsing.records import Records
from parsing.source import Source

if TYPE_CHECKING:
    import polars as pl

    from parsing.findings import Findings
    from parsing.json_fast import Node, Style

SAMPLE = 64  #: lines that names and style are learned from
_COLON = re.compile(rb'\A\s*\{\s*"(?:[^"\\]|\\.)*+"\s*:( ?)')
_COMMA = re.compile(rb'\A\s*\{\s*"(?:[^"\\]|\\.)*+"\s*:\s*(?:"(?:[^"\\]|\\.)*+"|[^",{\[\s]++),( ?)')


class JsonForm:
    """Read a JSON Lines file."""

    folded = False
    threads = 2  # its reader works on one core
    first_row = 1
    first_line = 1
    parent: str | None = None

    def __init__(self, source: Source, start: int, data_type: DataType, options: Options) -> None:
        self.source, self._start = source, start
        self._known = JsonColumns(data_type, options.columns)
        self._lock = threading.Lock()
        self._told: tuple[Node, Style] | None = None  #: what the fast reader is told

    @property
    def settled(self) -> bool:
        """Tell whether names and style were learned."""
        return self._told is not None

    @property
    def columns(self) -> tuple[Column, ...]:
        """Give the columns known so far, by their index."""
        return self._known.all

    def batches(self) -> Iterator[Records]:
        """Find all lines, some at a time."""
        return scan_lines(self.source, self._start)

    def described(self, data_type: DataType) -> Described:
        """Describe the columns that were met."""
        met = {self._known.index[name] for name in self._known.seen} - {None}
        known = [column for column in self.columns if column.index in met]
        strange = [name for name in self._known.seen if self._known.index[name] is None]
        columns = known + [Column(index=len(known) + i, name=name, field=None) for i, name in enumerate(strange)]
        warns = data_type.unknown_columns == "warn"
        return Described(
            delimiter=None,
            header=tuple(self._known.seen),
            originals=tuple((column.index, column.name) for column in known),
            warnings=tuple(unknown_columns(tuple(columns), data_type)) if warns else (),
        )

    def read(self, records: Records, wanted: Wanted, base: int, findings: "Findings") -> Part:
        """Judge some lines and read the wanted columns of the sound ones."""
        from parsing.findings import ERROR
        from parsing.shape import Adder, too_large

        blank = (records.flags & BLANK) > 0
        begin = self.source.view[np.minimum(records.start, self.source.size - 1)]
        for i in np.flatnonzero(~blank & ((begin == 32) | (begin == 9))).tolist():
            blank[i] = not self._raw(records, i).strip(b" \t")
        large = (records.flags & TOO_LARGE) > 0
        Adder(base, findings)(large, ERROR, Code.ROW_TOO_LARGE, too_large)
        state = np.where(blank, SKIPPED, np.where(large, BROKEN, GOOD)).astype(np.uint8)
        exact = Exact(self, records, base, findings)
        frame, where = self._frame(records, state == GOOD, wanted, exact)
        state[exact.broken] = BROKEN
        return Part(
            frame=frame, where=where, state=state, blank=int(np.count_nonzero(blank)), columns=exact.columns,
            cut_off=exact.cut_off, damaged=exact.damaged,
        )  # fmt: skip

    def pick(self, records: Records, sound: Bools, wanted: list[int]) -> "pl.DataFrame":
        """Read columns of some sound lines again."""
        from parsing.findings import Findings

        frame, _ = self._frame(records, sound, lambda *_: wanted, Exact(self, records, 0, Findings(0)))
        return frame

    def cells(self, raw: bytes) -> list[str]:
        """Give the values of one line by column; none where it cannot be read."""
        try:
            row, _ = self._known.row(read_line(raw, self._known.opens))
        except LineFault:
            return []
        values = [row.get(i, "") for i in range(len(self.columns))]
        return [value if isinstance(value, str) else "" for value in values]

    def _frame(self, records: Records, mask: Bools, wanted: Wanted, exact: Exact) -> "tuple[pl.DataFrame, Ints]":
        """Read some lines, those that the fast reader is not sure of one by one."""
        import polars as pl

        from parsing.json_reader import read_fast

        which = np.flatnonzero(mask)
        if self._told is None:
            self._learn(records, which)
        told = self._told
        lines = read_fast(self.source, records, which, *told) if told else None
        sure = lines.sure if lines else np.zeros(len(which), np.bool_)
        names = {name: self._known.learn(name) for name in lines.frame.columns} if lines else {}
        by_index: dict[int, list[str]] = {}
        for name, index in names.items():
            if index is not None:
                by_index.setdefault(index, []).append(name)
        for several in by_index.values():
            if lines and len(several) > 1:
                count = lines.frame.select(pl.sum_horizontal(pl.col(several).is_not_null()))
                sure = sure & (count.to_series().to_numpy() < 2)
        rows, where = exact.read(which[~sure])
        exact.columns = self.columns
        exact.damaged = lines is None or lines.damaged
        needed = wanted(exact.columns, exact.damaged)
        if not needed:  # a frame without columns has no rows
            return pl.DataFrame(), np.sort(np.concatenate([which[sure], where]))
        parts = []
        if lines:
            chosen = lines.frame.filter(sure) if not sure.all() else lines.frame
            parts.append(chosen.select(_column(i, by_index.get(i, [])) for i in needed))
        if rows or not parts:
            cells = {f"c{i}": [row.get(i, "") for row in rows] for i in needed}
            parts.append(pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String)))
        if len(parts) == 1:
            return parts[0], which[sure] if lines else where
        place = np.concatenate([which[sure], where])
        order = np.argsort(place)
        return pl.concat(parts)[order], place[order]

    def _learn(self, records: Records, which: Ints) -> None:
        """Learn names and style from a sample of lines."""
        from parsing.json_fast import Node, Style

        sample = which[np.unique(np.linspace(0, len(which) - 1, SAMPLE).astype(np.int64))] if len(which) else which
        tree, quoted, taken, raw = Node(), dict[str, bool](), set[str](), b""
        for i in sample.tolist():
            try:
                value = read_object(self._raw(records, i))
                flat = read_line(self._raw(records, i), self._known.opens)
            except LineFault:
                continue
            raw = raw or self._raw(records, i)
            tree.grow(value, self._known.opens, taken)
            for name in flat:
                self._known.learn(name)
            for name, text in written(value, "", self._known.opens):
                quoted.setdefault(name, text)
        self._known.need()
        if raw:
            colon, comma = _COLON.match(raw), _COMMA.match(raw)
            style = Style(
                after_colon=len(colon[1]) if colon else 0,
                after_comma=len(comma[1]) if comma else 0,
                quoted=frozenset(name for name, text in quoted.items() if text),
            )
            self._told = tree, style

    def grow(self, values: list[Object]) -> None:
        """Tell the fast reader of names that it did not know."""
        with self._lock:
            if self._told is None:
                return
            tree, style = deepcopy(self._told[0]), self._told[1]
            taken = tree.taken()
            quoted = set(style.quoted)
            for value in values:
                quoted |= {n for n, text in written(value, "", self._known.opens) if text and n not in taken}
                tree.grow(value, self._known.opens, taken)
            self._told = tree, type(style)(style.after_colon, style.after_comma, frozenset(quoted))

    def line(self, records: Records, i: int) -> tuple[dict[int, Value], bool]:
        """Read one line exactly; gives its values by column and whether it has names that were not met before."""
        values = read_line(self._raw(records, i), self._known.opens)
        new = any(name not in self._known.index for name in values)
        row, twice = self._known.row(values)
        if twice:
            raise LineFault(Code.DUPLICATE_FIELD, f"The field {twice[:100]} stands in this line twice", twice[:100])
        return row, new

    def object(self, records: Records, i: int) -> Object:
        """Read one line as the pairs of its object."""
        return read_object(self._raw(records, i))

    def _raw(self, records: Records, i: int) -> bytes:
        return bytes(self.source.data[records.start[i] : records.end[i]])


def _column(index: int, names: list[str]) -> "pl.Expr":
    """Give a column of text from the names that stand for it, of which at most one is there."""
    import polars as pl

    cell = pl.coalesce(pl.col(name) for name in names) if names else pl.lit("")
    return cell.fill_null("").alias(f"c{index}")

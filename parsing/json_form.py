"""JSON Lines as a form of file: one object a line, the names of its values as columns.

What lives here: what ties the scan for lines, the fast reader and the exact one together.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
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
from parsing.json_template import Template, template_of
from parsing.options import Options
from parsing.record import BLANK, TOO_LARGE
from parsing.records import Records
from parsing.source import Source

if TYPE_CHECKING:
    import polars as pl

    from parsing.findings import Findings
    from parsing.json_alike import Alike
    from parsing.json_fast import Lines, Node, Style

SAMPLE = 64  #: lines that names and style are learned from
TEMPLATES = 4  #: ways in which lines may be written alike
FEW = 16  #: fewer lines than the fast reader is worth while for


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
        self._templates: tuple[Template, ...] = ()  #: how most lines are written

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
        """Read some lines: those that are written alike, those that the fast reader is sure of, the others singly."""
        import polars as pl

        from parsing.json_reader import read_alike

        which = np.flatnonzero(mask)
        if self._told is None:
            self._learn(records, which)
        found, damaged = read_alike(self.source, records, which, self._templates)
        taken = np.zeros(len(which), np.bool_)
        for alike in found:
            taken[alike.which] = True
        lines, sure = self._fast(records, which[~taken])
        taken |= np.isin(which, sure)
        rows, singly = exact.read(which[~taken])
        exact.columns = self.columns
        exact.damaged = damaged if self._templates else lines is None or lines.damaged
        needed = wanted(exact.columns, exact.damaged)
        parts = [(self._alike(alike, needed), which[alike.which]) for alike in found]
        if lines:
            parts.append((self._sure(lines, needed), sure))
        if rows or not parts:
            cells = {f"c{i}": [row.get(i, "") for row in rows] for i in needed}
            parts.append((pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String)), singly))
        if len(parts) == 1:
            return parts[0]
        place = np.concatenate([where for _, where in parts])
        order = np.argsort(place)
        if not needed:  # a frame without columns has no rows
            return pl.DataFrame(), place[order]
        return pl.concat([frame for frame, _ in parts])[order], place[order]

    def _fast(self, records: Records, which: Ints) -> "tuple[Lines | None, Ints]":
        """Read lines with the fast reader; gives also which of them it is sure of."""
        import polars as pl

        from parsing.json_reader import read_fast

        if self._told is None or len(which) < FEW:
            return None, which[:0]
        lines = read_fast(self.source, records, which, *self._told)
        if lines is None:
            return None, which[:0]
        for name in lines.frame.columns:
            self._known.learn(name)
        sure = lines.sure
        for several in self._by_index(lines.frame.columns).values():
            if len(several) > 1:
                count = lines.frame.select(pl.sum_horizontal(pl.col(several).is_not_null()))
                sure = sure & (count.to_series().to_numpy() < 2)
        return replace(lines, sure=sure), which[sure]

    def _by_index(self, names: Iterable[str]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for name in names:
            index = self._known.index[name]
            if index is not None:
                found.setdefault(index, []).append(name)
        return found

    def _alike(self, alike: "Alike", needed: list[int]) -> "pl.DataFrame":
        """Give the needed columns of lines that are written alike; no two of their values are of one column."""
        import polars as pl

        index = {name: self._known.index[name] for name in alike.names}
        texts = alike.columns({name: f"c{column}" for name, column in index.items() if column in needed})
        none = pl.repeat("", len(alike.which), dtype=pl.String).alias
        return texts.select(f"c{i}" if f"c{i}" in texts.columns else none(f"c{i}") for i in needed)

    def _sure(self, lines: "Lines", needed: list[int]) -> "pl.DataFrame":
        """Give the needed columns of the lines that the fast reader is sure of."""
        names = self._by_index(lines.frame.columns)
        chosen = lines.frame.filter(lines.sure) if not lines.sure.all() else lines.frame
        return chosen.select(_column(i, names.get(i, [])) for i in needed)

    def _learn(self, records: Records, which: Ints) -> None:
        """Learn names and style from a sample of lines."""
        from parsing.json_fast import Node, style_of

        sample = which[np.unique(np.linspace(0, len(which) - 1, SAMPLE).astype(np.int64))] if len(which) else which
        tree, quoted, taken, first = Node(), dict[str, bool](), set[str](), b""
        templates = Counter[Template]()
        for i in sample.tolist():
            raw = self._raw(records, i)
            try:
                value = read_object(raw)
                flat = read_line(raw, self._known.opens)
            except LineFault:
                continue
            first = first or raw
            tree.grow(value, self._known.opens, taken)
            for name in flat:
                self._known.learn(name)
            for name, text in written(value, "", self._known.opens):
                quoted.setdefault(name, text)
            template = template_of(raw, self._known.opens)
            if template and not self._known.row(flat)[1]:
                templates[template] += 1
        self._known.need()
        if first:
            usual: dict[tuple[bytes, ...], Template] = {}
            for template, _ in templates.most_common():
                usual.setdefault(template.around, template)
            self._templates = tuple(usual.values())[:TEMPLATES]
            self._told = tree, style_of(first, frozenset(name for name, text in quoted.items() if text))

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

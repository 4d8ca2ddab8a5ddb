"""What rows must be towards each other: no key twice, and rows of one value together.

What lives here: a fingerprint of 64 bits per record while the file is read, and the exact comparison of the few
records whose fingerprints agree at its end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from models.data_type import WHOLE_ROW, DataType, Together
from parsing.checks import is_blank, maybe_blank
from parsing.form import Ints
from parsing.header import Column
from parsing.values import column_name

Prints = npt.NDArray[np.uint64]
Cells = Callable[[int], list[str]]
_EACH, _ALL = 0x9E3779B97F4A7C15, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Key:
    """One natural key in terms of the file's columns; ``lead`` is the column that must be filled, None for no such."""

    number: int  #: among the alternatives of the data type
    columns: tuple[Column, ...]
    lead: int | None

    def weights(self) -> list[tuple[int, np.uint64]]:
        """Give each column with an odd factor that depends on its field alone, so that missing cells count as empty."""
        return [
            (c.index, np.uint64((crc32(c.field.name.encode()) * 2 + 1) * _EACH & _ALL)) for c in self.columns if c.field
        ]

    def of(self, cells: list[str]) -> tuple[tuple[str, str], ...]:
        """Give names and values of the key's cells that are not empty."""
        return tuple((c.name, cells[c.index]) for c in self.columns if cells[c.index])


@dataclass(frozen=True, slots=True)
class Keys:
    """The natural key of a row: the first alternative whose leading cell is filled."""

    alternatives: tuple[Key, ...]
    required: tuple[int, ...]  #: key columns without which a row has no key

    def columns(self) -> set[int]:
        """Give every column a key reads."""
        return {column.index for key in self.alternatives for column in key.columns} | set(self.required)

    def expressions(self) -> list[pl.Expr]:
        """Give what ``prints`` needs to know of each row."""
        asked = {key.lead for key in self.alternatives if key.lead is not None} | set(self.required)
        return [
            *(pl.col(column_name(i)).hash().alias(f"hash{i}") for i in sorted(self.columns())),
            *(maybe_blank(pl.col(column_name(i))).alias(f"blank{i}") for i in sorted(asked)),
        ]

    def prints(self, seen: pl.DataFrame, frame: pl.DataFrame) -> Prints:
        """Give a fingerprint of each row's key from the values of ``expressions``, 0 where it has none."""
        found = np.zeros(seen.height, np.uint64)
        empty = np.uint64(pl.Series([""]).hash()[0])
        for key in self.alternatives:
            mixed = np.full(seen.height, key.number + 1, np.uint64)
            for i, weight in key.weights():
                mixed += (seen[f"hash{i}"].to_numpy() - empty) * weight  # nothing is added for an empty cell
            mixed = np.maximum(mixed, 1)
            if key.lead is not None:
                mixed[_blank(seen, frame, key.lead)] = 0
            found = np.where(found == 0, mixed, found)
        for i in self.required:
            found[_blank(seen, frame, i)] = 0
        return found

    def of(self, cells: list[str]) -> tuple[Key, tuple[tuple[str, str], ...]]:
        """Give the key that counts for a row and its names and values, from the cells of a row that has one."""
        for key in self.alternatives:
            if key.lead is None or cells[key.lead].strip():
                return key, key.of(cells)
        raise ValueError("the row has no key")


def _blank(seen: pl.DataFrame, frame: pl.DataFrame, index: int) -> Ints:
    """Give the rows in which a column holds nothing but blanks."""
    maybe = np.flatnonzero(seen[f"blank{index}"].to_numpy())
    return maybe[is_blank(frame[column_name(index)].gather(maybe))] if len(maybe) else maybe


def keys_of(columns: dict[str, Column], data_type: DataType) -> Keys | None:
    """Give the key in terms of the file's columns, None where the file has none; missing cells count as empty."""
    found = []
    for number, key in enumerate(data_type.keys):
        names = tuple(sorted(columns)) if key == WHOLE_ROW else tuple(name for name in key if name in columns)
        if key == WHOLE_ROW or key[0] in columns:
            lead = None if key == WHOLE_ROW else columns[key[0]].index
            found.append(Key(number, tuple(columns[name] for name in names), lead))
    if not found:
        return None
    named = {name for key in data_type.keys for name in key}
    required = {f.name for f in data_type.fields if f.constraints.required} & named & columns.keys()
    return Keys(tuple(found), tuple(sorted(columns[name].index for name in required)))


def together_column(columns: dict[str, Column], data_type: DataType) -> Column | None:
    """Give the column whose equal values must stand together, None where there is no such rule."""
    for rule in data_type.rules:
        if isinstance(rule, Together) and rule.field in columns:
            return columns[rule.field]
    return None


def together_expressions(column: Column) -> list[pl.Expr]:
    """Give what ``plain_prints`` needs to know of each row."""
    cell = pl.col(column_name(column.index))
    return [cell.hash().alias("run"), (cell.str.strip_chars() != "").alias("has run")]


def plain_prints(seen: pl.DataFrame, usable: npt.NDArray[np.bool_]) -> Prints:
    """Give a fingerprint of the value in the column of ``together``, 0 where it is empty or not usable."""
    found = np.maximum(seen["run"].to_numpy(), 1)
    return np.where(usable & seen["has run"].to_numpy(), found, np.uint64(0))


@dataclass(frozen=True, slots=True)
class Repeat:
    """One record that repeats the key of an earlier one."""

    index: int
    first: int
    same: bool  #: all cells are the same
    names: str  #: of the key's columns, empty where the key is the whole row
    value: str


def repeated(prints: Prints, cells: Cells, keys: Keys) -> Iterator[Repeat]:
    """Give each record that repeats a key."""
    for group in _groups(prints):
        first: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[int, list[str]]] = {}
        for index in group:
            row = cells(index)
            key, found = keys.of(row)
            before = first.setdefault((key.number, found), (index, row))
            if before[0] == index:
                continue
            whole = key.lead is None
            names = "" if whole else ", ".join(column.name for column in key.columns)
            value = ", ".join([cell for _, cell in found] if whole else [row[c.index] for c in key.columns])
            yield Repeat(index, before[0], whole or before[1] == row, names, value)


def _groups(prints: Prints) -> Iterator[list[int]]:
    """Give the records whose fingerprint is not alone, group by group, each in order."""
    values = np.sort(prints)
    same = values[1:][(values[1:] == values[:-1]) & (values[1:] != 0)]
    if not len(same):
        return
    twice = np.flatnonzero(np.isin(prints, same))
    ordered = twice[np.argsort(prints[twice], kind="stable")]
    for group in np.split(ordered, np.flatnonzero(np.diff(prints[ordered])) + 1):
        yield group.tolist()


def apart(prints: Prints) -> npt.NDArray[np.int64]:
    """Give the records whose value stood in an earlier run already; records with 0 are not there."""
    used = np.flatnonzero(prints)
    if not len(used):
        return used
    values = prints[used]
    starts = np.concatenate(([True], values[1:] != values[:-1]))
    run = np.cumsum(starts) - 1
    run_values = values[starts]
    unique, first = np.unique(run_values, return_index=True)
    if len(unique) == len(run_values):
        return used[:0]
    first_run = first[np.searchsorted(unique, run_values)]
    late: npt.NDArray[np.int64] = used[first_run[run] != run]
    return late

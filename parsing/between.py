"""What rows must be towards each other: no key twice, and rows of one value together.

What lives here: a fingerprint of 64 bits per record while the file is read, and the exact comparison of the few
records whose fingerprints agree at its end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.data_type import DataType, Together
from parsing.header import Column
from parsing.values import column_name

Prints = npt.NDArray[np.uint64]
Cells = Callable[[int], list[str]]
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Keys:
    """The natural key of a row in terms of the file's columns."""

    alternatives: tuple[tuple[int, ...], ...]  #: columns; the first is the leading one
    names: tuple[tuple[str, ...], ...]
    required: tuple[int, ...]  #: key columns without which a row has no key

    def columns(self) -> set[int]:
        """Give every column a key reads."""
        return {i for key in self.alternatives for i in key} | set(self.required)

    def prints(self, frame: pl.DataFrame) -> Prints:
        """Give a fingerprint of each row's key, 0 where it has none."""
        asked = {key[0] for key in self.alternatives} | set(self.required)
        seen = frame.select(
            *(pl.col(column_name(i)).hash().alias(f"hash{i}") for i in sorted(self.columns())),
            *((pl.col(column_name(i)).str.strip_chars() != "").alias(f"filled{i}") for i in sorted(asked)),
        )
        found = np.zeros(frame.height, np.uint64)
        for number, key in enumerate(self.alternatives):
            mixed = np.full(frame.height, number + 1, np.uint64)
            for i in key:
                mixed = (mixed * _MIX) ^ seen[f"hash{i}"].to_numpy()
            usable = (found == 0) & seen[f"filled{key[0]}"].to_numpy()
            found[usable] = np.maximum(mixed[usable], 1)
        for i in self.required:
            found[~seen[f"filled{i}"].to_numpy()] = 0
        return found

    def of(self, cells: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give the names and values of a row's key, from the cells of a row that has one."""
        for key, names in zip(self.alternatives, self.names, strict=True):
            if cells[key[0]].strip():
                return names, tuple(cells[i] for i in key)
        raise ValueError("the row has no key")


def keys_of(columns: dict[str, Column], data_type: DataType) -> Keys | None:
    """Give the key in terms of the file's columns, None where the file has none; missing cells count as empty."""
    usable = [key for key in data_type.keys if key[0] in columns]
    if not usable:
        return None
    names = tuple(tuple(name for name in key if name in columns) for key in usable)
    fields = {field.name: field for field in data_type.fields}
    required = {name for key in names for name in key if name in fields and fields[name].constraints.required}
    return Keys(
        alternatives=tuple(tuple(columns[name].index for name in key) for key in names),
        names=tuple(tuple(columns[name].name for name in key) for key in names),
        required=tuple(sorted(columns[name].index for name in required)),
    )


def together_column(columns: dict[str, Column], data_type: DataType) -> Column | None:
    """Give the column whose equal values must stand together, None where there is no such rule."""
    for rule in data_type.rules:
        if isinstance(rule, Together) and rule.field in columns:
            return columns[rule.field]
    return None


def plain_prints(frame: pl.DataFrame, column: Column, usable: npt.NDArray[np.bool_]) -> Prints:
    """Give a fingerprint of one column's values, 0 where they are empty or not usable."""
    cell = pl.col(column_name(column.index))
    seen = frame.select(print=cell.hash(), filled=cell.str.strip_chars() != "")
    found = np.maximum(seen["print"].to_numpy(), 1)
    return np.where(usable & seen["filled"].to_numpy(), found, np.uint64(0))


def repeated(prints: Prints, cells: Cells, keys: Keys) -> Iterator[tuple[int, int, bool]]:
    """Give each record that repeats a key: its index, that of the first, and whether all cells are the same."""
    for group in _groups(prints):
        first: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[int, list[str]]] = {}
        for index in group:
            row = cells(index)
            before = first.setdefault(keys.of(row), (index, row))
            if before[0] != index:
                yield index, before[0], before[1] == row


def _groups(prints: Prints) -> Iterator[list[int]]:
    """Give the records whose fingerprint is not alone, group by group, each in order."""
    used = np.flatnonzero(prints)
    values = np.sort(prints[used])
    same = values[1:][values[1:] == values[:-1]]
    if not len(same):
        return
    twice = used[np.isin(prints[used], same)]
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

"""The rows that were accepted, written out where somebody asks for them.

What lives here: reading the sound records a second time and writing them as CSV or Parquet, a slice at a time.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from parsing.errors_file import written
from parsing.form import GOOD
from parsing.header import Column
from parsing.rows import Rows
from parsing.values import column_name

SLICE = 50_000  #: records read at once


def known_columns(rows: Rows) -> list[Column]:
    """Give the columns of the file that the data type knows, in the file's order."""
    return [column for column in rows.form.columns if column.field]


def frames(rows: Rows) -> Iterator[pl.DataFrame]:
    """Give the accepted rows as columns of text under the fields' names, a slice at a time."""
    columns = known_columns(rows)
    names = {column_name(column.index): column.field.name for column in columns if column.field}
    for records, part in rows.slices(SLICE):
        frame = rows.form.pick(records, rows.state[part] == GOOD, [column.index for column in columns])
        if rows.form.folded:
            frame = frame.with_columns(pl.all().str.strip_chars().str.to_lowercase())
        yield frame.select(column_name(column.index) for column in columns).rename(names)
        rows.form.source.release(int(records.start[0]))


def write_accepted(path: Path, rows: Rows, *, any_accepted: bool) -> None:
    """Write the accepted rows as CSV or Parquet, by the suffix; only the columns' names where there are none."""
    if path.suffix not in {".csv", ".parquet"}:
        raise ValueError(f"Accepted rows are written as .csv or .parquet, not as {path.name}.")
    schema = {column.field.name: pl.String() for column in known_columns(rows) if column.field}
    parts = frames(rows) if any_accepted else iter(())
    if path.suffix == ".csv":
        _write_csv(path, schema, parts)
    else:
        _write_parquet(path, schema, parts)


def _write_csv(path: Path, schema: dict[str, pl.String], parts: Iterator[pl.DataFrame]) -> None:
    empty = pl.DataFrame(schema=schema)
    with path.open("wb") as out:
        empty.write_csv(out, include_header=True)
        for part in parts:
            written(part).write_csv(out, include_header=False)


def _write_parquet(path: Path, schema: dict[str, pl.String], parts: Iterator[pl.DataFrame]) -> None:
    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        for part in parts:
            chosen = part if with_columns is None else part.select(with_columns)
            yield chosen if predicate is None else chosen.filter(predicate)
        yield pl.DataFrame(schema=schema)

    register_io_source(source, schema=schema, is_pure=False).sink_parquet(path)

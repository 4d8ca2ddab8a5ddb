"""The errors file: one line per finding, the original columns beside the first error of each row.

What lives here: the writing of that CSV in columns, and the guard against cells that a spreadsheet would calculate.
"""

from typing import BinaryIO

import numpy as np
import polars as pl

from models.catalogue import CATALOGUE
from models.codes import Code
from parsing.findings import ERROR, MAX_VALUE
from parsing.form import BROKEN, Ints
from parsing.header import ERROR_COLUMNS
from parsing.rows import Rows
from parsing.values import column_name

STATUS = "400"  #: every code of a row is the sender's fault
RISKY = ("=", "+", "-", "@", "\t", "\r")
NUMBER = r"^[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?$"
SLICE = 100_000  #: records read at once for their original columns


def hint_for(code: Code) -> str:
    """Give the catalogue's sentence on how to mend what a code names."""
    return CATALOGUE[code].mend


def written(frame: pl.DataFrame) -> pl.DataFrame:
    """Guard cells that a spreadsheet would calculate unless they are numbers, and leave empty ones without quotes."""
    if not frame.width:
        return frame
    first = frame.select(pl.all().str.slice(0, 1).is_in(RISKY).any())
    risky = [name for name, some in zip(frame.columns, first.row(0), strict=True) if some]
    guarded = [
        pl.when(pl.col(name).str.slice(0, 1).is_in(RISKY) & ~pl.col(name).str.contains(NUMBER))
        .then("'" + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name in risky
    ]
    return frame.with_columns(guarded).select(pl.when(pl.all() != "").then(pl.all()).name.keep())


def write_errors(out: BinaryIO, trace_id: str, entries: pl.DataFrame, rows: Rows, names: list[tuple[int, str]]) -> None:
    """Write the errors CSV in UTF-8 with CRLF; ``names`` are the original columns with their index."""
    title = [*ERROR_COLUMNS, *(name for _, name in names)]
    line = written(pl.DataFrame({"name": title}, schema={"name": pl.String})).to_series().to_list()
    pl.DataFrame([line], schema=[str(i) for i in range(len(line))], orient="row").write_csv(
        out, include_header=False, line_terminator="\r\n"
    )
    if not entries.height:
        return
    first = _first_errors(entries)
    original = _originals(rows, entries["record"].to_numpy()[first], [index for index, _ in names])
    beside = original.drop("record").select(pl.all().gather(_places(first, entries.height)))
    table = _with_place(entries, trace_id, rows)
    body = (
        pl.concat([table, beside], how="horizontal")
        if len(first)
        else table.with_columns(pl.lit(None, dtype=pl.String).alias(column_name(index)) for index, _ in names)
    )
    written(body).write_csv(out, include_header=False, line_terminator="\r\n")


def _with_place(entries: pl.DataFrame, trace_id: str, rows: Rows) -> pl.DataFrame:
    """Give the ten columns of an errors file."""
    records = entries["record"].to_numpy()
    raw = entries["value"].is_null().to_numpy()
    texts = pl.Series([rows.text(i, MAX_VALUE) for i in records[raw].tolist()], dtype=pl.String)
    value = entries["value"].to_frame().with_columns(pl.lit(np.cumsum(raw) - 1).alias("place"))
    hints = {code: hint_for(Code(code)) for code in entries["code"].unique().to_list()}
    return entries.select(
        pl.lit(trace_id).alias("trace_id"),
        pl.lit(records + rows.form.first_row).cast(pl.String).alias("row"),
        pl.lit(rows.line[records]).cast(pl.String).alias("line"),
        "column",
        (value["value"].fill_null(texts.gather(value["place"].clip(0))) if len(texts) else value["value"]).alias(
            "value"
        ),
        "severity",
        "code",
        pl.lit(STATUS).alias("status"),
        "message",
        pl.col("code").replace_strict(hints, return_dtype=pl.String).alias("hint"),
    )


def _first_errors(entries: pl.DataFrame) -> Ints:
    """Give the lines that are the first error of their record."""
    errors = np.flatnonzero((entries["severity"] == ERROR).to_numpy())
    records = entries["record"].to_numpy()[errors]
    return errors[np.concatenate(([True], records[1:] != records[:-1]))] if len(errors) else errors


def _places(first: Ints, height: int) -> pl.Series:
    """Give for each line which of the original rows stands beside it, null for none."""
    place = np.full(height, -1)
    place[first] = np.arange(len(first))
    return pl.DataFrame({"p": place}).select(pl.when(pl.col("p") >= 0).then(pl.col("p"))).to_series()


def _originals(rows: Rows, records: Ints, wanted: list[int]) -> pl.DataFrame:
    """Give the original cells of some records, in order; those that cannot be read as far as they can."""
    names = [column_name(i) for i in wanted]
    schema = dict.fromkeys(names, pl.String)
    chosen = np.zeros(rows.count, np.bool_)
    chosen[records] = True
    odd = chosen & (rows.state == BROKEN)
    parts = [pl.DataFrame(schema={"record": pl.Int64, **schema})]
    for slice_records, part in rows.slices(SLICE):
        sound = chosen[part] & ~odd[part]
        if sound.any() and names:
            frame = rows.form.pick(slice_records, sound, wanted).select(names)
            parts.append(frame.insert_column(0, pl.Series("record", np.flatnonzero(sound) + part.start)))
    broken = np.flatnonzero(odd)
    cells = [rows.cells(i) for i in broken.tolist()]
    parts.append(
        pl.DataFrame({"record": broken}).with_columns(
            pl.Series(column_name(i), [row[i] if i < len(row) else "" for row in cells], dtype=pl.String)
            for i in wanted
        )
    )
    return pl.concat(parts).sort("record")

"""The sample files of a data type, as CSV and as JSON Lines.

What lives here: the text made from a descriptor's sample rows.
"""

import csv
import io
import json
from collections.abc import Mapping

from models.data_type import DataType

Cell = str | int | float | bool


def sample_csv(data_type: DataType) -> str:
    """Give a small CSV file of the data type that imports without an error; a list has no header."""
    names = list(dict.fromkeys(name for sample in data_type.samples for name in sample))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    if data_type.layout == "table":
        writer.writerow(names or [field.name for field in data_type.fields])
    writer.writerows([_text(sample.get(name, "")) for name in names] for sample in data_type.samples)
    return out.getvalue()


def sample_jsonl(data_type: DataType) -> str:
    """Give the same rows as JSON Lines."""
    return "".join(json.dumps(_plain(sample), ensure_ascii=False) + "\n" for sample in data_type.samples)


def _plain(sample: Mapping[str, Cell]) -> dict[str, Cell]:
    return dict(sample)


def _text(cell: Cell) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)

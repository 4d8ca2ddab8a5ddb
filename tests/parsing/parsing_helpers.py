"""What the tests of parsing share: a way to parse bytes and to see what was said of which row."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.data_type import DataType
from models.descriptor import data_type_from_descriptor
from parsing import Options, Report, parse
from storage.descriptors import load_data_types

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
csv.field_size_limit(2_000_000)
TYPES = load_data_types()


def parsed(tmp_path: Path, data: bytes | str, data_type: str | DataType = "participants", **options: Any) -> Report:
    path = tmp_path / "input"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    kind = TYPES[data_type] if isinstance(data_type, str) else data_type
    report = parse(path, kind, Options(**{"now": NOW, **options}))
    check_counts(report)
    return report


def check_counts(report: Report) -> None:
    s = report.summary
    assert all(count > 0 for _, count in s.top_errors)
    if s.total_rows is not None:
        assert s.total_rows == s.successful_rows + s.unchanged_rows + s.error_rows + s.not_applied_rows


def errors_of(report: Report) -> list[dict[str, str]]:
    out = io.BytesIO()
    report.write_errors(out, "T")
    return list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))


def said(report: Report) -> list[tuple[int, str, str]]:
    """Give (row, column, code) of each entry."""
    return [(int(e["row"]), e["column"], e["code"]) for e in errors_of(report)]


def free_type(*names: str, key: str = "") -> DataType:
    """Give a data type of plain text columns."""
    descriptor: dict[str, Any] = {"name": "free", "fields": [{"name": name} for name in names]}
    if key:
        descriptor["primaryKey"] = [key]
    return data_type_from_descriptor(descriptor)

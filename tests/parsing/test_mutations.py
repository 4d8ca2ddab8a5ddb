"""A good file of each data type with one thing broken: exactly that is said, at its place, and no other row changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data_type import AnyOf, DataType, Field, NotTogether
from parsing import Report
from tests.parsing.parsing_helpers import TYPES, errors_of, free_type, parsed

TABLES = sorted(name for name, kind in TYPES.items() if kind.layout == "table")
Row = dict[str, str]
BAD_FORMATS = {
    "email": ("ann@", "INVALID_EMAIL"), "uri": ("www.example.com", "INVALID_URL"),
    "locale": ("en-US", "INVALID_LOCALE"), "country": ("de", "INVALID_COUNTRY"),
    "currency": ("Euro", "INVALID_CURRENCY"),
}  # fmt: skip
BAD_TYPES = {
    "boolean": ("yes", "INVALID_BOOLEAN"), "integer": ("1.5", "INVALID_INTEGER"), "number": ("1,5", "INVALID_DECIMAL"),
    "datetime": ("31.05.2026", "INVALID_DATE"),
}  # fmt: skip


def fields_of(kind: DataType) -> list[Field]:
    """Give every field, and one of each family."""
    return [*kind.fields, *(family.field(f"{family.prefix}x") for family in kind.families)]


def good_rows(kind: DataType) -> list[Row]:
    """Give the sample rows with every column, so many that some stand before and some behind each."""
    names = [field.name for field in fields_of(kind)]
    rows = []
    for copy in range(3):
        for sample in kind.samples:
            row = {name: str(cell).lower() if isinstance(cell, bool) else str(cell) for name, cell in sample.items()}
            for key in ({name for names in kind.keys for name in names} | {names[0]}) & row.keys():
                row[key] = f"{copy}{row[key]}" if row[key].isdigit() else f"{row[key]}-{copy}"
            rows.append({name: row.get(name, "") for name in names})
    return rows


def written(rows: list[Row]) -> bytes:
    lines = [",".join(quoted(cell) for cell in line) for line in [list(rows[0]), *(list(row.values()) for row in rows)]]
    return "".join(f"{line}\r\n" for line in lines).encode()


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\n') else cell


def places(rows: list[Row]) -> tuple[int, ...]:
    """Give the first row, one between and the last."""
    return 0, len(rows) // 2, len(rows) - 1


def bad_values(field: Field) -> Iterator[tuple[str, str]]:
    """Give a value against each demand on a field, and the code it earns."""
    rule = field.constraints
    digits = field.type == "integer"
    if rule.required:
        yield "", "REQUIRED_VALUE_MISSING"
        yield "  ", "REQUIRED_VALUE_MISSING"
    if field.type in BAD_TYPES:
        yield BAD_TYPES[field.type]
    if field.format in BAD_FORMATS:
        yield BAD_FORMATS[field.format]
    if rule.max_length is not None:
        yield ("9" if digits else "x") * (rule.max_length + 1), "VALUE_TOO_LONG"
    if rule.enum:
        yield rule.enum[0] + "x", "VALUE_NOT_ALLOWED"
    if rule.pattern is not None:
        yield "?", "VALUE_NOT_ALLOWED"
    if rule.minimum is not None:
        yield f"{rule.minimum - 1:g}", "VALUE_NOT_ALLOWED"
    if rule.above is not None:
        yield f"{rule.above:g}", "VALUE_NOT_ALLOWED"
    if rule.scale is not None:
        yield "0." + "1" * (rule.scale + 1), "INVALID_DECIMAL"
    if rule.scalar:
        yield '{"a": 1}', "NESTED_VALUE"
    if field.type == "string" and not (rule.enum or rule.pattern or field.format):
        yield "1.2E+15", "SPREADSHEET_DAMAGE"


@dataclass(frozen=True)
class Case:
    kind: str
    column: str
    value: str
    code: str

    def __str__(self) -> str:
        return f"{self.kind} {self.column} {self.code} {self.value[:12]!r}"


CASES = [
    Case(name, field.name, value, code)
    for name in TABLES
    for field in fields_of(TYPES[name])
    for value, code in bad_values(field)
]


def accepted(folder: Path, report: Report) -> list[Row]:
    path = folder / "accepted.parquet"
    report.write_accepted(path)
    return pl.read_parquet(path).to_dicts()


@pytest.mark.parametrize("name", TABLES)
def test_the_files_that_are_broken_below_are_good(tmp_path: Path, name: str) -> None:
    rows = good_rows(TYPES[name])
    report = parsed(tmp_path, written(rows), name)
    assert (report.summary.status, report.summary.warnings, errors_of(report)) == ("completed", (), [])
    assert accepted(tmp_path, report) == rows


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_cell(tmp_path: Path, case: Case) -> None:
    kind = TYPES[case.kind]
    rows = good_rows(kind)
    for place in places(rows):
        changed = [dict(row) for row in rows]
        for rule in kind.rules:
            if isinstance(rule, NotTogether) and case.column in (rule.field, *rule.others):
                for other in (rule.field, *rule.others):
                    changed[place][other] = ""
        changed[place][case.column] = case.value
        report = parsed(tmp_path, written(changed), kind)
        found = [(e["row"], e["line"], e["column"], e["code"], e["value"]) for e in errors_of(report)]
        assert found == [(str(place + 2), str(place + 2), case.column, case.code, case.value)]
        warned = case.code == "SPREADSHEET_DAMAGE"
        assert accepted(tmp_path, report) == [row for i, row in enumerate(changed) if warned or i != place]


GROUPS = [(name, rule) for name in TABLES for rule in TYPES[name].rules if isinstance(rule, AnyOf)]


@pytest.mark.parametrize(("name", "rule"), GROUPS, ids=[f"{name} {rule.words}" for name, rule in GROUPS])
def test_none_of_a_group(tmp_path: Path, name: str, rule: AnyOf) -> None:
    required = {field.name for field in TYPES[name].fields if field.constraints.required}
    rows = good_rows(TYPES[name])
    for place in places(rows):
        changed = [dict(row) for row in rows]
        for column in {column for group in rule.groups for column in group} - required:
            changed[place][column] = ""
        report = parsed(tmp_path, written(changed), name)
        found = [(e["row"], e["line"], e["column"], e["code"]) for e in errors_of(report)]
        assert found == [(str(place + 2), str(place + 2), rule.groups[0][0], "REQUIRED_VALUE_MISSING")]
        assert accepted(tmp_path, report) == [row for i, row in enumerate(changed) if i != place]


#: (what, how one line without its end is broken, code)
BREAKS = [
    ("a NUL byte", lambda line: line[:2] + b"\0" + line[2:], "MALFORMED_ROW"),
    ("a quote before it", lambda line: b'"' + line, "MALFORMED_ROW"),
    ("text behind a quoted cell", lambda line: b'"x"x' + line[line.index(b",") :], "MALFORMED_ROW"),
    ("a quote that stays open", lambda line: line[: line.rindex(b",")] + b',"x', "MALFORMED_ROW"),
    ("a delimiter more", lambda line: line + b",", "FIELD_COUNT"),
    ("a delimiter fewer", lambda line: line[: line.rindex(b",")], "FIELD_COUNT"),
    ("a cell of a megabyte", lambda line: b"x" * 1_000_001 + line, "ROW_TOO_LARGE"),
]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("change", "code"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS])
def test_one_line(tmp_path: Path, name: str, change: object, code: str) -> None:
    assert callable(change)
    rows = good_rows(TYPES[name])
    lines = written(rows).splitlines(keepends=True)
    for place in places(rows):
        broken = [*lines[: place + 1], change(lines[place + 1][:-2]) + b"\r\n", *lines[place + 2 :]]
        report = parsed(tmp_path, b"".join(broken), name)
        found = [(e["row"], e["line"], e["column"], e["code"]) for e in errors_of(report)]
        assert found == [(str(place + 2), str(place + 2), "", code)]
        assert accepted(tmp_path, report) == [row for i, row in enumerate(rows) if i != place]


@pytest.mark.parametrize("name", TABLES)
def test_one_byte_that_is_no_text(tmp_path: Path, name: str) -> None:
    rows = good_rows(TYPES[name])
    data, names = written(rows), list(rows[0])
    lines = data.splitlines(keepends=True)
    for place in places(rows):
        row = rows[place]
        start = sum(map(len, lines[: place + 1]))
        for column in names:
            before = ",".join(quoted(cell) for cell in list(row.values())[: names.index(column)])
            at = start + len(before.encode()) + (1 if column != names[0] else 0)
            summary = parsed(tmp_path, data[:at] + b"\xff" + data[at:], name).summary
            assert summary.code == "ENCODING_INVALID"
            assert f"byte {at}, row {place + 2}, column {column} (0xFF)" in summary.message


FREE = free_type("key", "text", "note", key="key")
#: keys so far apart that one byte makes none of them another
FREE_ROWS = [
    [letter * 6, f"text {i}", ("a, b", "plain", 'say "no"', "two\nlines")[i % 4]] for i, letter in enumerate("pqrstuvw")
]
FREE_LINES = [",".join(map(quoted, row)).encode() + b"\n" for row in FREE_ROWS]
FREE_HEAD = b"key,text,note\n"


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["put", "take", "replace"]), st.integers(0, sum(map(len, FREE_LINES)) - 1),
    st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b" ", b"x", b"'", b";", b"\xff", b"\xc3", b"\t", b"\\"]),
)  # fmt: skip
def test_any_byte_of_a_file(tmp_path_factory: pytest.TempPathFactory, how: str, at: int, byte: bytes) -> None:
    body = b"".join(FREE_LINES)
    data = body[:at] + (b"" if how == "take" else byte) + body[at + (how != "put") :]
    ends = [sum(map(len, FREE_LINES[: i + 1])) for i in range(len(FREE_LINES))]
    hit = next(i for i, end in enumerate(ends) if at < end)
    touched = {hit} | ({hit + 1} if how != "put" and at == ends[hit] - 1 else set())  # its line end is gone
    folder = tmp_path_factory.mktemp("byte", numbered=True)
    report = parsed(folder, FREE_HEAD + data, FREE)
    if report.summary.status == "rejected":
        assert (report.summary.code, byte[0] > 0x7F) == ("ENCODING_INVALID", True)
        return
    kept = [list(row.values()) for row in accepted(folder, report)]
    assert [row for row in kept if row in FREE_ROWS] == [
        row for i, row in enumerate(FREE_ROWS) if i not in touched or row in kept
    ]
    strange = [row for row in kept if row not in FREE_ROWS]
    assert len(strange) <= 2
    rows = {int(e["row"]) for e in errors_of(report)}
    assert all(hit + 2 <= row <= hit + 4 for row in rows)

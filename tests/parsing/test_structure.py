"""The structure of a file: which records it has, and which of them are broken."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsing import lines, marks, structure
from parsing import record as record_module
from parsing.record import cells_of
from parsing.source import Source
from parsing.structure import Scanner
from parsing.values import read_columns, sound_bytes
from tests.parsing.parsing_helpers import errors_of, free_type, parsed, said

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "corpora" / "csv" / "csv-spectrum"
H = "a,b,c\n"

#: (what, bytes behind the header a,b,c, entries as (row, code), total rows, blank rows)
CASES = [
    ("plain", "1,2,3\n", [], 1, 0),
    ("no line end at the end", "1,2,3", [], 1, 0),
    ("CRLF", "1,2,3\r\n4,5,6\r\n", [], 2, 0),
    ("CR alone", "1,2,3\r4,5,6\r", [], 2, 0),
    ("mixed line ends", "1,2,3\r4,5,6\n7,8,9\r\n0,0,0", [], 4, 0),
    ("quoted delimiter", '1,"2,2",3\n', [], 1, 0),
    ("doubled quote", '1,"2""2",3\n', [], 1, 0),
    ("empty quotes", '"","",""\n', [], 1, 0),
    ("line break in quotes", '1,"x\ny",3\n4,5,6\n', [], 2, 0),
    ("CRLF in quotes", '1,"x\r\ny",3\r\n4,5\r\n', [(3, "FIELD_COUNT")], 2, 0),
    ("too few", "1,2\n4,5,6\n", [(2, "FIELD_COUNT")], 2, 0),
    ("too many", "1,2,3,4\n4,5,6\n", [(2, "FIELD_COUNT")], 2, 0),
    ("blank lines", "\n1,2,3\n\n\n4,5\n", [(6, "FIELD_COUNT")], 2, 3),
    ("a line of blanks", "1,2,3\n   \n4,5\n", [(4, "FIELD_COUNT")], 2, 1),
    ("text after a closing quote", '1,"2"x,3\n4,5,6\n', [(2, "MALFORMED_ROW")], 2, 0),
    ("quotes unescaped", '1,"he said "hi" ok",3\n4,5,6\n', [(2, "MALFORMED_ROW")], 2, 0),
    ("quote never closed", '1,"2,3\n4,5,6\n7,8,9\n', [(2, "MALFORMED_ROW")], 3, 0),
    ("quote never closed on the last line", '1,2,3\n4,"5,6\n', [(3, "MALFORMED_ROW")], 2, 0),
    ("quote in plain text", '1,5" pipe,3\n4,5,6\n', [(2, "SUSPECT_QUOTE")], 2, 0),
    ("blank before a quote", '1, "x",3\n4,5,6\n', [(2, "SUSPECT_QUOTE")], 2, 0),
    ("two quotes in plain text", '1,x"y"z,3\n4,"5",6\n', [(2, "SUSPECT_QUOTE")], 2, 0),
    ("rows swallowed by quotes", '1,"2,3\n4,5,6\n7,8",9\n', [(2, "SUSPECT_QUOTE")], 1, 0),
    ("NUL", "1,2\x00,3\n4,5,6\n", [(2, "MALFORMED_ROW")], 2, 0),
    ("cut off: short", "1,2,3\n4,5", [(3, "UNEXPECTED_END")], 2, 0),
    ("cut off: open quote", '1,2,3\n4,5,"6', [(3, "UNEXPECTED_END")], 2, 0),
    ("cut off: open quote in the first cell", '1,2,3\n"4', [(3, "UNEXPECTED_END")], 2, 0),
    ("not cut off: text after a quote", '1,2,3\n4,5,"6"x', [(3, "MALFORMED_ROW")], 2, 0),
    ("not cut off: too many", "1,2,3\n4,5,6,7", [(3, "FIELD_COUNT")], 2, 0),
    ("escaped quote at the end", '1,2,"3"""', [], 1, 0),
    ("row over the limit", "1,2," + "x" * 1_000_001 + "\n4,5,6\n", [(2, "ROW_TOO_LARGE")], 2, 0),
    ("quoted row over the limit", '1,2,"' + "x" * 1_000_001 + '"\n4,5,6\n', [(2, "ROW_TOO_LARGE")], 2, 0),
    ("row of the limit", "1,2," + "x" * 999_996 + "\n4,5,6\n", [], 2, 0),
    ("open beyond the limit", '1,2,"x\n' + "4,5,6\n" * 200_000, [(2, "MALFORMED_ROW")], 200_001, 0),
    ("only blank lines", "\n\r\n\r", [], 0, 3),
]


@pytest.mark.parametrize(("body", "entries", "total", "blank"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_cases(tmp_path: Path, body: str, entries: list[tuple[int, str]], total: int, blank: int) -> None:
    report = parsed(tmp_path, H + body, free_type("a", "b", "c"))
    assert [(row, code) for row, _, code in said(report)] == entries
    assert (report.summary.total_rows, report.summary.blank_rows) == (total, blank)


def test_physical_lines_are_counted(tmp_path: Path) -> None:
    report = parsed(tmp_path, '\na,b,c\r\n1,"x\ny\r\nz",3\r\n\r\n4,5\r7,8,9,0\n', free_type("a", "b", "c"))
    assert [(e["row"], e["line"], e["code"]) for e in errors_of(report)] == [
        ("5", "7", "FIELD_COUNT"),
        ("6", "8", "FIELD_COUNT"),
    ]


def test_raw_text_and_cells_of_a_broken_row(tmp_path: Path) -> None:
    report = parsed(tmp_path, H + '1,"2"x,3\n7,8\n' + "9," * 600 + "\n", free_type("a", "b", "c"))
    first, second, third = errors_of(report)
    assert (first["value"], first["a"], first["c"]) == ('1,"2"x,3', "1", "3")
    assert (second["value"], second["a"], second["b"], second["c"]) == ("7,8", "7", "8", "")
    assert len(third["value"]) == 1000


def spans(data: bytes, block: int, look: int = marks.BLOCK, few: int = structure.FEW) -> list[tuple[int, ...]]:
    """Give what the scanner says of each record, with blocks of a given size; ``few`` 0: line by line past a fault."""
    source = Source.__new__(Source)
    source.size, source.data, source._next = len(data), data, {}
    source.view = np.frombuffer(data, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        for module in (marks, structure):
            patch.setattr(module, "BLOCK", max(look, block))
        patch.setattr(structure, "SMALL", min(structure.SMALL, max(look, block)))
        patch.setattr(structure, "FEW", few)
        scanner = Scanner(source, 0, ",", 3)
        scanner._step = block
        found = []
        for r in scanner.batches():
            columns = (r.start, r.end, r.fields, r.lines, r.flags)
            found += list(zip(*(column.tolist() for column in columns), strict=True))
    return found


FILES = st.lists(st.sampled_from(['"', '""', ",", "\n", "\r", "\r\n", "x", "yy", " ", "\0", "é"]), max_size=60).map(
    lambda parts: "".join(parts).encode()
)


def exact(data: bytes) -> list[tuple[int, ...]]:
    """Read record by record, without the vectorised pass."""
    source = Source.__new__(Source)
    source.size, source.data, source._next = len(data), data, {}
    found, at = [], 0
    while at < len(data):
        r = record_module.read_record(source, at, ",", 3, record_module.MAX_LINE)
        found.append((r.start, r.end, r.fields, r.lines, r.flags))
        at = r.after
    return found


@settings(max_examples=600, deadline=None)
@given(FILES, st.integers(1, 70), st.integers(1, 100), st.sampled_from([0, structure.FEW]))
def test_vectorised_pass_agrees_with_the_exact_reader(data: bytes, block: int, look: int, few: int) -> None:
    assert spans(data, block, look, few) == exact(data)


@settings(max_examples=300, deadline=None)
@given(FILES, st.integers(1, 40), st.sampled_from([0, structure.FEW]))
def test_limits_do_not_break_the_agreement(data: bytes, limit: int, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (record_module, structure, lines):
            patch.setattr(module, "MAX_LINE", limit)
        found = spans(data, 2 * limit + 2, few=few)
        assert found == exact(data)


ROWS = st.lists(
    st.lists(st.text(st.sampled_from('a",\r\n é'), max_size=6), min_size=3, max_size=3), min_size=1, max_size=12
)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_cells_equal_those_of_the_csv_module(rows: list[list[str]], end: str, quote_all: bool) -> None:
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(out, lineterminator=end, quoting=quoting).writerows(rows)
    compare_with_csv(out.getvalue())


@settings(max_examples=400, deadline=None)
@given(FILES)
def test_cells_equal_those_of_the_csv_module_where_both_accept(data: bytes) -> None:
    compare_with_csv(data.decode())


def compare_with_csv(text: str) -> None:
    try:
        theirs = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        return
    data = text.encode()
    found = spans(data, 64)
    if any(flags & (record_module.MALFORMED | record_module.TOO_LARGE) for *_, flags in found):
        return
    ours = [cells_of(data[start:end], ",") for start, end, *_, flags in found if not flags & record_module.BLANK]
    assert ours == theirs


@settings(max_examples=200, deadline=None)
@given(FILES)
def test_fast_reader_gives_the_cells_of_the_exact_one(data: bytes) -> None:
    source = Source.__new__(Source)
    source.size, source.data, source._next = len(data), data, {}
    source.view = np.frombuffer(data, np.uint8)
    for records in Scanner(source, 0, ",", 3).batches():
        for width in (1, 2, 3):
            bad = record_module.BLANK | record_module.MALFORMED
            sound = (records.fields == width) & ((records.flags & bad) == 0)
            buffer = sound_bytes(source, records, sound, ",")
            frame = read_columns(source, records, sound, ",", width, list(range(width)), buffer)
            exactly = [
                tuple(cells_of(data[s:e], ","))
                for s, e, ok in zip(records.start, records.end, sound, strict=True)
                if ok
            ]
            assert frame.rows() == exactly


def test_restarts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "RESTARTS", 3)
    body = '1,"x\ny"z,3\n' * 5 + '4,"a\nb",6\n'
    report = parsed(tmp_path, H + body, free_type("a", "b", "c"))
    codes = [code for _, _, code in said(report)]
    assert report.summary.total_rows == 12  # after the third fault no quoted cell spans lines any more
    assert set(codes) == {"MALFORMED_ROW", "FIELD_COUNT"}
    assert report.summary.error_rows == 12


def test_hostile_restarts_stay_linear(tmp_path: Path) -> None:
    report = parsed(tmp_path, H + 'a",b,"\n' * 300_000, free_type("a", "b", "c"), max_entries=10)
    assert report.summary.total_rows == report.summary.error_rows == 300_000


@pytest.mark.parametrize("name", sorted(p.stem for p in (CORPUS / "csvs").glob("*.csv")) or [""])
def test_csv_spectrum(tmp_path: Path, name: str) -> None:
    if not name:
        pytest.skip("the csv-spectrum corpus is not there")
    data = (CORPUS / "csvs" / f"{name}.csv").read_bytes()
    right = json.loads((CORPUS / "json" / f"{name}.json").read_text("utf-8"))
    if name == "location_coordinates":
        pytest.skip("the corpus gives another row in its JSON than in its CSV")
    report = parsed(tmp_path, data, free_type(*right[0]))
    assert report.summary.status == "completed"
    out = tmp_path / "out.csv"
    report.write_accepted(out)
    with out.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == right

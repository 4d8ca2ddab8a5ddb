"""Whole files against Python's ``csv`` in strict mode: where it reads a file, the cells are the same; where it is
silent on a wrong number of fields, we are not."""

import codecs
import csv
import io
import tempfile
from pathlib import Path

import polars as pl
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from parsing import Report
from tests.parsing.parsing_helpers import errors_of, free_type, parsed

NAMES = ("k", "l", "m")  # letters that no generated cell holds, so that no row repeats the header
KIND = free_type(*NAMES)
ENCODINGS = {
    "utf-8": b"", "utf-8 with a mark": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE, "utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE,
}  # fmt: skip
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
CELLS = st.text(st.sampled_from('ab",;|\t\n\ré€😀'), max_size=7)
#: text that is no CSV by itself: what an unhappy program writes
PIECES = st.lists(
    st.sampled_from(['"', '""', "x", "yy", "é", "\n", "\r\n", "\r", "§", "§", '§"', '"§', ",", ";", "|"]), max_size=50
).map("".join)


@st.composite
def well_written(draw: st.DrawFn) -> tuple[str, str]:
    """Give a body as a program writes it, line by line with an end of its own, and its delimiter."""
    delimiter = draw(st.sampled_from(",;\t|"))
    out = io.StringIO(newline="")
    for _ in range(draw(st.integers(0, 8))):
        width = draw(st.sampled_from([3, 3, 3, 3, 2, 4, 1]))
        row = draw(st.lists(CELLS, min_size=width, max_size=width))
        quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        csv.writer(out, delimiter=delimiter, lineterminator=draw(ENDS), quoting=quoting).writerow(row)
    return out.getvalue(), delimiter


@st.composite
def badly_written(draw: st.DrawFn) -> tuple[str, str]:
    """Give a body of loose pieces, and its delimiter."""
    delimiter = draw(st.sampled_from(",;\t|"))
    return draw(PIECES).replace("§", delimiter), delimiter


BODIES = st.one_of(well_written(), badly_written())


@settings(max_examples=400, deadline=None)
@given(BODIES, st.sampled_from(sorted(ENCODINGS)), ENDS, st.floats(0, 1))
def test_cells_and_wrong_rows(body: tuple[str, str], encoding: str, end: str, cut: float) -> None:
    text, delimiter = body
    text = text[: round(len(text) * min(1.0, cut * 1.5))]  # a third of them whole
    whole = delimiter.join(NAMES) + end + text
    data = ENCODINGS[encoding] + whole.encode(encoding.split()[0])
    with tempfile.TemporaryDirectory() as folder:
        report = parsed(Path(folder), data, KIND)
        rows = accepted(Path(folder), report)
    assert report.summary.delimiter == delimiter
    try:
        theirs = list(csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter, strict=True))[1:]
    except csv.Error:
        event("csv refuses the file")
        assert report.summary.status == "completed_with_errors"
        return
    event("csv reads the file")
    assume(not any(len(row) == 1 and row[0].isspace() for row in theirs))  # csv does not tell whether it was quoted
    blank = [not row for row in theirs]
    assert rows == [tuple(row) for row in theirs if len(row) == 3]
    wrong = [number for number, row in enumerate(theirs, 2) if len(row) != 3 and not blank[number - 2]]
    said = [(int(e["row"]), e["code"]) for e in errors_of(report) if e["severity"] == "error"]
    assert [row for row, _ in said] == wrong
    assert {code for _, code in said} <= {"FIELD_COUNT", "UNEXPECTED_END"}
    assert (report.summary.total_rows, report.summary.blank_rows) == (len(theirs) - sum(blank), sum(blank))


def accepted(folder: Path, report: Report) -> list[tuple[str, ...]]:
    path = folder / "accepted.parquet"
    report.write_accepted(path)
    return pl.read_parquet(path).rows()

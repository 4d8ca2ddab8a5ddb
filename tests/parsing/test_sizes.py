"""Wide, long, tall, and odd bytes: each ends as its code on its row, in time that grows with the size."""

from pathlib import Path

import pytest

from tests.parsing.parsing_helpers import errors_of, free_type, parsed, said

NAMES = [f"n{i}" for i in range(10_000)]


def test_wide(tmp_path: Path) -> None:
    head, row = ",".join(NAMES), ",".join("x" * 10_000)
    report = parsed(tmp_path, f"{head}\n{row}\n1,2\n{row},\n{row}", free_type(*NAMES))
    assert [(row, code) for row, _, code in said(report)] == [(3, "FIELD_COUNT"), (4, "FIELD_COUNT")]
    assert report.summary.successful_rows == 2


def test_wide_json(tmp_path: Path) -> None:
    import json

    report = parsed(tmp_path, json.dumps(dict.fromkeys(NAMES[:2000], "x")) + "\n" + "{bad\n", free_type(*NAMES[:2000]))
    assert [(row, code) for row, _, code in said(report)] == [(2, "JSON_INVALID")]


@pytest.mark.parametrize("quote", ["", '"'])
def test_long(tmp_path: Path, quote: str) -> None:
    fits, over = "x" * 900_000, "y" * 1_000_001
    text = f"a,b\n1,{quote}{fits}{quote}\n2,{quote}{over}{quote}\n3,z\n"
    report = parsed(tmp_path, text, free_type("a", "b"))
    assert said(report) == [(3, "", "ROW_TOO_LARGE")]
    report.write_accepted(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == ["a,b", f"1,{fits}", "3,z"]


def test_long_in_lines_that_are_short(tmp_path: Path) -> None:
    cell = ("z" * 99 + "\n") * 9_000
    report = parsed(tmp_path, f'a,b\n1,"{cell}"\n2\n', free_type("a", "b"))
    assert [(e["row"], e["line"], e["code"]) for e in errors_of(report)] == [("3", "9003", "FIELD_COUNT")]


def test_tall(tmp_path: Path) -> None:
    text = "a,b\n" + "1,2\n" * 999_998 + "1\n" + "3,4\n"
    report = parsed(tmp_path, text, free_type("a", "b"))
    assert (said(report), report.summary.total_rows) == ([(1_000_000, "", "FIELD_COUNT")], 1_000_000)
    assert parsed(tmp_path, text + "5,6\n", free_type("a", "b")).summary.code == "TOO_MANY_ROWS"


def test_tall_json(tmp_path: Path) -> None:
    report = parsed(tmp_path, '{"a":1}\n' * 300_000 + "{\n", free_type("a"))
    assert (said(report), report.summary.total_rows) == ([(300_001, "", "JSON_INVALID")], 300_001)


#: (what, bytes, entries as (row, line, code))
ODD = [
    ("NUL in a cell", b"a,b\n1,\x002\n3,4\n", [("2", "2", "MALFORMED_ROW")]),
    ("NUL in quotes over lines", b'a,b\n1,"x\n\x00"\n3\n', [("2", "2", "MALFORMED_ROW"), ("3", "4", "FIELD_COUNT")]),
    ("NULs alone", b"a,b\n\x00\x00\n3,4\n", [("2", "2", "MALFORMED_ROW")]),
    ("mixed line ends", b"a,b\r1,2\n3\r\n\r\n4,5,6\r7,8", [("3", "3", "FIELD_COUNT"), ("5", "5", "FIELD_COUNT")]),
    ("CR in quotes", b'a,b\r\n"1\r",2\r\n3\r\n', [("3", "4", "FIELD_COUNT")]),
    ("other line ends are text", "a,b\n1,x\u2028y\x0b\x0c\x85\n3\n".encode(), [("3", "3", "FIELD_COUNT")]),
]


@pytest.mark.parametrize(("data", "entries"), [c[1:] for c in ODD], ids=[c[0] for c in ODD])
def test_odd_bytes(tmp_path: Path, data: bytes, entries: list[tuple[str, str, str]]) -> None:
    report = parsed(tmp_path, data, free_type("a", "b"))
    assert [(e["row"], e["line"], e["code"]) for e in errors_of(report)] == entries


@pytest.mark.parametrize("bad", [0, 1, 7, 50])
def test_an_error_in_many_rows(tmp_path: Path, bad: int) -> None:
    rows = "".join(f"a,{i},{'bad' if bad and i % bad == 0 else ''}\n" for i in range(5_000))
    report = parsed(tmp_path, "accountId,id,email\n" + rows)
    entries = errors_of(report)
    assert [int(e["row"]) for e in entries] == [i + 2 for i in range(5_000) if bad and i % bad == 0]
    assert all((e["value"], e["email"], e["id"]) == ("bad", "bad", str(int(e["row"]) - 2)) for e in entries)

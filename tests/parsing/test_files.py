"""What is said of a whole file: encoding, format, header, size, policy."""

import codecs
import gzip
import io
from pathlib import Path
from typing import Any

import pytest

from models.descriptor import data_type_from_descriptor
from parsing import sample_csv, sample_jsonl, utf8
from parsing.source import Source
from tests.parsing.parsing_helpers import TYPES, errors_of, free_type, parsed, said

P = "accountId,id"
ROW = "\na,1\n"

#: (what, bytes, code, words of the message)
REJECTED = [
    ("no bytes", b"", "FILE_EMPTY", "0 bytes"),
    ("only a mark", codecs.BOM_UTF8, "FILE_EMPTY", "nothing but blanks"),
    ("only a mark and blanks", codecs.BOM_UTF8 + b" \r\n\n", "FILE_EMPTY", "nothing but blanks"),
    ("UTF-16 without mark", (P + ROW).encode("utf-16-le"), "ENCODING_UNSUPPORTED", "without a byte-order mark"),
    (
        "cp1252",
        "accountId,id,lastName\na,1,x\na,2,Müller\n".encode("cp1252"),
        "ENCODING_INVALID",
        "byte 33, row 3, column lastName (0xFC). It is probably Windows-1252",
    ),
    ("invalid in the header", b"accountId,id,\xff\na,1,x\n", "ENCODING_INVALID", "byte 13"),
    ("cut inside a character", "accountId,id\na,ü".encode()[:-1], "ENCODING_INVALID", "row 2, column id"),
    ("surrogate", b"accountId,id\na,\xed\xa0\x80\n", "ENCODING_INVALID", "row 2"),
    ("zip", b"PK\x03\x04rest", "ARCHIVE_NOT_ACCEPTED", "Excel workbook"),
    ("gzip", gzip.compress(b"accountId,id\n"), "ARCHIVE_NOT_ACCEPTED", "gzip"),
    ("xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "FORMAT_UNKNOWN", "Excel"),
    ("PDF", b"%PDF-1.7", "FORMAT_UNKNOWN", "PDF"),
    ("web page", b" <!DOCTYPE html><html>", "FORMAT_UNKNOWN", "web page"),
    ("JSON list", b'[{"accountId": "a", "id": "1"}]\n', "FORMAT_UNKNOWN", "one JSON list"),
    ("JSON list in lines", b'[\n{"id": "1"},\n{"id": "2"}\n]\n', "FORMAT_UNKNOWN", "one JSON list"),
    ("quote fault in the header", b'accountId,"id\na,1\n', "HEADER_INVALID", "quote"),
    ("NUL in the header", b"accountId,i\0d\na,1\n", "HEADER_INVALID", "NUL"),
    ("endless header", b"accountId,id," + b"x" * 1_000_001, "HEADER_INVALID", "longer"),
    ("no header", b"acme,1001,Ann\nacme,1002,Joe\n", "HEADER_MISSING", "must hold the column names"),
    ("column twice", b"accountId,id,email,email\n", "HEADER_DUPLICATE", "email"),
    ("unknown column twice", b"accountId,id,x,x\n", "HEADER_DUPLICATE", "x"),
    ("required missing", b"accountId,email\n", "REQUIRED_COLUMN_MISSING", "The column id is missing."),
    (
        "other case",
        b"AccountID,id\n",
        "REQUIRED_COLUMN_MISSING",
        "did you mean accountId (upper and lower case matter)?",
    ),
    ("misspelt", b"acountId,id\n", "REQUIRED_COLUMN_MISSING", "has acountId, did you mean accountId?"),
]


@pytest.mark.parametrize(("data", "code", "words"), [c[1:] for c in REJECTED], ids=[c[0] for c in REJECTED])
def test_rejected(tmp_path: Path, data: bytes, code: str, words: str) -> None:
    summary = parsed(tmp_path, data).summary
    assert (summary.status, summary.code) == ("rejected", code)
    assert words in summary.message
    assert summary.total_rows is None


#: (what, text, warnings as (code, column), words of the first message)
WARNED = [
    ("byte-order mark", "\ufeffaccountId,id\na,1\n", [], ""),
    ("header only", "accountId,id\n", [("NO_ROWS", "")], ""),
    ("header without line end", "accountId,id", [("NO_ROWS", "")], ""),
    ("blanks", " accountId,id \na,1\n", [("HEADER_SPACE", "accountId"), ("HEADER_SPACE", "id")], ""),
    ("unknown", "accountId,id,shoe\na,1,x\n", [("UNKNOWN_COLUMN", "shoe")], "was left out."),
    ("misspelt", "accountId,id,referrable\na,1,x\n", [("UNKNOWN_COLUMN", "referrable")], "did you mean referable?"),
    ("in quotes", "accountId,id,'email'\na,1,x\n", [("UNKNOWN_COLUMN", "'email'")], "did you mean email?"),
    ("other case", "accountId,id,Email\na,1,x\n", [("UNKNOWN_COLUMN", "Email")], "did you mean email?"),
    ("no name", "accountId,id,,\na,1,x,y\n", [("UNKNOWN_COLUMN", ""), ("UNKNOWN_COLUMN", "")], "Column 3 has no name"),
    ("families", "accountId,id,customFields.a,sharelinks.b,referralCodes.c\na,1,,,\n", [], ""),
    ("quoted header", '"accountId","id"\na,1\n', [], ""),
    ("columns in any order", "id,accountId\na,1\n", [], ""),
]


@pytest.mark.parametrize(("text", "warnings", "words"), [c[1:] for c in WARNED], ids=[c[0] for c in WARNED])
def test_warned(tmp_path: Path, text: str, warnings: list[tuple[str, str]], words: str) -> None:
    summary = parsed(tmp_path, text).summary
    assert summary.status == "completed"
    assert [(w.code, w.column) for w in summary.warnings] == warnings
    assert words in "".join(w.message for w in summary.warnings[:1])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_detected(tmp_path: Path, delimiter: str) -> None:
    text = 'accountId,id,lastName\na,1,"x,y;z\t|"\na,,x\n'.replace('"x,y;z\t|"', "§").replace(",", delimiter)
    report = parsed(tmp_path, text.replace("§", '"x,y;z\t|"'))
    assert report.summary.delimiter == delimiter
    assert said(report) == [(3, "id", "REQUIRED_VALUE_MISSING")]


def test_header_before_which_lines_are_blank(tmp_path: Path) -> None:
    assert said(parsed(tmp_path, "\n\naccountId,id\na,\n")) == [(4, "id", "REQUIRED_VALUE_MISSING")]


FIVE = "accountId,id\na,1\na,2\na,\na,4\na,5\n"
#: (policy, text, status, code, successful, error, not applied)
POLICIES = [
    ("accept_valid", FIVE, "completed_with_errors", None, 4, 1, 0),
    ("all_or_nothing", FIVE, "rejected", "TOO_MANY_BAD_ROWS", 0, 1, 4),
    ("max_bad_percent=20", FIVE, "completed_with_errors", None, 4, 1, 0),
    ("max_bad_percent=19.9", FIVE, "rejected", "TOO_MANY_BAD_ROWS", 0, 1, 4),
    ("all_or_nothing", "accountId,id\na,1\n", "completed", None, 1, 0, 0),
    ("accept_valid", "accountId,id\na,1\na", "completed_with_errors", "UNEXPECTED_END", 1, 1, 0),
    ("all_or_nothing", "accountId,id\na,1\na", "rejected", "UNEXPECTED_END", 0, 1, 1),
    ("accept_valid", "accountId,id\na,1\na,1\n", "completed", None, 1, 0, 0),
    ("accept_valid", "accountId,id\n", "completed", None, 0, 0, 0),
]


@pytest.mark.parametrize(("policy", "text", "status", "code", "good", "bad", "held"), POLICIES)
def test_policy(
    tmp_path: Path, policy: str, text: str, status: str, code: str | None, good: int, bad: int, held: int
) -> None:
    report = parsed(tmp_path, text, policy=policy)
    s = report.summary
    assert (s.status, s.code, s.successful_rows, s.error_rows, s.not_applied_rows) == (status, code, good, bad, held)
    report.write_accepted(tmp_path / "out.csv")
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == 1 + good
    assert sum(byte.bit_count() for byte in report.accepted_bitmap()) == good


@pytest.mark.parametrize("policy", ["", "max_bad_percent", "max_bad_percent=x", "max_bad_percent=101", "other"])
def test_policy_unknown(tmp_path: Path, policy: str) -> None:
    with pytest.raises(ValueError, match="policy must be"):
        parsed(tmp_path, FIVE, policy=policy)


def test_row_limits(tmp_path: Path) -> None:
    many = parsed(tmp_path, FIVE, max_rows=4).summary
    assert (many.status, many.code, many.successful_rows, many.not_applied_rows) == ("rejected", "TOO_MANY_ROWS", 0, 4)
    warned = parsed(tmp_path, FIVE, warn_rows=4).summary
    assert [w.code for w in warned.warnings] == ["MANY_ROWS"]
    assert not parsed(tmp_path, FIVE, warn_rows=5, max_rows=5).summary.warnings


def test_entries_are_cut(tmp_path: Path) -> None:
    report = parsed(tmp_path, "accountId,id\n" + "a,\n" * 7, max_entries=5)
    assert (report.summary.entries, report.summary.entries_cut, report.summary.error_rows) == (5, True, 7)
    assert [row for row, *_ in said(report)] == [2, 3, 4, 5, 6]
    assert report.summary.top_errors == (("REQUIRED_VALUE_MISSING", 7),)


def test_a_wide_file(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(10_000)]
    report = parsed(tmp_path, ",".join(names) + "\n" + ",".join("x" * 10_000) + "\n1,2\n", free_type(*names))
    assert [(row, code) for row, _, code in said(report)] == [(3, "FIELD_COUNT")]


def test_many_unknown_columns_are_named_in_part(tmp_path: Path) -> None:
    names = ["x" * 500_000, *(f"unknown column {i}" for i in range(9_000))]
    summary = parsed(tmp_path, "accountId,id," + ",".join(names) + "\n").summary
    assert len(summary.warnings) == 52  # fifty, the rest, and that there are no rows
    assert max(len(w.message) for w in summary.warnings) < 200


@pytest.mark.parametrize("name", TYPES)
def test_samples_import_without_error(tmp_path: Path, name: str) -> None:
    report = parsed(tmp_path, sample_csv(TYPES[name]), name)
    assert report.summary.status == "completed"
    assert report.summary.warnings == ()
    assert report.summary.entries == 0
    assert report.summary.successful_rows == len(TYPES[name].samples) > 0
    assert len(sample_jsonl(TYPES[name]).splitlines()) == len(TYPES[name].samples)


def test_accepted_rows_have_the_fields_names(tmp_path: Path) -> None:
    import polars as pl

    text = "campaignid,Oid,eventtypecode,EVENTDATE,ClickId,Category,more\n1,=1+1,s,NOW,-5,,x\n1,b,s,bad,c,,x\n"
    report = parsed(tmp_path, text, "conversions")
    report.write_accepted(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == (
        "CampaignId,OrderId,EventTypeCode,EventDate,ClickId,Category\n1,'=1+1,s,NOW,-5,\n"
    )
    report.write_accepted(tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").row(0) == ("1", "=1+1", "s", "NOW", "-5", "")
    with pytest.raises(ValueError, match="parquet"):
        report.write_accepted(tmp_path / "out.xlsx")


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({}, "name of a data type"),
    ({"name": "X"}, "name of a data type"),
    ({"name": "x"}, "declares no fields"),
    ({"name": "x", "fields": [{}]}, "no name"),
    ({"name": "x", "fields": [{"name": "a", "type": "object"}]}, "type of the field a"),
    ({"name": "x", "fields": [{"name": "a", "format": "?"}]}, "format of the field a"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"max": 1}}]}, "unknown key max"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"pattern": "("}}]}, "not a regular expression"),
    ({"name": "x", "fields": [{"name": "a"}, {"name": "a"}]}, "Two fields are called a"),
    ({"name": "x", "fields": [{"name": "a"}], "primaryKey": ["b"]}, "A key names the field b"),
    ({"name": "x", "fields": [{"name": "a"}], "rules": [{"rule": "r"}]}, "A rule must be"),
    ({"name": "x", "fields": [{"name": "a"}], "rules": [{"rule": "together"}]}, "lacks the key field"),
    ({"name": "x", "fields": [{"name": "a"}], "samples": [{"b": 1}]}, "A sample row names"),
    ({"name": "x", "fields": [{"name": "a"}], "header_case": "any"}, "header_case of the data type x"),
    ({"name": "x", "fields": [{"name": "a"}], "colour": "red"}, "unknown key colour"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"maxLength": "9"}}]}, "maxLength of the field a"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"required": 1}}]}, "required of the field a"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"scalar": "yes"}}]}, "scalar of the field a"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"minimum": "0"}}]}, "minimum of the field a"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"enum": []}}]}, "enum of the field a is empty"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"pattern": "(?=a)"}}]}, "must not look around"),
    ({"name": "x", "fields": [{"name": "a", "constraints": {"pattern": r"(a)\1"}}]}, "must not look around"),
    ({"name": "x", "fields": [{"name": "a", "constraints": []}]}, "constraints of the field a must be an object"),
    ({"name": "x", "fields": [{"name": "a"}], "naturalKeys": [["*"], ["a"]]}, "must be the last one"),
    ({"name": "x", "fields": [{"name": "a"}], "families": {}}, "families of the data type x"),
    ({"name": "x", "fields": [{"name": "a"}], "samples": [{"a": []}]}, "objects of single values"),
]


@pytest.mark.parametrize(("descriptor", "words"), BROKEN)
def test_descriptors_that_are_wrong(descriptor: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        data_type_from_descriptor(descriptor)


def test_mended_file(tmp_path: Path) -> None:
    text = "accountId,id,email,lastName\na,1,bad,=x\na,,e@x.org,-5\na,3,worse,=y\n"
    report = parsed(tmp_path, text)
    assert [e["lastName"] for e in errors_of(report)] == ["'=x", "-5", "'=y"]
    with (tmp_path / "errors.csv").open("wb") as out:
        report.write_errors(out, "01JPARENT")
    mended = (tmp_path / "errors.csv").read_text().replace(",bad,", ",good@x.org,").replace("a,,e@", "a,2,e@")
    again = parsed(tmp_path, mended + "01JPARENT" + "," * 13 + "\r\n")
    assert again.parent_trace_id == "01JPARENT"
    assert again.summary.header == ("accountId", "id", "email", "lastName")
    assert (again.summary.total_rows, again.summary.successful_rows) == (3, 2)
    assert said(again) == [(4, "email", "INVALID_EMAIL")]
    again.write_accepted(tmp_path / "out.parquet")
    import polars as pl

    assert pl.read_parquet(tmp_path / "out.parquet")["lastName"].to_list() == ["=x", "-5"]


@pytest.mark.parametrize("block", range(4, 12))
def test_utf8_is_validated_over_the_edges_of_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(utf8, "BLOCK", block)
    good = "aé€😀".encode() * 4
    for at in range(len(good) + 1):
        for junk in (b"", b"\xff", b"\x80", b"\xe2\x82", b"\xf0\x9f\x98"):
            data = good[:at] + junk + good[at:]
            (tmp_path / "f").write_bytes(data)
            source = Source(tmp_path / "f")
            found = utf8.first_invalid(source, 0, source.size)
            assert found == python_finds(data)


def python_finds(data: bytes) -> int | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def test_a_mended_file_loses_the_guard_of_its_column_names_too(tmp_path: Path) -> None:
    first = parsed(tmp_path, "accountId,id,=cmd,locale\na,1,=x,bad\n")
    out = io.BytesIO()
    first.write_errors(out, "01HZZZZZZZZZZZZZZZZZZZZZZZ")
    assert b"'=cmd" in out.getvalue()
    again = parsed(tmp_path, out.getvalue().replace(b"bad", b"de_DE"))
    assert again.summary.header == first.summary.header

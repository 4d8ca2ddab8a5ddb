"""Encodings: byte-order marks, encodings that a connection names, and bytes that are in none."""

import codecs
from pathlib import Path

import pytest

from parsing import transcode
from tests.parsing.parsing_helpers import errors_of, parsed, said

TEXT = 'accountId,id,lastName\r\na,1,"Müller 😀\r\n, x"\r\na,,y\r\n'
MARKS = [
    ("utf-8", codecs.BOM_UTF8),
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-16-be", codecs.BOM_UTF16_BE),
    ("utf-32-le", codecs.BOM_UTF32_LE),
    ("utf-32-be", codecs.BOM_UTF32_BE),
]


@pytest.mark.parametrize(("name", "mark"), MARKS)
@pytest.mark.parametrize("block", [5, 1 << 20])
def test_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mark: bytes, block: int) -> None:
    monkeypatch.setattr(transcode, "BLOCK", block)
    report = parsed(tmp_path, mark + TEXT.encode(name), encoding="cp1252")
    assert (report.summary.encoding, report.summary.byte_order_mark) == (name, True)
    assert report.summary.header == ("accountId", "id", "lastName")
    assert [(e["row"], e["line"], e["code"]) for e in errors_of(report)] == [("3", "4", "REQUIRED_VALUE_MISSING")]
    report.write_accepted(tmp_path / "out.csv")
    assert "Müller 😀" in (tmp_path / "out.csv").read_text("utf-8")


#: (named, the encoding's usual name)
NAMED = [("cp1252", "cp1252"), ("Windows-1252", "cp1252"), ("latin-1", "iso8859-1"), ("mac-roman", "mac-roman"),
         ("utf-16", "utf-16-le"), ("UTF-8", "utf-8"), ("shift_jis", "shift_jis"), ("gb18030", "gb18030")]  # fmt: skip


@pytest.mark.parametrize(("named", "name"), NAMED)
def test_named(tmp_path: Path, named: str, name: str) -> None:
    text = "accountId,id,lastName\na,1,日本\na,,é\n" if name in {"shift_jis", "gb18030"} else TEXT.replace("😀", "")
    data = text.replace("é", "e").encode(name)
    report = parsed(tmp_path, data, encoding=named)
    assert (report.summary.encoding, report.summary.byte_order_mark) == (name, False)
    assert said(report) == [(3, "id", "REQUIRED_VALUE_MISSING")]


@pytest.mark.parametrize("named", ["nonsense", "base64", "utf-7", "idna", "unicode_escape", "rot13", "\0"])
def test_named_but_not_read(tmp_path: Path, named: str) -> None:
    with pytest.raises(ValueError, match="encoding must be one such as cp1252"):
        parsed(tmp_path, TEXT, encoding=named)


#: (what, bytes, encoding, words)
INVALID = [
    ("undefined in cp1252", b"accountId,id\na,1\na,\x81\n", "cp1252", "not cp1252: byte 19, row 3, column id (0x81)"),
    ("half a pair", codecs.BOM_UTF16_LE + "accountId,id\na,1\na,".encode("utf-16-le") + b"\x00\xd8", "",
     "ends in the middle of a character: byte 40, row 3, column id"),
    ("cut in a character", "accountId,id\na,é".encode()[:-1], "", "middle of a character: byte 15, row 2, column id."),
    ("no beginning", b"accountId,id\na,\xe9t", "", "byte 15, row 2, column id (0xE9). It is probably Windows-1252"),
    ("no beginning in the last four", b"accountId,id\na,\xe9tat", "", "column id (0xE9). It is probably Windows-1252"),
    ("lone surrogate", codecs.BOM_UTF16_LE + "accountId,id\na,".encode("utf-16-le") + b"\x00\xdc\n\x00", "",
     "is not utf-16-le: byte 32, row 2, column id"),
    ("odd byte", codecs.BOM_UTF16_BE + "accountId,id\na,1\n".encode("utf-16-be") + b"\x00", "", "byte 36, row 3"),
    ("beyond Unicode", codecs.BOM_UTF32_LE + "accountId,id\na,".encode("utf-32-le") + b"\xff\xff\xff\x7f", "",
     "is not utf-32-le: byte 64, row 2, column id"),
    ("in the header", "accountId,id".encode("utf-32-be") + b"\x00\xff\x00\x00", "utf-32-be", "byte 48, row 1"),
    ("JSONL", b'{"accountId": "a", "id": "1"}\n{"id": "\xfc"}\n', "", "byte 38, row 2"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "named", "words"), [c[1:] for c in INVALID], ids=[c[0] for c in INVALID])
@pytest.mark.parametrize("block", [3, 1 << 20])
def test_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, named: str, words: str, block: int
) -> None:
    monkeypatch.setattr(transcode, "BLOCK", block)
    summary = parsed(tmp_path, data, encoding=named).summary
    assert summary.code == "ENCODING_INVALID"
    assert words in summary.message


def test_jsonl_in_utf16(tmp_path: Path) -> None:
    report = parsed(tmp_path, '{"accountId": "ü", "id": "1"}\n{"id": "2"}\n'.encode("utf-16"))
    assert said(report) == [(2, "accountId", "REQUIRED_VALUE_MISSING")]
    assert report.summary.encoding == "utf-16-le"


def test_a_list_in_cp1252(tmp_path: Path) -> None:
    report = parsed(tmp_path, "jörg@exämple.com\nbad\n".encode("cp1252"), "email-list", encoding="cp1252")
    assert said(report) == [(2, "email", "INVALID_EMAIL")]

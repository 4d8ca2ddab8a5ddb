"""Names in their normal form, and which of them are invalid, reserved or temporary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.names import check_name, is_reserved, is_temporary, normal_name, printable
from models.codes import Code


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("a.csv", "a.csv"),
        ("dir/a.csv", "a.csv"),
        ("C:\\dir\\a.csv", "a.csv"),
        ("a/b\\c/d.csv", "d.csv"),
        ("a\\b/c\\d.csv", "d.csv"),
        ("../../etc/passwd", "passwd"),
        ("dir/", ""),
        ("dir\\", ""),
        ("", ""),
        ("..", ".."),
        ("cafe\u0301.csv", "caf\u00e9.csv"),
        ("a.csv ", "a.csv "),
        ("a%2fb.csv", "a%2fb.csv"),
        ("a\u2215b.csv", "a\u2215b.csv"),
    ],
)
def test_normal_name(raw: str, name: str) -> None:
    assert normal_name(raw) == name


@given(st.text())
def test_normal_name_is_its_own(raw: str) -> None:
    name = normal_name(raw)
    assert normal_name(name) == name
    assert "/" not in name
    assert "\\" not in name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        (".", "folder"),
        ("..", "folder"),
        ("a\nb.csv", "control"),
        ("a\r\nX: y.csv", "control"),
        ("a\x00.csv", "control"),
        ("a\x7f.csv", "control"),
        ("a\x85.csv", "control"),
        ("a\t.csv", "control"),
        ("a\u202evsc.exe", "reading direction"),
        ("a\u202a.csv", "reading direction"),
        ("a\u2066.csv", "reading direction"),
        ("a\u2069.csv", "reading direction"),
        ("a" * 256, "256 bytes"),
        ("é" * 128, "256 bytes"),
        ("a\ud800.csv", "not a character"),
    ],
)
def test_invalid(name: str, why: str) -> None:
    fault = check_name(name)
    assert fault is not None
    assert fault.code is Code.NAME_INVALID
    assert why in fault.message
    assert fault.message.isprintable()


@pytest.mark.parametrize(
    "name",
    ["a", "...", ".a", "-rf", " a ", "a.csv.", "é" * 127, "a" * 255, "שלום\u200f.csv", "<script>", "a:b", "日本.csv"],
)
def test_everything_else_is_a_name(name: str) -> None:
    assert check_name(name) is None


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs")), min_size=3, max_size=60))
def test_only_the_listed_names_are_invalid(text: str) -> None:
    name = normal_name(text)
    invalid = name in ("", ".", "..") or len(name.encode()) > 255
    assert (check_name(name) is not None) == invalid


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("receipt_a.csv.txt", True),
        ("RESULT_a.csv.json", True),
        ("ReSuLt_a", True),
        ("result_", True),
        ("result.csv", False),
        ("results_a.csv", False),
        ("my_result_a.csv", False),
        (" result_a.csv", False),
        ("receipt-a.csv", False),
    ],
)
def test_reserved(name: str, reserved: bool) -> None:
    assert is_reserved(name) is reserved


@pytest.mark.parametrize(
    ("name", "temporary"),
    [
        (".a.csv", True),
        ("a.csv.filepart", True),
        ("a.csv.PART", True),
        ("a.csv.tmp", True),
        ("a.csv.Partial", True),
        ("a.tmp.csv", False),
        ("part", False),
        ("tmp", False),
        ("a.csv", False),
        ("a.csv~", False),
    ],
)
def test_temporary(name: str, temporary: bool) -> None:
    assert is_temporary(name) is temporary


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b.csv", '"a b.csv"'),
        ("a\nb", '"a\\nb"'),
        ("a\u202eb", '"a\\u202eb"'),
        ("\ud800", '"\\ud800"'),
        ("é", '"é"'),
        ("x" * 121, '"' + "x" * 120 + '…"'),
    ],
)
def test_printable(name: str, shown: str) -> None:
    assert printable(name) == shown

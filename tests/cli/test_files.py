"""``check``, ``match``, ``explain`` and ``data-type``: what can be asked without sending anything."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.codes import Code
from storage.descriptors import load_data_types
from tests.cli.support import APPLY, Cli
from tests.imports.support import conversions
from tests.imports.test_letters import RESULT_KEYS

GOOD, BAD = conversions(3), conversions(2, bad=1)


def file(folder: Path, data: bytes, name: str = "Conversions_1.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


CHECKED: list[tuple[str, bytes, int, str, str | None]] = [
    ("good", GOOD, 0, "completed", None),
    ("a bad row", BAD, 1, "completed_with_errors", None),
    ("header only", conversions(0), 0, "completed", None),
    ("empty", b"", 1, "rejected", "FILE_EMPTY"),
    ("a required column missing", b"OrderId\r\n1\r\n", 1, "rejected", "REQUIRED_COLUMN_MISSING"),
    ("not UTF-8", GOOD + b"\xff,1,NOW,x,y\r\n", 1, "rejected", "ENCODING_INVALID"),
    ("an archive", b"PK\x03\x04" + b"\0" * 100, 1, "rejected", "ARCHIVE_NOT_ACCEPTED"),
]


@pytest.mark.parametrize(("name", "data", "code", "status", "why"), CHECKED, ids=[one[0] for one in CHECKED])
def test_check(cli: Cli, tmp_path: Path, name: str, data: bytes, code: int, status: str, why: str | None) -> None:
    path = file(tmp_path, data)
    ran = cli("--json", "check", path, "--type", "conversions")
    result = ran.json
    assert ran.code == code
    assert list(result) == RESULT_KEYS
    assert (result["status"], result["code"]) == (status, why)
    assert (result["file_name"], result["trace_id"], result["upload"]) == (path.name, None, None)
    people = cli("check", path, "--type", "conversions")
    assert people.code == code
    assert status in people.out
    assert (why or "") in people.out


def test_check_needs_no_configuration(cli: Cli, tmp_path: Path) -> None:
    assert cli.plain("check", file(tmp_path, GOOD), "--type", "conversions").code == 0


def test_check_writes_the_errors_file_where_there_are_errors(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    ran = cli("--json", "check", file(tmp_path, GOOD), "--type", "conversions", "--errors", out)
    assert ran.json["errors_file"] is None
    assert not out.exists()
    ran = cli("--json", "check", file(tmp_path, BAD), "--type", "conversions", "--errors", out)
    assert ran.json["errors_file"] == str(out)
    (row,) = csv.DictReader(io.StringIO(out.read_text()))
    assert (row["row"], row["column"], row["code"]) == ("4", "CampaignId", "REQUIRED_VALUE_MISSING")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_check_writes_the_accepted_rows(cli: Cli, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"accepted.{ending}"
    assert cli("check", file(tmp_path, BAD), "--type", "conversions", "--accepted", out).code == 1
    read = pl.read_csv if ending == "csv" else pl.read_parquet
    frame: Any = read(out)
    assert frame["OrderId"].to_list() == ["A-1", "A-2"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("gone.csv", "--type", "conversions"), 3, "there is no file gone.csv"),
        ((".", "--type", "conversions"), 3, "there is no file ."),
        (("here.csv", "--type", "cash"), 3, "there is no data type 'cash'; there are action-modifications, "),
        (("here.csv",), 2, "--type"),
        ((), 2, "Missing"),
        (("here.csv", "--type", "conversions", "--accepted", "out.xlsx"), 2, ".parquet or .csv"),
        (("here.csv", "--type", "conversions", "--accepted", "out.CSV"), 2, ".parquet or .csv"),
        (("here.csv", "--type", "conversions", "--nonsense"), 2, "--nonsense"),
        (("here.csv", "--type", "conversions", "--errors", "no/such/folder/out.csv"), 2, "no/such/folder/out.csv"),
        (("here.csv", "--type", "conversions", "--accepted", "no/such/folder/out.csv"), 2, "no/such/folder/out.csv"),
        (("here.csv", "--type", "conversions", "--errors", "."), 2, "directory"),
    ],
)
def test_check_that_cannot_be_done(cli: Cli, tmp_path: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    file(tmp_path, BAD, "here.csv")
    ran = cli("check", *words)
    assert ran.code == code
    assert sentence in ran.err
    assert "Traceback" not in ran.err


def test_check_of_a_file_too_large_for_a_door_says_so(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as out:
        out.truncate(100_000_001)
    ran = cli("--json", "check", path, "--type", "conversions")
    assert ran.code == 1
    assert "FILE_TOO_LARGE: a door would refuse 100,000,001 bytes" in ran.err


# match

TWO = (
    APPLY
    + """
[[connection]]
name = "others"
account = "acme"
data_type = "conversions"
pattern = "other_*"
case_sensitive = false
"""
)
MATCHED: list[tuple[tuple[str, ...], int, dict[str, bool]]] = [
    (("Conversions_1.csv",), 0, {"acme-conversions": True, "others": False}),
    (("OTHER_x",), 0, {"acme-conversions": False, "others": True}),
    (("Conversions_1.csv", "other_1"), 1, {"acme-conversions": False, "others": False}),
    (("Conversions_1.csv", "receipt_x.txt"), 0, {"acme-conversions": True, "others": False}),
    (("receipt_x.txt",), 1, {"acme-conversions": False, "others": False}),
    (("conversions_1.csv",), 1, {"acme-conversions": False, "others": False}),
]


@pytest.mark.parametrize(("names", "code", "taken"), MATCHED)
def test_match(cli: Cli, names: tuple[str, ...], code: int, taken: dict[str, bool]) -> None:
    cli.apply(TWO)
    ran = cli("--json", "match", *names)
    assert ran.code == code
    assert {one["connection"]: one["would_take"] for one in ran.json} == taken
    assert set(ran.json[0]) == {"connection", "would_take", "code", "message", "names"}
    assert set(ran.json[0]["names"][0]) == {"name", "taken", "code", "message"}
    people = cli("match", *names)
    assert people.code == code
    assert all(name in people.out for name in taken)


def test_match_of_one_connection(cli: Cli) -> None:
    cli.apply(TWO)
    assert cli("match", "--connection", "OTHERS", "other_1").code == 0
    assert cli("match", "--connection", "others", "Conversions_1.csv").code == 1
    ran = cli("match", "--connection", "nobody", "x")
    assert (ran.code, ran.err) == (3, "there is no connection 'nobody'\n")


def test_match_where_there_is_nothing_to_match(cli: Cli) -> None:
    ran = cli("match", "x")
    assert (ran.code, ran.out) == (1, "There are no connections yet.\n")
    assert cli("match").code == 2


# explain


@pytest.mark.parametrize("code", [*Code])
def test_explain_every_code(cli: Cli, code: Code) -> None:
    ran = cli.plain("--json", "explain", code.lower())
    assert ran.code == 0
    assert ran.json["code"] == str(code)
    assert all(isinstance(value, str) and value for value in ran.json.values())
    assert cli.plain("explain", code).out.startswith("code")


@pytest.mark.parametrize(
    ("code", "hint"), [("NAME_NOT_MATCH", "NAME_NOT_MATCHED"), ("file_to_large", "FILE_TOO_LARGE"), ("xyzzy", "")]
)
def test_explain_an_unknown_code(cli: Cli, code: str, hint: str) -> None:
    ran = cli.plain("explain", code)
    assert (ran.code, ran.out) == (3, "")
    assert f"there is no code {code!r}" in ran.err
    assert ("did you mean" in ran.err) == bool(hint)
    assert hint in ran.err


# data types

TYPES = sorted(load_data_types())


def test_data_types_are_listed(cli: Cli) -> None:
    ran = cli.plain("--json", "data-type", "list")
    assert [one["name"] for one in ran.json] == TYPES
    assert all(name in cli.plain("data-type", "list").out for name in TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_a_data_type_is_shown(cli: Cli, name: str) -> None:
    shown = cli.plain("--json", "data-type", "show", name)
    assert (shown.code, shown.json["name"]) == (0, name)
    people = cli.plain("data-type", "show", name).out
    assert all(field["name"] in people for field in shown.json["fields"])


@pytest.mark.parametrize("name", TYPES)
def test_every_sample_passes_its_check(cli: Cli, tmp_path: Path, name: str) -> None:
    sample = cli.plain("data-type", "sample", name)
    assert sample.code == 0
    assert cli.plain("data-type", "sample", name, "--format", "csv") == sample
    path = file(tmp_path, sample.raw, "sample.csv")
    ran = cli.plain("--json", "check", path, "--type", name)
    assert (ran.code, ran.json["error_rows"], ran.json["warnings"]) == (0, 0, [])
    assert ran.json["successful_rows"] >= 1


@pytest.mark.parametrize("words", [("show", "cash"), ("sample", "cash")])
def test_an_unknown_data_type(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli.plain("data-type", *words)
    assert ran.code == 3
    assert "there is no data type 'cash'" in ran.err


LISTS = "[data_types.action-modifications.enums]\nReason = ['LATE', 'LOST']\n"


def test_lists_of_values_from_the_configuration(cli: Cli, tmp_path: Path) -> None:
    cli.config.write_text(cli.config.read_text() + LISTS)
    path = file(tmp_path, b"ActionId,Reason\n1,LATE\n2,OTHER\n", "m.csv")
    ran = cli("--json", "check", path, "--type", "action-modifications")
    assert (ran.code, ran.json["top_errors"]) == (1, [{"code": "VALUE_NOT_ALLOWED", "count": 1}])
    assert "LATE, LOST" in cli("data-type", "show", "action-modifications").out
    sample = file(tmp_path, cli("data-type", "sample", "action-modifications").raw, "sample.csv")
    assert cli("check", sample, "--type", "action-modifications").code == 0


def test_lists_of_values_that_fit_nothing_are_a_fault_of_the_configuration(cli: Cli, tmp_path: Path) -> None:
    cli.config.write_text(cli.config.read_text() + LISTS.replace("Reason", "Reasn"))
    path = file(tmp_path, b"ActionId,Reason\n1,LATE\n", "m.csv")
    wanted = (
        "data_types.action-modifications.enums.Reasn: action-modifications has no field Reasn; did you mean Reason?"
    )
    for words in (
        ("check", path, "--type", "participants"), ("serve",), ("data-type", "list"),
        ("connection", "apply", file(tmp_path, b"", "c.toml")),
    ):  # fmt: skip
        ran = cli(*words)
        assert (ran.code, wanted in ran.err, ran.out) == (2, True, "")
    findings = cli("--json", "doctor").json
    assert [one["finding"] for one in findings if one["subject"] == "data types"] == [wanted]


def test_a_sample_in_a_format_there_is_not(cli: Cli) -> None:
    assert cli.plain("data-type", "sample", "conversions", "--format", "xlsx").code == 2


def test_json_is_utf_8_as_it_is(cli: Cli, tmp_path: Path) -> None:
    path = file(tmp_path, GOOD, "Ümläut 名.csv")
    ran = cli.plain("--json", "check", path, "--type", "conversions")
    assert json.loads(ran.raw)["file_name"] == path.name
    assert "Ümläut 名.csv" in ran.out

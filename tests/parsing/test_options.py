"""What a caller tells of a connection: names of columns, the files before."""

from pathlib import Path

import pytest

from tests.parsing.parsing_helpers import errors_of, parsed, said


def test_columns_are_renamed_before_checks(tmp_path: Path) -> None:
    report = parsed(
        tmp_path, "account no,key,mail\na,1,x\n", columns={"account no": "accountId", "key": "id", "mail": "email"}
    )
    assert said(report) == [(2, "mail", "INVALID_EMAIL")]
    assert (report.summary.header, report.summary.warnings) == (("account no", "key", "mail"), ())
    assert errors_of(report)[0]["key"] == "1"


def test_columns_are_renamed_in_json(tmp_path: Path) -> None:
    text = '{"who": {"no": "a"}, "key": 1, "mail": "x"}\n'
    report = parsed(tmp_path, text, columns={"who.no": "accountId", "key": "id", "mail": "email"})
    assert said(report) == [(1, "mail", "INVALID_EMAIL")]


def test_columns_keep_the_case_rule(tmp_path: Path) -> None:
    head = "CampaignId,EventTypeCode,EventDate,ORDER NO,ClickId\n1,s,NOW,o,c\n"
    assert parsed(tmp_path, head, "conversions", columns={"order no": "OrderId"}).summary.status == "completed"
    report = parsed(tmp_path, "Key,accountId\n1,a\n", columns={"key": "id"})
    assert report.summary.code == "REQUIRED_COLUMN_MISSING"


def test_columns_may_not_meet(tmp_path: Path) -> None:
    assert parsed(tmp_path, "accountId,id,key\n", columns={"key": "id"}).summary.code == "HEADER_DUPLICATE"
    report = parsed(tmp_path, '{"accountId": 1, "id": 1, "key": 2}', columns={"key": "id"})
    assert said(report) == [(1, "key", "DUPLICATE_FIELD")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": {"x": "nothing"}}, "columns names nothing"),
        ({"format": "xml"}, "format must be"),
    ],
)
def test_options_that_are_wrong(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parsed(tmp_path, "accountId,id\n", **options)


#: (header before, words of the warning or none)
HEADERS = [
    (None, ""),
    (("accountId", "id", "email"), ""),
    (("email", "id", "accountId"), ""),
    (("accountId", "id"), "email came"),
    (("accountId", "id", "email", "locale"), "locale went"),
    (("accountId", "id", "mail"), "email came, mail went"),
]


@pytest.mark.parametrize(("before", "words"), HEADERS)
def test_header_changed(tmp_path: Path, before: tuple[str, ...] | None, words: str) -> None:
    warnings = parsed(tmp_path, "accountId,id,email\na,1,\n", previous_header=before).summary.warnings
    assert [w.code for w in warnings] == (["HEADER_CHANGED"] if words else [])
    assert all(words in w.message for w in warnings)


def test_names_in_json_lines_come_and_go(tmp_path: Path) -> None:
    text = '{"accountId": "a", "id": 1}\n'
    assert parsed(tmp_path, text, previous_header=("accountId", "id", "email")).summary.warnings == ()


@pytest.mark.parametrize(
    ("usual", "warned"), [(None, False), (0, False), (9, False), (10, True), (10_000, True), (4, False)]
)
def test_file_short(tmp_path: Path, usual: int | None, warned: bool) -> None:
    warnings = parsed(tmp_path, "accountId,id\na,1\na,2\na,3\na,4\n", usual_rows=usual).summary.warnings
    assert [w.code for w in warnings] == (["FILE_SHORT"] if warned else [])
    assert not parsed(tmp_path, "accountId,id\na,1\na,2\na,3\na,4\na,5\n", usual_rows=10).summary.warnings


def test_a_mended_file_is_not_short(tmp_path: Path) -> None:
    first = parsed(tmp_path, "accountId,id\na,\n")
    with (tmp_path / "errors.csv").open("wb") as out:
        first.write_errors(out, "01JPARENT")
    mended = (tmp_path / "errors.csv").read_bytes().rstrip() + b"1\r\n"
    assert parsed(tmp_path, mended, usual_rows=1000, previous_header=("accountId", "id")).summary.warnings == ()


def test_format_may_be_told(tmp_path: Path) -> None:
    assert said(parsed(tmp_path, '"x"\n{"accountId": "a", "id": 1}\n', format="jsonl")) == [(1, "", "JSON_INVALID")]
    assert parsed(tmp_path, "{x,accountId,id\n1,a,1\n", format="csv").summary.successful_rows == 1


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    parsed(tmp_path, "accountId,id\na,1\n", progress=lambda done, size: seen.append((done, size)))
    assert seen == [(17, 17)]

"""What is said of single rows: values, rules, duplicates, the list."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsing import sample_csv
from tests.parsing.parsing_helpers import TYPES, errors_of, parsed, said

#: (column, value, code or none) of participants
VALUES = [
    ("email", "ann@example.com", ""),
    ("email", "", ""),
    ("email", "ünï@exämple.com", ""),
    ("email", "ann", "INVALID_EMAIL"),
    ("email", "ann@localhost", "INVALID_EMAIL"),
    ("email", "a b@example.com", "INVALID_EMAIL"),
    ("email", "Ann <ann@example.com>", "INVALID_EMAIL"),
    ("referable", "true", ""),
    ("referable", "false", ""),
    ("referable", "True", "INVALID_BOOLEAN"),
    ("referable", "1", "INVALID_BOOLEAN"),
    ("locale", "en_US", ""),
    ("locale", "fil_PH", ""),
    ("locale", "en-US", "INVALID_LOCALE"),
    ("locale", "en_us", "INVALID_LOCALE"),
    ("locale", "en_US\n", "INVALID_LOCALE"),
    ("countryCode", "DE", ""),
    ("countryCode", "de", "INVALID_COUNTRY"),
    ("countryCode", "XX", "INVALID_COUNTRY"),
    ("imageUrl", "https://example.com/a.png", ""),
    ("imageUrl", "/a.png", "INVALID_URL"),
    ("imageUrl", "https://", "INVALID_URL"),
    ("dateUsTaxFormSubmitted", "1767225600000", ""),
    ("dateUsTaxFormSubmitted", "1.767E+12", "INVALID_INTEGER"),
    ("dateUsTaxFormSubmitted", "１２", "INVALID_INTEGER"),
    ("referredBy.code", "1.2E+15", "SPREADSHEET_DAMAGE"),
    ("firstName", "#REF!", "SPREADSHEET_DAMAGE"),
    ("firstName", "#1", ""),
]


@pytest.mark.parametrize(("column", "value", "code"), VALUES)
def test_participant_values(tmp_path: Path, column: str, value: str, code: str) -> None:
    report = parsed(tmp_path, f'accountId,id,{column}\na,1,"{value}"\n')
    assert said(report) == ([(2, column, code)] if code else [])


#: (cell of customFields.x, whether it is a list or an object)
NESTED = [
    ("[]", True), ("{}", True), ('["S", "M"]', True), ('{"size": "S"}', True), (" [1, 2] ", True), ("[null]\n", True),
    ("\u00a0[1]", True), ("[" + "9" * 5000 + "]", True), ("[" * 100_000 + "]" * 100_000, True), ("[[1], {}]", True),
    ("[draft] note", False), ("[draft]", False), ("{name}", False), ("[1, 2", False), ("[1] [2]", False),
    ("{'size': 'S'}", False), ("[1,]", False), ("a [1]", False), ('"[1]"', False), ("true", False), ("12.5", False),
    ("", False), ("[", False), ("{", False),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "nested"), NESTED, ids=range(len(NESTED)))
def test_a_list_or_an_object_in_a_cell(tmp_path: Path, cell: str, nested: bool) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    report = parsed(
        tmp_path, f"accountId,id,customFields.x,referralCodes.x,firstName\na,1,{quoted},{quoted},{quoted}\n"
    )
    assert said(report) == ([(2, "customFields.x", "NESTED_VALUE")] if nested else [])
    assert report.summary.error_rows == nested


def test_text_that_looks_like_a_list_is_text_in_json_lines(tmp_path: Path) -> None:
    line = '{"accountId": "a", "id": "1", "customFields.x": "[1]"}\n'
    assert said(parsed(tmp_path, line)) == []
    assert said(parsed(tmp_path, line.replace('"[1]"', "[1]"))) == [(1, "customFields.x", "NESTED_VALUE")]


CONVERSION = {
    "CampaignId": "1", "ActionTrackerId": "2", "EventTypeCode": "", "EventDate": "NOW", "OrderId": "o", "ClickId": "c",
    "CustomerId": "", "MediaId": "", "Amount": "", "ItemPrice": "", "CustomerStatus": "", "CurrencyCode": "", "Sku": "",
    "Quantity": "", "OrderTax": "",
}  # fmt: skip
#: (what differs from a good row, entries as (column, code)); now is 2026-11-21 12:00 UTC
CONVERSIONS = [
    ({}, []),
    ({"CampaignId": "12345678901"}, [("CampaignId", "VALUE_TOO_LONG")]),
    ({"CampaignId": "-1"}, [("CampaignId", "VALUE_NOT_ALLOWED")]),
    ({"CampaignId": " "}, [("CampaignId", "REQUIRED_VALUE_MISSING")]),
    ({"ActionTrackerId": ""}, [("ActionTrackerId", "REQUIRED_VALUE_MISSING")]),
    ({"ActionTrackerId": "", "EventTypeCode": "s"}, []),
    ({"ClickId": ""}, [("ClickId", "REQUIRED_VALUE_MISSING")]),
    ({"ClickId": "é" * 64}, []),
    ({"ClickId": "é" * 65}, [("ClickId", "VALUE_TOO_LONG")]),
    ({"Amount": "1.50", "ItemPrice": "1"}, [("Amount", "CONFLICTING_FIELDS")]),
    ({"Amount": "123456.78"}, []),
    ({"Amount": "-5.00"}, []),
    ({"Amount": "1234567.00"}, [("Amount", "INVALID_DECIMAL")]),
    ({"Amount": "1.234"}, [("Amount", "INVALID_DECIMAL")]),
    ({"Amount": "1,50"}, [("Amount", "INVALID_DECIMAL")]),
    ({"Amount": "NaN"}, [("Amount", "INVALID_DECIMAL")]),
    ({"OrderTax": "123456789012.34"}, []),
    ({"CustomerStatus": "new"}, [("CustomerStatus", "VALUE_NOT_ALLOWED")]),
    ({"CurrencyCode": "EUR"}, []),
    ({"CurrencyCode": "eur"}, [("CurrencyCode", "INVALID_CURRENCY")]),
    ({"EventDate": "2026-11-21"}, []),
    ({"EventDate": "2026-11-21T10:00:00Z"}, []),
    ({"EventDate": "2026-11-21T10:00:00.123+01:00"}, []),
    ({"EventDate": "2026-11-21 10:00:00"}, [("EventDate", "INVALID_DATE")]),
    ({"EventDate": "2026-02-30"}, [("EventDate", "INVALID_DATE")]),
    ({"EventDate": "21.11.2026"}, [("EventDate", "INVALID_DATE")]),
    ({"EventDate": "now"}, [("EventDate", "INVALID_DATE")]),
    ({"EventDate": "2026-08-25T12:00:00Z"}, []),
    ({"EventDate": "2026-08-25T11:59:59Z"}, [("EventDate", "EVENT_TOO_OLD")]),
    ({"EventDate": "2026-08-25T12:59:59+01:00"}, [("EventDate", "EVENT_TOO_OLD")]),
    ({"EventDate": "2026-08-25T11:59:59", "MediaId": "m"}, []),
    ({"EventDate": "2025-10-18", "MediaId": "m"}, [("EventDate", "EVENT_TOO_OLD")]),
    (
        {"EventDate": "", "OrderId": ""},
        [("EventDate", "REQUIRED_VALUE_MISSING"), ("OrderId", "REQUIRED_VALUE_MISSING")],
    ),
]


@pytest.mark.parametrize(("change", "entries"), CONVERSIONS)
def test_conversion_values_and_rules(tmp_path: Path, change: dict[str, str], entries: list[tuple[str, str]]) -> None:
    cells = ['"' + value + '"' for value in {**CONVERSION, **change}.values()]
    report = parsed(tmp_path, ",".join(CONVERSION) + "\n" + ",".join(cells) + "\n", "conversions")
    assert [(column, code) for _, column, code in said(report)] == entries


def test_rules_need_one_of_their_columns(tmp_path: Path) -> None:
    summary = parsed(tmp_path, "CampaignId,OrderId,EventDate,ClickId\n1,o,NOW,c\n", "conversions").summary
    assert summary.code == "REQUIRED_COLUMN_MISSING"
    assert "ActionTrackerId, EventTypeCode" in summary.message


#: (rows of OrderId and Sku, entries as (row, code), unchanged)
BETWEEN = [
    (["A,1", "A,2", "B,1"], [], 0),
    (["A,1", "B,1", "A,2"], [(4, "ORDER_NOT_TOGETHER")], 0),
    (["A,1", "B,1", "A,2", "A,3"], [(4, "ORDER_NOT_TOGETHER"), (5, "ORDER_NOT_TOGETHER")], 0),
    (["A,1", ",1", "A,2"], [(3, "REQUIRED_VALUE_MISSING")], 0),
    (["A,1", f"{'x' * 65},1", "A,2"], [(3, "VALUE_TOO_LONG")], 0),
    (["A,1", "A,1"], [(3, "DUPLICATE_ROW")], 1),
    (["A,1,x", "A,1,y", "A,1,x"], [(3, "DUPLICATE_ROW"), (4, "DUPLICATE_ROW")], 1),
    (["A,1", "a,1"], [], 0),
    (["A,", "A,"], [(3, "DUPLICATE_ROW")], 1),
]


@pytest.mark.parametrize(("rows", "entries", "unchanged"), BETWEEN)
def test_rows_between_each_other(
    tmp_path: Path, rows: list[str], entries: list[tuple[int, str]], unchanged: int
) -> None:
    head = "CampaignId,ActionTrackerId,EventDate,ClickId,OrderId,Sku,PromoCode\n"
    lines = [f"1,2,NOW,c,{row}" + "," * (1 - row.count(",") + 1) + "\n" for row in rows]
    report = parsed(tmp_path, head + "".join(lines), "conversions")
    assert [(row, code) for row, _, code in said(report)] == entries
    assert report.summary.unchanged_rows == unchanged


def test_duplicates_name_the_first_row(tmp_path: Path) -> None:
    report = parsed(tmp_path, "accountId,id,lastName\na,1,x\n\na,1,y\n,1,z\n,1,z\n")
    duplicate, *others = errors_of(report)
    assert (duplicate["row"], duplicate["column"], duplicate["value"]) == ("4", "accountId, id", "a, 1")
    assert "of row 2" in duplicate["message"]
    assert [e["code"] for e in others] == ["REQUIRED_VALUE_MISSING"] * 2  # a row without its key repeats none


def test_all_errors_of_a_row_and_the_original_columns_once(tmp_path: Path) -> None:
    report = parsed(tmp_path, 'accountId,id,email,lastName\n,,bad,x"y\n')
    entries = errors_of(report)
    assert [e["code"] for e in entries] == ["SUSPECT_QUOTE"] + ["REQUIRED_VALUE_MISSING"] * 2 + ["INVALID_EMAIL"]
    assert [e["lastName"] for e in entries] == ["", 'x"y', "", ""]
    assert entries[1]["message"] == "This row requires a valid non-empty accountId"
    assert {e["status"] for e in entries} == {"400"}
    assert {e["trace_id"] for e in entries} == {"T"}


def test_formula_guard(tmp_path: Path) -> None:
    values = ["=1+1", "+x", "-x", "@x", "\tx", "-5", "+4.5", "-1e5", "plain"]
    rows = "".join(f'a,,"{value}"\n' for value in values)
    written = [e["lastName"] for e in errors_of(parsed(tmp_path, "accountId,id,lastName\n" + rows))]
    assert written == ["'=1+1", "'+x", "'-x", "'@x", "'\tx", "-5", "+4.5", "-1e5", "plain"]


A, B = (hashlib.sha256(x).hexdigest() for x in (b"a", b"b"))
#: (text, status, code, entries as (row, code), successful)
LISTS = [
    ("a@x.org\nb@x.org\n", "completed", None, [], 2),
    ("a@x.org\r\nb@x.org", "completed", None, [], 2),
    ("email\na@x.org\n", "completed", None, [], 1),
    ('"a@x.org"\n', "completed", None, [], 1),
    ("a@x.org\nbad\n\nb@x.org\n", "completed_with_errors", None, [(2, "INVALID_EMAIL")], 2),
    ("email\n\nbad\na@x.org\n", "completed_with_errors", None, [(3, "INVALID_EMAIL")], 1),
    (" A@x.org \na@X.org\n", "completed", None, [(2, "DUPLICATE_ROW")], 1),
    (f"{A}\n{B.upper()}\n", "completed", None, [], 2),
    (f"{A}\n{B[:-1]}\n", "completed_with_errors", None, [(2, "INVALID_HASH")], 1),
    (f"a@x.org\n{A}\n", "rejected", "MIXED_HASH", [(1, "INVALID_HASH")], 0),
    (f"{A}\na@x.org\n", "rejected", "MIXED_HASH", [(2, "INVALID_HASH")], 0),
    ("a@x.org,Ann\n", "rejected", "NOT_ONE_COLUMN", [(1, "FIELD_COUNT")], 0),
    ("a@x.org\nb@x.org;Bob\n", "rejected", "NOT_ONE_COLUMN", [(2, "INVALID_EMAIL")], 0),
    ("a@x.org\n\"b@x.org\n", "completed_with_errors", None, [(2, "MALFORMED_ROW")], 1),
    ("email\n", "completed", None, [], 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "status", "code", "entries", "good"), LISTS)
def test_lists(tmp_path: Path, text: str, status: str, code: str, entries: list[tuple[int, str]], good: int) -> None:
    report = parsed(tmp_path, text, "email-list")
    summary = report.summary
    assert (summary.status, summary.code, summary.successful_rows) == (status, code, good)
    assert [(row, found) for row, _, found in said(report)] == entries
    skipped = [w.code for w in summary.warnings if w.code == "HEADER_SKIPPED"]
    assert len(skipped) == text.startswith("email\n")


def test_a_list_is_written_in_lower_case(tmp_path: Path) -> None:
    report = parsed(tmp_path, " Ann@X.org \nbad\n", "email-list")
    report.write_accepted(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "email\nann@x.org\n"


def test_a_mended_list(tmp_path: Path) -> None:
    report = parsed(tmp_path, "bad\na@x.org\n", "email-list")
    with (tmp_path / "errors.csv").open("wb") as out:
        report.write_errors(out, "01J")
    again = parsed(tmp_path, (tmp_path / "errors.csv").read_bytes().replace(b",bad\r", b",b@x.org\r"), "email-list")
    assert (again.parent_trace_id, again.summary.successful_rows, again.summary.total_rows) == ("01J", 1, 1)


CELLS = st.text(st.sampled_from('a1@.",;\n\r\té=\0'), max_size=8) | st.sampled_from(
    ["1", "acme", "true", "en_US", "NOW"]
)
MESSY = st.lists(st.lists(CELLS, min_size=1, max_size=5).map(",".join), max_size=8).map("\n".join)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    MESSY,
    st.sampled_from(sorted(TYPES)),
    st.booleans(),
    st.sampled_from(["accept_valid", "all_or_nothing", "max_bad_percent=50"]),
)
def test_counts_always_add_up(tmp_path: Path, body: str, name: str, headed: bool, policy: str) -> None:
    head = {"participants": "accountId,id,email,locale\n", "email-list": "email\n"}
    text = (head.get(name, "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId\n") if headed else "") + body
    report = parsed(tmp_path, text, name, policy=policy)  # checks the sum
    assert len(errors_of(report)) == report.summary.entries
    if report.summary.total_rows is not None:
        report.write_accepted(tmp_path / "out.parquet")
        import polars as pl

        assert pl.read_parquet(tmp_path / "out.parquet").height == report.summary.successful_rows


#: (cell of the good file, what it becomes, entry expected)
MUTATIONS = [
    ("acme,1002", "acme,", (3, "id", "REQUIRED_VALUE_MISSING")),
    ("acme,1002", "acme,1001", (3, "accountId, id", "DUPLICATE_ROW")),
    ("en_US", "en-US", (2, "locale", "INVALID_LOCALE")),
    ("joerg@example.com", "joerg", (3, "email", "INVALID_EMAIL")),
    ('"Müller, Dr."', '"Müller, Dr.', (3, "", "MALFORMED_ROW")),
    ('"Müller, Dr."', "Müller, Dr.", (3, "", "FIELD_COUNT")),
    ('"Müller, Dr."', '"Müller, "Dr."', (3, "", "MALFORMED_ROW")),
    ("Ann", "A\0nn", (2, "", "MALFORMED_ROW")),
    ("false", "no", (3, "referable", "INVALID_BOOLEAN")),
]


@pytest.mark.parametrize(("before", "after", "entry"), MUTATIONS)
def test_one_mutation_one_entry(tmp_path: Path, before: str, after: str, entry: tuple[int, str, str]) -> None:
    good = sample_csv(TYPES["participants"]) + "acme,1003" + "," * 12 + "\r\n"
    assert parsed(tmp_path, good).summary.successful_rows == 3
    assert before in good
    report = parsed(tmp_path, good.replace(before, after, 1))
    assert said(report) == [entry]
    assert (report.summary.total_rows, report.summary.successful_rows) == (3, 2)


#: (data type, text, entries as (row, column, code), unchanged)
OTHER_TYPES = [
    ("participants-delete", "accountId,id,doNotTrack\na,1,true\na,,x\n",
     [(3, "id", "REQUIRED_VALUE_MISSING"), (3, "doNotTrack", "INVALID_BOOLEAN")], 0),
    ("rewards", "userId,uniqueId,rewardUnit\n1,u,a\n1,u,b\n", [(3, "uniqueId", "DUPLICATE_ROW")], 0),
    ("rewards", "userId,uniqueId,rewardUnit\n1,,a\n1,,b\n1,,a\n1,a,\n", [(4, "", "DUPLICATE_ROW")], 1),
    ("rewards", "userId,rewardUnit,note\n1,a,x\n1,a,y\n", [(3, "", "DUPLICATE_ROW")], 1),
    ("rewards", "userId,valueToRedeem\n1,0\n2,0.01\n3,-1\n4,\n",
     [(2, "valueToRedeem", "VALUE_NOT_ALLOWED"), (4, "valueToRedeem", "VALUE_NOT_ALLOWED")], 0),
    ("action-modifications", "actionid,reason,amount\n1,OTHER,0\n,OTHER,\n3,other,1\n",
     [(3, "actionid", "REQUIRED_VALUE_MISSING"), (4, "reason", "VALUE_NOT_ALLOWED")], 0),
    ("action-modifications", "Oid,ActionTrackerId,Reason,Sku\no,1,OTHER,\no,1,OTHER,s\no,,OTHER,\no,1,TEST_ACTION,s\n",
     [(4, "Oid", "REQUIRED_VALUE_MISSING"), (5, "Oid, ActionTrackerId, Sku", "DUPLICATE_ROW")], 0),
    ("product-catalog", "sku,name,url,price,currency,gtin,attributes.size\nS,n,https://x.org,1.5,EUR,123,L\n",
     [(2, "gtin", "VALUE_NOT_ALLOWED")], 0),
    ("clicks", "ClickId,CampaignId,ClickDate\nc,1,2026-11-20\nC,1,20.11.2026\n", [(3, "ClickDate", "INVALID_DATE")], 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "entries", "unchanged"), OTHER_TYPES)
def test_other_data_types(
    tmp_path: Path, name: str, text: str, entries: list[tuple[int, str, str]], unchanged: int
) -> None:
    report = parsed(tmp_path, text, name)
    assert said(report) == entries
    assert report.summary.unchanged_rows == unchanged


def test_a_group_of_columns_is_needed_whole(tmp_path: Path) -> None:
    summary = parsed(tmp_path, "OrderId,Reason\no,OTHER\n", "action-modifications").summary
    assert summary.code == "REQUIRED_COLUMN_MISSING"
    assert "ActionId, OrderId with ActionTrackerId" in summary.message

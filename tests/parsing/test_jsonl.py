"""JSON Lines: the same rows, checks and errors as CSV, and every way in which a line can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.descriptor import data_type_from_descriptor
from parsing import json_fast, json_form, json_lines, json_reader, sample_csv, sample_jsonl
from parsing.json_line import LineFault, read_line
from tests.parsing.parsing_helpers import TYPES, errors_of, free_type, parsed, said

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "corpora" / "json" / "jsontestsuite"
GOOD = '{"accountId": "a", "id": "1"}\n'


@pytest.mark.parametrize("name", TYPES)
def test_samples_import_without_error(tmp_path: Path, name: str) -> None:
    kind = TYPES[name]
    rows = parsed(tmp_path, sample_jsonl(kind), name)
    assert (rows.summary.status, rows.summary.entries, rows.summary.warnings) == ("completed", 0, ())
    assert rows.summary.successful_rows == len(kind.samples)
    table = parsed(tmp_path, sample_csv(kind), name)
    if kind.layout == "table":
        assert sorted(rows.summary.header or ()) == sorted(table.summary.header or ())


#: (what, line after a good one, entries as (row, column, code))
LINES: list[tuple[str, str, list[tuple[int, str, str]]]] = [
    ("good", '{"accountId": "a", "id": "2"}', []),
    ("numbers and booleans as text", '{"accountId": 1, "id": 2.50, "referable": true}', []),
    ("nested", '{"accountId": "a", "id": "2", "referredBy": {"code": "x"}, "customFields": {"size": "S"}}', []),
    ("dotted", '{"accountId": "a", "id": "2", "referredBy.code": "x", "customFields.size": 5}', []),
    ("null is empty", '{"accountId": "a", "id": "2", "email": null, "referredBy": null}', []),
    ("escapes", '{"accountId": "a", "id": "\\u00fc\\ud83d\\ude00\\/"}', []),
    ("blanks everywhere", ' { "accountId" : "a" ,\t"id" : "2" } ', []),
    ("missing", '{"accountId": "a"}', [(2, "id", "REQUIRED_VALUE_MISSING")]),
    ("null where required", '{"accountId": null, "id": "2"}', [(2, "accountId", "REQUIRED_VALUE_MISSING")]),
    ("empty object", "{}", [(2, "accountId", "REQUIRED_VALUE_MISSING"), (2, "id", "REQUIRED_VALUE_MISSING")]),
    ("bad value", '{"accountId": "a", "id": "2", "email": "x"}', [(2, "email", "INVALID_EMAIL")]),
    ("number for a boolean", '{"accountId": "a", "id": "2", "referable": 1}', [(2, "referable", "INVALID_BOOLEAN")]),
    ("twice", '{"accountId": "a", "id": "2", "id": "3"}', [(2, "id", "DUPLICATE_FIELD")]),
    ("twice, escaped", '{"accountId": "a", "id": "2", "\\u0069d": "3"}', [(2, "id", "DUPLICATE_FIELD")]),
    ("nested and dotted", '{"accountId": "a", "id": "2", "referredBy": {"code": 1}, "referredBy.code": 1}',
     [(2, "referredBy.code", "DUPLICATE_FIELD")]),
    ("twice in what is not known", '{"accountId": "a", "id": "2", "x": {"y": 1, "y": 2}}',
     [(2, "y", "DUPLICATE_FIELD")]),
    ("list as value", '{"accountId": "a", "id": ["2"]}', [(2, "id", "NESTED_VALUE")]),
    ("object as value", '{"accountId": "a", "id": {"x": 2}}', [(2, "id", "NESTED_VALUE")]),
    ("list as custom field", '{"accountId": "a", "id": "2", "customFields": {"s": ["S"]}}',
     [(2, "customFields.s", "NESTED_VALUE")]),
    ("object as custom field", '{"accountId": "a", "id": "2", "customFields": {"s": {"a": 1}}}',
     [(2, "customFields.s", "NESTED_VALUE")]),
    ("NaN", '{"accountId": "a", "id": NaN}', [(2, "", "JSON_INVALID")]),
    ("Infinity", '{"accountId": "a", "id": -Infinity}', [(2, "", "JSON_INVALID")]),
    ("too deep", '{"accountId": "a", "id": "2", "x": ' + "[" * 20 + "]" * 20 + "}", [(2, "", "NESTED_VALUE")]),
    ("deep enough", '{"accountId": "a", "id": "2", "x": ' + "[" * 19 + "]" * 19 + "}", []),
    ("brackets in text", '{"accountId": "a", "id": "' + "[" * 50 + '"}', []),
    ("raw tab", '{"accountId": "a", "id": "\t"}', [(2, "", "JSON_INVALID")]),
    ("NUL", '{"accountId": "a", "id": "\0"}', [(2, "", "JSON_INVALID")]),
    ("lone surrogate", '{"accountId": "a", "id": "\\ud800"}', [(2, "", "JSON_INVALID")]),
    ("surrogates the wrong way", '{"accountId": "a", "id": "\\ude00\\ud83d"}', [(2, "", "JSON_INVALID")]),
    ("list", '["a", "2"]', [(2, "", "JSON_INVALID")]),
    ("text", '"a"', [(2, "", "JSON_INVALID")]),
    ("two objects", GOOD.strip() * 2, [(2, "", "JSON_INVALID")]),
    ("comma behind", GOOD.strip() + ",", [(2, "", "JSON_INVALID")]),
    ("single quotes", "{'accountId': 'a', 'id': '2'}", [(2, "", "JSON_INVALID")]),
    ("long number", '{"accountId": "a", "id": ' + "1" * 5000 + "}", []),
    ("too large", '{"accountId": "a", "id": "' + "x" * 1_000_000 + '"}', [(2, "", "ROW_TOO_LARGE")]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "entries"), [c[1:] for c in LINES], ids=[c[0] for c in LINES])
def test_lines(tmp_path: Path, line: str, entries: list[tuple[int, str, str]]) -> None:
    last = '{"accountId": "a", "id": "last"}\n'
    report = parsed(tmp_path, GOOD + line + "\n" + last)
    assert said(report) == entries
    assert (report.summary.total_rows, report.summary.error_rows) == (3, 1 if entries else 0)


def test_rows_blank_lines_and_line_ends(tmp_path: Path) -> None:
    text = GOOD.strip() + "\r\n\r\n  \n" + '{"id": "2"}\n{"accountId": "a", "id": "3"}'
    report = parsed(tmp_path, text)
    assert [(e["row"], e["line"], e["code"]) for e in errors_of(report)] == [("4", "4", "REQUIRED_VALUE_MISSING")]
    assert (report.summary.total_rows, report.summary.blank_rows, report.summary.code) == (3, 2, None)
    assert parsed(tmp_path, text.replace("\r\n", "\n").replace("\n", "\r")).summary.total_rows == 3


def test_cut_off(tmp_path: Path) -> None:
    report = parsed(tmp_path, GOOD + '{"accountId": "a", "id": "2')
    assert (report.summary.code, said(report)) == ("UNEXPECTED_END", [(2, "", "UNEXPECTED_END")])
    assert parsed(tmp_path, GOOD + '{"accountId"}').summary.code is None


def test_original_columns_and_unknown_names(tmp_path: Path) -> None:
    report = parsed(tmp_path, '{"accountId": "a", "Email": 1, "x": [1]}\n{"id": "=1", "email": "bad"}\n')
    first, second, third = errors_of(report)
    assert [(w.code, w.column) for w in report.summary.warnings] == [
        ("UNKNOWN_COLUMN", "Email"),
        ("UNKNOWN_COLUMN", "x"),
    ]
    assert report.summary.header == ("accountId", "Email", "x", "id", "email")
    assert (first["accountId"], first["id"], first["email"]) == ("a", "", "")
    assert (second["id"], second["email"], third["id"]) == ("'=1", "bad", "")


def test_names_without_case_and_aliases(tmp_path: Path) -> None:
    row: dict[str, Any] = {"campaignid": 1, "eventtypecode": "s", "eventdate": "NOW", "OID": "o", "ClickId": "c"}
    assert said(parsed(tmp_path, json.dumps(row), "conversions")) == []
    report = parsed(tmp_path, json.dumps({**row, "OrderId": "p"}), "conversions")
    assert said(report) == [(1, "OrderId", "DUPLICATE_FIELD")]


def test_an_array_may_stand_on_the_first_line(tmp_path: Path) -> None:
    assert said(parsed(tmp_path, '["a"]\n' + GOOD)) == [(1, "", "JSON_INVALID")]


def test_duplicates_between_lines(tmp_path: Path) -> None:
    lines = ['{"sku": 1, "level": 2}', '{"level": 2, "sku": "1"}', '{"sku": 1, "level": 2, "note": "x"}']
    report = parsed(tmp_path, "\n".join(lines), free_type("sku", "level", "note", key="sku"))
    assert [(e["row"], e["code"], e["severity"]) for e in errors_of(report)] == [
        ("2", "DUPLICATE_ROW", "warning"),
        ("3", "DUPLICATE_ROW", "error"),
    ]


def corpus(kind: str) -> list[Path]:
    return sorted(CORPUS.glob(f"{kind}_*.json"))


def as_line(path: Path) -> bytes:
    """Give a case as the value of a line; line breaks in it stand between tokens, where a blank does as well."""
    return b'{"id": ' + path.read_bytes().strip(b"\r\n").replace(b"\n", b" ").replace(b"\r", b" ") + b"}"


#: read_line refuses what is JSON but twice named
TWICE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}


@pytest.mark.parametrize("path", corpus("y") or [None], ids=lambda p: p.name if p else "absent")
def test_what_is_json_is_read(tmp_path: Path, path: Path | None) -> None:
    if path is None:
        pytest.skip("the JSONTestSuite corpus is not there")
    report = parsed(tmp_path, b'{"id": "first"}\n' + as_line(path) + b'\n{"id": "last"}\n', free_type("id"))
    allowed = {"DUPLICATE_FIELD"} if path.name in TWICE else {"NESTED_VALUE"}
    assert {code for _, _, code in said(report)} <= allowed
    assert report.summary.total_rows == 3


@pytest.mark.parametrize("path", corpus("n") or [None], ids=lambda p: p.name if p else "absent")
def test_what_is_no_json_is_refused(tmp_path: Path, path: Path | None) -> None:
    if path is None:
        pytest.skip("the JSONTestSuite corpus is not there")
    report = parsed(tmp_path, b'{"id": "first"}\n' + as_line(path) + b'\n{"id": "last"}\n', free_type("id"))
    if report.summary.code == "ENCODING_INVALID":
        return
    assert [(row, code in {"JSON_INVALID", "NESTED_VALUE"}) for row, _, code in said(report)] == [(2, True)]
    assert report.summary.successful_rows == 2


FLAT = data_type_from_descriptor(
    {"name": "flat", "fields": [{"name": n} for n in ("a", "b", "c.d", "c.e")], "families": [{"prefix": "f."}]}
)
TEXTS = st.text(st.sampled_from('ab:,"{}[]\\/\n\té😀\u2028 1'), max_size=6)
VALUES = st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
INNER = st.dictionaries(st.sampled_from("dex"), VALUES, max_size=3)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c.d", "x y"]), VALUES, max_size=4).flatmap(
    lambda flat: st.fixed_dictionaries({}, optional={"c": INNER, "f": INNER}).map(lambda more: {**flat, **more})
)
MUTATIONS = st.tuples(
    st.integers(0, 200), st.sampled_from(['"', ",", "}", "0", "null", '"a":1,', ":", " ", "\\", "]", "-"])
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(OBJECTS, min_size=1, max_size=8), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]),
    st.lists(st.tuples(st.integers(0, 7), MUTATIONS), max_size=3),
)  # fmt: skip
def test_fast_reader_agrees_with_the_exact_one(
    tmp_path: Path, objects: list[dict[str, Any]], ascii_only: bool, separators: tuple[str, str],
    mutations: list[tuple[int, tuple[int, str]]],
) -> None:  # fmt: skip
    lines = [json.dumps(o, ensure_ascii=ascii_only, separators=separators) for o in objects]
    for which, (at, text) in mutations:
        line = lines[which % len(lines)]
        place = at % len(line)
        lines[which % len(lines)] = line[:place] + text + line[place + at % 2 :]
    path = tmp_path / "input"
    path.write_text("\n".join(['{"a":"1"}', *lines]), "utf-8", newline="\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_form, "TEMPLATES", 0)
        patch.setattr(json_form, "FEW", 0)
        fast = parsed(tmp_path, path.read_bytes(), FLAT, format="jsonl")
        patch.setattr(json_reader, "read_lines", lambda *_: None)
        exact = parsed(tmp_path, path.read_bytes(), FLAT, format="jsonl")
    assert errors_of(fast) == errors_of(exact)
    for report, name in ((fast, "fast.csv"), (exact, "exact.csv")):
        report.write_accepted(tmp_path / name)
    assert sorted((tmp_path / "fast.csv").read_text().split("\n", 1)[0].split(",")) == sorted(
        (tmp_path / "exact.csv").read_text().split("\n", 1)[0].split(",")
    )
    assert accepted(tmp_path / "fast.csv") == accepted(tmp_path / "exact.csv")


def accepted(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@settings(max_examples=200, deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=6), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_most_lines_are_read_fast(objects: list[dict[str, Any]], ascii_only: bool, separators: tuple[str, str]) -> None:
    """What is sure is right: every value that the fast reader vouches for is the exact one's."""
    lines = [json.dumps(o, ensure_ascii=ascii_only, separators=separators).encode() for o in objects]
    style = json_fast.Style(len(separators[1]) - 1, len(separators[0]) - 1, frozenset({"a", "b", "c.d", "x y"}))
    tree = json_fast.Node("", ["a", "b", "c.d", "x y"])
    ends = [sum(len(line) + 1 for line in lines[: i + 1]) - 1 for i in range(len(lines))]
    import numpy as np

    found = json_fast.read_lines(b"\n".join(lines) + b"\n", np.array(ends, np.int64), tree, style)
    if found is None:
        return
    for i, line in enumerate(lines):
        if found.sure[i]:
            values = read_line(line, lambda _: False)
            assert {k: v for k, v in found.frame.row(i, named=True).items() if v} == {
                k: v for k, v in values.items() if v
            }


def test_readable_lines_are_isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    exactly = json_form.JsonForm.line
    monkeypatch.setattr(json_form.JsonForm, "line", lambda self, r, i: read.append(i) or exactly(self, r, i))
    lines = [f'{{"accountId": "a", "id": "{i}", "customFields": {{"x": {i}}}}}' for i in range(1000)]
    lines[500] = "{bad"
    report = parsed(tmp_path, "\n".join(lines) + "\n")
    assert said(report) == [(501, "", "JSON_INVALID")]
    assert read == [500]


def test_batches_of_any_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'{{"accountId":"a","id":"{i}","customFields":{{"n{i % 7}":{i}}}}}' for i in range(60)]
    lines[9] = lines[41] = '{"accountId":"a"}'
    text = "\n".join(lines)
    whole = errors_of(parsed(tmp_path, text))
    monkeypatch.setattr(json_lines, "BLOCK", 100)
    assert errors_of(parsed(tmp_path, text)) == whole


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a":1}x', b"nul", b'\xef\xbb\xbf{"a":1}'])
def test_read_line_refuses(raw: bytes) -> None:
    with pytest.raises(LineFault):
        read_line(raw, lambda _: False)

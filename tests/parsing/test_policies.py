"""The sum of the result, whatever the file and the policy: total = successful + unchanged + error + not applied."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsing import Report
from tests.parsing.parsing_helpers import errors_of, parsed

HEAD = ["accountId", "id", "email", "customFields.note"]
CELLS = st.tuples(
    st.sampled_from(["acme", "acme", "acme", ""]), st.sampled_from("0123456789"),
    st.sampled_from(["", "a@example.com", "a@example.com", "none"]), st.sampled_from(["", "x", "1.2E+15", "[1]"]),
)  # fmt: skip
#: lines that are no sound row
ODD = st.sampled_from(["", "acme,1", 'acme,"1,,', "acme,1,,,", 'acme,1,,a"b', "  ", ",".join(HEAD), "acme,\0,,"])
POLICIES = st.one_of(
    st.sampled_from(["accept_valid", "all_or_nothing"]),
    st.floats(0, 100).map(lambda percent: f"max_bad_percent={percent:.3f}"),
)


@st.composite
def csv_files(draw: st.DrawFn) -> str:
    lines = draw(st.lists(st.one_of(CELLS.map(",".join), CELLS.map(",".join), ODD), max_size=12))
    text = "\n".join([",".join(HEAD), *lines]) + "\n"
    return text[: len(text) - draw(st.sampled_from([0, 0, 1, 2, 5]))] if lines else text


@st.composite
def json_files(draw: st.DrawFn) -> str:
    odd = st.sampled_from(["", "{", "[]", '{"id": NaN}', '{"id": [1], "accountId": "a"}', '{"id": 1, "id": 2}'])
    rows = CELLS.map(lambda cells: json.dumps(dict(zip(HEAD, cells, strict=True))))
    return '{"accountId": "first", "id": "first"}\n' + "\n".join(
        draw(st.lists(st.one_of(rows, rows, odd), max_size=12))
    )


@settings(max_examples=200, deadline=None)
@given(st.one_of(csv_files(), json_files()), POLICIES)
def test_the_sum(tmp_path_factory: pytest.TempPathFactory, text: str, policy: str) -> None:
    folder = tmp_path_factory.mktemp("sum", numbered=True)
    free, report = parsed(folder, text), parsed(folder, text, policy=policy)
    s = report.summary
    assert s.total_rows == s.successful_rows + s.unchanged_rows + s.error_rows + s.not_applied_rows
    assert min(s.total_rows, s.successful_rows, s.unchanged_rows, s.error_rows, s.not_applied_rows) >= 0
    assert (s.total_rows, s.error_rows, s.blank_rows) == (
        free.summary.total_rows, free.summary.error_rows, free.summary.blank_rows
    )  # fmt: skip
    refused = too_many(policy, report)
    assert (s.status == "rejected") is refused
    assert s.not_applied_rows == (s.total_rows - s.error_rows if refused else 0)
    assert errors_of(report) == errors_of(free)
    check_rows(folder, report)


def too_many(policy: str, report: Report) -> bool:
    """Tell whether a policy refuses a report's counts, as the words of the policy say."""
    s = report.summary
    if policy == "accept_valid":
        return False
    if policy == "all_or_nothing":
        return s.error_rows > 0
    return bool(s.error_rows * 100 > float(policy.partition("=")[2]) * s.total_rows)


def check_rows(folder: Path, report: Report) -> None:
    """Hold the entries, the bitmap and the accepted rows to the counts."""
    s = report.summary
    entries = errors_of(report)
    assert len({e["row"] for e in entries if e["severity"] == "error"}) == s.error_rows
    assert all(int(a["row"]) <= int(b["row"]) for a, b in pairwise(entries))
    assert sum(byte.bit_count() for byte in report.accepted_bitmap()) == s.successful_rows
    report.write_accepted(folder / "out.csv")
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 1 + s.successful_rows

"""Whose a mail in a shared mailbox is."""

import pytest

from matching.recipients import addressed, tag_for_all

OURS = {"one-x7": 1, "two-y8": 2}
ME = "files@acme.example"

CASES: dict[str, tuple[list[list[str]], list[tuple[str, str]]]] = {
    "an alias": ([["one-x7@acme.example"]], [("one-x7", "")]),
    "any case": ([["One-X7@ACME.example"]], [("one-x7", "")]),
    "any domain": ([["one-x7@elsewhere.example"]], [("one-x7", "")]),
    "an alias with a tag": ([["one-x7+DryRun@acme.example"]], [("one-x7", "dryrun")]),
    "the mailbox with a plus": ([["files+two-y8@acme.example"]], [("two-y8", "")]),
    "and a further tag": ([["files+two-y8+dryrun@acme.example"]], [("two-y8", "dryrun")]),
    "another's plus": ([["sales+two-y8@acme.example"]], []),
    "both": ([["one-x7@a.example", "two-y8@a.example"]], [("one-x7", ""), ("two-y8", "")]),
    "twice the same": ([["one-x7@a.example", "files+one-x7@a.example"]], [("one-x7", "")]),
    "beside its dry run": ([["one-x7@a.example", "one-x7+dryrun@a.example"]], [("one-x7", ""), ("one-x7", "dryrun")]),
    "the first field that names one": ([["files@acme.example"], ["two-y8@a.example"]], [("two-y8", "")]),
    "no later field": ([["one-x7@a.example"], ["two-y8@a.example"]], [("one-x7", "")]),
    "none": ([["files@acme.example"], ["x@y.example", "", "one-x7"]], []),
    "nothing": ([[], []], []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_address_tells(case: str) -> None:
    fields, wanted = CASES[case]
    assert [(one.local_part, one.tag) for one in addressed(fields, OURS, ME)] == wanted


@pytest.mark.parametrize(
    ("addresses", "wanted"),
    [
        (["files+dryrun@acme.example"], ("files+dryrun@acme.example", "dryrun")),
        (["files@acme.example"], ("files@acme.example", "")),
        (["files+dryrun@other.example"], (ME, "")),
        (["other@acme.example"], (ME, "")),
        ([], (ME, "")),
    ],
)
def test_the_one_connection_takes_all_and_keeps_the_tag(addresses: list[str], wanted: tuple[str, str]) -> None:
    assert tag_for_all([addresses], ME) == wanted

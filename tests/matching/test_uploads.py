"""Files in a folder: who takes a name, when a file is whole, and which connections cannot stand side by side."""

from typing import Any

import pytest

from matching.uploads import after_close, assign, marked_name, refuse_name, same_beginnings
from models.codes import Code
from models.connection import Rule
from models.states import UploadStatus

PREFIXES = {
    "conversions": ("conversions_",), "participants": ("participants_",),
    "participants-delete": ("participants-delete_",), "email-list": ("emails_",),
}  # fmt: skip


def rule(name: str, pattern: str = "", data_type: str = "conversions", **more: Any) -> Rule:
    return Rule(
        name=name,
        account="a",
        data_type=data_type,
        method="sftp",
        folder="/in",
        credential="c",
        pattern=pattern,
        **more,
    )


ALONE = [rule("alone", "Conv_*.csv")]
SHARED = [
    rule("conv", "Conv_*"), rule("conv26", "Conv_2026*"), rule("people", data_type="participants"),
    rule("gone", data_type="participants-delete"),
]  # fmt: skip
LIST = [*SHARED, rule("list", data_type="email-list")]


@pytest.mark.parametrize(
    ("rules", "name", "taker", "code"),
    [
        (ALONE, "Conv_1.csv", "alone", None),
        (ALONE, "conv_1.csv", "alone", Code.NAME_NOT_MATCHED),
        (ALONE, "Conv_1.csv.done", "alone", Code.NAME_NOT_MATCHED),
        ([rule("any")], "whatever", "any", Code.DATA_TYPE_UNKNOWN),
        ([rule("any", data_type="own")], "whatever", "any", None),
        ([rule("any", data_type="email-list")], "whatever", "any", None),
        ([rule("any", case_sensitive=False, pattern="conv_*")], "CONV_1", "any", None),
        (SHARED, "Conv_2025.csv", "conv", None),
        (SHARED, "Conv_2026.csv", "conv26", None),
        (list(reversed(SHARED)), "Conv_2026.csv", "conv26", None),
        (SHARED, "Participants_1.csv", "people", None),
        (SHARED, "participants-delete_1.csv", "gone", None),
        (SHARED, "x.csv", "conv", Code.DATA_TYPE_UNKNOWN),
        (LIST, "x.csv", "list", None),
        (LIST, "Conv_1.csv", "conv", None),
        (SHARED[:2], "x.csv", "conv", Code.NAME_NOT_MATCHED),
    ],
)
def test_who_takes_a_name(rules: list[Rule], name: str, taker: str, code: Code | None) -> None:
    found = assign(name, rules, PREFIXES)
    assert found.rule.name == taker
    assert (found.fault.code if found.fault else None) == code
    if found.fault:
        assert name in found.fault.message


def test_a_refusal_names_what_would_be_taken() -> None:
    assert assign("x", ALONE, PREFIXES).fault.message == (  # type: ignore[union-attr]
        'The file name "x" does not match the pattern "Conv_*.csv".'
    )
    told = assign("x", SHARED, PREFIXES).fault
    assert told is not None
    assert told.message.endswith(
        'its names begin with conversions_, participants-delete_, participants_, or match "Conv_*", "Conv_2026*".'
    )


@pytest.mark.parametrize(
    ("modes", "completion"),
    [
        (["rename"], "rename"), (["marker", "marker"], "marker"), (["rename", "settle"], "settle"),
        (["rename", "marker"], "rename"),
    ],
)  # fmt: skip
def test_terms_of_a_name_that_nobody_takes(modes: list[str], completion: str) -> None:
    rules = [rule(str(number), f"{number}*", completion=mode) for number, mode in enumerate(modes)]
    assert assign("x", rules, PREFIXES).completion == completion


@pytest.mark.parametrize(
    ("seconds", "wait"), [([None, 3.0], None), ([1.0, 3.0], 3.0), ([0.0], 0.0)], ids=["global", "longest", "none"]
)
def test_how_long_a_name_that_nobody_takes_settles(seconds: list[float | None], wait: float | None) -> None:
    rules = [rule(str(number), f"{number}*", settle_seconds=one) for number, one in enumerate(seconds)]
    assert assign("x", rules, PREFIXES).settle_seconds == wait


H, S = UploadStatus.HELD, UploadStatus.SETTLING


@pytest.mark.parametrize(
    ("name", "completion", "renamed", "marked", "status", "at_once"),
    [
        ("a.csv", "settle", False, False, S, False),
        ("a.csv", "settle", True, False, S, True),
        (".a.csv", "settle", False, False, H, False),
        (".a.csv", "settle", True, True, H, False),
        ("a.csv.FilePart", "rename", True, False, H, False),
        ("a.csv", "rename", False, False, H, False),
        ("a.csv", "rename", True, False, S, True),
        ("a.csv", "marker", False, False, H, False),
        ("a.csv", "marker", True, False, H, False),
        ("a.csv", "marker", False, True, S, True),
    ],
)
def test_when_a_file_is_whole(
    name: str, completion: str, renamed: bool, marked: bool, status: UploadStatus, at_once: bool
) -> None:
    after = after_close(name, completion, renamed=renamed, marked=marked)
    assert (after.status, after.at_once) == (status, at_once)
    assert bool(after.reason) == (status is H)


MARKED = [rule("marks", "*.csv", completion="marker"), rule("settles", "x*")]


@pytest.mark.parametrize(
    ("name", "marked"),
    [
        ("a.csv.done", "a.csv"), ("a.csv.OK", "a.csv"), ("a.csv", None), (".done", None), ("xa.done", None),
        ("a.csv.ok.done", None), ("a.csv.Done", None),
    ],
)  # fmt: skip
def test_markers(name: str, marked: str | None) -> None:
    assert marked_name(name, MARKED, PREFIXES) == marked


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.csv", None), (".a", None), ("receipt_a.csv", Code.RESERVED_PREFIX), ("Result_", Code.RESERVED_PREFIX),
        ("receipt.csv", None), ("", Code.NAME_INVALID), ("..", Code.NAME_INVALID), ("é" * 128, Code.NAME_INVALID),
    ],
)  # fmt: skip
def test_names_that_no_upload_may_have(name: str, code: Code | None) -> None:
    fault = refuse_name(name)
    assert (fault.code if fault else None) == code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (rule("1", "Conv*"), rule("2", "Conv_*"), None),
        (rule("1", "Conv*"), rule("2", "Conv?.csv"), "Conv"),
        (rule("1", "Conv*"), rule("2", "conv*"), None),
        (rule("1", "Conv*"), rule("2", "conv*", case_sensitive=False), "conv"),
        (rule("1"), rule("2", "CONVERSIONS_*"), "conversions_"),
        (rule("1"), rule("2", data_type="participants"), None),
        (rule("1", data_type="email-list"), rule("2", "*.txt"), ""),
    ],
)
def test_connections_that_cannot_be_told_apart(one: Rule, other: Rule, same: str | None) -> None:
    assert same_beginnings(one, other, PREFIXES) == same == same_beginnings(other, one, PREFIXES)

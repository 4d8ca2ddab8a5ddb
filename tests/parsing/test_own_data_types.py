"""An operator's own data types: files in a folder, used without code, refused with the file and the key."""

import json
from pathlib import Path
from typing import Any

import pytest

from parsing import sample_csv, sample_jsonl
from storage.descriptors import DataTypesWrong, load_data_types, read_descriptor
from tests.parsing.parsing_helpers import errors_of, parsed, said

STOCK: dict[str, Any] = {
    "name": "stock", "title": "Stock levels", "prefixes": ["stock_"], "header_case": "exact",
    "fields": [{"name": "sku", "type": "string", "constraints": {"required": True, "maxLength": 64}},
               {"name": "level", "type": "integer", "constraints": {"minimum": 0}}],
    "families": [{"prefix": "attributes.", "type": "string"}],
    "primaryKey": ["sku"], "unknown_columns": "warn", "samples": [{"sku": "A-1", "level": 5}],
}  # fmt: skip


def write(folder: Path, name: str, descriptor: Any) -> None:
    folder.mkdir(exist_ok=True)
    text = descriptor if isinstance(descriptor, str) else json.dumps(descriptor)
    (folder / name).write_text(text, "utf-8")


def test_used_without_code(tmp_path: Path) -> None:
    write(tmp_path / "own", "stock.json", STOCK)
    kind = load_data_types(tmp_path / "own")["stock"]
    assert parsed(tmp_path, sample_csv(kind), kind).summary.status == "completed"
    assert parsed(tmp_path, sample_jsonl(kind), kind).summary.status == "completed"
    report = parsed(tmp_path, "sku,level,attributes.size\nA,-1,\nA,x,L\n,1,\n", kind)
    assert said(report) == [
        (2, "level", "VALUE_NOT_ALLOWED"),
        (3, "level", "INVALID_INTEGER"),
        (3, "sku", "DUPLICATE_ROW"),
        (4, "sku", "REQUIRED_VALUE_MISSING"),
    ]
    assert read_descriptor("stock", tmp_path / "own") == STOCK


def test_takes_the_place_of_a_built_in_one(tmp_path: Path) -> None:
    descriptor = read_descriptor("action-modifications")
    reason = next(field for field in descriptor["fields"] if field["name"] == "Reason")
    reason["constraints"]["enum"] = ["LATE"]
    descriptor["samples"] = []
    write(tmp_path / "own", "ours.json", descriptor)
    kind = load_data_types(tmp_path / "own")["action-modifications"]
    assert said(parsed(tmp_path, "ActionId,Reason\n1,LATE\n2,OTHER\n", kind)) == [(3, "Reason", "VALUE_NOT_ALLOWED")]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert load_data_types(tmp_path / "none") == load_data_types()
    with pytest.raises(KeyError):
        read_descriptor("none")


#: (file, content, words)
WRONG: list[tuple[str, Any, str]] = [
    ("a.json", "{", "a.json: This is no JSON"),
    ("a.json", [], "a.json: A data type must be a JSON object"),
    ("a.json", {**STOCK, "primaryKey": ["nr"]}, "a.json: A key names the field nr"),
    ("a.json", {**STOCK, "fields": [{"name": "sku", "constraints": {"max": 1}}]}, "a.json: .*the field sku.*key max"),
    ("zz.json", STOCK, "zz.json: stock.json declares the data type stock already"),
]


@pytest.mark.parametrize(("name", "content", "words"), WRONG)
def test_named_with_file_and_key(tmp_path: Path, name: str, content: Any, words: str) -> None:
    write(tmp_path / "own", "stock.json", STOCK)
    write(tmp_path / "own", name, content)
    with pytest.raises(ValueError, match=words):
        load_data_types(tmp_path / "own")


ENUMS = {"action-modifications": {"Reason": ("LATE", "LOST")}, "participants": {"customFields.tier": ("gold",)}}


def test_lists_of_values_from_settings(tmp_path: Path) -> None:
    types = load_data_types(None, ENUMS)
    report = parsed(tmp_path, "ActionId,Reason\n1,LATE\n2,OTHER\n", types["action-modifications"])
    assert said(report) == [(3, "Reason", "VALUE_NOT_ALLOWED")]
    assert "LATE, LOST" in errors_of(report)[0]["message"]
    text = "accountId,id,customFields.tier,customFields.other\na,1,gold,x\na,2,tin,x\na,3,,\n"
    report = parsed(tmp_path, text, types["participants"])
    assert said(report) == [(3, "customFields.tier", "VALUE_NOT_ALLOWED")]
    line = '{"accountId": "a", "id": 1, "customFields": {"tier": "tin"}}\n'
    assert said(parsed(tmp_path, line, types["participants"])) == [(1, "customFields.tier", "VALUE_NOT_ALLOWED")]
    assert types["conversions"] == load_data_types()["conversions"]


@pytest.mark.parametrize("name", ENUMS)
def test_samples_keep_to_the_lists_from_settings(tmp_path: Path, name: str) -> None:
    kind = load_data_types(None, ENUMS)[name]
    for sample in (sample_csv(kind), sample_jsonl(kind)):
        assert parsed(tmp_path, sample, kind).summary.status == "completed"


def test_a_descriptor_is_shown_with_the_lists_from_settings() -> None:
    reason = next(f for f in read_descriptor("action-modifications", None, ENUMS)["fields"] if f["name"] == "Reason")
    assert reason["constraints"] == {"required": True, "enum": ["LATE", "LOST"]}
    tier = read_descriptor("participants", None, ENUMS)["fields"][-1]
    assert (tier["name"], tier["type"], tier["constraints"]["enum"]) == ("customFields.tier", "string", ["gold"])


#: (lists, sentence)
ENUMS_REFUSED: list[tuple[dict[str, dict[str, tuple[str, ...]]], str]] = [
    ({"modifications": {}}, "data_types.modifications: there is no such data type; did you mean action-modifications?"),
    ({"x": {}}, "data_types.x: there is no such data type; there are action-modifications, clicks,"),
    (
        {"action-modifications": {"reason": ("A",)}},
        "data_types.action-modifications.enums.reason: action-modifications has no field reason; did you mean Reason?",
    ),
    ({"email-list": {"email": ("a@x.org",)}}, "data_types.email-list.enums: The list email-list takes no list"),
]


@pytest.mark.parametrize(("enums", "sentence"), ENUMS_REFUSED)
def test_lists_of_values_that_fit_nothing(enums: dict[str, dict[str, tuple[str, ...]]], sentence: str) -> None:
    with pytest.raises(DataTypesWrong) as told:
        load_data_types(None, enums)
    assert sentence in str(told.value)


def test_single_values_are_demanded_where_a_descriptor_says_so(tmp_path: Path) -> None:
    families = [{"prefix": "attributes.", "constraints": {"scalar": True}}, {"prefix": "raw."}]
    fields = [{"name": "sku"}, {"name": "sizes", "constraints": {"scalar": True}}]
    write(tmp_path / "own", "stock.json", {**STOCK, "fields": fields, "families": families, "samples": []})
    text = 'sku,sizes,attributes.a,raw.a\nA,[1],"[1,2]",{}\nB,S,[x],[]\n'
    report = parsed(tmp_path, text, load_data_types(tmp_path / "own")["stock"])
    assert said(report) == [(2, "sizes", "NESTED_VALUE"), (2, "attributes.a", "NESTED_VALUE")]

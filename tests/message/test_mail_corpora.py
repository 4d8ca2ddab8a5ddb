"""The corpora of other projects: the same names and bytes as other readers, or a refusal, or a reviewed difference.

``reviewed.toml`` lists every mail that is refused with its codes, and every difference with its reason.
"""

import email
import email.policy
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailgate.message.names import base_name
from mailgate.message.words import decode_charset, decode_words
from models.message import Message, Part
from tests.message.mime_helpers import CORPORA, body, codes, corpus, corpus_id, crlf, split_bytes, stdlib_leaves

pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside this checkout")

REVIEWED = tomllib.loads(Path(__file__).with_name("reviewed.toml").read_text())
REFUSED: dict[str, list[str]] = REVIEWED["refused"]
DIFFERENCES = {
    (entry["mail"], reader): set(entry["what"]) for entry in REVIEWED["difference"] for reader in entry["readers"]
}
POLICIES = {"compat32": email.policy.compat32, "default": email.policy.default}

MAILS = corpus()
SOUND = [path for path in MAILS if corpus_id(path) not in REFUSED]


def reviewed(path: Path, reader: str) -> set[str]:
    return DIFFERENCES.get((corpus_id(path), reader), set())


def lines(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def name_of(part: Part) -> str | None:
    return part.names[0].text if part.names else None


@pytest.mark.parametrize("path", MAILS, ids=corpus_id)
def test_refusals_are_the_reviewed_ones(path: Path) -> None:
    assert sorted(codes(path.read_bytes())) == REFUSED.get(corpus_id(path), [])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("path", SOUND, ids=corpus_id)
def test_against_the_standard_library(path: Path, policy: str) -> None:
    raw = path.read_bytes()
    parsed = email.message_from_bytes(raw, policy=POLICIES[policy])
    assert _stdlib_differences(raw, split_bytes(raw), parsed) == reviewed(path, policy)


def _stdlib_differences(raw: bytes, message: Message, parsed: Any) -> set[str]:
    leaves = stdlib_leaves(parsed)
    if len(leaves) != len(message.parts):
        return {"leaves"}
    found: set[str] = set()
    for leaf, part in zip(leaves, message.parts, strict=True):
        name = leaf.get_filename()
        if (base_name(decode_words(name).text) if name else None) != name_of(part):
            found.add("names")
        if leaf.get_content_type() != part.content_type:
            found.add("types")
        if part.inner is not None:
            found |= _stdlib_differences(raw, part.inner, leaf.get_payload(0))
        elif leaf.get_content_maintype() != "message" and leaf.get_payload(decode=True) != body(raw, part):
            found.add("bytes")
    return found


def _mail_parser_cases() -> Iterator[Any]:
    for path in SOUND:
        if path.parent.name.startswith("mail-parser"):
            for suffix in (".json", ".crlf.json"):
                yield pytest.param(path, path.with_suffix(suffix), id=f"{path.parent.name}/{path.stem}{suffix}")


@pytest.mark.parametrize(("path", "expected"), list(_mail_parser_cases()))
def test_against_mail_parser(path: Path, expected: Path) -> None:
    raw = crlf(path.read_bytes()) if expected.name.endswith(".crlf.json") else path.read_bytes()
    parsed = json.loads(expected.read_text())
    assert _mail_parser_differences(raw, split_bytes(raw), parsed) == reviewed(path, expected.name.split(".", 1)[1])


def _mail_parser_differences(raw: bytes, message: Message, parsed: dict[str, Any]) -> set[str]:
    leaves = [p for p in parsed["parts"] if not (isinstance(p["body"], dict) and "Multipart" in p["body"])]
    if len(leaves) != len(message.parts):
        return {"leaves"}
    found: set[str] = set()
    for leaf, part in zip(leaves, message.parts, strict=True):
        if _mail_parser_name(leaf) != name_of(part):
            found.add("names")
        ((kind, value),) = leaf["body"].items()
        if kind == "Message":
            if part.inner is not None:
                found |= _mail_parser_differences(raw, part.inner, value)
            continue
        data = body(raw, part)
        if kind in ("Text", "Html"):
            same = decode_charset(data, part.charset or "utf-8").text.replace("\r\n", "\n") == value.replace(
                "\r\n", "\n"
            )
        else:
            same = lines(bytes(value)) == lines(data)
        if not same:
            found.add("bytes")
    return found


def _mail_parser_name(leaf: dict[str, Any]) -> str | None:
    headers = {h["name"]: h["value"] for h in leaf["headers"] if isinstance(h["name"], str)}
    for header, parameter in (("content_disposition", "filename"), ("content_type", "name")):
        value = headers.get(header)
        attributes = (value.get("ContentType", {}).get("attributes") if isinstance(value, dict) else None) or []
        for attribute in attributes:
            if attribute["name"] == parameter:
                return base_name(attribute["value"])
    return None


@pytest.mark.parametrize("path", [p for p in SOUND if p.parent.name.startswith("mime4j")], ids=corpus_id)
def test_against_mime4j(path: Path) -> None:
    raw = path.read_bytes()
    tree = path.with_name(f"{path.stem}_decoded.xml").read_text("latin-1")
    expected = [path.with_name(name).read_bytes() for name in re.findall(r'<(?:text|binary)-body name="([^"]+)"', tree)]
    found = [body(raw, part) for part in _flat(split_bytes(raw))]
    differences = {"leaves"} if len(found) != len(expected) else set()
    if not differences and [lines(data) for data in found] != [lines(data) for data in expected]:
        differences = {"bytes"}
    assert differences == reviewed(path, "mime4j")


def _flat(message: Message) -> Iterator[Part]:
    for part in message.parts:
        if part.inner is None:
            yield part
        else:
            yield from _flat(part.inner)


def test_every_reviewed_entry_names_a_mail_and_a_reason() -> None:
    known = {corpus_id(path) for path in MAILS}
    assert set(REFUSED) <= known
    for entry in REVIEWED["difference"]:
        assert entry["mail"] in known
        assert entry["mail"] not in REFUSED
        assert len(entry["reason"]) > 20

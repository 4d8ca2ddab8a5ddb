"""The catalogue is whole, its texts keep their form, and docs/errors.md is what it says."""

import dataclasses
import re

import pytest

from models.catalogue import CATALOGUE, Entry, Scope, Severity, gather
from models.codes import Code
from tests.docs import render_errors

ENTRIES = [pytest.param(entry, id=code) for code, entry in CATALOGUE.items()]


def test_page_is_what_the_catalogue_says() -> None:
    page = render_errors.PATH.read_text(encoding="utf-8")
    assert page == render_errors.render(), "run: python -m tests.docs.render_errors"


@pytest.mark.parametrize("code", list(Code))
def test_page_has_one_heading_for_each_code(code: Code) -> None:
    page = render_errors.PATH.read_text(encoding="utf-8")
    assert len(re.findall(rf"^### {code}$", page, re.MULTILINE)) == 1


def test_codes_stand_in_their_order() -> None:
    assert list(CATALOGUE) == list(Code)


@pytest.mark.parametrize("entry", ENTRIES)
def test_texts_keep_their_form(entry: Entry) -> None:
    for text in (entry.title, entry.meaning, entry.mend, entry.example):
        assert text == text.strip()
        assert "\n" not in text
        assert "  " not in text
    assert not entry.title.endswith(".")
    assert entry.meaning.endswith(".")
    assert entry.mend.endswith(".")
    assert len(entry.mend) < 140


@pytest.mark.parametrize("entry", ENTRIES)
def test_example_shows_the_bad_and_the_right(entry: Entry) -> None:
    assert re.search(r" (Right|Better)\b.*: ", entry.example)


@pytest.mark.parametrize("entry", ENTRIES)
def test_scope_and_severity_go_together(entry: Entry) -> None:
    pairs = {(scope, severity) for scope, severity, _, _ in render_errors.SECTIONS}
    assert (entry.scope, entry.severity) in pairs


@pytest.mark.parametrize(
    ("code", "scope", "severity"),
    [
        (Code.FILE_EMPTY, Scope.FILE, Severity.ERROR),
        (Code.MESSAGE_MALFORMED, Scope.FILE, Severity.ERROR),
        (Code.NO_ROWS, Scope.FILE, Severity.WARNING),
        (Code.FIELD_COUNT, Scope.ROW, Severity.ERROR),
        (Code.SUSPECT_QUOTE, Scope.ROW, Severity.WARNING),
        (Code.NAME_NOT_MATCHED, Scope.DELIVERY, Severity.IGNORED),
        (Code.ALREADY_SEEN, Scope.DELIVERY, Severity.IGNORED),
        (Code.SYSTEM_ERROR, Scope.OURS, Severity.ERROR),
    ],
)
def test_scope_and_severity(code: Code, scope: Scope, severity: Severity) -> None:
    assert (CATALOGUE[code].scope, CATALOGUE[code].severity) == (scope, severity)


def test_a_code_without_an_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks ENCRYPTED"):
        gather(entry for entry in CATALOGUE.values() if entry.code is not Code.ENCRYPTED)


def test_a_code_with_two_entries_is_refused() -> None:
    first = CATALOGUE[Code.LOOP]
    with pytest.raises(ValueError, match="LOOP stands in the catalogue twice"):
        gather([*CATALOGUE.values(), dataclasses.replace(first, title="Another")])


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        CATALOGUE[Code.LOOP] = CATALOGUE[Code.BOUNCE]  # type: ignore[index]

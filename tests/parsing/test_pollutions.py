"""Damaged files: what is said of each, word for word, and that no row suffers but the damaged one.

What is expected stands in ``pollutions.txt``; ``MAILGATE_WRITE_GOLDEN=1`` writes it anew; read the diff as the
bookkeeper who gets these answers.
"""

import csv
import os
import re
from pathlib import Path

import pytest

from tests.parsing.parsing_helpers import errors_of, parsed
from tests.parsing.pollutions import HEAD, POLLUTIONS, ROWS

EXPECTED = Path(__file__).with_name("pollutions.txt")
WRITE = os.environ.get("MAILGATE_WRITE_GOLDEN") == "1"
OURS = {row[1]: row for row in ROWS}


def told(tmp_path: Path, data: bytes) -> str:
    """Give all that is said of a file, and which rows were accepted."""
    report = parsed(tmp_path, data)
    s = report.summary
    lines = [f"{s.status} {s.code or ''}".rstrip()]
    if s.message:
        lines.append(f"  {s.message}")
    if s.total_rows is not None:
        counts = f"{s.total_rows} rows: {s.successful_rows} accepted, {s.unchanged_rows} unchanged, {s.error_rows} bad"
        lines.append(f"  {counts}, {s.not_applied_rows} not applied; {s.blank_rows} blank")
    lines += [f"  {w.code} {w.message}" for w in s.warnings]
    for e in errors_of(report):
        column = f" {e['column']}" if e["column"] else ""
        lines.append(f"  row {e['row']}, line {e['line']}{column}: {e['severity']} {e['code']} {e['message']}")
    if s.successful_rows:
        lines.append(f"  accepted {accepted(tmp_path, report)}")
    return "\n".join(lines)


def accepted(tmp_path: Path, report: object) -> str:
    """Name the accepted rows: those of the good file by id, others by their cells."""
    path = tmp_path / "accepted.csv"
    report.write_accepted(path)  # type: ignore[attr-defined]
    named = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            cells = [row.get(name, "") for name in HEAD]
            same = cells == OURS.get(row["id"])
            named.append(row["id"] if same else repr([cell[:30] for cell in cells]))
    return " ".join(named)


def expectations() -> dict[str, str]:
    blocks = re.split(r"^== (.*)\n", EXPECTED.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(blocks[::2], (block.rstrip("\n") for block in blocks[1::2]), strict=True))


@pytest.mark.skipif(not WRITE, reason="writes what is expected only when asked to")
def test_write(tmp_path: Path) -> None:
    blocks = [f"== {what}\n{told(tmp_path, data)}\n" for what, data in POLLUTIONS.items()]
    EXPECTED.write_text("\n".join(blocks), "utf-8")


def test_every_expectation_has_its_file() -> None:
    assert list(expectations()) == list(POLLUTIONS)


@pytest.mark.parametrize("what", POLLUTIONS)
def test_pollution(tmp_path: Path, what: str) -> None:
    assert told(tmp_path, POLLUTIONS[what]) == expectations()[what]

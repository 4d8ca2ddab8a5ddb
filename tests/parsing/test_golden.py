"""Golden cases: folders with a file, what is said of it, its errors file, and why the case is there.

The folder's name begins with the data type. ``MAILGATE_WRITE_GOLDEN=1`` writes what is expected anew; read the diff.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from parsing import Options, parse
from tests.parsing.parsing_helpers import NOW, TYPES

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("MAILGATE_WRITE_GOLDEN") == "1"


@pytest.mark.parametrize("name", sorted(p.name for p in GOLDEN.iterdir() if p.is_dir()))
def test_golden(tmp_path: Path, name: str) -> None:
    folder = GOLDEN / name
    assert (folder / "why.md").read_text("utf-8").strip()
    kind = max((k for k in TYPES if name.startswith(k)), key=len)
    report = parse(folder / "input.csv", TYPES[kind], Options(now=NOW))
    said = (
        json.dumps({**asdict(report.summary), "parent_trace_id": report.parent_trace_id}, indent=1, default=str) + "\n"
    )
    with (tmp_path / "errors.csv").open("wb") as out:
        report.write_errors(out, "01JTRACE")
    errors = (tmp_path / "errors.csv").read_bytes() if report.summary.entries else b""
    if WRITE:
        (folder / "expected.json").write_text(said, "utf-8")
        (folder / "errors.csv").write_bytes(errors)
    assert json.loads((folder / "expected.json").read_text("utf-8")) == json.loads(said)
    assert (folder / "errors.csv").read_bytes() == errors

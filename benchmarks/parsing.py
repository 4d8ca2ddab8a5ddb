"""Measure our parse against bare readers, as whole processes, and print every figure of one run as a ratio.

Run from the root of the project: ``python -m benchmarks.parsing``. Each way runs in a process of its own, in turn,
several times; medians are compared, since other work on the machine touches all of them alike.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HEAD = "import sys\nfrom pathlib import Path\n"
OURS = """
from datetime import UTC, datetime
from parsing import Options, parse
from storage.descriptors import load_data_types
options = Options(now=datetime.now(UTC), max_rows=4_000_000, warn_rows=4_000_000)
report = parse(Path(sys.argv[1]), load_data_types()["KIND"], options)
with open(sys.argv[1] + ".errors.csv", "wb") as out:
    report.write_errors(out, "01J")
MORE
print(report.summary.error_rows, end=" ")
"""
BARE = """
import polars
print(polars.read_csv(sys.argv[1], infer_schema=False, has_header=HEADED).height, end=" ")
"""
BARE_JSON = """
import polars
print(polars.read_ndjson(sys.argv[1]).height, end=" ")
"""
PLAIN_PARQUET = """
import polars
frame = polars.read_csv(sys.argv[1], infer_schema=False)
frame.write_parquet(sys.argv[1] + ".plain.parquet")
print(frame.height, end=" ")
"""
ACCEPTED = 'report.write_accepted(Path(sys.argv[1] + ".parquet"))'
PYDANTIC = """
import csv, re
from typing import Annotated
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from parsing.codesets import COUNTRIES
Text = Annotated[str, Field(min_length=1)]
class Row(BaseModel):
    model_config = ConfigDict(extra="allow")
    accountId: Text
    id: Text
    email: Annotated[str, Field(pattern=r"^$|^[^@\\s]+@[^@\\s.]+(\\.[^@\\s.]+)+$")]
    referable: Annotated[str, Field(pattern="^(true|false|)$")]
    locale: Annotated[str, Field(pattern="^$|^[a-z]{2,3}_[A-Z]{2}$")]
    countryCode: Annotated[str, Field(pattern="^(|" + "|".join(sorted(COUNTRIES)) + ")$")]
    imageUrl: Annotated[str, Field(pattern="^$|^https?://")]
    dateUsTaxFormSubmitted: Annotated[str, Field(pattern="^[0-9]*$")]
bad, keys = 0, set()
with open(sys.argv[1], newline="", encoding="utf-8") as file, open(sys.argv[1] + ".errors.csv", "w") as out:
    writer = csv.writer(out)
    for number, row in enumerate(csv.DictReader(file, strict=True), 2):
        keys.add((row["accountId"], row["id"]))
        try:
            Row.model_validate(row)
        except ValidationError as error:
            bad += 1
            writer.writerow([number, error.errors()[0]["msg"], *row.values()])
print(bad, end=" ")
"""
TAIL = """
import re
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One script on one file."""

    name: str
    file: str
    code: str


def ours(name: str, file: str, kind: str = "participants", more: str = "") -> Way:
    return Way(name=name, file=file, code=OURS.replace("KIND", kind).replace("MORE", more))


WAYS = (
    ours("csv", "clean.csv"),
    Way(name="bare read_csv", file="clean.csv", code=BARE.replace("HEADED", "True")),
    Way(name="csv + pydantic", file="clean.csv", code=PYDANTIC),
    ours("csv and parquet", "clean.csv", more=ACCEPTED),
    Way(name="plain parquet", file="clean.csv", code=PLAIN_PARQUET),
    ours("jsonl", "clean.jsonl"),
    Way(name="bare read_ndjson", file="clean.jsonl", code=BARE_JSON),
    ours("list", "list.txt", "email-list"),
    Way(name="bare list", file="list.txt", code=BARE.replace("HEADED", "False")),
    ours("error in every row", "errors.csv"),
    ours("every cell quoted", "quoted.csv"),
    ours("1 % broken", "broken.csv"),
    ours("a tenth", "tenth.csv"),
    ours("twice", "twice.csv"),
)
#: (what is shown, numerator, denominator, "time" or "memory", goal)
RATIOS = (
    ("csv with errors file / bare read_csv", "csv", "bare read_csv", "time", "≤ 1.25"),
    ("csv with errors file / bare read_csv", "csv", "bare read_csv", "memory", "≤ 0.80"),
    ("csv + pydantic / csv with errors file", "csv + pydantic", "csv", "time", "≥ 5"),
    ("csv with accepted parquet / plain polars", "csv and parquet", "plain parquet", "time", "≤ 1.25"),
    ("jsonl / bare read_ndjson", "jsonl", "bare read_ndjson", "time", "≤ 1.3"),
    ("email list / bare polars", "list", "bare list", "time", "≤ 1.3"),
    ("an error in every row / clean", "error in every row", "csv", "time", "≤ 2"),
    ("every cell quoted / clean", "every cell quoted", "csv", "time", "≤ 2"),
    ("1 % structurally broken / clean", "1 % broken", "csv", "time", "≤ 2"),
)


def write_files(folder: Path, rows: int) -> None:
    """Write every file the ways read."""
    generator = Path(__file__).with_name("generate_participants.py")
    for name, number in (("clean", rows), ("tenth", rows // 10), ("twice", rows * 2)):
        command = [sys.executable, str(generator), str(folder / f"{name}.csv"), "--rows", str(number)]
        subprocess.run(command, check=True)
    with (folder / "clean.csv").open(encoding="utf-8", newline="") as source:
        table = list(csv.reader(source))
    with (folder / "clean.jsonl").open("w", encoding="utf-8") as out:
        for row in table[1:]:
            out.write(json.dumps(dict(zip(table[0], row, strict=True)), ensure_ascii=False) + "\n")
    with (folder / "quoted.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    email = table[0].index("email")
    with (folder / "errors.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [table[0], *([*row[:email], "none", *row[email + 1 :]] for row in table[1:])]
        )
    lines = (folder / "clean.csv").read_text("utf-8").splitlines(keepends=True)
    lines[100::100] = ['"' + line for line in lines[100::100]]
    (folder / "broken.csv").write_text("".join(lines), "utf-8")
    with (folder / "list.txt").open("w") as out:
        out.writelines(f"participant.{number}@example.com\n" for number in range(rows * 4))


def run(way: Way, folder: Path) -> tuple[float, int, str]:
    """Give the seconds and peak kilobytes of one process, and what it counted."""
    before = os.times().elapsed
    command = [sys.executable, "-c", HEAD + way.code + TAIL, str(folder / way.file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    counted, peak = done.stdout.split()
    return os.times().elapsed - before, int(peak), counted


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=500_000)
    options.add_argument("--times", type=int, default=5)
    given = options.parse_args()
    results: dict[str, list[tuple[float, int, str]]] = {way.name: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, given.rows)
        sizes = ", ".join(f"{p.name} {p.stat().st_size / 1e6:.0f} MB" for p in sorted(folder.iterdir()))
        print(f"{given.rows} rows ({sizes}), median of {given.times} whole processes each")
        for _ in range(given.times):
            for way in WAYS:
                results[way.name].append(run(way, folder))
    figures = {
        kind: {name: statistics.median(r[place] for r in found) for name, found in results.items()}
        for place, kind in enumerate(("time", "memory"))
    }
    for name, found in results.items():
        seconds, peak = figures["time"][name], figures["memory"][name] / 1024
        print(f"{name:20} {seconds:6.2f} s {peak:5.0f} MB  (counted {found[0][2]})")
    for text, above, below, kind, goal in RATIOS:
        print(f"{text}: {kind} {figures[kind][above] / figures[kind][below]:.2f} (goal {goal})")
    time = figures["time"]
    tenth, whole, twice = (time[name] * 1e6 / (given.rows * part) for name, part in PARTS)
    print(f"microseconds a row at a tenth, the whole and twice the rows: {tenth:.2f}, {whole:.2f}, {twice:.2f}")


PARTS = (("a tenth", 0.1), ("csv", 1.0), ("twice", 2.0))

if __name__ == "__main__":
    main()

"""Measure our parse against bare polars and csv + pydantic, as whole processes, and print the ratios of one run.

Run from the root of the project: ``python -m benchmarks.parsing``. Each way runs in a process of its own, in turn,
several times; medians are compared, since other work on the machine touches all of them alike.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = """
from datetime import UTC, datetime
from pathlib import Path
from parsing import Options, parse
from storage.descriptors import load_data_types
report = parse(Path(sys.argv[1]), load_data_types()["participants"], Options(now=datetime.now(UTC)))
with open(sys.argv[1] + ".errors.csv", "wb") as out:
    report.write_errors(out, "01J")
print(report.summary.error_rows, end=" ")
"""

BARE = """
import polars
print(polars.read_csv(sys.argv[1], infer_schema=False).height, end=" ")
"""

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
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
WAYS = {"ours": OURS, "bare read_csv": BARE, "csv + pydantic": PYDANTIC}


def run(code: str, path: Path) -> tuple[float, int, str]:
    """Give the seconds and peak kilobytes of one process, and what it counted."""
    script = "import sys\n" + code + TAIL
    before = os.times()
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True)
    counted, peak = done.stdout.split()
    return os.times().elapsed - before.elapsed, int(peak), counted


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=500_000)
    options.add_argument("--times", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "participants.csv"
        generator = Path(__file__).with_name("generate_participants.py")
        subprocess.run([sys.executable, str(generator), str(path), "--rows", str(given.rows)], check=True)
        print(f"{given.rows} rows, {path.stat().st_size / 1e6:.0f} MB, median of {given.times} whole processes each")
        results: dict[str, list[tuple[float, int, str]]] = {name: [] for name in WAYS}
        for _ in range(given.times):
            for name, code in WAYS.items():
                results[name].append(run(code, path))
    seconds = {name: statistics.median(r[0] for r in found) for name, found in results.items()}
    peaks = {name: statistics.median(r[1] for r in found) for name, found in results.items()}
    for name, found in results.items():
        print(f"{name:15} {seconds[name]:6.2f} s {peaks[name] / 1024:5.0f} MB  (counted {found[0][2]})")
    print(f"ours / bare read_csv:   time {seconds['ours'] / seconds['bare read_csv']:.2f} (goal 1.25), ", end="")
    print(f"memory {peaks['ours'] / peaks['bare read_csv']:.2f} (goal 0.80)")
    print(f"csv + pydantic / ours:  time {seconds['csv + pydantic'] / seconds['ours']:.2f} (goal 5)")


if __name__ == "__main__":
    main()

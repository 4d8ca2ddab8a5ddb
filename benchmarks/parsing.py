"""Measure ``mailgate check`` against bare readers, as whole processes, and print every figure of one run as a ratio.

Run from the root of the project: ``python -m benchmarks.parsing``. Each way is one process, run in turn, several times;
medians are compared, since other work on the machine touches all of them alike. The comparison with frictionless, which
is no dependency of ours, is made where this Python has it or ``--frictionless`` names one that does.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from storage.descriptors import read_descriptor

READ = "import sys\n"
BARE = """
import polars
print(polars.read_csv(sys.argv[1], infer_schema=False, has_header=HEADED).height)
"""
BARE_JSON = """
import polars
print(polars.read_ndjson(sys.argv[1]).height)
"""
PLAIN_PARQUET = """
import polars
frame = polars.read_csv(sys.argv[1], infer_schema=False)
frame.write_parquet(sys.argv[1] + ".plain.parquet")
print(frame.height)
"""
FRICTIONLESS = """
import json, os
from frictionless import Resource, Schema, system
with open(sys.argv[1] + ".schema.json") as file:
    schema = Schema.from_descriptor(json.load(file))
folder, name = os.path.split(sys.argv[1])
report = Resource(path=name, basepath=folder, schema=schema).validate(limit_errors=1_000_000)
print(len({error.row_number for task in report.tasks for error in task.errors}))
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
print(bad)
"""
MAILGATE = str(Path(sys.executable).with_name("mailgate"))
#: for the list, which has more lines than are taken as a rule; elsewhere there is no configuration
LIMITS = "[limits]\nmax_rows = 4000000\nwarn_rows = 4000000\nmax_file_bytes = 1000000000\n"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One command on one file; its last argument but for options is the file."""

    name: str
    file: str
    command: tuple[str, ...]
    more: tuple[str, ...] = ()  #: behind the file
    once: bool = False  #: it takes too long to be repeated


def ours(name: str, file: str, kind: str = "participants", *more: str) -> Way:
    """Give ``mailgate check`` with an errors file, as an operator types it; FOLDER stands for that of the files."""
    config = "FOLDER/mailgate.toml" if kind == "email-list" else "FOLDER/none.toml"
    command = (MAILGATE, "--config", config, "--json", "--quiet", "check")
    return Way(
        name=name, file=file, command=command, more=("--type", kind, "--errors", f"FOLDER/{file}.errors.csv", *more)
    )


def script(name: str, file: str, code: str) -> Way:
    return Way(name=name, file=file, command=(sys.executable, "-c", READ + code))


WAYS = (
    ours("csv", "clean.csv"),
    script("bare read_csv", "clean.csv", BARE.replace("HEADED", "True")),
    script("csv + pydantic", "clean.csv", PYDANTIC),
    ours("csv and parquet", "clean.csv", "participants", "--accepted", "FOLDER/clean.parquet"),
    script("plain parquet", "clean.csv", PLAIN_PARQUET),
    ours("jsonl", "clean.jsonl"),
    script("bare read_ndjson", "clean.jsonl", BARE_JSON),
    ours("list", "list.txt", "email-list"),
    script("bare list", "list.txt", BARE.replace("HEADED", "False")),
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
    ("frictionless validate / csv with errors file", "frictionless", "csv", "time", "≥ 16"),
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
    (folder / "mailgate.toml").write_text(LIMITS)
    (folder / "clean.csv.schema.json").write_text(json.dumps(table_schema(table[0])))


def table_schema(names: list[str]) -> dict[str, object]:
    """Give the rules of participants in the words of Table Schema, for a reader that knows no others."""
    known = {field["name"]: field for field in read_descriptor("participants")["fields"]}
    patterns = {"locale": "[a-z]{2,3}_[A-Z]{2}", "country": "[A-Z]{2}"}
    fields = []
    for name in names:
        field = known.get(name, {})
        constraints = dict(field.get("constraints", {}))
        format_ = field.get("format", "default")
        if format_ in patterns:
            constraints["pattern"], format_ = patterns[format_], "default"
        fields.append(
            {"name": name, "type": field.get("type", "string"), "format": format_, "constraints": constraints}
        )
    return {"fields": fields, "primaryKey": ["accountId", "id"]}


def run(way: Way, folder: Path) -> tuple[float, float, int, str]:
    """Give the seconds, the processor's seconds and the peak kilobytes of one process, and what it counted.

    ``wait4`` tells the peak of the process it waits for; ``mailgate check`` starts no other. The peak begins with that
    of whoever started it, so this process stays small.
    """
    words = [*way.command, str(folder / way.file), *way.more]
    with tempfile.TemporaryFile() as out:
        before = os.times().elapsed
        process = subprocess.Popen([word.replace("FOLDER", str(folder)) for word in words], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = os.times().elapsed - before
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read().decode()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{way.name} ended with {process.returncode}")
    counted = str(json.loads(printed)["error_rows"]) if way.command[0] == MAILGATE else printed.strip()
    return elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, counted


def with_frictionless(python: str) -> tuple[Way, ...]:
    """Give the ways, with frictionless where a Python has it; say so where none has."""
    known = subprocess.run([python, "-c", "import frictionless"], capture_output=True, check=False).returncode == 0
    if not known:
        print("frictionless is not installed here, so nothing is compared with it (--frictionless PYTHON names one)")
        return WAYS
    validate = script("frictionless", "clean.csv", FRICTIONLESS)
    return (*WAYS, replace(validate, command=(python, *validate.command[1:]), once=True))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=500_000)
    options.add_argument("--times", type=int, default=5)
    options.add_argument("--frictionless", default=sys.executable, metavar="PYTHON", help="a Python that has it")
    options.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.write:
        write_files(given.write, given.rows)
        return
    ways = with_frictionless(given.frictionless)
    results: dict[str, list[tuple[float, float, int, str]]] = {way.name: [] for way in ways}
    folder = Path(tempfile.mkdtemp())
    try:
        command = [sys.executable, "-m", "benchmarks.parsing", "--write", str(folder), "--rows", str(given.rows)]
        subprocess.run(command, check=True)  # a process of its own: it grows
        sizes = ", ".join(f"{p.name} {p.stat().st_size / 1e6:.0f} MB" for p in sorted(folder.glob("*.[cjt][sx]*")))
        print(f"{given.rows} rows ({sizes}), median of {given.times} whole processes each")
        for time in range(given.times):
            for way in ways:
                if not (way.once and time):
                    results[way.name].append(run(way, folder))
    finally:
        shutil.rmtree(folder)
    report(results, given.rows)


def report(results: dict[str, list[tuple[float, float, int, str]]], rows: int) -> None:
    """Print what each way took, and the ratios."""
    figures = {
        kind: {name: statistics.median(float(r[place]) for r in found) for name, found in results.items()}
        for place, kind in enumerate(("time", "processor", "memory"))
    }
    for name, found in results.items():
        seconds, processor, peak = (figures[kind][name] for kind in ("time", "processor", "memory"))
        taken = f"{seconds:6.2f} s {processor:6.2f} s of processors {peak / 1024:5.0f} MB"
        print(f"{name:20} {taken}  (counted {found[0][3]})")
    for text, above, below, kind, goal in RATIOS:
        if above in results and below in results:
            print(f"{text}: {kind} {figures[kind][above] / figures[kind][below]:.2f} (goal {goal})")
    time = figures["time"]
    tenth, whole, twice = (time[name] * 1e6 / (rows * part) for name, part in PARTS)
    print(f"microseconds a row at a tenth, the whole and twice the rows: {tenth:.2f}, {whole:.2f}, {twice:.2f}")


PARTS = (("a tenth", 0.1), ("csv", 1.0), ("twice", 2.0))

if __name__ == "__main__":
    main()

"""``mailgate check``, ``match``, ``explain`` and ``data-type``: what can be asked about a file without sending it."""

import difflib
import gc
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mailgate.cli.state import (
    EXIT_MISSING,
    EXIT_REFUSED,
    EXIT_USAGE,
    Stop,
    house,
    now,
    print_fields,
    print_json,
    print_table,
    state,
)  # fmt: skip

data_types = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the command line."""
    app.command()(check)
    app.command()(match)
    app.command()(explain)


def check(
    file: Annotated[Path, typer.Argument(help="The file to check.")],
    type_: Annotated[str, typer.Option("--type", help="The data type of its rows.")],
    errors: Annotated[Path | None, typer.Option(help="Write the errors file here (CSV).")] = None,
    accepted: Annotated[Path | None, typer.Option(help="Write the accepted rows here (.parquet or .csv).")] = None,
) -> None:
    """Parse a file offline with the same parser as an import; exit 1 when a row or the file is refused."""
    gc.disable()  # a check ends before garbage counts; loading the parser is a tenth faster
    from mailgate.cli.checking import Digest, check_file, offline_options
    from models.result import Identity, result_object
    from models.states import ImportStatus

    if accepted is not None:
        check_accepted_name(accepted)
    if not file.is_file():
        raise Stop(EXIT_MISSING, f"there is no file {file}")
    data_type, started = _data_type(type_), now()
    digest = Digest(file)  # before the parser is loaded, which takes as long
    report = check_file(file, data_type, offline_options(file, started))
    summary = report.summary
    if errors is not None and summary.entries:
        with errors.open("wb") as out:
            report.write_errors(out, "")
    if accepted is not None:
        report.write_accepted(accepted)
    identity = Identity(
        data_type=data_type.name, file_name=file.name, sha256=digest.value(), started_at=_iso(started),
        finished_at=_iso(now()), errors_file=str(errors) if errors is not None and summary.entries else None,
    )  # fmt: skip
    result = result_object(identity, summary)
    if state.json:
        print_json(result)
    else:
        _print_result(result, errors)
    if summary.status is not ImportStatus.COMPLETED:
        raise Stop(EXIT_REFUSED)


def check_accepted_name(path: Path) -> None:
    """Refuse a file of accepted rows whose name does not say which format it has."""
    if path.suffix not in {".csv", ".parquet"}:
        raise Stop(EXIT_USAGE, f"accepted rows go to a name that ends in .parquet or .csv, not to {path.name}")


def match(
    names: Annotated[list[str], typer.Argument(help="File names, judged as the attachments of one mail.")],
    connection: Annotated[str | None, typer.Option(help="Ask this connection only.")] = None,
) -> None:
    """Tell which connection would take these files, and why the others would not; exit 1 when none would."""
    from matching.explain import explain as explain_match
    from storage.descriptors import load_data_types
    from storage.ledger.connections import list_all

    with house() as rooms:
        rows = rooms.ledger.read_now(list_all)
        rules = [row.ref.rule for row in rows]
        paused = {row.ref.rule.name for row in rows if row.ref.state == "paused"}
        prefixes = {
            name: one.prefixes
            for name, one in load_data_types(rooms.settings.data_types_dir, rooms.settings.enums).items()
        }
    explained = explain_match(names, rules, paused, prefixes)
    if connection is not None:
        explained = tuple(one for one in explained if one.connection.casefold() == connection.casefold())
        if not explained:
            raise Stop(EXIT_MISSING, f"there is no connection {connection!r}")
    if state.json:
        print_json([
            {"connection": one.connection, "would_take": one.would_take, "code": one.code, "message": one.message,
             "names": [{"name": n.name, "taken": n.taken, "code": n.code, "message": n.message} for n in one.names]}
            for one in explained
        ])  # fmt: skip
    else:
        for one in explained:
            print(
                f"{one.connection}: "
                + ("would take them" if one.would_take else f"no – {one.code or ''} {one.message}")
            )
            for name in one.names:
                if not name.taken:
                    print(f"    {name.name}: {name.message}")
        if not rules:
            print("There are no connections yet.")
    if not any(one.would_take for one in explained):
        raise Stop(EXIT_REFUSED)


def explain(code: Annotated[str, typer.Argument(help="A code from a receipt, a result or an errors file.")]) -> None:
    """Say what a code means and how to mend it."""
    from models.catalogue import CATALOGUE
    from models.codes import Code

    wanted = code.strip().upper()
    if wanted not in Code.__members__:
        near = difflib.get_close_matches(wanted, list(Code.__members__), 3, 0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise Stop(EXIT_MISSING, f"there is no code {code!r}{hint}")
    entry = CATALOGUE[Code(wanted)]
    fields = [
        ("code", str(entry.code)), ("title", entry.title), ("concerns", str(entry.scope)),
        ("severity", str(entry.severity)), ("meaning", entry.meaning), ("mend", entry.mend), ("example", entry.example),
    ]  # fmt: skip
    if state.json:
        print_json(dict(fields))
    else:
        print_fields(fields)


@data_types.command("list")
def list_data_types() -> None:
    """List the data types."""
    found = _data_types()
    rows = [{"name": one.name, "title": one.title, "prefixes": list(one.prefixes)} for one in found.values()]
    if state.json:
        print_json(rows)
    else:
        print_table(("data type", "title", "file names begin with"), [
            (row["name"], row["title"], ", ".join(row["prefixes"])) for row in rows
        ])  # fmt: skip


@data_types.command("show")
def show_data_type(name: Annotated[str, typer.Argument(help="A data type.")]) -> None:
    """Show the descriptor of a data type: its columns and their rules."""
    from mailgate.cli.checking import own_types
    from storage.descriptors import read_descriptor

    _data_type(name)
    descriptor = read_descriptor(name, *own_types())
    if state.json:
        print_json(descriptor)
        return
    print_fields([
        ("data type", descriptor["name"]), ("title", descriptor.get("title")),
        ("file names begin with", ", ".join(descriptor.get("prefixes", []))),
        ("header", "exact" if descriptor.get("header_case") == "exact" else "in any case"),
    ])  # fmt: skip
    print()
    print_table(("column", "type", "rules"), [_field(field) for field in descriptor["fields"]])
    for family in descriptor.get("families", []):
        print(f"{family['prefix']}<name>  {family.get('type', 'string')}")


@data_types.command("sample")
def sample_data_type(
    name: Annotated[str, typer.Argument(help="A data type.")],
    format_: Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="csv or jsonl")] = "csv",
) -> None:
    """Print a sample file that imports without an error."""
    from parsing import sample_csv, sample_jsonl

    data_type = _data_type(name)
    print(sample_csv(data_type) if format_ == "csv" else sample_jsonl(data_type), end="")


def _data_types() -> Any:
    from mailgate.cli.checking import own_types
    from storage.descriptors import load_data_types

    return load_data_types(*own_types())


def _data_type(name: str) -> Any:
    found = _data_types()
    if name not in found:
        raise Stop(EXIT_MISSING, f"there is no data type {name!r}; there are {', '.join(sorted(found))}")
    return found[name]


def _field(field: dict[str, Any]) -> tuple[str, str, str]:
    rules = [
        key if value is True else f"{key} {value if not isinstance(value, list) else ', '.join(map(str, value))}"
        for key, value in field.get("constraints", {}).items()
        if value is not False
    ]
    return field["name"], field.get("type", "string"), "; ".join(rules)


def _print_result(result: dict[str, Any], errors: Path | None) -> None:
    shown = [
        "file_name", "data_type", "status", "code", "message", "total_rows", "successful_rows", "unchanged_rows",
        "error_rows", "not_applied_rows", "blank_rows", "encoding", "delimiter",
    ]  # fmt: skip
    print_fields([(key, result[key]) for key in shown])
    for warning in result["warnings"]:
        print(f"warning  {warning['code']}: {warning['message']}")
    for entry in result["top_errors"]:
        print(f"errors   {entry['count']:,} × {entry['code']}")
    if result["errors_file"]:
        print(f"\nEvery bad row stands in {errors}.")


def _iso(moment: Any) -> str:
    return str(moment.isoformat(timespec="milliseconds")).replace("+00:00", "Z")

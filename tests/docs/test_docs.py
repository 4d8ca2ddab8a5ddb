"""The pages tell of everything there is: settings, commands, data types, keys and codes are found by introspection."""

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from intake import provisioning
from mailgate.cli import app
from mailgate.settings import Settings, parse_duration
from models.codes import Code
from parsing import sample_csv
from storage.descriptors import load_data_types

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
DATA_TYPES = load_data_types()


def sections(page: Path) -> dict[str, str]:
    """Give the text below each heading of the third level, by heading."""
    found: dict[str, str] = {}
    heading = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.removeprefix("### ") if line.startswith("### ") else ""
            assert heading not in found, f"{page.name} has two headings {heading}"
        elif heading:
            found[heading] = found.get(heading, "") + line + "\n"
    return found


def settings_of(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings_of(kind, f"{before}{name}.")
        else:
            yield before + (field.alias or name), field.default


def commands_of(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for word, below in command.commands.items():
            yield from commands_of(below, f"{name} {word}")
    else:
        yield name, command


def keys_of_the_file() -> Iterator[str]:
    for table, field in provisioning._File.model_fields.items():
        row = field.annotation.__args__[0]
        for key, below in row.model_fields.items():
            inner = next((kind for kind in getattr(below.annotation, "__args__", ()) if _is_table(kind)), None)
            if inner is None:
                yield f"{table}.{below.alias or key}"
            else:
                yield from (f"{table}.{key}.{further}" for further in inner.model_fields)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


SETTINGS = dict(settings_of(Settings))
COMMANDS = dict(commands_of(typer.main.get_command(app), "mailgate"))
KEYS = list(keys_of_the_file())


def plain(value: Any) -> Any:
    """Give a default as TOML would hold it."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def test_settings_page_tells_of_each_setting_and_no_other() -> None:
    assert list(sections(DOCS / "settings.md")) == list(SETTINGS)


@pytest.mark.parametrize(("key", "default"), SETTINGS.items(), ids=SETTINGS)
def test_setting_has_its_default_and_its_variable(key: str, default: Any) -> None:
    text = sections(DOCS / "settings.md")[key]
    match = re.search(r"^- Default: (.+)$", text, re.MULTILINE)
    assert match is not None
    told = match[1]
    if default is None:
        assert told == "not set"
    else:
        value = tomllib.loads(f"x = {told.strip('`')}")["x"]
        assert (parse_duration(value) if isinstance(default, timedelta) else value) == plain(default)
    variable = "MAILGATE_" + key.upper().replace(".", "__")
    assert f"- Environment: `{variable}`" in text
    assert text.strip().splitlines()[0], "a setting without a word on its meaning"


def test_commands_page_tells_of_each_command_and_no_other() -> None:
    assert set(sections(DOCS / "commands.md")) == set(COMMANDS)


@pytest.mark.parametrize(("name", "command"), COMMANDS.items(), ids=COMMANDS)
def test_command_has_its_options_and_arguments(name: str, command: Any) -> None:
    text = sections(DOCS / "commands.md")[name]
    named = set(re.findall(r"^- `(--[a-z-]+|[A-Z]+)`", text, re.MULTILINE))
    wanted = set()
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            wanted.add((parameter.metavar or parameter.name).upper())
        elif parameter.name != "help":
            wanted.add(next(option for option in parameter.opts if option.startswith("--")))
    assert named == wanted


def test_commands_page_tells_of_each_global_option() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8").partition("## Exit codes")[0]
    for parameter in typer.main.get_command(app).params:
        assert f"| `{parameter.opts[0]}" in text


def test_data_types_page_tells_of_each_data_type_and_no_other() -> None:
    assert set(sections(DOCS / "data-types.md")) == set(DATA_TYPES)


@pytest.mark.parametrize("name", DATA_TYPES)
def test_data_type_has_its_columns_and_its_sample(name: str) -> None:
    data_type = DATA_TYPES[name]
    text = sections(DOCS / "data-types.md")[name]
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| (.*) ?\|$", text, re.MULTILINE)
    assert [(field.name, field.type) for field in data_type.fields] == [(row[0], row[1]) for row in rows]
    for field, row in zip(data_type.fields, rows, strict=True):
        assert field.constraints.required == row[2].startswith("required")
        for word in (*field.aliases, *field.keywords, *field.constraints.enum):
            assert f"`{word}`" in row[2]
    for family in data_type.families:
        assert f"`{family.prefix}<" in text
    for prefix in data_type.prefixes:
        assert f"`{prefix}`" in text
    assert sample_csv(data_type).replace("\r\n", "\n") in text


def test_connections_page_tells_of_each_key_and_no_other() -> None:
    assert set(sections(DOCS / "connections.md")) == set(KEYS)


def test_connections_page_tells_of_what_is_not_built() -> None:
    text = (DOCS / "connections.md").read_text(encoding="utf-8").partition("## Not built yet")[2]
    for key in provisioning._NOT_BUILT:
        assert f"`{key}`" in text


def test_codes_page_tells_of_each_code_and_no_other() -> None:
    assert set(sections(DOCS / "errors.md")) == set(Code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_codes_named_in_a_page_exist(page: Path) -> None:
    alarms = {
        "ADDRESS_BANNED",
        "IMPORT_PARKED",
        "RESULT_LATE",
        "ANSWER_UNDELIVERABLE",
        "ANSWERS_DELAYED",
        "UPLOAD_LOST",
        "UPLOAD_STUCK",
        "MAILBOX_FAILING",
    }
    alarms |= {word for kind in DATA_TYPES.values() for field in kind.fields for word in field.constraints.enum}
    others = {"TRACE_ID", "PATH", "HOST", "PORT", "KIND", "NAME", "NAMES", "FILE", "CODE", "ID", "MAILGATE_CONFIG"}
    for word in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", page.read_text(encoding="utf-8")):
        assert word in {*Code, *alarms, *others} or word.startswith("MAILGATE_"), word


def slug(heading: str) -> str:
    """Give the anchor that a heading has on the common forges."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_no_path_of_this_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in {ROOT, ROOT.parent, Path.home()} - {Path("/")}:
        assert f"{path}/" not in text
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users)/", text)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_decision_names_what_was_rejected(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem[:4]} ")
    assert re.search(r"^## Rejected: ", text, re.MULTILINE)


@pytest.mark.parametrize("page", [DOCS / "flow.md", *DECISIONS], ids=lambda page: page.stem)
def test_files_and_functions_named_exist(page: Path) -> None:
    """A page about the code names files that are there; of a name behind a file the last word stands in that file."""
    for path, name in re.findall(r"`((?:\w+/)+\w*(?:\.py)?)`(?:[ \n]`([\w.]+)`)?", page.read_text(encoding="utf-8")):
        if path.split("/")[0] in {"blobs", "spool", "uploads", "outbox", "keys", "multipart", "message", "text"}:
            continue
        assert (ROOT / path).exists(), path
        if name and path.endswith(".py"):
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", (ROOT / path).read_text(encoding="utf-8")), (path, name)


def test_readme_is_short_and_shows_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    for command in ("make demo", "make test"):
        assert command in text

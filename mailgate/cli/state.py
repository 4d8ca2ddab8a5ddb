"""What every command shares: global options, exit codes, and how things are printed.

What lives here: values and printing. Heavy rooms are imported only when a command needs them, so that ``explain``
and ``--help`` answer at once.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mailgate.house import House
    from mailgate.settings import Settings

EXIT_REFUSED, EXIT_USAGE, EXIT_MISSING, EXIT_NOT_ALLOWED, EXIT_SERVER, EXIT_INTERRUPTED = 1, 2, 3, 4, 5, 130


class Stop(Exception):
    """End the command with an exit code, and a sentence on stderr."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class State:
    """The global options of this run."""

    config: Path = Path("mailgate.toml")
    json: bool = False
    quiet: bool = False
    no_color: bool = False

    def settings(self) -> "Settings":
        """Read the configuration."""
        from mailgate.settings import load_settings

        return load_settings(self.config)

    def console(self) -> "Console":
        """Give the console for people's text."""
        from rich.console import Console

        width = None if sys.stdout.isatty() else 10_000  # a pipe has no edge to fold at
        return Console(no_color=self.no_color, highlight=False, emoji=False, width=width)


state = State()


@contextlib.contextmanager
def house() -> "Iterator[House]":
    """Open the house for one command."""
    from mailgate.house import open_house
    from mailgate.observe import configure_logging

    configure_logging()
    with open_house(state.settings()) as opened:
        yield opened


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


def moment(time: datetime) -> str:
    """Give a time as JSON has it, in UTC."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def print_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def say(text: str) -> None:
    """Print people's text, unless JSON is wanted."""
    if not state.json:
        print(text)


def progress(text: str) -> None:
    """Print progress to stderr, unless quiet."""
    if not state.quiet:
        print(text, file=sys.stderr)


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table for people; cells are data, never markup."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    state.console().print(table)


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one a line; empty values are left out."""
    width = max((len(name) for name, value in fields if value not in (None, "")), default=0)
    for name, value in fields:
        if value not in (None, ""):
            print(f"{name.ljust(width)}  {value}")

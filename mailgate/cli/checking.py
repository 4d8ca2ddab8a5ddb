"""What ``mailgate check`` needs beside the parser: limits and own data types without a service, and a bar of progress.

What lives here: the light way. The configuration is read only where there is one.
"""

import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mailgate.cli.state import progress, state

if TYPE_CHECKING:
    from mailgate.settings import Settings
    from models.data_type import DataType
    from parsing import Options, Report
    from storage.descriptors import Enums

_JSON = {".jsonl", ".ndjson"}
_BLOCK = 1 << 20


def _settings() -> "Settings | None":
    """Read the configuration where there is one."""
    return state.settings() if state.config.is_file() else None


def own_types() -> "tuple[Path | None, Enums]":
    """Give the folder of the operator's own data types, None where no data_dir is known, and the lists set for them."""
    settings = _settings()
    if settings is not None:
        return settings.data_types_dir, settings.enums
    named = os.environ.get("MAILGATE_DATA_DIR")
    return Path(named) / "data-types" if named else None, {}


def offline_options(file: Path, now: datetime) -> "Options":
    """Give the options of a check: the limits of the configuration, else the usual ones."""
    from parsing import Options

    format_ = "jsonl" if file.suffix.lower() in _JSON else ""
    settings = _settings()
    if settings is None:
        return Options(now=now, format=format_)
    limits = settings.limits
    size = file.stat().st_size
    if size > limits.max_file_bytes:
        progress(f"FILE_TOO_LARGE: a door would refuse {size:,} bytes; at most {limits.max_file_bytes:,} are taken")
    return Options(
        now=now, format=format_, max_rows=limits.max_rows, warn_rows=limits.warn_rows,
        max_entries=limits.max_error_entries,
    )  # fmt: skip


def check_file(file: Path, data_type: "DataType", options: "Options") -> "Report":
    """Parse a file, with a bar on a terminal."""
    from dataclasses import replace

    from parsing import parse

    with _bar() as moved:
        return parse(file, data_type, replace(options, progress=moved))


class Digest:
    """Compute the SHA-256 of a file beside other work, from now on."""

    def __init__(self, file: Path) -> None:
        self._found: list[str] = []
        self._thread = threading.Thread(target=lambda: self._found.append(_sha256(file)), daemon=True)
        self._thread.start()

    def value(self) -> str:
        """Give the digest in hexadecimal once it is there."""
        self._thread.join()
        return self._found[0]


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal's stderr; nothing elsewhere."""
    if state.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, no_color=state.no_color), transient=True) as shown:
        task = shown.add_task("check", total=None)
        yield lambda done, size: shown.update(task, completed=done, total=size)

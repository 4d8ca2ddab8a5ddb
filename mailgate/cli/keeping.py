"""``mailgate backup``."""

from pathlib import Path
from typing import Annotated

import typer

from mailgate.cli.state import EXIT_REFUSED, Stop, house, print_json, progress, say, state


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the command line."""
    app.command()(backup)


def backup(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A new folder.")],
) -> None:
    """Copy everything that is kept to a new folder, while the service runs."""
    from mailgate.backup import BackupRefused, back_up

    with house() as opened:
        try:
            made = back_up(opened, state.config, path)
        except BackupRefused as error:
            raise Stop(EXIT_REFUSED, f"mailgate: {error}") from None
    if state.json:
        print_json({
            "path": str(path), "database": made.database, "blobs": made.blobs, "uploads": made.uploads,
            "bytes": made.bytes, "missing": list(made.missing),
        })  # fmt: skip
    say(f"{path}: {made.database}, {made.blobs} stored files, {made.uploads} uploads, {made.bytes:,} bytes.")
    for blob in made.missing:
        progress(f"mailgate: the stored file {blob} is not there")
    if made.missing:
        raise Stop(EXIT_REFUSED, f"mailgate: {len(made.missing)} stored files are missing")

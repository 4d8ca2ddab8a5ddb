"""The command line: reads words, calls functions of the rooms, prints what they say.

What lives here: the entry point, the global options and the exit codes. No rule of the product.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer._click.exceptions import ClickException as UsageError  # Typer names no public one

from mailgate.cli import connections, credentials, files, keeping, service, uploads
from mailgate.cli.state import EXIT_INTERRUPTED, EXIT_SERVER, EXIT_USAGE, Stop, state
from models.faults import MailgateError, TemporaryError

app = typer.Typer(
    name="mailgate", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Takes in batch files that clients send, and answers each with a receipt, a result and an errors file.",
)  # fmt: skip
service.register(app)
files.register(app)
keeping.register(app)
app.add_typer(connections.app, name="connection", help="Set up, look up, pause and delete connections.")
app.add_typer(credentials.app, name="credential", help="Change a password, or take every secret away.")
app.add_typer(credentials.bans, name="ban", help="The addresses from which no password is taken.")
app.add_typer(uploads.app, name="upload", help="Look up what became of a file; replay, resend or cancel it.")
app.add_typer(files.data_types, name="data-type", help="The data types: columns, rules and samples.")


_CONFIG = Path("mailgate.toml")
_NO_SUCH_PLACE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"mailgate {version('mailgate')}")
        raise typer.Exit


@app.callback()
def _global(
    config: Annotated[Path, typer.Option(envvar="MAILGATE_CONFIG", help="The configuration file.")] = _CONFIG,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no progress.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colours.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    state.config, state.json, state.quiet, state.no_color = config, json, quiet, no_color


def _settings_error() -> type[Exception]:
    """Give the class of a configuration's faults; loaded only where something went wrong, it takes its time."""
    from mailgate.settings import SettingsError

    return SettingsError


def main() -> None:
    """Run one command and exit with its code."""
    try:
        code = app(standalone_mode=False)
    except typer.Exit as stop:
        code = stop.exit_code
    except Stop as stop:
        if stop.message:
            print(stop.message, file=sys.stderr)
        code = stop.code
    except _settings_error() as error:
        print(f"mailgate: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except TemporaryError as error:
        print(f"mailgate: {error}", file=sys.stderr)
        code = EXIT_SERVER
    except MailgateError as error:
        print(f"mailgate: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = 0
    except OSError as error:
        print(f"mailgate: {error}", file=sys.stderr)
        code = EXIT_USAGE if isinstance(error, _NO_SUCH_PLACE) else EXIT_SERVER
    except UsageError as error:
        error.show()
        code = EXIT_USAGE
    sys.exit(code or 0)

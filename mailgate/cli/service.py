"""``mailgate init``, ``serve``, ``migrate``, ``doctor`` and ``demo``."""

from pathlib import Path
from typing import Annotated

import typer

from mailgate.cli.state import EXIT_REFUSED, EXIT_SERVER, EXIT_USAGE, Stop, print_json, say, state

_CONFIG = """\
# mailgate: every key, its meaning and its default stand in docs/settings.md.
data_dir = "mailgate-data"     # relative to this file
domain = "intake.localhost"    # right-hand side of intake addresses
operators = []                 # mail addresses for alarms
support_contact = ""           # printed in every answer: whom a client asks

[smtp]
host = "127.0.0.1"
port = 2525

[sftp]
host = "127.0.0.1"
port = 2222

[ftp]
host = "127.0.0.1"
port = 2121

# Without a relay, replies are written as .eml files to <data_dir>/outbox.
# [relay]
# host = "mail.example.com"
# port = 587
# username = "mailgate"
# password_file = "relay-password"
"""


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the command line."""
    for command in (init, serve, migrate, doctor, demo):
        app.command()(command)


def init(
    folder: Annotated[Path, typer.Option("--dir", help="The folder to set up.")] = Path("."),
) -> None:
    """Write a configuration, host keys, a TLS certificate for local use and the database."""
    from mailgate.house import create_database
    from mailgate.tls import write_local_certificate

    config = folder / "mailgate.toml"
    if config.exists():
        raise Stop(EXIT_REFUSED, f"{config} is there already; nothing was changed")
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(_CONFIG, encoding="utf-8")
    from mailgate.settings import load_settings

    settings = load_settings(config)
    create_database(settings)
    from transfer.sftp_keys import host_key_fingerprints, make_host_keys

    make_host_keys(settings.host_key_paths)
    if settings.smtp.certificate is None and not settings.certificate_path.exists():
        write_local_certificate(settings.certificate_path, settings.key_path, settings.domain)
    fingerprints = host_key_fingerprints(settings.host_key_paths)
    if state.json:
        print_json({"config": str(config), "data_dir": str(settings.data_dir), "host_keys": fingerprints})
    say(f"Wrote {config} and {settings.data_dir}.")
    for algorithm, fingerprint in fingerprints.items():
        say(f"SFTP host key {algorithm} {fingerprint}")
    say(f"Next: mailgate --config {config} serve")


def serve(
    roles: Annotated[
        str, typer.Option(help="Comma-separated: smtp, sftp, ftp, poller, worker. Default: all.")
    ] = "smtp,sftp,ftp,poller,worker",
) -> None:
    """Run the service in the foreground until SIGTERM or SIGINT."""
    import asyncio

    import uvloop

    from mailgate.app import ROLES
    from mailgate.app import serve as run_service
    from mailgate.house import NotReady
    from mailgate.observe import configure_logging, metrics

    wanted = tuple(role.strip() for role in roles.split(",") if role.strip())
    unknown = [role for role in wanted if role not in ROLES]
    if unknown or not wanted:
        raise Stop(EXIT_USAGE, f"--roles takes {', '.join(ROLES)}; {', '.join(unknown) or 'nothing'} is none of them")
    settings = state.settings()
    configure_logging(on_line=lambda level, room: metrics.log_lines.labels(level, room).inc())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_service(settings, wanted))
    except NotReady as error:
        raise Stop(EXIT_SERVER, f"mailgate: {error}") from None
    except OSError as error:
        raise Stop(EXIT_SERVER, f"mailgate: the service cannot start: {error}") from None


def migrate() -> None:
    """Bring the database to the current schema."""
    from mailgate.house import create_database

    settings = state.settings()
    create_database(settings)
    say(f"{settings.database_name} has the current schema.")


def doctor() -> None:
    """Check ports, disk, database, blob store, certificate, clock, settings and alarms; one fix per finding."""
    from mailgate.doctor import examine

    findings = examine(state.settings())
    if state.json:
        print_json([{"subject": one.subject, "finding": one.finding, "fix": one.fix} for one in findings])
    else:
        for one in findings:
            print(f"{one.subject}: {one.finding}\n    fix: {one.fix}")
        if not findings:
            print("Everything looks well.")
    if findings:
        raise Stop(EXIT_REFUSED)


def demo() -> None:
    """Run the main job end to end in a temporary folder, with a real mail client on loopback, and show the answers."""
    from mailgate.demo import run_demo

    raise typer.Exit(run_demo())

"""``mailgate connection``: apply, list, show, files, test, pull, pause, resume, delete."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from mailgate.cli.folders import commands, door_fields, host_keys, print_files
from mailgate.cli.pulling import register
from mailgate.cli.state import (
    EXIT_MISSING,
    EXIT_REFUSED,
    EXIT_USAGE,
    Stop,
    house,
    moment,
    now,
    print_fields,
    print_json,
    print_table,
    say,
    state,
)  # fmt: skip

app = typer.Typer(no_args_is_help=True)
register(app)
Name = Annotated[str, typer.Argument(help="The connection's name, in any case.")]


@app.command()
def apply(file: Annotated[Path, typer.Argument(help="A TOML file of accounts, credentials and connections.")]) -> None:
    """Create or update what a file says; prints what was provisioned. Never deletes, all or nothing."""
    from intake.provisioning import FileRefused, plan_file, read_names
    from storage.descriptors import load_data_types
    from storage.ledger.applying import ApplyRefused, apply_plan, credentials_by_name, revoked_among

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(EXIT_USAGE, f"{file} cannot be read: {error}") from None
    with house() as rooms:
        try:
            known = rooms.ledger.read_now(credentials_by_name, read_names(text))
            types = load_data_types(rooms.settings.data_types_dir, rooms.settings.enums)
            provisioned = plan_file(
                text, domain=rooms.settings.domain, data_types=types, known_hashes=known, base=file.resolve().parent
            )
        except FileRefused as error:
            raise Stop(EXIT_USAGE, f"{file} is refused, nothing was applied:\n{error}") from None
        try:
            rules = rooms.ledger.write_now(apply_plan, provisioned.plan, now())
        except ApplyRefused as error:
            raise Stop(EXIT_REFUSED, f"nothing was applied: {error}") from None
        revoked = rooms.ledger.read_now(revoked_among, read_names(text))
        usernames = {one.name.casefold(): one.username for one in provisioned.plan.credentials}
        passwords = {name.casefold(): password for name, password in provisioned.passwords.items()}
        printed = [_provisioned(rule, rooms.settings, usernames, passwords) for rule in rules]
    for warning in provisioned.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for name in revoked:
        way = "`mailgate credential rotate` brings it back"
        print(f"warning: credential {name!r} is revoked: its secrets were left out; {way}", file=sys.stderr)
    told = {entry.get("password") for entry in printed}
    for name, password in provisioned.passwords.items():  # whose connections are in another file, or come later
        if password not in told:
            username = usernames.get(name.casefold())
            printed.append({"connection": None, "credential": name, "username": username, "password": password})
    if state.json:
        print_json(printed)
        return
    for entry in printed:
        print_fields([(key, value) for key, value in entry.items()])
        print()
    if provisioned.passwords:
        say("Passwords are shown this once; only their hash is kept.")


def _provisioned(
    rule: Any, settings: Any, usernames: dict[str, str | None], passwords: dict[str, str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"connection": rule.name}
    if rule.takes_files:
        entry |= door_fields(settings, rule, host_keys)
    elif (address := _address(rule, settings.domain)) is not None:
        entry["address"] = address
    if rule.remote is not None:
        entry |= {"host": rule.remote.host, "port": rule.remote.port_in_use, "username": rule.remote.username}
        entry["folder"] = rule.remote.folder
    if "username" not in entry and (username := usernames.get(rule.credential.casefold())):
        entry["username"] = username
    if password := passwords.get(rule.credential.casefold()):
        entry["password"] = password
    return entry


def _address(rule: Any, domain: str) -> str | None:
    """Give the address of a connection: at our own door, or the plus-address of its mailbox where that has one."""
    if rule.remote is None:
        return f"{rule.address}@{domain}" if rule.address else ""
    name, at, host = rule.remote.username.partition("@")
    return f"{name}+{rule.address}@{host}" if at else None


@app.command("list")
def list_() -> None:
    """List every connection with its address, state and health."""
    from storage.ledger.connections import list_all

    with house() as rooms:
        rows = [_object(row, rooms.settings.domain) for row in rooms.ledger.read_now(list_all)]
    if state.json:
        print_json(rows)
    elif not rows:
        print("There are no connections yet: `mailgate connection apply FILE` creates them.")
    else:
        header = ("connection", "account", "data_type", "pattern", "address", "state", "health")
        shown = [{**row, "address": row["folder"] or row["address"]} for row in rows]
        print_table(
            ("connection", "account", "data_type", "pattern", "address or folder", "state", "health"),
            [[row[key] for key in header] for row in shown],
        )


@app.command()
def show(name: Name) -> None:
    """Show everything about one connection."""
    from storage.ledger.connections import list_all

    with house() as rooms:
        rows = [row for row in rooms.ledger.read_now(list_all) if row.ref.rule.name.casefold() == name.casefold()]
        if not rows:
            raise Stop(EXIT_MISSING, f"there is no connection {name!r}")
        shown, rule = _object(rows[0], rooms.settings.domain), rows[0].ref.rule
        if rule.remote is not None:
            shown["polling"] = _polling(rooms, rule.remote)
        host, port = rooms.settings.smtp.host, rooms.settings.smtp.port
        example, pasted = "", []
        if rule.takes_files:
            example = _example_of(rule, rooms.settings)
            shown |= door_fields(rooms.settings, rule, host_keys)
            pasted = commands(rooms.settings, rule, rows[0].username or "", host_keys, example)
            shown["commands"] = dict(pasted)
    if state.json:
        print_json(shown)
        return
    shown.pop("commands", None)
    polling = shown.pop("polling", None)
    remote = shown.pop("remote", None)
    print_fields(
        [(key, ", ".join(value) if isinstance(value, tuple | list) else value) for key, value in shown.items()]
    )
    if remote is not None:
        print("\nIts mails are fetched from:")
        print_fields([(key, value) for key, value in remote.items() if value])
        print("\nHow the polling goes:")
        print_fields(list((polling or {"polled_at": "never: does a service with the role poller run?"}).items()))
        return
    if rule.takes_files:
        for program, command in pasted:
            print(f"\n{program}:\n  {command}")
        return
    print(
        f"\nTo send a file by hand:\n  swaks --server {host}:{port} --to {shown['address']} "
        f"--attach-type text/csv --attach @{_example(shown['pattern'])}"
    )


@app.command()
def files(name: Name) -> None:
    """List what stands in a connection's folder, in which state it is, and why something is held."""
    print_files(name)


@app.command()
def pause(name: Name) -> None:
    """Pause a connection: its files are held, and their senders are told."""
    _set_state(name, "paused")
    if state.json:
        print_json({"connection": name, "state": "paused"})
    say(f"{name} is paused: what would be taken is held until `mailgate connection resume {name} --import-held`.")


@app.command()
def resume(
    name: Name,
    import_held: Annotated[bool, typer.Option("--import-held", help="Import what was held meanwhile.")] = False,
) -> None:
    """Resume a paused connection."""
    from storage.ledger.connections import by_name
    from storage.ledger.imports import release_held

    _set_state(name, "active")
    released: list[str] = []
    if import_held:
        with house() as rooms:
            ref = rooms.ledger.read_now(by_name, name)
            if ref is None:
                raise Stop(EXIT_MISSING, f"there is no connection {name!r}")
            since = now() - timedelta(days=rooms.settings.limits.duplicate_days)
            released = rooms.ledger.write_now(
                release_held, ref.id, now(), rooms.jobs, duplicates_since=since, domain=rooms.settings.domain
            )
    if state.json:
        print_json({"connection": name, "released": released})
    say(f"{name} is active." + (f" {len(released)} held files are queued." if import_held else ""))


@app.command()
def delete(name: Name) -> None:
    """Delete a connection: its address takes no more mail and is never given out again; its history stays."""
    _set_state(name, "deleted")
    if state.json:
        print_json({"connection": name, "state": "deleted"})
    say(f"{name} is deleted; its history stays.")


def _set_state(name: str, wanted: str) -> None:
    from models.states import ConnectionState
    from storage.ledger.connections import set_state

    with house() as rooms:
        if not rooms.ledger.write_now(set_state, name, ConnectionState(wanted), now()):
            raise Stop(EXIT_MISSING, f"there is no connection {name!r}")


def _object(row: Any, domain: str) -> dict[str, Any]:
    rule = row.ref.rule
    shown: dict[str, Any] = {"connection": rule.name, "state": str(row.ref.state), "health": row.health}
    for key, value in rule.to_json().items():
        if key != "name":
            shown[key] = _address(rule, domain) if key == "address" else value
    shown["return_address"] = row.return_address
    shown["username"] = row.username
    shown["version"] = row.ref.version
    shown["created_at"] = moment(row.created_at)
    if rule.remote is None:
        del shown["remote"]
    return shown


def _polling(rooms: Any, remote: Any) -> dict[str, Any] | None:
    from storage.ledger.mailboxes import polling

    found = rooms.ledger.read_now(polling, *remote.mailbox)
    if found is None:
        return None
    times = {"polled_at": found.polled_at, "failing_since": found.failing_since, "next_try_at": found.next_at}
    shown: dict[str, Any] = {key: moment(value) if value else None for key, value in times.items()}
    return {"polled_by": found.polled_by or None, **shown, "failures": found.failures, "step": found.step or None,
            "reason": found.reason or None}  # fmt: skip


def _example_of(rule: Any, settings: Any) -> str:
    """Give a file name that a connection with a folder takes."""
    from storage.descriptors import load_data_types

    if rule.pattern:
        return _example(rule.pattern)
    known = load_data_types(settings.data_types_dir, settings.enums).get(rule.data_type)
    return f"{known.prefixes[0] if known and known.prefixes else ''}example.csv"


def _example(pattern: str) -> str:
    return pattern.replace("*", "example").replace("?", "6")

"""``mailgate credential``: rotate, revoke. ``mailgate ban``: list, lift."""

from datetime import timedelta
from typing import Annotated

import typer

from mailgate.cli.state import (
    EXIT_MISSING,
    EXIT_USAGE,
    Stop,
    house,
    now,
    print_fields,
    print_json,
    print_table,
    say,
    state,
)  # fmt: skip

app = typer.Typer(no_args_is_help=True)
bans = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The credential's name, in any case.")]


@app.command("rotate")
def rotate_(
    name: Name,
    overlap: Annotated[str, typer.Option(help="How long the old password stays good, e.g. 24h.")] = "0s",
) -> None:
    """Give a credential a new password and print it once; keys are changed in the file of connections."""
    import secrets

    from intake.logins import hash_password
    from mailgate.settings import parse_duration
    from storage.ledger.credentials import rotate

    try:
        kept = parse_duration(overlap)
    except ValueError as error:
        raise Stop(EXIT_USAGE, f"--overlap: {error}") from None
    password = secrets.token_urlsafe(18)
    until = now() + kept if kept > timedelta(0) else None
    with house() as rooms:
        credential = rooms.ledger.write_now(rotate, name, hash_password(password), until)
    if credential is None:
        raise Stop(EXIT_MISSING, f"there is no credential {name!r}")
    stays = credential.former_until.isoformat(timespec="seconds") if credential.former_until is not None else None
    shown = {
        "credential": credential.name, "username": credential.username, "password": password, "old_until": stays
    }  # fmt: skip
    if state.json:
        print_json(shown)
        return
    print_fields(list(shown.items()))
    say("\nThe password is shown this once; only its hash is kept.")


@app.command("revoke")
def revoke_(name: Name) -> None:
    """Take every secret of a credential away: no login any more, and live sessions end within two seconds."""
    from storage.ledger.credentials import revoke

    with house() as rooms:
        credential = rooms.ledger.write_now(revoke, name, now())
    if credential is None:
        raise Stop(EXIT_MISSING, f"there is no credential {name!r}")
    if state.json:
        print_json({"credential": credential.name, "state": "revoked"})
    say(f"{credential.name} is revoked; `mailgate credential rotate {credential.name}` brings it back.")


@bans.command("list")
def list_bans_() -> None:
    """List the addresses from which no password is taken now."""
    from storage.ledger.defence import list_bans

    with house() as rooms:
        found = rooms.ledger.read_now(list_bans, now())
    rows = [
        {
            "address": ban.address, "until": ban.until.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "bans": ban.bans, "clients": ban.clients,
        }
        for ban in found
    ]  # fmt: skip
    if state.json:
        print_json(rows)
    elif not rows:
        print("No address is banned.")
    else:
        print_table(("address", "until", "bans", "clients"), [list(row.values()) for row in rows])


@bans.command("lift")
def lift(
    address: Annotated[str, typer.Argument(help="The address as `ban list` shows it, or one in its /64.")],
) -> None:
    """Lift a ban and forget the failures behind it; a running service obeys within two seconds."""
    from intake.bans import address_key
    from storage.ledger.defence import lift_ban

    key = address if "/" in address else address_key(address)
    with house() as rooms:
        done = rooms.ledger.write_now(lift_ban, f"address:{key}", now())
    if not done:
        raise Stop(EXIT_MISSING, f"{key} is not banned")
    if state.json:
        print_json({"address": key, "state": "lifted"})
    say(f"The ban of {key} is lifted.")

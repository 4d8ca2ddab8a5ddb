"""``mailgate connection test`` and ``pull``: what an operator asks about a connection that pulls."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailgate.cli.state import (
    EXIT_MISSING,
    EXIT_NOT_ALLOWED,
    EXIT_REFUSED,
    EXIT_SERVER,
    EXIT_USAGE,
    Stop,
    house,
    print_json,
    print_table,
    say,
    state,
)  # fmt: skip

if TYPE_CHECKING:
    from intake.mailboxes import Candidate, Failure
    from mailgate.house import House
    from storage.ledger.connections import ConnectionRef

Name = Annotated[str, typer.Argument(help="The connection's name, in any case.")]
_CODES = {"not allowed": EXIT_NOT_ALLOWED, "no folder": EXIT_MISSING, "other": EXIT_SERVER}


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``mailgate connection``."""
    app.command()(test)
    app.command()(pull)


def test(name: Name) -> None:
    """Try each step of a pull connection, and tell what would be taken and why the others not. Changes nothing."""
    from mailgate.app import mailbox_door

    with house() as rooms:
        found = mailbox_door(rooms).test(_pulls(rooms, name))
    if state.json:
        print_json({
            "connection": name,
            "steps": [asdict(step) for step in found.steps],
            "would_take": [_object(one) for one in found.would_take],
            "would_not_take": [_object(one) for one in found.would_not_take],
            "not_looked_at": found.not_looked_at,
        })  # fmt: skip
    else:
        for step in found.steps:
            print(f"{'ok' if step.ok else 'FAILED':8}{step.step}{': ' + step.reason if step.reason else ''}")
        _print_mails("Would be taken:", found.would_take)
        _print_mails("Would not be taken:", found.would_not_take)
        if found.not_looked_at:
            print(f"\n{found.not_looked_at} older mails were not looked at.")
        if found.failure is None and not (found.would_take or found.would_not_take):
            print("\nThe folder holds no mails.")
    _stop_on(found.failure)


def pull(name: Name) -> None:
    """Take what is there now, without waiting for the next poll."""
    from mailgate.app import mailbox_door

    with house() as rooms:
        ref = _pulls(rooms, name)
        if ref.state == "paused":
            raise Stop(EXIT_REFUSED, f"{name} is paused: `mailgate connection resume {name}` first")
        found = mailbox_door(rooms).pull(ref)
    if state.json:
        print_json({
            "connection": name, "taken": list(found.taken), "by_service": found.by_service,
            "reason": found.reason or None,
        })  # fmt: skip
    elif found.failure is None:
        say("The running service has looked: see `mailgate upload list`." if found.by_service
            else f"{len(found.taken)} deliveries{': ' if found.taken else ''}{', '.join(found.taken)}")  # fmt: skip
    _stop_on(found.failure, found.reason)


def _pulls(rooms: "House", name: str) -> "ConnectionRef":
    from storage.ledger.connections import by_name

    ref = rooms.ledger.read_now(by_name, name)
    if ref is None:
        raise Stop(EXIT_MISSING, f"there is no connection {name!r}")
    if ref.rule.remote is None:
        raise Stop(EXIT_USAGE, f"{name} is pushed to us: there is nothing to fetch")
    return ref


def _stop_on(failure: "Failure | None", reason: str = "") -> None:
    if failure is not None:
        raise Stop(_CODES[str(failure)], reason)


def _object(one: "Candidate") -> dict[str, Any]:
    return {
        "uid": one.uid, "sender": one.sender, "subject": one.subject, "bytes": one.octets, "files": list(one.files),
        "code": one.code, "reason": one.reason or None,
    }  # fmt: skip


def _print_mails(title: str, mails: "tuple[Candidate, ...]") -> None:
    if not mails:
        return
    print(f"\n{title}")
    print_table(
        ("uid", "from", "subject", "bytes", "files", "why not"),
        [(one.uid, one.sender, one.subject, one.octets, ", ".join(one.files), one.reason) for one in mails],
    )

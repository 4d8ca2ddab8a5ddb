"""What ``mailgate connection`` says of a connection with a folder: where to log in, commands to paste, what is there.

What lives here: looking it up and printing it. Settings of doors that are not built are left out.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mailgate.cli.state import EXIT_MISSING, EXIT_REFUSED, Stop, house, now, print_json, print_table, state

if TYPE_CHECKING:
    from mailgate.settings import Settings
    from models.connection import Rule

Fingerprints = Callable[["Settings"], Mapping[str, str]]


def host_keys(settings: "Settings") -> Mapping[str, str]:
    """Give the fingerprints of the SFTP door's host keys, the best first; those that are not made yet are left out."""
    from transfer.sftp_keys import host_key_fingerprints

    return host_key_fingerprints(settings.host_key_paths)


def door_fields(settings: "Settings", rule: "Rule", fingerprints: Fingerprints) -> dict[str, Any]:
    """Give host, port, folder and host key of a connection with a folder, as ``apply`` prints them."""
    fields: dict[str, Any] = {}
    door = getattr(settings, rule.method, None)  # absent where that door is not built
    if door is not None:
        fields = {"host": _host(door), "port": door.port}
    fields["folder"] = rule.folder
    if rule.method == "sftp":
        best = next(iter(fingerprints(settings).values()), None)
        fields |= {"host_key_fingerprint": best} if best else {}
    return fields


def commands(
    settings: "Settings", rule: "Rule", username: str, fingerprints: Fingerprints, example: str
) -> list[tuple[str, str]]:
    """Give the commands to paste; none while the door is not built."""
    from intake.paste import Login, paste

    door = getattr(settings, rule.method, None)
    if door is None:
        return []
    return paste(
        Login(
            method=rule.method, host=_host(door), port=door.port, username=username, folder=rule.folder,
            example=example, fingerprints=fingerprints(settings), tls=getattr(door, "tls", "off"),
        )
    )  # fmt: skip


def _host(door: Any) -> str:
    """Give what a client connects to: a door on every address is known by the one that it tells others."""
    public = str(getattr(door, "public_address", ""))
    return public if public and door.host in ("0.0.0.0", "::") else str(door.host)  # noqa: S104


def print_files(name: str) -> None:
    """List what stands in the folder of a connection, and why it is held."""
    from storage.ledger.connections import by_name
    from storage.ledger.folders import names_in, places_of

    with house() as rooms:
        ref = rooms.ledger.read_now(by_name, name)
        if ref is None:
            raise Stop(EXIT_MISSING, f"there is no connection {name!r}")
        places = rooms.ledger.read_now(places_of, ref.id)
        if not places:
            raise Stop(EXIT_REFUSED, f"{ref.rule.name} has no folder: its files come by {ref.rule.method}")
        visible = rooms.settings.limits.accepted_visible
        rows = [
            _object(place.path, seen, rooms.settings)
            for place in places
            for seen in rooms.ledger.read_now(names_in, place, now(), visible)
        ]
    if state.json:
        print_json(rows)
    elif not rows:
        print(f"There is nothing in {ref.rule.folder}.")
    else:
        header = ("name", "bytes", "modified_at", "state", "code", "reason")
        print_table(("folder", *header), [[row["folder"], *(row[key] for key in header)] for row in rows])


def _object(folder: str, seen: Any, settings: "Settings") -> dict[str, Any]:
    return {
        "name": seen.name, "bytes": _bytes(seen, settings),
        "modified_at": seen.touched_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "state": str(seen.status or "held"), "code": seen.code,
        "reason": seen.message if seen.status else "This marker waits for its file.", "folder": folder,
        "trace_id": seen.trace_id or None,
    }  # fmt: skip


def _bytes(seen: Any, settings: "Settings") -> int:
    """Give a file's size; that of an upload under way as far as it is on the disk, or in the object store."""
    here = seen.spool and seen.status == "receiving" and not settings.blob_url
    path = settings.uploads_dir / seen.spool if here else None
    return path.stat().st_size if path is not None and path.is_file() else int(seen.size)

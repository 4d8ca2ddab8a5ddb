"""``mailgate upload``: list, show, download, replay, resend, cancel."""

import json
import shutil
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mailgate.cli.files import check_accepted_name
from mailgate.cli.state import (
    EXIT_MISSING,
    EXIT_REFUSED,
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
Id = Annotated[str, typer.Argument(metavar="ID", help="TRACE_ID, or TRACE_ID.N for one file of several.")]
Kind = Literal["original", "receipt", "result", "errors", "accepted"]


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="Of the upload, the delivery or the import.")] = None,
    since: Annotated[str | None, typer.Option(help="A time (2026-11-21T08:00) or an age (2h, 7d).")] = None,
    connection: Annotated[str | None, typer.Option(help="Only of this connection.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
) -> None:
    """List what arrived and what became of it, newest first."""
    from models.states import ImportStatus, UploadStatus, Verdict
    from storage.ledger.connections import name_is_known
    from storage.ledger.history import Wanted, list_uploads

    known = {str(word) for kind in (UploadStatus, Verdict, ImportStatus) for word in kind}
    if status is not None and status not in known:
        raise Stop(EXIT_USAGE, f"there is no status {status!r}; there are {', '.join(sorted(known))}")
    wanted = Wanted(status=status, since=_moment(since), connection=connection, limit=limit)
    with house() as rooms:
        if connection is not None and not rooms.ledger.read_now(name_is_known, connection):
            raise Stop(EXIT_MISSING, f"there is no connection {connection!r}")
        rows = rooms.ledger.read_now(list_uploads, wanted)
    if state.json:
        print_json(rows)
        return
    if not rows:
        print("Nothing arrived yet that fits.")
        return
    print_table(
        ("received", "upload", "connection", "file", "status", "import", "why"),
        [
            (row["received_at"], row["upload"], row["connection"], row["file_name"], row["status"],
             row["import"]["status"] if row["import"] else None, row["code"] or (row["import"] or {}).get("code"))
            for row in rows
        ],
    )  # fmt: skip


@app.command()
def show(which: Id) -> None:
    """Show everything known of one upload, or of every upload of a delivery."""
    from storage.ledger.history import detail, show_delivery

    trace_id, part = _split(which)
    with house() as rooms:
        rows = rooms.ledger.read_now(show_delivery, trace_id)
        if part is not None:
            rows = [row for row in rows if row["part"] == part]
        if not rows:
            raise Stop(EXIT_MISSING, f"there is no upload {which}")
        more = rooms.ledger.read_now(detail, trace_id)
    if state.json:
        objects = [{**row, "delivery": more} for row in rows]
        print_json(objects[0] if len(objects) == 1 else objects)
        return
    for row in rows:
        result = row.pop("import")
        print_fields(list(row.items()))
        if result:
            print("\nimport")
            print_fields([(f"  {key}", _inline(value)) for key, value in result.items() if value not in (None, [], "")])
        print()
    print("delivery")
    if more["authenticity"]:
        more["authenticity"] = _proof(more["authenticity"])
    print_fields(
        [(f"  {key}", _inline(value)) for key, value in more.items() if key not in ("events", "answers") and value]
    )
    print("\nevents")
    print_table(("  at", "what", "from", "to", "why"), [
        (f"  {event['at']}", event["subject"], event["from"], event["to"], event["why"]) for event in more["events"]
    ])  # fmt: skip
    if more["answers"]:
        print("\nanswers")
        print_table(("  kind", "to", "state", "sent", "tries", "error"), [
            (f"  {answer['kind']}", answer["to"], answer["state"], answer["sent_at"], answer["tries"], answer["error"])
            for answer in more["answers"]
        ])  # fmt: skip


@app.command()
def download(
    which: Id,
    kind: Annotated[Kind, typer.Argument(help="original, receipt, result, errors or accepted")],
    out: Annotated[Path | None, typer.Option("--out", help="A file to write; without it, stdout.")] = None,
) -> None:
    """Write one file of an upload: what came in, an answer, or the rows that were accepted."""
    from imports.letters import receipt_text
    from storage.ledger.history import attempt_object, get_upload

    if kind == "accepted" and out is not None:
        check_accepted_name(out)
    with house() as rooms:
        upload_id = _one_upload(rooms, which)
        found = rooms.ledger.read_now(get_upload, upload_id)
        if found is None:
            raise Stop(EXIT_MISSING, f"there is no upload {which}")
        delivery, connection, upload, attempt = found
        contact = rooms.settings.support_contact
        if kind == "receipt":
            _write(receipt_text(delivery, upload, connection, contact).encode(), out)
        elif kind == "result":
            if attempt is None or attempt.finished_at is None:
                raise Stop(EXIT_MISSING, f"{upload_id} has no result yet")
            result = attempt_object(upload, attempt, connection.name, delivery.data_type, contact)
            _write((json.dumps(result, ensure_ascii=False, indent=2) + "\n").encode(), out)
        elif kind == "accepted":
            _accepted(rooms, found, out)
        else:
            blob = upload.blob if kind == "original" else (attempt.errors_blob if attempt else None)
            if blob is None:
                raise Stop(EXIT_MISSING, f"{upload_id} has no {kind} file (or it is no longer kept)")
            with rooms.blobs.open(blob) as source:
                if out is None:
                    shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
                    sys.stdout.buffer.flush()
                else:
                    with out.open("wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)


@app.command()
def replay(
    which: Id,
    rule_of_then: Annotated[bool, typer.Option("--rule-of-then", help="Use the connection as it was.")] = False,
) -> None:
    """Import an upload again, as a further attempt."""
    from storage.ledger.imports import NotReplayable
    from storage.ledger.imports import replay as replay_upload

    with house() as rooms:
        upload_id = _one_upload(rooms, which)
        try:
            number = rooms.ledger.write_now(replay_upload, upload_id, now(), rooms.jobs, with_rule_of_then=rule_of_then)
        except NotReplayable as error:
            raise Stop(EXIT_REFUSED, f"{upload_id} is not replayed: {error}") from None
    if state.json:
        print_json({"upload": upload_id, "attempt": number})
    say(f"{upload_id} is queued as attempt {number}.")


@app.command()
def resend(which: Id) -> None:
    """Send the answers of a delivery again."""
    from storage.ledger.answers import resend as resend_answers
    from storage.ledger.history import upload_ids

    trace_id, _ = _split(which)
    with house() as rooms:
        if rooms.ledger.read_now(upload_ids, trace_id) is None:
            raise Stop(EXIT_MISSING, f"there is no delivery {trace_id}")
        count = rooms.ledger.write_now(resend_answers, trace_id, now(), rooms.settings.domain)
    if state.json:
        print_json({"trace_id": trace_id, "answers": count})
    if not count:
        raise Stop(
            EXIT_REFUSED, f"{trace_id} has no answers by mail: its credential has no return address, or none was owed"
        )
    say(f"{count} answers go out again.")


@app.command()
def cancel(which: Id) -> None:
    """Cancel the import of an upload that has not ended."""
    from storage.ledger.imports import request_cancel

    with house() as rooms:
        upload_id = _one_upload(rooms, which)
        what = rooms.ledger.write_now(request_cancel, upload_id, now(), rooms.settings.domain)
    if state.json:
        print_json({"upload": upload_id, "cancel": what})
    if what == "ended":
        raise Stop(EXIT_REFUSED, f"{upload_id} has no import under way")
    say(
        f"{upload_id}: "
        + ("the import is cancelled." if what == "aborted" else "the running import will be cancelled.")
    )


def _accepted(rooms: Any, found: Any, out: Path | None) -> None:
    """Parse the original again with the rule of its attempt, and write the rows that were accepted."""
    from parsing import Options, parse
    from storage.descriptors import load_data_types
    from storage.ledger.connections import rule_of_version
    from storage.local import local

    delivery, _, upload, attempt = found
    if attempt is None or attempt.result is None or upload.blob is None:
        raise Stop(EXIT_MISSING, f"{upload.id} has no accepted rows (or its original is no longer kept)")
    rule = rooms.ledger.read_now(rule_of_version, upload.connection_id, attempt.version)
    limits = rooms.settings.limits
    options = Options(
        policy=rule.policy, max_rows=limits.max_rows, warn_rows=limits.warn_rows, now=delivery.received_at,
        columns=rule.columns, encoding=rule.encoding,
        format="jsonl" if upload.file_name.lower().endswith((".jsonl", ".ndjson")) else "",
    )  # fmt: skip
    types = load_data_types(rooms.settings.data_types_dir, rooms.settings.enums)
    with (
        local(rooms.blobs, upload.blob, rooms.settings.spool_dir) as original,
        tempfile.TemporaryDirectory(dir=rooms.settings.spool_dir) as folder,
    ):
        report = parse(original, types[rule.data_type], options)
        if out is not None:
            report.write_accepted(out)
            return
        path = Path(folder) / "accepted.csv"
        report.write_accepted(path)
        with path.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()


def _one_upload(rooms: Any, which: str) -> str:
    """Give the upload meant: a bare trace id only when its delivery has one file."""
    from storage.ledger.history import upload_ids

    trace_id, part = _split(which)
    ids: list[str] | None = rooms.ledger.read_now(upload_ids, trace_id)
    if ids is None:
        raise Stop(EXIT_MISSING, f"there is no upload {which}")
    if part is None and len(ids) == 1:
        return ids[0]
    if part is None and ids:
        raise Stop(EXIT_USAGE, f"{trace_id} has several files, name one of: {', '.join(ids)}")
    wanted = f"{trace_id}.{part}" if part is not None else trace_id
    if part == 1 and ids == [trace_id]:
        return trace_id
    if wanted not in ids:
        raise Stop(EXIT_MISSING, f"there is no upload {which}" + ("" if ids else ": this delivery has no files"))
    return wanted


def _split(which: str) -> tuple[str, int | None]:
    from models.trace import split_upload_id

    try:
        return split_upload_id(which)
    except ValueError as error:
        raise Stop(EXIT_USAGE, str(error)) from None


def _moment(text: str | None) -> datetime | None:
    from mailgate.settings import parse_duration

    if text is None:
        return None
    try:
        age: timedelta = parse_duration(text)
        return now() - age
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise Stop(EXIT_USAGE, "--since takes a time such as 2026-11-21T08:00, or an age such as 2h or 7d") from None


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        out.write_bytes(content)


def _proof(found: dict[str, Any]) -> str:
    """Tell what was found out about the sender on one line."""
    reason = f" ({found['reason']})" if found["reason"] else ""
    return f"{found['header']}{reason}"


def _inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

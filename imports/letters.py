"""What our answers say: receipt files, and the mails around receipts and results.

What lives here: pure rendering of what the ledger knows. Nothing is read or sent here.
"""

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from typing import Any

from models.answers import answer_names, receipt_name
from models.catalogue import CATALOGUE
from models.codes import Code
from models.tables import Connection, Delivery, Upload

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_HARMLESS = "\u00a0\u202f\u3000\u200c\u200d"  # further spaces and joiners, as names in many scripts have them
_SEVEN_BIT = SMTP.clone(cte_type="7bit")  # a relay that re-encodes 8-bit text would break the signature
_ENDINGS = (".txt", ".json", ".errors.csv")
_WORST = ("aborted", "rejected", "completed_with_errors", "completed", "in_progress", "queued")
_WORDS = {
    "completed": "completed",
    "completed_with_errors": "completed with errors",
    "rejected": "rejected",
    "aborted": "aborted",
}
_DRY_RUN = "We have your file. This is a dry run: it will be checked, nothing is applied; the result follows by mail."
_HEADLINES = {
    "accepted": "We have your file. It is stored safely and will be imported; the result follows by mail.",
    "duplicate": "We have had this file before. It is NOT imported again.",
    "ignored": "Your mail arrived, but NOTHING was imported.",
    "rejected": "Your mail arrived, but it was rejected: NOTHING was imported.",
    "incomplete": "Your file did not arrive whole: NOTHING was imported. Upload it again, or resume it.",
    "withdrawn": "Your file was withdrawn before it was taken: NOTHING was imported.",
}
_MAIL_DOORS = frozenset({"smtp", "imap"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """One file of a mail."""

    name: str
    content: bytes
    subtype: str  #: of text/*, or json


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One answer before it is a mail: its subject, its words, its files."""

    subject: str
    paragraphs: tuple[str, ...]
    table: tuple[tuple[str, ...], ...] = ()  #: first row is the header
    attachments: tuple[Attachment, ...] = ()


def receipt_text(delivery: Delivery, upload: Upload | None, connection: Connection, contact: str) -> str:
    """Give the receipt of one file as ``key: value`` lines, in the order of ``formats.md``."""
    status = upload.status if upload else delivery.verdict
    values: dict[str, object] = {
        "trace_id": delivery.trace_id,
        "upload": upload.id if upload else "",
        "connection": connection.name,
        "data_type": delivery.data_type,
        "door": delivery.door,
        "file_name": upload.file_name if upload else "",
        "received_at": _time(delivery.received_at),
        "bytes": upload.size if upload and upload.size is not None else "",
        "sha256": upload.sha256 if upload else "",
        "status": status,
        "code": (upload.code if upload else delivery.code) or "",
        "message": (upload.message if upload else delivery.message),
        "message_id": delivery.message_id,
        "duplicate_of": (upload.duplicate_of if upload else delivery.duplicate_of) or "",
        "support_contact": contact,
    }
    return "".join(f"{key}: {_visible(str(value))}".rstrip() + "\n" for key, value in values.items())


def receipt_letter(delivery: Delivery, uploads: Sequence[Upload], connection: Connection, contact: str) -> Letter:
    """Write the receipt of a delivery."""
    names = answer_names([upload.file_name for upload in uploads])
    files = [
        _receipt_file(name, receipt_text(delivery, upload, connection, contact))
        for name, upload in zip(names, uploads, strict=True)
    ] or [_receipt_file(delivery.trace_id, receipt_text(delivery, None, connection, contact))]
    dry = delivery.dry_run and delivery.verdict == "accepted"
    headline = _HEADLINES.get(delivery.verdict, f"Status: {delivery.verdict}.")
    if delivery.door not in _MAIL_DOORS:
        headline = headline.replace("Your mail", "Your file")
    paragraphs = [_DRY_RUN if dry else headline]
    if delivery.code:
        paragraphs.append(_explained(delivery.code, delivery.message))
    table = [("File", "Bytes", "Status", "Why")]
    table.extend(
        (upload.file_name, "" if upload.size is None else f"{upload.size:,}", _spoken(upload.status), upload.message)
        for upload in uploads
    )
    return Letter(
        subject=f"[Receipt] {_files(delivery, uploads)}",
        paragraphs=(*paragraphs, *_signature(delivery, connection, contact)),
        table=tuple(table) if uploads else (),
        attachments=tuple(files),
    )


def _receipt_file(name: str, text: str) -> Attachment:
    return Attachment(name=receipt_name(name), content=text.encode(), subtype="plain")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of one upload with the errors file that goes with it, already cut to what a mail takes."""

    upload: Upload
    result: dict[str, Any]
    result_file: Attachment
    errors_file: Attachment | None
    errors_cut: bool = False


def result_letter(
    delivery: Delivery, uploads: Sequence[Upload], connection: Connection, outcomes: Sequence[Outcome],
    missing: Sequence[str], contact: str,
) -> Letter:  # fmt: skip
    """Write the result of a delivery: the worst status first, one line a file, one sentence a code."""
    statuses = {str(outcome.result["status"]) for outcome in outcomes}
    worst = next((status for status in _WORST if status in statuses), "in_progress")
    paragraphs = [_headline(outcomes)] if outcomes else []
    if delivery.dry_run:
        paragraphs = ["This was a dry run: nothing was applied, and the counts say what would have been."]
    if missing:
        listed = ", ".join(upload.file_name for upload in uploads if upload.id in set(missing))
        paragraphs.append(f"Still being imported, the result follows: {listed}. Our operators have been told.")
    table: list[tuple[str, ...]] = [("File", "Status", "Rows", "Imported", "Unchanged", "With errors", "Not applied")]
    for outcome in outcomes:
        result = outcome.result
        counts = [
            "–" if result[key] is None else f"{result[key]:,}"
            for key in ("total_rows", "successful_rows", "unchanged_rows", "error_rows", "not_applied_rows")
        ]
        table.append((outcome.upload.file_name, _spoken(str(result["status"])), *counts))
        paragraphs.extend(_told(outcome, several=len(outcomes) > 1))
    attachments = [outcome.result_file for outcome in outcomes]
    attachments.extend(outcome.errors_file for outcome in outcomes if outcome.errors_file is not None)
    return Letter(
        subject=f"[Result: {_WORDS.get(worst, _spoken(worst))}] {_files(delivery, uploads)}",
        paragraphs=(*paragraphs, *_signature(delivery, connection, contact)),
        table=tuple(table) if outcomes else (),
        attachments=tuple(attachments),
    )


def digest_letter(letters: Sequence[Letter], per_hour: int) -> Letter:
    """Gather letters that had to wait into one."""
    table = [("Answer",), *((letter.subject,) for letter in letters)]
    return Letter(
        subject=f"[Digest] {len(letters)} answers",
        paragraphs=(
            f"These {len(letters)} answers come as one mail, because at most {per_hour} go to one address in an hour. "
            "Nothing was left out; the files are attached.",
        ),
        table=tuple(table),
        attachments=_told_apart([attachment for letter in letters for attachment in letter.attachments]),
    )


def _told_apart(attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """Number the files of one name, so that none overwrites another where they are saved."""
    times = Counter(attachment.name for attachment in attachments)
    seen: Counter[str] = Counter()
    result = []
    for attachment in attachments:
        name = attachment.name
        if times[name] > 1:
            seen[name] += 1
            ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
            name = f"{name.removesuffix(ending)}.{seen[attachment.name]}{ending}"
        result.append(replace(attachment, name=name))
    return tuple(result)


def alarm_letter(kind: str, message: str, raised_at: datetime) -> Letter:
    """Write to an operator what needs a look."""
    return Letter(
        subject=f"[Alarm] {kind}",
        paragraphs=(
            f"{message[:1].upper()}{message[1:]}.", "`mailgate doctor` names a fix.", f"Raised {_time(raised_at)}."
        ),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """What a mail needs beside its letter."""

    sender: str
    to_address: str
    date: datetime
    message_id: str
    trace_id: str
    in_reply_to: str = ""
    references: tuple[str, ...] = ()


def compose(letter: Letter, posting: Posting) -> bytes:
    """Make the mail: plain text and HTML, files attached, threaded, marked as automatic (RFC 3834)."""
    mail = EmailMessage(policy=_SEVEN_BIT)
    mail["From"] = Address(display_name="mailgate", addr_spec=posting.sender)
    mail["To"] = posting.to_address
    mail["Subject"] = _header_text(letter.subject)
    mail["Date"] = posting.date
    mail["Message-ID"] = posting.message_id
    if _is_message_id(posting.in_reply_to):
        mail["In-Reply-To"] = posting.in_reply_to
        references = filter(_is_message_id, posting.references)
        mail["References"] = " ".join((*references, posting.in_reply_to))
    mail["Auto-Submitted"] = "auto-replied"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["Mailgate-Trace-Id"] = posting.trace_id  # on every mail of ours, so that it is known when it comes back
    mail.set_content(_plain(letter))
    mail.add_alternative(_html(letter), subtype="html")
    for attachment in letter.attachments:
        filename = _visible(attachment.name).replace("=?", "= ?")
        maintype, subtype = ("application", "json") if attachment.subtype == "json" else ("text", attachment.subtype)
        if maintype == "text":
            mail.add_attachment(
                attachment.content, maintype=maintype, subtype=subtype, filename=filename,
                params={"charset": "utf-8"}, cte="base64",
            )  # fmt: skip
        else:
            mail.add_attachment(attachment.content, maintype=maintype, subtype=subtype, filename=filename)
    _set_boundaries(mail, posting.message_id)
    return mail.as_bytes()


def _set_boundaries(mail: EmailMessage, message_id: str) -> None:
    """Make the boundaries of the Message-ID, so that the same reply is the same bytes; no sender knew it in time."""
    word = sha256(message_id.encode()).hexdigest()[:32]
    for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_{word}.{number}")


def _told(outcome: Outcome, *, several: bool) -> list[str]:
    result, told = outcome.result, []
    name = f"{outcome.upload.file_name}: " if several else ""
    if result["status"] == "aborted":
        told.append(f"{name}{result['message']} The file is kept, and our operators can import it again.")
    elif result["code"]:
        told.append(name + _explained(str(result["code"]), str(result["message"])))
    elif result["message"]:
        told.append(name + str(result["message"]))
    if result["top_errors"]:
        most = "; ".join(
            f"{entry['count']:,} × {entry['code']} ({CATALOGUE[Code(entry['code'])].title})"
            for entry in result["top_errors"]
        )
        told.append(f"{name}Errors: {most}.")
    told.extend(f"{name}Warning {warning['code']}: {warning['message']}" for warning in result["warnings"])
    if outcome.errors_file is not None:
        told.append(
            f"{name}Every bad row stands in {outcome.errors_file.name}, with what is wrong and how to mend it. Correct "
            "the rows there, save it under a name of your connection (not beginning with result_) and send it again."
        )
    if outcome.errors_cut:
        told.append(f"{name}The attached errors file is cut to fit a mail; ask us for the whole of it.")
    return told


def _headline(outcomes: Sequence[Outcome]) -> str:
    statuses = {str(outcome.result["status"]) for outcome in outcomes}
    if statuses == {"completed"}:
        return "Your file was imported without an error." if len(outcomes) == 1 else "All files were imported."
    if statuses <= {"completed", "completed_with_errors"}:
        return "The good rows were imported; some rows need your attention."
    if "completed" in statuses or "completed_with_errors" in statuses:
        return "Some files were imported and some were not; see below."
    return "NOTHING was imported."


def _explained(code: str, message: str) -> str:
    entry = CATALOGUE[Code(code)]
    return f"{code}: {message or entry.meaning} What to do: {entry.mend}"


def _files(delivery: Delivery, uploads: Sequence[Upload]) -> str:
    if not uploads:
        return _one_line(delivery.subject) or delivery.trace_id
    more = f" (+{len(uploads) - 1} more)" if len(uploads) > 1 else ""
    return uploads[0].file_name + more


def _signature(delivery: Delivery, connection: Connection, contact: str) -> list[str]:
    ask = f" Questions: {contact}, naming this id." if contact else ""
    return [
        f"Trace id {delivery.trace_id} · connection {connection.name} · received {_time(delivery.received_at)}.{ask}"
    ]


def _plain(letter: Letter) -> str:
    lines: list[str] = []
    head, signature = letter.paragraphs[:-1] or letter.paragraphs, letter.paragraphs[-1]
    lines.extend(f"{paragraph}\n" for paragraph in head)
    if letter.table:
        widths = [max(len(row[column]) for row in letter.table) for column in range(len(letter.table[0]))]
        widths = [min(width, 60) for width in widths]
        lines.extend(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in letter.table
        )
        lines.append("")
    if head is not letter.paragraphs:
        lines.append(signature)
    return "\n".join(lines) + "\n"


def _html(letter: Letter) -> str:
    cell = "padding:4px 12px 4px 0;text-align:left;vertical-align:top"
    head, signature = letter.paragraphs[:-1] or letter.paragraphs, letter.paragraphs[-1]
    pieces = [f"<p>{html.escape(paragraph)}</p>" for paragraph in head]
    if letter.table:
        rows = []
        for place, row in enumerate(letter.table):
            tag = "td" if place else "th"
            cells = "".join(f'<{tag} style="{cell}">{html.escape(text)}</{tag}>' for text in row)
            rows.append(f"<tr>{cells}</tr>")
        pieces.append(f'<table style="border-collapse:collapse">{"".join(rows)}</table>')
    if head is not letter.paragraphs:
        pieces.append(f'<p style="color:#555">{html.escape(signature)}</p>')
    body = "\n".join(pieces)
    return f'<!doctype html>\n<html><body style="font-family:sans-serif;font-size:14px">\n{body}\n</body></html>\n'


def _spoken(status: str) -> str:
    return status.replace("_", " ")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _visible(text: str) -> str:
    """Give a name or sentence as it is, but for what would break or turn a line."""
    return "".join(c if c.isprintable() or c in _HARMLESS else " " for c in text)


def _header_text(text: str) -> str:
    """Give a text that is safe in a header: the library decodes encoded words in it, line ends and all."""
    return _one_line(text).replace("=?", "= ?")


def _is_message_id(text: str) -> bool:
    """Say whether somebody else's Message-ID may stand in a header of ours (RFC 5322 section 3.6.4)."""
    return _MESSAGE_ID.fullmatch(text) is not None and "=?" not in text


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

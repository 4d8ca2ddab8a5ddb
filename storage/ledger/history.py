"""The history: what became of every delivery, upload and import, as look-ups print it.

What lives here: reading functions only; their objects have the names of the public contract.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from models.result import Identity, Summary, result_object
from models.states import ENDED, ImportStatus
from models.tables import Alarm, Answer, Attempt, Connection, Delivery, Event, Upload
from storage.ledger.answers import last_attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the history is asked for."""

    status: str | None = None
    since: datetime | None = None
    connection: str | None = None
    limit: int = 1000


def list_uploads(session: Session, wanted: Wanted) -> list[dict[str, Any]]:
    """List uploads, newest first; a delivery without files is listed once with ``file_name`` null."""
    statement = (
        select(Delivery, Connection, Upload)
        .join(Connection, col(Connection.id) == Delivery.connection_id)
        .join(Upload, col(Upload.trace_id) == Delivery.trace_id, isouter=True)
        .order_by(col(Delivery.received_at).desc(), col(Delivery.trace_id).desc(), col(Upload.part))
        .limit(wanted.limit)
    )
    if wanted.since is not None:
        statement = statement.where(Delivery.received_at >= wanted.since)
    if wanted.connection is not None:
        names = {
            name for name in session.exec(select(Connection.name)) if name.casefold() == wanted.connection.casefold()
        }
        statement = statement.where(col(Connection.name).in_(names))  # deleted ones too: their history stays
    if wanted.status is not None:
        statement = statement.where(
            (col(Upload.status) == wanted.status)
            | (col(Delivery.verdict) == wanted.status)
            | col(Upload.id).in_(_uploads_whose_import_is(wanted.status))
        )
    return [_object(session, *row) for row in session.exec(statement)]


def show_delivery(session: Session, trace_id: str) -> list[dict[str, Any]]:
    """Give the objects of every upload of a delivery, in the mail's order; empty when there is none."""
    statement = (
        select(Delivery, Connection, Upload)
        .join(Connection, col(Connection.id) == Delivery.connection_id)
        .join(Upload, col(Upload.trace_id) == Delivery.trace_id, isouter=True)
        .where(Delivery.trace_id == trace_id)
        .order_by(col(Upload.part))
    )
    return [_object(session, *row) for row in session.exec(statement)]


def detail(session: Session, trace_id: str) -> dict[str, Any]:
    """Give what more there is to say of a delivery: envelope, other parts, events, answers."""
    delivery = session.get_one(Delivery, trace_id)
    events = session.exec(select(Event).where(Event.trace_id == trace_id).order_by(col(Event.id)))
    answers = session.exec(select(Answer).where(Answer.trace_id == trace_id).order_by(col(Answer.id)))
    return {
        "sender": delivery.sender, "recipient": delivery.recipient, "peer": delivery.peer,
        "message_id": delivery.message_id, "subject": delivery.subject, "tag": delivery.tag,
        "authenticated_as": delivery.authenticated_as, "authenticity": delivery.authenticity,
        "dry_run": delivery.dry_run, "other_parts": delivery.parts,
        "events": [
            {"at": _time(e.at), "subject": e.subject, "from": e.before, "to": e.after, "why": e.why} for e in events
        ],
        "answers": [
            {"kind": a.kind, "sequence": a.sequence, "to": a.to_address, "state": a.state, "tries": a.tries,
             "sent_at": _time(a.sent_at), "message_id": a.message_id, "error": a.error}
            for a in answers
        ],
    }  # fmt: skip


def get_upload(session: Session, upload_id: str) -> tuple[Delivery, Connection, Upload, Attempt | None] | None:
    """Give the rows of one upload with its latest attempt."""
    upload = session.get(Upload, upload_id)
    if upload is None:
        return None
    delivery = session.get_one(Delivery, upload.trace_id)
    connection = session.get_one(Connection, upload.connection_id)
    return delivery, connection, upload, last_attempt(session, upload_id)


def upload_ids(session: Session, trace_id: str) -> list[str] | None:
    """List the uploads of a delivery; None when there is no such delivery."""
    if session.get(Delivery, trace_id) is None:
        return None
    return list(session.exec(select(Upload.id).where(Upload.trace_id == trace_id).order_by(col(Upload.part))))


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerFacts:
    """Everything an answer speaks of."""

    answer: Answer
    delivery: Delivery
    connection: Connection
    uploads: tuple[Upload, ...]
    attempts: tuple[tuple[Upload, Attempt], ...]  #: that a result tells of


def answer_facts(session: Session, answer_ids: Iterable[int]) -> list[AnswerFacts]:
    """Gather what answers speak of, in the order asked."""
    found: list[AnswerFacts] = []
    for answer_id in answer_ids:
        answer = session.get_one(Answer, answer_id)
        delivery = session.get_one(Delivery, answer.trace_id)
        uploads = session.exec(
            select(Upload).where(Upload.trace_id == answer.trace_id).order_by(col(Upload.part))
        ).all()
        by_id = {upload.id: upload for upload in uploads}
        attempts = []
        for name in answer.uploads:
            upload, _, number = name.partition("#")
            attempts.append((by_id[upload], session.get_one(Attempt, (upload, int(number)))))
        found.append(
            AnswerFacts(
                answer=answer, delivery=delivery, uploads=tuple(uploads),
                connection=session.get_one(Connection, delivery.connection_id), attempts=tuple(attempts),
            )
        )  # fmt: skip
    return found


def open_alarms(session: Session) -> list[Alarm]:
    """List the alarms that are open, oldest first."""
    return list(session.exec(select(Alarm).where(col(Alarm.cleared_at).is_(None)).order_by(col(Alarm.id))))


def attempt_object(upload: Upload, attempt: Attempt, connection: str, data_type: str, contact: str) -> dict[str, Any]:
    """Give the result object of an attempt; before its end, and when it was aborted, the counts are null."""
    if attempt.result is not None and attempt.status in ENDED:
        return attempt.result
    identity = Identity(
        trace_id=upload.trace_id, upload=upload.id, connection=connection, data_type=data_type,
        file_name=upload.file_name, sha256=upload.sha256, attempt=attempt.number,
        started_at=_time(attempt.started_at) or "", finished_at=_time(attempt.finished_at) or "",
        support_contact=contact,
    )  # fmt: skip
    result = result_object(identity, Summary(status=ImportStatus(attempt.status), message=attempt.message))
    result["code"] = attempt.code
    return result


def _uploads_whose_import_is(status: str) -> Any:
    later = aliased(Attempt)
    newer = select(later.upload_id).where(later.upload_id == Attempt.upload_id, later.number > Attempt.number)
    return select(Attempt.upload_id).where(Attempt.status == status, ~newer.exists())


def _object(session: Session, delivery: Delivery, connection: Connection, upload: Upload | None) -> dict[str, Any]:
    attempt = last_attempt(session, upload.id) if upload is not None else None
    result = None
    if upload is not None and attempt is not None:
        result = attempt_object(upload, attempt, connection.name, delivery.data_type, "")
    return {
        "upload": upload.id if upload else delivery.trace_id,
        "trace_id": delivery.trace_id,
        "part": upload.part if upload else None,
        "connection": connection.name,
        "door": delivery.door,
        "file_name": upload.file_name if upload else None,
        "bytes": upload.size if upload else None,
        "sha256": (upload.sha256 or None) if upload else None,
        "received_at": _time(delivery.received_at),
        "delivery_verdict": delivery.verdict or None,
        "status": upload.status
        if upload
        else ("upload_failed" if delivery.verdict == "rejected" else delivery.verdict),
        "code": upload.code if upload else delivery.code,
        "message": upload.message if upload else delivery.message,
        "duplicate_of": upload.duplicate_of if upload else delivery.duplicate_of,
        "authenticity": delivery.authenticity and {key: delivery.authenticity[key] for key in ("spf", "dkim", "dmarc")},
        "supersedes": upload.supersedes if upload else None,
        "import": result,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Housekeeping in the ledger: what is late, what may be forgotten, which blobs a row still names.

What lives here: transactions that may run at any time, twice, or on two nodes at once.
"""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.states import ENDED, UploadStatus
from models.tables import Alarm, Attempt, Delivery, Event, FolderFile, Upload
from storage.ledger.answers import owe_partial_result

_BATCH = 500


def overdue(session: Session, received_before: datetime) -> list[str]:
    """List deliveries accepted before a moment whose imports have not all ended and that no alarm tells of yet."""
    told = select(Alarm.subject).where(Alarm.kind == "RESULT_LATE", col(Alarm.cleared_at).is_(None))
    statement = (
        select(Upload.trace_id)
        .join(Attempt, col(Attempt.upload_id) == Upload.id)
        .where(col(Attempt.status).notin_(list(ENDED)), Attempt.queued_at < received_before)
        .where(col(Upload.trace_id).notin_(told))
        .distinct()
        .limit(_BATCH)
    )
    return list(session.exec(statement))


def note_overdue(session: Session, trace_id: str, now: datetime, domain: str) -> None:
    """Raise the alarm that a result is late, and tell the sender what is missing."""
    missing = owe_partial_result(session, trace_id, now, domain)
    if missing:
        delivery = session.get_one(Delivery, trace_id)
        message = (
            f"no result yet of {', '.join(missing)}: its import waits or runs; see `mailgate upload show {trace_id}`"
        )
        session.add(
            Alarm(
                connection_id=delivery.connection_id, kind="RESULT_LATE", subject=trace_id, message=message,
                raised_at=now,
            )
        )  # fmt: skip


def clear_late_alarms(session: Session, now: datetime) -> None:
    """Clear the alarms of results that have come meanwhile."""
    alarms = session.exec(select(Alarm).where(Alarm.kind == "RESULT_LATE", col(Alarm.cleared_at).is_(None)))
    for alarm in alarms:
        waiting = (
            select(Attempt.upload_id)
            .join(Upload, col(Upload.id) == Attempt.upload_id)
            .where(Upload.trace_id == alarm.subject, col(Attempt.status).notin_(list(ENDED)))
        )
        if session.exec(waiting).first() is None:
            alarm.cleared_at = now
            session.add(alarm)


def unnamed(session: Session, blob_ids: Iterable[str]) -> list[str]:
    """Of some blobs, list those that no row names."""
    wanted = list(blob_ids)
    named = set(session.exec(select(Upload.blob).where(col(Upload.blob).in_(wanted))))
    named |= set(session.exec(select(Attempt.errors_blob).where(col(Attempt.errors_blob).in_(wanted))))
    named |= set(session.exec(select(FolderFile.blob).where(col(FolderFile.blob).in_(wanted))))
    return [blob for blob in wanted if blob not in named]


def forget_originals(session: Session, taken_before: datetime, others_before: datetime, now: datetime) -> list[str]:
    """Let go of originals past their time; those that were not taken go earlier. Gives the blobs to delete."""
    taken = (UploadStatus.IMPORT_JOB_CREATED, UploadStatus.HELD)
    running = select(Attempt.upload_id).where(col(Attempt.status).notin_(list(ENDED)))
    statement = (
        select(Upload)
        .where(col(Upload.blob).is_not(None), col(Upload.id).notin_(running))
        .where(
            (col(Upload.status).in_(taken) & (col(Upload.received_at) < taken_before))
            | (col(Upload.status).notin_(taken) & (col(Upload.received_at) < others_before))
        )
        .limit(_BATCH)
    )
    return [_let_go(session, upload, "its time is over", now) for upload in session.exec(statement).all()]


def forget_errors(session: Session, finished_before: datetime) -> list[str]:
    """Let go of errors files past their time; the record stays. Gives the blobs to delete."""
    statement = (
        select(Attempt)
        .where(col(Attempt.errors_blob).is_not(None), col(Attempt.finished_at) < finished_before)
        .limit(_BATCH)
    )
    gone: list[str] = []
    for attempt in session.exec(statement).all():
        assert attempt.errors_blob is not None
        gone.append(attempt.errors_blob)
        attempt.errors_blob = None
        session.add(attempt)
    return gone


def trim_not_taken(session: Session, quota: int, now: datetime) -> list[str]:
    """Per connection, let go of the oldest files that were not taken until the rest fits the quota."""
    not_taken = (UploadStatus.IGNORED, UploadStatus.DUPLICATE)
    full = session.exec(
        select(Upload.connection_id)
        .where(col(Upload.status).in_(not_taken), col(Upload.blob).is_not(None))
        .group_by(col(Upload.connection_id))
        .having(sa.func.sum(Upload.size) > quota)
    ).all()
    gone: list[str] = []
    for connection_id in full:
        newest_first = session.exec(
            select(Upload)
            .where(Upload.connection_id == connection_id, col(Upload.status).in_(not_taken))
            .where(col(Upload.blob).is_not(None))
            .order_by(col(Upload.received_at).desc())
        ).all()
        room = quota
        for upload in newest_first:
            room -= upload.size or 0
            if room < 0:
                gone.append(_let_go(session, upload, "the connection's quota of files not taken is full", now))
    return gone


def unfinished(session: Session, queued_before: datetime) -> list[tuple[str, int]]:
    """List attempts queued before a moment that have not ended: upload and number."""
    statement = (
        select(Attempt.upload_id, Attempt.number)
        .where(col(Attempt.status).notin_(list(ENDED)), Attempt.queued_at < queued_before)
        .limit(_BATCH)
    )
    return [(upload, number) for upload, number in session.exec(statement)]


def _let_go(session: Session, upload: Upload, why: str, now: datetime) -> str:
    assert upload.blob is not None
    blob, upload.blob = upload.blob, None
    session.add(upload)
    session.add(
        Event(
            trace_id=upload.trace_id, subject=upload.id, before=upload.status, after=upload.status,
            why=f"the original is no longer kept: {why}", at=now,
        )
    )  # fmt: skip
    return blob

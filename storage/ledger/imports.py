"""Imports in the ledger: begun, finished, failed, parked, cancelled, replayed.

What lives here: the transactions of one attempt's life. Each may be repeated after a crash and then changes nothing. An
attempt that was begun anew elsewhere, because its process seemed dead, is no longer that process's: it is told so.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from models.answers import answer_names
from models.codes import Code
from models.connection import Rule
from models.states import ENDED, ImportStatus, UploadStatus, Verdict, check_move
from models.tables import Alarm, Attempt, Connection, ConnectionVersion, Delivery, Event, Upload
from storage.jobs import Enqueue
from storage.ledger.answers import last_attempt, owe_receipt_again, owe_result
from storage.ledger.contents import firsts_of_contents
from storage.ledger.deliveries import queue_attempt
from storage.ledger.folder_answers import post_receipt, post_result
from storage.ledger.moves import move_upload
from storage.locks import touches


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What one attempt is to do: which bytes, which rule."""

    upload: str
    attempt: int
    trace_id: str
    connection: str
    rule: Rule
    file_name: str
    answer_name: str  #: the name its answers carry
    blob: str
    sha256: str
    received_at: datetime
    started_at: datetime
    dry_run: bool
    duplicate_of: str | None
    queued_at: datetime | None = None
    supersedes: str | None = None
    parent_trace_id: str | None = None
    begun: int = 0  #: which beginning of the attempt this is: only the latest may end it
    credential_id: int | None = None  #: in whose folder its answers may stand


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How often an import may fail, and how often a process may die over it, before it is parked."""

    failures: int
    starts: int


def begin(
    session: Session, upload_id: str, number: int, now: datetime, patience: Patience, domain: str, *,
    begun: int = 0,
) -> Order | None:  # fmt: skip
    """Begin an attempt, or go on with it after a crash; None when nothing is left to do.

    An attempt that was cancelled, or tried too often, is aborted here and answered. ``begun``: of the order that this
    process had before; None too where another has begun it since.
    """
    attempt = session.get_one(Attempt, (upload_id, number))
    if attempt.status in ENDED or begun not in (0, attempt.tries):
        return None
    upload = session.get_one(Upload, upload_id)
    if attempt.cancel_requested:
        _abort(session, attempt, upload, "It was cancelled by an operator.", now, domain)
        return None
    if attempt.failures >= patience.failures or attempt.tries >= patience.starts:
        _park(session, attempt, upload, now, domain)
        return None
    if attempt.status == ImportStatus.QUEUED:
        _move(session, attempt, upload, ImportStatus.IN_PROGRESS, "", now)
        attempt.started_at = now
    attempt.tries += not begun
    session.add(attempt)
    if upload.blob is None:
        _abort(session, attempt, upload, "Its original is no longer kept.", now, domain)
        return None
    delivery = session.get_one(Delivery, upload.trace_id)
    connection = session.get_one(Connection, upload.connection_id)
    version = session.get_one(ConnectionVersion, (upload.connection_id, attempt.version))
    assert attempt.started_at is not None
    return Order(
        upload=upload.id, attempt=number, trace_id=upload.trace_id, connection=connection.name,
        rule=Rule.from_json(version.rule), file_name=upload.file_name,
        answer_name=_answer_name(session, upload), blob=upload.blob, sha256=upload.sha256,
        received_at=upload.received_at, started_at=attempt.started_at, queued_at=attempt.queued_at,
        dry_run=delivery.dry_run,
        duplicate_of=upload.duplicate_of, supersedes=upload.supersedes, begun=attempt.tries,
        credential_id=connection.credential_id,
    )  # fmt: skip


def end_of(session: Session, upload_id: str, number: int) -> tuple[str, str, str]:
    """Give status, code and message of an attempt that was found ended, or was ended when it should begin."""
    attempt = session.get_one(Attempt, (upload_id, number))
    return attempt.status, attempt.code or "", attempt.message


def _answer_name(session: Session, upload: Upload) -> str:
    names = session.exec(
        select(Upload.file_name).where(Upload.trace_id == upload.trace_id).order_by(col(Upload.part))
    ).all()
    return answer_names(names)[upload.part - 1]


def _things(upload_id: str, *_args: Any, credential_id: int | None = None, **_more: Any) -> set[str] | None:
    """Give what the end of an import changes: its delivery, and the folder of its client."""
    if credential_id is None:
        return None
    return {f"delivery:{upload_id.partition('.')[0]}", f"credential:{credential_id}"}


@touches(_things)
def finish(
    session: Session, upload_id: str, number: int, *, status: ImportStatus, result: dict[str, Any],
    errors_blob: str | None, no_rows: bool, now: datetime, domain: str, errors_bytes: int | None = None,
    begun: int = 0, credential_id: int | None = None,
) -> bool:  # fmt: skip
    """Write the end of an attempt and owe its answer in one transaction.

    False when it had ended before, or was begun elsewhere since ``begun`` (0: whoever ends it). ``credential_id``: of
    the connection, where the caller knows it; then others are not held up.
    """
    attempt = session.get_one(Attempt, (upload_id, number))
    if attempt.status in ENDED or begun not in (0, attempt.tries):
        return False
    upload = session.get_one(Upload, upload_id)
    attempt.result, attempt.errors_blob, attempt.no_rows = result, errors_blob, no_rows
    attempt.errors_bytes = errors_bytes
    attempt.code, attempt.message = result["code"], result["message"]
    _move(session, attempt, upload, status, attempt.message, now)
    attempt.finished_at = now
    session.add(attempt)
    session.flush()
    owe_result(session, upload.trace_id, now, domain)
    post_result(session, upload_id, number, now, errors=errors_blob is not None)
    _clear_alarms(session, upload_id, now)
    return True


def note_failure(session: Session, upload_id: str, number: int, error: str, now: datetime, begun: int = 0) -> int:
    """Count one failure of an attempt that goes on here; returns how many there were."""
    attempt = session.get_one(Attempt, (upload_id, number))
    if begun not in (0, attempt.tries):
        return attempt.failures
    upload = session.get_one(Upload, upload_id)
    attempt.failures += 1
    session.add(attempt)
    session.add(
        Event(
            trace_id=upload.trace_id, subject=f"{upload_id}#{number}", before=attempt.status, after=attempt.status,
            why=f"try {attempt.failures} failed: {error}"[:1000], at=now,
        )
    )  # fmt: skip
    return attempt.failures


def request_cancel(session: Session, upload_id: str, now: datetime, domain: str) -> str:
    """Cancel the latest attempt: one that waits is aborted at once, a running one when it next looks.

    Returns ``aborted``, ``requested`` or ``ended``.
    """
    attempt = last_attempt(session, upload_id)
    if attempt is None or attempt.status in ENDED:
        return "ended"
    upload = session.get_one(Upload, upload_id)
    if attempt.status == ImportStatus.QUEUED:
        _abort(session, attempt, upload, "It was cancelled by an operator.", now, domain)
        return "aborted"
    attempt.cancel_requested = True
    session.add(attempt)
    return "requested"


def cancel_requested(session: Session, upload_id: str, number: int) -> bool:
    """Tell whether an operator wants a running attempt to stop."""
    return session.get_one(Attempt, (upload_id, number)).cancel_requested


def abort(
    session: Session, upload_id: str, number: int, why: str, now: datetime, domain: str, begun: int = 0
) -> None:  # fmt: skip
    """End an attempt that goes on here as aborted, and owe the answer that says so."""
    attempt = session.get_one(Attempt, (upload_id, number))
    if attempt.status not in ENDED and begun in (0, attempt.tries):
        _abort(session, attempt, session.get_one(Upload, upload_id), why, now, domain)


class NotReplayable(Exception):
    """Say why an upload cannot be imported again."""


def replay(session: Session, upload_id: str, now: datetime, enqueue: Enqueue, *, with_rule_of_then: bool) -> int:
    """Queue a further attempt of an upload; returns its number. Raises NotReplayable."""
    upload = session.get_one(Upload, upload_id)
    connection = session.get_one(Connection, upload.connection_id)
    if upload.blob is None:
        raise NotReplayable("its original is no longer kept")
    if upload.status not in {UploadStatus.IMPORT_JOB_CREATED, UploadStatus.DUPLICATE}:
        raise NotReplayable(f"it was not accepted (its status is {upload.status})")
    last = last_attempt(session, upload_id)
    if last is not None and last.status not in ENDED:
        raise NotReplayable("an import of it is still under way")
    delivery = session.get_one(Delivery, upload.trace_id)
    if upload.status == UploadStatus.DUPLICATE:
        upload.code, upload.message = None, ""
        move_upload(session, upload, UploadStatus.IMPORT_JOB_CREATED, _REPLAYED, now)
        if delivery.verdict != Verdict.ACCEPTED:
            _judge_again(session, delivery.trace_id, Verdict.ACCEPTED, _REPLAYED, now)
    version = delivery.version if with_rule_of_then else connection.version
    return queue_attempt(session, connection, upload, version, now, enqueue, replay=True)


def release_held(
    session: Session,
    connection_id: int,
    now: datetime,
    enqueue: Enqueue,
    *,
    duplicates_since: datetime,
    domain: str,
) -> list[str]:
    """Import what was held while a connection was paused, oldest first; returns the uploads now queued.

    Their senders, who were told of the pause, get a further receipt that says what became of their file.
    """
    held = session.exec(
        select(Upload)
        .where(Upload.connection_id == connection_id, Upload.status == UploadStatus.HELD)
        .order_by(col(Upload.received_at), col(Upload.part))
    ).all()
    connection = session.get_one(Connection, connection_id)
    version = session.get_one(ConnectionVersion, (connection_id, connection.version))
    policy = Rule.from_json(version.rule).duplicates
    released: list[str] = []
    judged: dict[str, Verdict] = {}
    for upload in held:
        if upload.blob is None:
            continue
        session.flush()
        first = None
        if policy != "accept" and not session.get_one(Delivery, upload.trace_id).dry_run:
            firsts = firsts_of_contents(session, [connection_id], [upload.sha256], duplicates_since)
            first = firsts.get((connection_id, upload.segment, upload.sha256))
        upload.duplicate_of = first
        if first is not None and policy == "reject":
            upload.code = Code.DUPLICATE_FILE
            upload.message = f"The same content came before, in the delivery {first}; it is not imported again."
            move_upload(session, upload, UploadStatus.DUPLICATE, upload.message, now)
            judged.setdefault(upload.trace_id, Verdict.DUPLICATE)
            continue
        upload.code, upload.message = None, ""
        move_upload(session, upload, UploadStatus.IMPORT_JOB_CREATED, _RELEASED, now)
        queue_attempt(session, connection, upload, connection.version, now, enqueue)
        released.append(upload.id)
        judged[upload.trace_id] = Verdict.ACCEPTED
    for trace_id, verdict in judged.items():
        _judge_again(session, trace_id, verdict, _RELEASED, now)
        owe_receipt_again(session, trace_id, now, domain)
        post_receipt(session, trace_id, now)  # a file door's delivery has one upload, of the same id
    return released


_RELEASED = "released after a pause"
_REPLAYED = "replayed on an operator's word"


def _judge_again(session: Session, trace_id: str, verdict: Verdict, why: str, now: datetime) -> None:
    """Give a delivery that was held or replayed its verdict; it is a duplicate only if all its files are."""
    delivery = session.get_one(Delivery, trace_id)
    before = delivery.verdict
    delivery.verdict, delivery.code, delivery.message = verdict, None, why
    if verdict is Verdict.DUPLICATE:
        delivery.code = Code.DUPLICATE_FILE
        delivery.duplicate_of = session.exec(
            select(Upload.duplicate_of).where(Upload.trace_id == trace_id).order_by(col(Upload.part))
        ).first()
    session.add(delivery)
    session.add(Event(trace_id=trace_id, subject=trace_id, before=before, after=verdict, why=why, at=now))


def _move(session: Session, attempt: Attempt, upload: Upload, after: ImportStatus, why: str, now: datetime) -> None:
    before = ImportStatus(attempt.status)
    check_move(before, after)
    attempt.status = after
    subject = f"{attempt.upload_id}#{attempt.number}"
    session.add(Event(trace_id=upload.trace_id, subject=subject, before=before, after=after, why=why[:1000], at=now))


def _abort(session: Session, attempt: Attempt, upload: Upload, why: str, now: datetime, domain: str) -> None:
    attempt.code, attempt.message = Code.SYSTEM_ERROR, why
    _move(session, attempt, upload, ImportStatus.ABORTED, why, now)
    attempt.finished_at = now
    session.add(attempt)
    session.flush()
    owe_result(session, upload.trace_id, now, domain)
    post_result(session, upload.id, attempt.number, now, errors=False)


def _park(session: Session, attempt: Attempt, upload: Upload, now: datetime, domain: str) -> None:
    why = f"Every try failed ({attempt.failures} failures, {attempt.tries} starts); it is parked and can be replayed."
    _abort(session, attempt, upload, why, now, domain)
    _clear_alarms(session, upload.id, now)  # one open alarm an upload: this tells of its latest attempt
    message = f"the import of {upload.id} ({upload.file_name}) is parked: {why}"
    session.add(
        Alarm(
            connection_id=upload.connection_id, kind="IMPORT_PARKED", subject=upload.id, message=message, raised_at=now
        )
    )


def _clear_alarms(session: Session, upload_id: str, now: datetime) -> None:
    parked = select(Alarm).where(
        Alarm.kind == "IMPORT_PARKED", Alarm.subject == upload_id, col(Alarm.cleared_at).is_(None)
    )
    for alarm in session.exec(parked):
        alarm.cleared_at = now
        session.add(alarm)

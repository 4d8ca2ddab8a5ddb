"""Files in clients' folders that are whole: which have settled, and the transaction in which they are judged.

What lives here: what the settler reads and writes. The decisions are those of ``storage.ledger.recording``, for every
door alike.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.codes import Code
from models.states import ENDED, UploadStatus, Verdict
from models.tables import Alarm, Attempt, Credential, Delivery, FolderFile, Upload
from storage.ledger.answers import owe_receipt_again
from storage.ledger.arriving import Held, call_incomplete
from storage.ledger.connections import ConnectionRef
from storage.ledger.folder_answers import post_receipt
from storage.ledger.folders import VANISHING, Place, connections_with_folder, place_of
from storage.ledger.moves import move_upload
from storage.ledger.recording import Arrival, Recorded, record, things_of
from storage.locks import touches

_BATCH = 200


class Unsettled(Exception):
    """Say that a file was touched, renamed or removed after it had settled; it is left alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """The upload that was accepted under the same name before."""

    upload: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A file that has settled, with all that its judgement needs."""

    held: Held
    due_at: datetime
    place: Place
    credential: str
    name: str
    trace_id: str
    door: str
    peer: str
    size: int
    sha256: str
    spool: str | None  #: the file with its bytes, on this disk
    blob: str | None  #: or where all nodes find them
    connections: tuple[ConnectionRef, ...]  #: of its folder now
    before: Before | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """A candidate with its judgement."""

    candidate: Candidate
    arrival: Arrival


def due(session: Session, now: datetime) -> list[tuple[Place, Held]]:
    """List files that have stayed untouched for long enough, those first that were whole first."""
    statement = (
        select(FolderFile)
        .where(col(FolderFile.due_at) <= now, col(FolderFile.gone_at).is_(None))
        .order_by(col(FolderFile.due_at), col(FolderFile.id))
        .limit(_BATCH)
    )
    return [(place_of(f), Held(file_id=f.id or 0, generation=f.generation)) for f in session.exec(statement)]


def next_due(session: Session) -> datetime | None:
    """Give the time at which the next file will have settled."""
    statement = select(FolderFile.due_at).where(col(FolderFile.due_at).is_not(None), col(FolderFile.gone_at).is_(None))
    return session.exec(statement.order_by(col(FolderFile.due_at)).limit(1)).first()


def candidate(session: Session, held: Held) -> Candidate | None:
    """Gather what the judgement of a settled file needs; None when it is not settled any more."""
    file = session.get(FolderFile, held.file_id)
    if file is None or file.generation != held.generation or file.due_at is None or file.gone_at is not None:
        return None
    if file.upload_id is None or (file.spool is None and file.blob is None):
        return None
    upload = session.get_one(Upload, file.upload_id)
    delivery = session.get_one(Delivery, upload.trace_id)
    credential = session.get_one(Credential, file.credential_id)
    return Candidate(
        held=held, due_at=file.due_at, name=file.name, trace_id=upload.trace_id, credential=credential.name,
        place=place_of(file),
        door=delivery.door, peer=delivery.peer, size=file.size, sha256=upload.sha256, spool=file.spool, blob=file.blob,
        connections=connections_with_folder(session, file.credential_id, file.folder),
        before=_before(session, file),
    )  # fmt: skip


@touches(lambda item: {f"credential:{item.candidate.place.credential_id}", *things_of(item.arrival)})
def record_settled(session: Session, items: list[Settled]) -> list[list[Recorded] | Exception]:
    """Judge settled files, each whole or not at all; Unsettled stands in the place of one that was touched."""
    files = [_still(session, item.candidate) for item in items]
    judged = [item for item, file in zip(items, files, strict=True) if file is not None]
    outcomes = iter(record(session, [item.arrival for item in judged]) if judged else [])
    session.expire_all()  # the rows were changed past the session
    results: list[list[Recorded] | Exception] = []
    for item, file in zip(items, files, strict=True):
        outcome = Unsettled() if file is None else next(outcomes)
        results.append(outcome)
        if file is not None and not isinstance(outcome, Exception):
            file.judged_at, file.due_at, file.spool, file.blob = item.arrival.means.now, None, None, None
            session.add(file)
            _clear_lost(session, file, item.arrival.means.now)
            post_receipt(session, item.candidate.trace_id, item.arrival.means.now)
    return results


def note_bytes_lost(session: Session, held: Held, now: datetime, domain: str) -> bool:
    """Say that the bytes of a settled file are gone from our disk: it fails, its client is told, an alarm is raised."""
    file = session.get(FolderFile, held.file_id)
    if file is None or file.generation != held.generation or file.due_at is None or file.upload_id is None:
        return False
    upload = session.get_one(Upload, file.upload_id)
    message = "Its bytes were lost on our side before it could be taken: upload it again."
    move_upload(session, upload, UploadStatus.UPLOAD_FAILED, message, now)
    upload.code, upload.message = Code.SYSTEM_ERROR, message
    delivery = session.get_one(Delivery, upload.trace_id)
    delivery.verdict, delivery.code, delivery.message = Verdict.REJECTED, Code.SYSTEM_ERROR, message
    file.due_at, file.judged_at, file.spool, file.blob = None, now, None, None
    alarm = f"the bytes of {upload.id} ({upload.file_name}) are gone from the disk after they were stored"
    session.add_all([upload, delivery, file])
    session.add(
        Alarm(connection_id=upload.connection_id, kind="UPLOAD_LOST", subject=upload.id, message=alarm, raised_at=now)
    )
    owe_receipt_again(session, upload.trace_id, now, domain)
    post_receipt(session, upload.id, now)
    return True


def note_stuck(session: Session, due_before: datetime, now: datetime) -> int:
    """Raise an alarm for each file that settled long ago and could not be judged since; returns how many are new."""
    told = select(Alarm.subject).where(Alarm.kind == "UPLOAD_STUCK", col(Alarm.cleared_at).is_(None))
    stuck = session.exec(
        select(Upload)
        .join(FolderFile, col(FolderFile.upload_id) == col(Upload.id))
        .where(col(FolderFile.due_at) < due_before, col(FolderFile.gone_at).is_(None), col(Upload.id).notin_(told))
        .limit(_BATCH)
    ).all()
    for upload in stuck:
        message = f"{upload.id} ({upload.file_name}) has settled and cannot be taken: see the log of the service"
        session.add(
            Alarm(
                connection_id=upload.connection_id, kind="UPLOAD_STUCK", subject=upload.id, message=message,
                raised_at=now,
            )
        )  # fmt: skip
    return len(stuck)


def _clear_lost(session: Session, file: FolderFile, now: datetime) -> None:
    """Clear the alarms that a file was lost or stuck: it has come again, or was judged."""
    alarms = session.exec(
        select(Alarm)
        .join(FolderFile, col(FolderFile.upload_id) == col(Alarm.subject))
        .where(col(Alarm.kind).in_(["UPLOAD_LOST", "UPLOAD_STUCK"]), col(Alarm.cleared_at).is_(None))
        .where(FolderFile.credential_id == file.credential_id, FolderFile.folder == file.folder)
        .where(FolderFile.name == file.name)
    )
    for alarm in alarms:
        alarm.cleared_at = now
        session.add(alarm)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnderWayRow:
    """An upload that the ledger calls under way, or one whose bytes lie on one node alone."""

    held: Held
    node: str
    spool: str


def under_way(session: Session) -> list[UnderWayRow]:
    """List the uploads under way: whoever has no handle of one that its node should have knows that it is lost."""
    return _rows(session, UploadStatus.RECEIVING)


def stranded(session: Session) -> list[UnderWayRow]:
    """List the cut uploads whose bytes are in a spool file: with an object store, nodes that have them bring them."""
    return _rows(session, UploadStatus.INCOMPLETE)


def _rows(session: Session, status: UploadStatus) -> list[UnderWayRow]:
    statement = (
        select(FolderFile)
        .join(Upload, col(Upload.id) == FolderFile.upload_id)
        .where(Upload.status == status, col(FolderFile.gone_at).is_(None), col(FolderFile.spool).is_not(None))
    )
    return [
        UnderWayRow(
            held=Held(file_id=f.id or 0, generation=f.generation), node=f.node or "", spool=f.spool or ""
        )
        for f in session.exec(statement)
    ]  # fmt: skip


def end_visits(session: Session, alive: Callable[[Session], Collection[str]]) -> None:
    """End the visits of nodes that are dead: what was accepted from them may vanish."""
    visits = session.exec(select(FolderFile.visit).where(col(FolderFile.visit).is_not(None)).distinct()).all()
    living = alive(session)
    over = [visit for visit in visits if visit and node_of(visit) not in living]
    if over:
        session.connection().execute(
            sa.update(FolderFile).where(col(FolderFile.visit).in_(over)).values(visit=None)
        )  # fmt: skip


def node_of(visit: str) -> str:
    """Give the node on which a visit takes place: its name begins with it."""
    return visit.rpartition("/")[0]


def expire(session: Session, touched_before: datetime, now: datetime, domain: str) -> list[str]:
    """Let go of what was kept for resuming long enough; what was held so long for a rename or a marker is incomplete.

    Gives the bytes to delete: spool files and blobs.
    """
    gone: list[str] = []
    statement = (
        select(FolderFile, Upload)
        .join(Upload, col(Upload.id) == FolderFile.upload_id, isouter=True)
        .where(col(FolderFile.gone_at).is_(None), col(FolderFile.judged_at).is_(None))
        .where(FolderFile.touched_at < touched_before)
        .where(col(Upload.status).is_(None) | col(Upload.status).in_([UploadStatus.INCOMPLETE, UploadStatus.HELD]))
        .limit(_BATCH)
    )
    for file, upload in session.exec(statement).all():
        if upload is not None and upload.status == UploadStatus.HELD:
            message = f"It waited too long: {upload.message} Nothing is imported."
            file.touched_at = now
            call_incomplete(session, file, upload, message, now, domain)
            continue
        gone += [name for name in (file.spool, file.blob) if name]
        file.gone_at, file.spool, file.blob = now, None, None
        session.add(file)
    return gone


def vanish(session: Session, judged_before: datetime, now: datetime) -> int:
    """See files no more that are processed, whose session is over, and that were seen long enough; returns how many.

    Nobody has seen them since; without it they would be looked through, and counted, for ever.
    """
    waits = sa.select(col(Attempt.upload_id)).where(col(Attempt.status).notin_(list(ENDED)))
    done = session.exec(
        select(FolderFile)
        .join(Upload, col(Upload.id) == FolderFile.upload_id)
        .where(col(FolderFile.gone_at).is_(None), col(FolderFile.judged_at) <= judged_before)
        .where(col(FolderFile.visit).is_(None), col(Upload.status).in_(list(VANISHING)))
        .where(col(Upload.id).notin_(waits))
        .limit(_BATCH)
    ).all()
    for file in done:
        file.gone_at = now
        session.add(file)
    return len(done)


def forget_seen(session: Session, judged_before: datetime, now: datetime) -> int:
    """See files no more that failed long ago; returns how many."""
    old = session.exec(
        select(FolderFile)
        .join(Upload, col(Upload.id) == FolderFile.upload_id)
        .where(col(FolderFile.gone_at).is_(None), col(FolderFile.judged_at) < judged_before)
        .where(Upload.status != UploadStatus.HELD)
        .limit(_BATCH)
    ).all()
    for file in old:
        file.gone_at = now
        session.add(file)
    return len(old)


def spools_named(session: Session, names: list[str]) -> set[str]:
    """Of some spool files, give those that a row names."""
    return {one for one in session.exec(select(FolderFile.spool).where(col(FolderFile.spool).in_(names))) if one}


def _still(session: Session, one: Candidate) -> FolderFile | None:
    file = session.get(FolderFile, one.held.file_id, populate_existing=True)
    if file is None or file.gone_at is not None or file.due_at != one.due_at or file.name != one.name:
        return None
    return file if file.generation == one.held.generation else None


def _before(session: Session, file: FolderFile) -> Before | None:
    statement = (
        select(Upload)
        .join(FolderFile, col(FolderFile.upload_id) == col(Upload.id))
        .where(FolderFile.credential_id == file.credential_id, FolderFile.folder == file.folder)
        .where(FolderFile.dry_run == file.dry_run, FolderFile.name == file.name, FolderFile.id != file.id)
        .where(Upload.status == UploadStatus.IMPORT_JOB_CREATED)
        .order_by(col(FolderFile.judged_at).desc())
        .limit(1)
    )
    upload = session.exec(statement).first()
    if upload is None or not upload.size:
        return None
    return Before(upload=upload.id, size=upload.size, sha256=upload.sha256)

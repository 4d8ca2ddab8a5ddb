"""Uploads at file doors on their way in: begun, closed, cut off, renamed, marked, taken back.

What lives here: the transactions of an upload before it is judged. A delivery with its one upload exists from the
first byte on; nothing here decides when a file is whole, the caller says what it becomes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.codes import Code
from models.completion import Next
from models.faults import Fault, MailgateError
from models.states import UploadStatus, Verdict
from models.tables import Delivery, FolderFile, Upload
from storage.ledger.answers import owe_receipt_once
from storage.ledger.connections import ConnectionRef
from storage.ledger.folder_answers import post_receipt
from storage.ledger.folders import OPEN_STATES, Place, is_free, place_of
from storage.ledger.moves import move_upload, note
from storage.ledger.upload_rows import counts, insert_upload

_FIRST = 1  # generation of a file


class Overtaken(MailgateError):
    """Say that a file is no longer what it was when it was looked at: removed, resumed elsewhere, or judged."""


class Renamed(MailgateError):
    """Say that a file has another name than the one it was judged by."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it is {name} now")
        self.name = name


class QuotaReached(MailgateError):
    """Say which quota of a credential is used up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """An upload that begins."""

    trace_id: str
    place: Place
    name: str
    connection: ConnectionRef  #: that would take the name now; judged anew when it is whole
    credential: str
    door: str
    peer: str
    visit: str
    node: str
    spool: str
    at_once: int  #: the most uploads of a credential under way
    names: int  #: the most names in a folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """The file that a handle writes to: its row, and the opening that made the handle."""

    file_id: int
    generation: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """What becomes of a file that is closed or renamed, without its marker and with it."""

    name: str  #: that says so
    connection: ConnectionRef
    settle: timedelta
    plain: Next
    marked: Next
    markers: tuple[str, ...] = ()  #: names of the files that mark it


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a file has become, and the bytes that nothing needs any more: spool files and blobs, by their names."""

    trace_id: str
    status: UploadStatus
    message: str = ""
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """How much of a cut upload may be relied on: what came, or with None what others have of it since before."""

    size: int | None
    blob: str | None = None
    moved: bool = False  #: it left the spool file: the blob has all of it, or there is nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A copy of what came of an upload, in a spool file that no other node writes to, and what it is a copy of."""

    spool: str
    status: UploadStatus | None
    blob: str | None


def begin(session: Session, new: Opening, now: datetime) -> tuple[Held, tuple[str, ...]]:
    """Begin an upload under a name; what was there and not judged is withdrawn. Raises QuotaReached.

    Gives the handle's file, and the bytes to delete.
    """
    _check_quotas(session, new)
    gone = _give_way(session, new.place, new.name, now, "replaced by a new upload of the same name")
    rule, version = new.connection.rule, new.connection.version
    place, trace_id, connection_id = new.place, new.trace_id, new.connection.id
    file_id = insert_upload(
        session,
        delivery={
            "trace_id": trace_id, "connection_id": connection_id, "version": version, "data_type": rule.data_type,
            "door": new.door, "peer": new.peer, "verdict": "", "sender": new.credential, "recipient": place.path,
            "authenticated_as": new.credential, "dry_run": place.dry_run, "received_at": now,
        },
        upload={
            "id": trace_id, "trace_id": trace_id, "part": 1, "connection_id": connection_id, "file_name": new.name,
            "status": UploadStatus.RECEIVING, "segment": rule.segment, "received_at": now,
        },
        event={"trace_id": trace_id, "subject": trace_id, "after": UploadStatus.RECEIVING, "at": now},
        file={
            "credential_id": place.credential_id, "folder": place.folder, "dry_run": place.dry_run, "name": new.name,
            "upload_id": trace_id, "spool": new.spool, "visit": new.visit, "node": new.node, "generation": _FIRST,
            "touched_at": now,
        },
    )  # fmt: skip
    return Held(file_id=file_id, generation=_FIRST), tuple(gone)


def reopen(
    session: Session, held: Held, visit: str, why: str, now: datetime, *, node: str, copy: Copy | None = None
) -> tuple[Held, tuple[str, ...]]:
    """Go on with an upload that was closed, cut off, or is written to elsewhere; former handles are void.

    ``copy``: what to go on with; Overtaken when it is not what the row has any more. Bytes in ``blob`` stay until
    others take their place. Gives the bytes to delete.
    """
    file, upload = _current(session, held)
    _check_unsettled(file, now)
    if copy is not None and (copy.status, copy.blob) != (upload.status, file.blob):
        raise Overtaken
    if upload.status == UploadStatus.RECEIVING:
        note(session, upload, why, now)
    else:
        _forget_verdict(session, upload)
        upload.code, upload.message = None, ""
        move_upload(session, upload, UploadStatus.RECEIVING, why, now)
    file.generation += 1
    file.due_at, file.visit, file.touched_at, file.node = None, visit, now, node
    gone: tuple[str, ...] = ()
    if copy is not None:
        gone, file.spool = _names(file.spool), copy.spool
    session.add(file)
    return Held(file_id=held.file_id, generation=file.generation), gone


def finish(
    session: Session, held: Held, whole: Whole, size: int, sha256: str, now: datetime, visit: str, *,
    blob: str | None = None,
) -> Outcome:  # fmt: skip
    """Write a clean close; the bytes are durable, in ``blob`` where it is given, else in the spool file.

    Others of its name that are not judged give way to it. Raises Renamed, and Overtaken, that also for what was called
    incomplete because its node seemed dead.
    """
    file, upload = _current(session, held)
    if upload.status != UploadStatus.RECEIVING:
        raise Overtaken
    if file.name != whole.name:
        raise Renamed(file.name)
    place = place_of(file)
    gone = _give_way(session, place, file.name, now, "replaced by a new upload of the same name", but=file)
    delivery = session.get_one(Delivery, upload.trace_id)
    if blob is not None:
        gone += _stored(file, blob)
    file.size = upload.size = delivery.size = size
    upload.sha256 = delivery.sha256 = sha256
    upload.received_at = delivery.received_at = now
    file.visit = visit
    session.add(delivery)
    _become(session, file, upload, whole, now)
    return Outcome(
        trace_id=upload.trace_id, status=UploadStatus(upload.status), message=upload.message, gone=tuple(gone)
    )


def break_off(session: Session, held: Held, kept: Kept, now: datetime, domain: str) -> Outcome | None:
    """Write that an upload was cut off: it can be resumed for a while, and its client gets a receipt that says so.

    One whose name a newer upload has is withdrawn. None when it is not this handle's any more.
    """
    try:
        file, upload = _current(session, held)
    except Overtaken:
        return None
    if upload.status != UploadStatus.RECEIVING:
        return None
    delivery = session.get_one(Delivery, upload.trace_id)
    size = file.size if kept.size is None else kept.size
    gone = _stored(file, kept.blob) if kept.moved else []
    file.size = upload.size = delivery.size = size
    file.visit, file.touched_at = None, now
    session.add(delivery)
    if _newer(session, file):
        gone += _withdraw(session, file, upload, "cut off, and uploaded anew under the same name", now)
        return Outcome(trace_id=upload.trace_id, status=UploadStatus.WITHDRAWN, gone=tuple(gone))
    message = f"The upload was cut off after {size:,} bytes: nothing is imported. Resume it, or upload the file again."
    call_incomplete(session, file, upload, message, now, domain)
    return Outcome(trace_id=upload.trace_id, status=UploadStatus.INCOMPLETE, message=message, gone=tuple(gone))


def call_incomplete(
    session: Session, file: FolderFile, upload: Upload, message: str, now: datetime, domain: str
) -> None:
    """Give a file the verdict that it is not whole, with the receipts that say so."""
    move_upload(session, upload, UploadStatus.INCOMPLETE, message, now)
    upload.code, upload.message = Code.INCOMPLETE, message
    delivery = session.get_one(Delivery, upload.trace_id)
    delivery.verdict, delivery.code, delivery.message = Verdict.INCOMPLETE, Code.INCOMPLETE, message
    file.due_at = None
    session.add_all([upload, delivery, file])
    owe_receipt_once(session, upload.trace_id, now, domain)
    post_receipt(session, upload.id, now)


def bring(session: Session, held: Held, spool: str, size: int, blob: str | None) -> tuple[str, ...] | None:
    """Name the blob of a cut upload whose bytes lay on one node alone; gives the bytes to delete.

    None when the row names that spool file no more: another node has gone on with what it had.
    """
    try:
        file, upload = _current(session, held)
    except Overtaken:
        return None
    if file.spool != spool or upload.status != UploadStatus.INCOMPLETE:
        return None
    gone = _stored(file, blob)
    delivery = session.get_one(Delivery, upload.trace_id)
    file.size = upload.size = delivery.size = size
    session.add_all([file, upload, delivery])
    return tuple(gone)


def refuse(session: Session, held: Held, fault: Fault, now: datetime) -> tuple[str, ...]:
    """Write that an upload was refused for good while it came: a record, and no bytes. Gives the bytes to delete."""
    file, upload = _current(session, held)
    move_upload(session, upload, UploadStatus.UPLOAD_FAILED, f"{fault.code}: {fault.message}", now)
    upload.code, upload.message = fault.code, fault.message
    delivery = session.get_one(Delivery, upload.trace_id)
    delivery.verdict, delivery.code, delivery.message = Verdict.REJECTED, fault.code, fault.message
    session.add_all([upload, delivery])
    post_receipt(session, upload.id, now)
    return tuple(_vanish(session, file, now))


def give_up(session: Session, held: Held, why: str, now: datetime) -> tuple[str, ...]:
    """Write that an upload could not be kept for now: nothing of it stays. Gives the bytes to delete."""
    file, upload = _current(session, held)
    return tuple(_withdraw(session, file, upload, f"not kept: {why}", now))


def rename(
    session: Session, held: Held, new: str, whole: Whole | None, now: datetime, visit: str
) -> Outcome:  # fmt: skip
    """Give a file another name; ``whole`` says what it becomes by it, None leaves its state as it is.

    What stands under the new name gives way: not judged, it is withdrawn; judged, it is seen no more.
    """
    file, upload = _current(session, held)
    _check_unsettled(file, now)
    place = place_of(file)
    gone = _give_way(session, place, new, now, "replaced by a file that was renamed to its name", but=file)
    note(session, upload, f"renamed from {file.name} to {new}", now)
    file.name, upload.file_name = new, new
    session.add_all([file, upload])
    if whole is not None:
        file.visit = visit
        _become(session, file, upload, whole, now)
    return Outcome(
        trace_id=upload.trace_id, status=UploadStatus(upload.status), message=upload.message, gone=tuple(gone)
    )


def withdraw(session: Session, held: Held, why: str, now: datetime) -> tuple[str, ...]:
    """Take a file back on its client's word, before it has settled or while its connection is paused.

    Gives the bytes to delete.
    """
    file, upload = _current(session, held, paused_too=True)
    _check_unsettled(file, now)
    return tuple(_withdraw(session, file, upload, why, now))


def hide(session: Session, held: Held, now: datetime) -> None:
    """See a judged file, or a marker that waits, no more."""
    file = session.get(FolderFile, held.file_id)
    if file is None or file.gone_at is not None or file.generation != held.generation:
        raise Overtaken
    file.gone_at = now
    session.add(file)


def mark(session: Session, held: Held, whole: Whole, now: datetime, visit: str) -> Outcome:
    """Write that a file's marker has come: the file is complete."""
    file, upload = _current(session, held)
    if UploadStatus(upload.status) not in OPEN_STATES - {UploadStatus.INCOMPLETE}:
        raise Overtaken
    file.marked, file.visit = True, visit
    note(session, upload, "its marker came", now)
    _become(session, file, upload, whole, now)
    return Outcome(trace_id=upload.trace_id, status=UploadStatus(upload.status), message=upload.message)


def leave_marker(session: Session, place: Place, name: str, size: int, names: int, now: datetime) -> None:
    """Keep a marker that came before its file. Raises QuotaReached where the folder holds ``names`` names."""
    _check_names(counts(session, place)[1], names)
    _give_way(session, place, name, now, "replaced by a marker file")
    session.add(
        FolderFile(
            credential_id=place.credential_id, folder=place.folder, dry_run=place.dry_run, name=name, size=size,
            touched_at=now,
        )
    )  # fmt: skip


def leave(session: Session, visit: str) -> None:
    """End a visit: what was accepted from it may vanish."""
    session.connection().execute(sa.update(FolderFile).where(col(FolderFile.visit) == visit).values(visit=None))


def _check_quotas(session: Session, new: Opening) -> None:
    under_way, names = counts(session, new.place)
    if under_way >= new.at_once:
        raise QuotaReached(f"{under_way} uploads of this login are under way, the most at once: try again later")
    _check_names(names, new.names)


def _check_names(names: int, most: int) -> None:
    if names >= most:
        raise QuotaReached(f"the folder holds {names} names, the most it takes: remove some, or try again later")


def _current(session: Session, held: Held, *, paused_too: bool = False) -> tuple[FolderFile, Upload]:
    """Give a file that is still what the caller has looked at. Raises Overtaken."""
    file = session.get(FolderFile, held.file_id)
    if file is None or file.gone_at is not None or file.upload_id is None or file.generation != held.generation:
        raise Overtaken
    upload = session.get_one(Upload, file.upload_id)
    if file.judged_at is not None and not (paused_too and upload.status == UploadStatus.HELD):
        raise Overtaken
    return file, upload


def _check_unsettled(file: FolderFile, now: datetime) -> None:
    """Raise Overtaken for a file that has settled: it is about to be judged, whatever its client does now."""
    if file.due_at is not None and file.due_at <= now:
        raise Overtaken


def _become(session: Session, file: FolderFile, upload: Upload, whole: Whole, now: datetime) -> None:
    file.marked = file.marked or _take_marker(session, file, whole.markers, now)
    after = whole.marked if file.marked else whole.plain
    if upload.status != after.status:
        move_upload(session, upload, after.status, after.reason, now)
    elif after.status is UploadStatus.SETTLING:
        note(session, upload, "touched: it settles anew", now)
    upload.message = after.reason
    delivery = session.get_one(Delivery, upload.trace_id)
    ref = whole.connection
    upload.connection_id, upload.segment = ref.id, ref.rule.segment
    delivery.connection_id, delivery.version, delivery.data_type = ref.id, ref.version, ref.rule.data_type
    file.touched_at = now
    file.due_at = None
    if after.status is UploadStatus.SETTLING:
        file.due_at = now if after.at_once else now + whole.settle
    session.add_all([upload, delivery, file])
    session.flush()


def _take_marker(session: Session, file: FolderFile, markers: tuple[str, ...], now: datetime) -> bool:
    if not markers:
        return False
    found = session.exec(_of_name(place_of(file), markers).where(col(FolderFile.upload_id).is_(None))).all()
    for marker in found:
        marker.gone_at = now
        session.add(marker)
    return bool(found)


def _give_way(
    session: Session, place: Place, name: str, now: datetime, why: str, *, but: FolderFile | None = None
) -> list[str]:
    """Withdraw what stands under a name and is not judged, and see no more what is.

    What is being written to stays, and so does what has settled and will be judged in a moment: it is a version of its
    own, seen no more behind the newer one.
    """
    gone: list[str] = []
    if is_free(session, place, name, but.id if but is not None else None):
        return gone
    for file in session.exec(_of_name(place, (name,))).all():
        if (but is not None and file.id == but.id) or (file.due_at is not None and file.due_at <= now):
            continue
        upload = session.get(Upload, file.upload_id) if file.upload_id else None
        if upload is None or file.judged_at is not None:
            gone += _vanish(session, file, now)
        elif UploadStatus(upload.status) in OPEN_STATES:
            gone += _withdraw(session, file, upload, why, now)
    return gone


def _withdraw(session: Session, file: FolderFile, upload: Upload, why: str, now: datetime) -> list[str]:
    move_upload(session, upload, UploadStatus.WITHDRAWN, why, now)
    upload.code, upload.message = None, f"Withdrawn: {why}."
    delivery = session.get_one(Delivery, upload.trace_id)
    delivery.verdict, delivery.code, delivery.message = Verdict.WITHDRAWN, None, upload.message
    session.add_all([upload, delivery])
    return _vanish(session, file, now)


def _vanish(session: Session, file: FolderFile, now: datetime) -> list[str]:
    gone = [*_names(file.spool, file.blob)]
    file.gone_at, file.due_at, file.spool, file.blob = now, None, None, None
    session.add(file)
    session.flush()
    return gone


def _stored(file: FolderFile, blob: str | None) -> list[str]:
    """Note that the bytes of a file are in a blob; gives what they were in before."""
    gone = [*_names(file.spool, file.blob)]
    file.spool, file.blob = None, blob
    return gone


def _names(*names: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name)


def _forget_verdict(session: Session, upload: Upload) -> None:
    delivery = session.get_one(Delivery, upload.trace_id)
    delivery.verdict, delivery.code, delivery.message = "", None, ""
    session.add(delivery)


def _newer(session: Session, file: FolderFile) -> bool:
    statement = _of_name(place_of(file), (file.name,)).where(
        col(FolderFile.id) > file.id, col(FolderFile.upload_id).is_not(None)
    )
    return session.exec(statement).first() is not None


def _of_name(place: Place, names: tuple[str, ...]):  # type: ignore[no-untyped-def]
    return select(FolderFile).where(
        FolderFile.credential_id == place.credential_id, FolderFile.folder == place.folder,
        FolderFile.dry_run == place.dry_run, col(FolderFile.name).in_(names), col(FolderFile.gone_at).is_(None),
    )  # fmt: skip

"""Deliveries in the ledger: the one transaction in which an arrival becomes ours.

What lives here: identity (product rule 9), duplicates by content (rule 8), and the rows of delivery, uploads,
events, attempts, jobs and the receipt that is owed, all in one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.codes import Code
from models.connection import Rule
from models.states import COUNTS_AS_FIRST, STATUS_OF_VERDICT, ConnectionState, UploadStatus, Verdict
from models.tables import Attempt, Connection, Credential, Delivery, DeliveryIdentity, Event, Upload
from models.trace import upload_id
from storage.jobs import Enqueue
from storage.ledger.answers import owe_receipt

_ANSWERED_WHEN_IGNORED = frozenset({Code.NAME_NOT_MATCHED, Code.NO_ATTACHMENT, Code.CONNECTION_PAUSED})


class RuleChanged(Exception):
    """Say that the connection changed between judgement and record; judge again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewFile:
    """One file of an arrival, its bytes already durable where ``blob`` is set."""

    name: str
    other_names: tuple[str, ...] = ()
    size: int | None = None
    sha256: str = ""
    blob: str | None = None
    code: Code | None = None  #: why this file was not taken
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """One judged arrival for one connection."""

    connection_id: int
    version: int
    paused: bool  #: the connection's state when it was judged
    rule: Rule
    door: str
    peer: str
    sender: str
    recipient: str
    tag: str
    authenticated_as: str
    message_id: str
    subject: str
    references: tuple[str, ...]
    size: int
    sha256: str
    dry_run: bool
    verdict: Verdict
    code: Code | None
    message: str
    files: tuple[NewFile, ...]
    parts: tuple[dict[str, Any], ...] = ()
    header_block: bytes | None = None
    identity: str  #: key of rule 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What the ledger made of a delivery. ``seen_again``: the words are those of the first, nothing is new."""

    trace_id: str
    verdict: Verdict
    code: Code | None
    seen_again: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What recording needs beside the delivery: time, ids, the job queue."""

    now: datetime
    new_trace_id: Callable[[], str]
    enqueue: Enqueue
    duplicate_days: int
    domain: str


def record(session: Session, deliveries: list[NewDelivery], means: Means) -> list[Recorded]:
    """Write all deliveries of one arrival, or none. Raises RuleChanged when a judgement is out of date."""
    outcomes: list[Recorded] = []
    written: list[Delivery] = []
    for new in deliveries:
        connection = session.get(Connection, new.connection_id)
        if connection is None or _changed(connection, new):
            raise RuleChanged
        again = _seen_before(session, new, means.now)
        if again is not None:
            outcomes.append(again)
            continue
        delivery = _write(session, connection, new, means)
        written.append(delivery)
        code = Code(delivery.code) if delivery.code else None
        outcomes.append(Recorded(trace_id=delivery.trace_id, verdict=Verdict(delivery.verdict), code=code))
    behind_250 = any(outcome.verdict is not Verdict.REJECTED for outcome in outcomes)
    for delivery in written:
        if _is_answered(delivery, deliveries, behind_250=behind_250):
            owe_receipt(session, delivery, _return_address(session, delivery.connection_id), means.now, means.domain)
    return outcomes


def _changed(connection: Connection, new: NewDelivery) -> bool:
    if connection.state == ConnectionState.DELETED or connection.version != new.version:
        return True
    return (connection.state == ConnectionState.PAUSED) != new.paused


def _seen_before(session: Session, new: NewDelivery, now: datetime) -> Recorded | None:
    """Give the first delivery's outcome when this is the same again; an ignored first gives way to a better verdict."""
    if new.verdict is Verdict.REJECTED:
        return None
    identity = session.get(DeliveryIdentity, (new.connection_id, new.identity))
    if identity is None:
        return None
    first = session.get_one(Delivery, identity.trace_id)
    if first.verdict == Verdict.IGNORED and (new.verdict is Verdict.ACCEPTED or first.code != new.code):
        return None  # what was ignored then is judged otherwise now: this one is new
    session.add(
        Event(
            trace_id=first.trace_id, subject=first.trace_id, before=first.verdict, after=first.verdict,
            why=f"{Code.ALREADY_SEEN}: the same delivery came again by {new.door} from {new.peer}", at=now,
        )
    )  # fmt: skip
    verdict = Verdict(first.verdict)
    if verdict is Verdict.ACCEPTED:
        verdict = Verdict.DUPLICATE
    code = Code(first.code) if first.code else None
    return Recorded(trace_id=first.trace_id, verdict=verdict, code=code, seen_again=True)


def _write(session: Session, connection: Connection, new: NewDelivery, means: Means) -> Delivery:
    trace_id = means.new_trace_id()
    firsts: list[str | None] = []
    if new.verdict is Verdict.ACCEPTED and not new.dry_run:
        firsts = _firsts(session, new, trace_id, means)
    else:
        firsts = [None] * len(new.files)
    refuse = new.rule.duplicates == "reject"
    verdict, code, message = new.verdict, new.code, new.message
    if verdict is Verdict.ACCEPTED and refuse and all(first is not None for first in firsts):
        verdict, code = Verdict.DUPLICATE, Code.DUPLICATE_FILE
        message = f"The same content came before, in the delivery {firsts[0]}; it is not imported again."
    delivery = Delivery(
        trace_id=trace_id, connection_id=new.connection_id, version=new.version, data_type=new.rule.data_type,
        door=new.door, peer=new.peer, verdict=verdict, code=code, message=message, sender=new.sender,
        recipient=new.recipient, tag=new.tag, authenticated_as=new.authenticated_as, message_id=new.message_id,
        subject=new.subject, references=list(new.references), size=new.size, sha256=new.sha256,
        dry_run=new.dry_run, parts=list(new.parts), header_block=new.header_block,
        duplicate_of=firsts[0] if verdict is Verdict.DUPLICATE else None, received_at=means.now,
    )  # fmt: skip
    session.add(delivery)
    session.add(Event(trace_id=trace_id, subject=trace_id, after=verdict, why=_why(code, message), at=means.now))
    if verdict is not Verdict.REJECTED:
        session.merge(DeliveryIdentity(connection_id=new.connection_id, key=new.identity, trace_id=trace_id))
    session.flush()
    for number, (file, first) in enumerate(zip(new.files, firsts, strict=True), 1):
        status = _upload_status(new, verdict, duplicate=first is not None and refuse)
        _write_upload(session, connection, delivery, new, file, number, status, first, means)
    session.flush()
    return delivery


def _upload_status(new: NewDelivery, verdict: Verdict, *, duplicate: bool) -> UploadStatus:
    if new.code is Code.CONNECTION_PAUSED:
        return UploadStatus.HELD
    if verdict is Verdict.ACCEPTED and duplicate:
        return UploadStatus.DUPLICATE
    return STATUS_OF_VERDICT[verdict]


def _write_upload(
    session: Session, connection: Connection, delivery: Delivery, new: NewDelivery, file: NewFile, number: int,
    status: UploadStatus, first: str | None, means: Means,
) -> None:  # fmt: skip
    code, message = file.code or (Code(delivery.code) if delivery.code else None), file.message or delivery.message
    if status is UploadStatus.DUPLICATE:
        code = Code.DUPLICATE_FILE
        message = f"The same content came before, in the delivery {first}; it is not imported again."
    upload = Upload(
        id=upload_id(delivery.trace_id, number, len(new.files)), trace_id=delivery.trace_id, part=number,
        connection_id=delivery.connection_id, file_name=file.name, other_names=list(file.other_names),
        size=file.size, sha256=file.sha256, status=status, code=code, message=message, segment=new.rule.segment,
        duplicate_of=first, blob=file.blob, received_at=means.now,
    )  # fmt: skip
    session.add(upload)
    session.add(
        Event(trace_id=delivery.trace_id, subject=upload.id, after=status, why=_why(code, message), at=means.now)
    )
    if status is UploadStatus.IMPORT_JOB_CREATED:
        queue_attempt(session, connection, upload, delivery.version, means.now, means.enqueue)


def queue_attempt(
    session: Session, connection: Connection, upload: Upload, version: int, now: datetime, enqueue: Enqueue,
    *, replay: bool = False,
) -> int:  # fmt: skip
    """Write the next attempt of an upload and its job in the same transaction; returns the attempt's number."""
    assert connection.id is not None
    last = session.exec(select(sa.func.max(Attempt.number)).where(Attempt.upload_id == upload.id)).one()
    number = (last or 0) + 1
    connection.sequence += 1
    session.add(connection)
    session.add(upload)
    session.flush()
    session.add(
        Attempt(upload_id=upload.id, number=number, status="queued", replay=replay, version=version, queued_at=now)
    )
    why = "replayed" if replay else ""
    subject = f"{upload.id}#{number}"
    session.add(Event(trace_id=upload.trace_id, subject=subject, after="queued", why=why, at=now))
    session.flush()
    enqueue(session, upload=upload.id, attempt=number, connection_id=connection.id, sequence=connection.sequence)
    return number


def _firsts(session: Session, new: NewDelivery, trace_id: str, means: Means) -> list[str | None]:
    """For each file, the delivery that brought the same content first; two equal files of one mail count too."""
    if new.rule.duplicates == "accept":
        return [None] * len(new.files)
    seen: dict[str, str] = {}
    firsts: list[str | None] = []
    for file in new.files:
        first = seen.get(file.sha256) or first_of_content(
            session, new.connection_id, new.rule.segment, file.sha256, means.now - timedelta(days=means.duplicate_days)
        )
        firsts.append(first)
        seen.setdefault(file.sha256, first or trace_id)
    return firsts


def first_of_content(session: Session, connection_id: int, segment: str, sha256: str, since: datetime) -> str | None:
    """Find the delivery that first brought this content and whose import counts (product rule 8).

    Replays are left out of account: what the last attempt that is no replay came to decides.
    """
    uploads = session.exec(
        select(Upload)
        .join(Delivery, col(Delivery.trace_id) == Upload.trace_id)
        .where(Upload.connection_id == connection_id, Upload.sha256 == sha256, Upload.segment == segment)
        .where(Upload.received_at >= since, Upload.status == UploadStatus.IMPORT_JOB_CREATED)
        .where(col(Delivery.dry_run).is_(False))
        .order_by(col(Upload.received_at))
    )
    for upload in uploads:
        last = session.exec(
            select(Attempt)
            .where(Attempt.upload_id == upload.id, col(Attempt.replay).is_(False))
            .order_by(col(Attempt.number).desc())
            .limit(1)
        ).first()
        if last is not None and last.status in COUNTS_AS_FIRST and not last.no_rows:
            return upload.trace_id
    return None


def _is_answered(delivery: Delivery, news: list[NewDelivery], *, behind_250: bool) -> bool:
    match Verdict(delivery.verdict):
        case Verdict.IGNORED:
            rule = next(new.rule for new in news if new.connection_id == delivery.connection_id)
            return rule.notify_ignored and delivery.code in _ANSWERED_WHEN_IGNORED
        case Verdict.REJECTED:
            return behind_250
        case _:
            return True


def _return_address(session: Session, connection_id: int) -> str:
    statement = select(Credential.return_address).join(Connection).where(Connection.id == connection_id)
    return session.exec(statement).first() or ""


def _why(code: Code | str | None, message: str) -> str:
    return f"{code}: {message}" if code else message


def delivery_belongs_to(session: Session, trace_id: str, upload: str) -> bool:
    """Tell whether a delivery came for the same connection as an upload."""
    parent = session.get(Delivery, trace_id)
    child = session.get_one(Upload, upload)
    return parent is not None and parent.connection_id == child.connection_id

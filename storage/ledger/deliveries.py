"""Deliveries in the ledger after they were recorded: a further attempt, and whose a delivery is.

What lives here: transactions for one upload at a time. How an arrival is recorded stands in
``storage.ledger.recording``.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, select

from models.tables import Attempt, Connection, Delivery, Event, Upload
from storage.jobs import Enqueue


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


def delivery_belongs_to(session: Session, trace_id: str, upload: str) -> bool:
    """Tell whether a delivery came for the same connection as an upload."""
    parent = session.get(Delivery, trace_id)
    child = session.get_one(Upload, upload)
    return parent is not None and parent.connection_id == child.connection_id


def queue_again(session: Session, upload_id: str, attempt: int, again: int, now: datetime, enqueue: Enqueue) -> None:
    """Hand over the job of an attempt anew, whose former job was lost or stopped."""
    upload = session.get_one(Upload, upload_id)
    connection = session.get_one(Connection, upload.connection_id)
    connection.sequence += 1
    session.add(connection)
    subject = f"{upload_id}#{attempt}"
    status = session.get_one(Attempt, (upload_id, attempt)).status
    why = "its job was lost and is handed over anew"
    session.add(Event(trace_id=upload.trace_id, subject=subject, before=status, after=status, why=why, at=now))
    session.flush()
    enqueue(
        session, upload=upload_id, attempt=attempt, connection_id=upload.connection_id,
        sequence=connection.sequence, again=again,
    )  # fmt: skip

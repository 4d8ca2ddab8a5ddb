"""A move of an upload from one state to the next, with the event row that tells of it.

What lives here: the one way a status is changed outside recording.
"""

from datetime import datetime

from sqlmodel import Session

from models.states import UploadStatus, check_move
from models.tables import Event, Upload


def move_upload(session: Session, upload: Upload, after: UploadStatus, why: str, now: datetime) -> None:
    """Move an upload; raises MoveNotAllowed where the table has no such move."""
    before = UploadStatus(upload.status)
    check_move(before, after)
    upload.status = after
    session.add(upload)
    session.add(Event(trace_id=upload.trace_id, subject=upload.id, before=before, after=after, why=why[:1000], at=now))


def note(session: Session, upload: Upload, why: str, now: datetime) -> None:
    """Leave an event of an upload that stays in its state."""
    session.add(
        Event(
            trace_id=upload.trace_id, subject=upload.id, before=upload.status, after=upload.status, why=why[:1000],
            at=now,
        )
    )  # fmt: skip

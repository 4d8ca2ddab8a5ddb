"""Answers in a client's ``results`` folder: one row each, written with what causes it, and removed by the client.

What lives here: which answers stand there and under which names. What they say is rendered when they are read.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from models.answers import cut_name, errors_name, receipt_name, result_name
from models.tables import Attempt, Connection, Delivery, FolderAnswer, FolderFile, Upload

RECEIPT, RESULT, ERRORS = "receipt", "result", "errors"
_NAMES = {RECEIPT: receipt_name, RESULT: result_name, ERRORS: errors_name}


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerInFolder:
    """One answer file with everything it speaks of."""

    id: int
    name: str
    kind: str
    created_at: datetime
    delivery: Delivery
    connection: Connection
    upload: Upload
    attempt: Attempt | None


def post_receipt(session: Session, upload_id: str, now: datetime) -> None:
    """Put the receipt of an upload into its client's folder, or bring it forward; nothing for one of another door."""
    session.flush()
    file = _file_of(session, upload_id)
    if file is not None:
        _post(session, file, RECEIPT, 0, now)


def post_result(session: Session, upload_id: str, attempt: int, now: datetime, *, errors: bool) -> None:
    """Put the result of an attempt, and its errors file where there is one, into its client's folder."""
    session.flush()
    file = _file_of(session, upload_id)
    if file is None:
        return
    _step_aside(session, file, ERRORS)  # an older errors file must not stand beside a newer result
    _post(session, file, RESULT, attempt, now)
    if errors:
        _post(session, file, ERRORS, attempt, now)


def answers_in(session: Session, credential_id: int, folder: str, name: str | None = None) -> list[AnswerInFolder]:
    """List the answers in a folder, by name; only one of them where a name is given."""
    statement = (
        select(FolderAnswer, Upload, Delivery, Attempt)
        .join(Upload, col(Upload.id) == FolderAnswer.upload_id)
        .join(Delivery, col(Delivery.trace_id) == Upload.trace_id)
        .join(
            Attempt,
            (col(Attempt.upload_id) == FolderAnswer.upload_id) & (col(Attempt.number) == FolderAnswer.attempt),
            isouter=True,
        )
        .where(FolderAnswer.credential_id == credential_id, FolderAnswer.folder == folder)
        .where(col(FolderAnswer.gone_at).is_(None))
        .order_by(col(FolderAnswer.name))
    )
    if name is not None:
        statement = statement.where(FolderAnswer.name == name)
    return [
        AnswerInFolder(
            id=answer.id or 0, name=answer.name, kind=answer.kind, created_at=answer.created_at, delivery=delivery,
            connection=session.get_one(Connection, delivery.connection_id), upload=upload, attempt=attempt,
        )
        for answer, upload, delivery, attempt in session.exec(statement)
    ]  # fmt: skip


def remove_answer(session: Session, credential_id: int, folder: str, name: str, now: datetime) -> bool:
    """Take an answer away on its client's word; False when there is none of that name."""
    answer = session.exec(_named(credential_id, folder, name)).first()
    if answer is None:
        return False
    answer.gone_at = now
    session.add(answer)
    return True


def forget_answers(session: Session, created_before: datetime, now: datetime) -> int:
    """Take away the answers that are past their time; returns how many."""
    old = session.exec(
        select(FolderAnswer)
        .where(col(FolderAnswer.gone_at).is_(None), FolderAnswer.created_at < created_before)
        .limit(500)
    ).all()
    for answer in old:
        answer.gone_at = now
        session.add(answer)
    return len(old)


def _file_of(session: Session, upload_id: str) -> FolderFile | None:
    return session.exec(select(FolderFile).where(FolderFile.upload_id == upload_id)).first()


def _post(session: Session, file: FolderFile, kind: str, attempt: int, now: datetime) -> None:
    assert file.upload_id is not None
    _step_aside(session, file, kind)
    same = select(FolderAnswer).where(
        FolderAnswer.upload_id == file.upload_id, FolderAnswer.kind == kind, FolderAnswer.attempt == attempt
    )
    answer = session.exec(same).first() or FolderAnswer(
        credential_id=file.credential_id, folder=file.folder, name="", upload_id=file.upload_id, kind=kind,
        attempt=attempt, created_at=now,
    )  # fmt: skip
    answer.name, answer.created_at, answer.gone_at = _NAMES[kind](cut_name(file.name)), now, None
    session.add(answer)
    session.flush()


def _step_aside(session: Session, file: FolderFile, kind: str) -> None:
    """Let the answer that has the plain name carry its trace id, so that a newer one can have it."""
    plain = cut_name(file.name)
    for older in session.exec(_named(file.credential_id, file.folder, _NAMES[kind](plain))).all():
        again = f".{older.attempt}" if older.attempt > 1 else ""
        older.name = _NAMES[older.kind](f"{plain}.{older.upload_id}{again}")
        session.add(older)
    session.flush()


def _named(credential_id: int, folder: str, name: str):  # type: ignore[no-untyped-def]
    return select(FolderAnswer).where(
        FolderAnswer.credential_id == credential_id, FolderAnswer.folder == folder, FolderAnswer.name == name,
        col(FolderAnswer.gone_at).is_(None),
    )  # fmt: skip

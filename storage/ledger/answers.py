"""Answers by mail in the ledger: owed in the transaction that causes them, marked when handed over.

What lives here: which answers are owed, due, sent or undeliverable. What they say is rendered in ``imports``.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.states import ENDED, UploadStatus
from models.tables import Alarm, Answer, Attempt, Connection, Credential, Delivery, Event, Upload

WAITING, SENT, UNDELIVERABLE = "waiting", "sent", "undeliverable"
RECEIPT, RESULT = "receipt", "result"
_OF_ONE_ADDRESS = 2000  # answers looked at, and gathered in one digest


def owe_result(session: Session, trace_id: str, now: datetime, domain: str) -> bool:
    """Owe a result once every import of a delivery has ended, of those not told of yet; True when one is owed now."""
    ended, missing = _ended_and_missing(session, trace_id)
    address = return_address(session, session.get_one(Delivery, trace_id).connection_id)
    if missing or not ended or not address:
        return False
    sequence = next_sequence(session, trace_id, RESULT)
    session.add(_answer(trace_id, RESULT, sequence, address, now, domain, ended))
    return True


def owe_receipt_again(session: Session, trace_id: str, now: datetime, domain: str) -> None:
    """Owe a further receipt of a delivery whose verdict has changed."""
    address = return_address(session, session.get_one(Delivery, trace_id).connection_id)
    if address:
        sequence = next_sequence(session, trace_id, RECEIPT)
        session.add(_answer(trace_id, RECEIPT, sequence, address, now, domain, []))


def owe_receipt_once(session: Session, trace_id: str, now: datetime, domain: str) -> None:
    """Owe a receipt of a delivery that had none: one that is cut off again and again is told of once."""
    if next_sequence(session, trace_id, RECEIPT) == 1:
        owe_receipt_again(session, trace_id, now, domain)


def owe_partial_result(session: Session, trace_id: str, now: datetime, domain: str) -> list[str]:
    """Owe the result of what has ended, naming what is missing; returns the uploads that are missing."""
    ended, missing = _ended_and_missing(session, trace_id)
    address = return_address(session, session.get_one(Delivery, trace_id).connection_id)
    already = session.exec(select(Answer.id).where(Answer.trace_id == trace_id, Answer.kind == RESULT)).first()
    if missing and address and already is None:
        answer = _answer(trace_id, RESULT, 1, address, now, domain, ended)
        answer.missing = missing
        session.add(answer)
    return missing


def resend(session: Session, trace_id: str, now: datetime, domain: str) -> int:
    """Owe once more the receipt and the last result of a delivery; returns how many answers are owed now."""
    delivery = session.get_one(Delivery, trace_id)
    address = return_address(session, delivery.connection_id)
    if not address:
        return 0
    owed = 0
    for kind in (RECEIPT, RESULT):
        last = session.exec(
            select(Answer)
            .where(Answer.trace_id == trace_id, Answer.kind == kind)
            .order_by(col(Answer.sequence).desc())
            .limit(1)
        ).first()
        if last is None:
            continue
        sequence = next_sequence(session, trace_id, kind)
        again = _answer(trace_id, kind, sequence, address, now, domain, last.uploads)
        again.missing = last.missing
        session.add(again)
        owed += 1
    return owed


def last_attempt(session: Session, upload: str) -> Attempt | None:
    """Give the latest attempt of an upload."""
    statement = select(Attempt).where(Attempt.upload_id == upload).order_by(col(Attempt.number).desc()).limit(1)
    return session.exec(statement).first()


def return_address(session: Session, connection_id: int) -> str:
    """Give the address that answers of a connection go to now; empty: nobody."""
    statement = select(Credential.return_address).join(Connection).where(Connection.id == connection_id)
    return session.exec(statement).first() or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """An answer to hand over now; several of one address beyond its hourly share go out as one digest."""

    to_address: str
    answers: tuple[int, ...]
    digest: bool


def due(session: Session, now: datetime, per_hour: int, limit: int = 50) -> tuple[list[Due], list[str]]:
    """List what is due, address by address; the second list names addresses whose answers wait for the next hour.

    At most ``per_hour`` mails go to one address in any hour; when the share is used up the rest waits, and goes out
    as one digest when the oldest of the hour is an hour old.
    """
    place = sa.func.row_number().over(partition_by=col(Answer.to_address), order_by=col(Answer.id)).label("place")
    waits = select(Answer.id, place).where(Answer.state == WAITING, Answer.next_at <= now).subquery()
    ready = session.exec(  # so many of each address: a flood to one must not keep those of the others waiting
        select(Answer).join(waits, waits.c.id == col(Answer.id)).where(waits.c.place <= _OF_ONE_ADDRESS)
        .order_by(col(Answer.id))
    ).all()  # fmt: skip
    by_address: dict[str, list[Answer]] = {}
    for answer in ready:
        by_address.setdefault(answer.to_address, []).append(answer)
    result: list[Due] = []
    waiting: list[str] = []
    for address, answers in by_address.items():
        room = per_hour - _sent_in_hour(session, address, now)
        ids = [answer.id for answer in answers if answer.id is not None]
        if room <= 0:
            waiting.append(address)
        elif len(ids) <= room and not _overflowed(session, address):
            result.extend(Due(to_address=address, answers=(one,), digest=False) for one in ids[:limit])
        elif _overflowed(session, address):
            result.append(Due(to_address=address, answers=tuple(ids), digest=True))
        else:
            result.extend(Due(to_address=address, answers=(one,), digest=False) for one in ids[: min(room, limit)])
    return result[:limit], waiting


def note_overflow(session: Session, address: str, now: datetime) -> None:
    """Raise the alarm that an address's answers wait, once."""
    if not _overflowed(session, address):
        message = f"more answers than the hourly share are owed to {address}; the rest goes out as one digest"
        session.add(Alarm(kind="ANSWERS_DELAYED", subject=address, message=message, raised_at=now))


def mark_sent(session: Session, ids: tuple[int, ...], now: datetime, *, digest: str | None = None) -> None:
    """Note that answers were handed over; a digest counts as one mail of the hour. Noted again, nothing changes."""
    for place, answer_id in enumerate(ids):
        answer = session.get_one(Answer, answer_id)
        if answer.state == SENT:
            continue
        answer.state, answer.digest, answer.error = SENT, digest, ""
        answer.sent_at = now if digest is None or place == 0 else None
        session.add(answer)
        session.add(_event(answer, SENT, f"{answer.kind} handed over for {answer.to_address}", now))
        if answer.sequence > 1:
            _clear_undeliverable(session, answer.trace_id, now)
    if digest is not None:
        to_address = session.get_one(Answer, ids[0]).to_address
        open_alarms = select(Alarm).where(
            Alarm.kind == "ANSWERS_DELAYED", Alarm.subject == to_address, col(Alarm.cleared_at).is_(None)
        )
        for alarm in session.exec(open_alarms):
            alarm.cleared_at = now
            session.add(alarm)


def postpone(session: Session, ids: tuple[int, ...], next_at: datetime, error: str) -> None:
    """Note that handing over failed for now, and when to try again."""
    for answer_id in ids:
        answer = session.get_one(Answer, answer_id)
        answer.tries += 1
        answer.next_at, answer.error = next_at, error[:1000]
        session.add(answer)


def mark_undeliverable(session: Session, ids: tuple[int, ...], now: datetime, error: str) -> None:
    """Note that the receiving side refused an answer for good; the history and an alarm say so."""
    for answer_id in ids:
        answer = session.get_one(Answer, answer_id)
        answer.state, answer.error = UNDELIVERABLE, error[:1000]
        session.add(answer)
        session.add(_event(answer, UNDELIVERABLE, f"{answer.kind} for {answer.to_address}: {error}"[:1000], now))
        message = f"the {answer.kind} of {answer.trace_id} cannot be delivered: {error}"[:1000]
        alarm = session.exec(_undeliverable(answer.trace_id)).first()
        if alarm is None:
            connection = session.get_one(Delivery, answer.trace_id).connection_id
            alarm = Alarm(
                connection_id=connection, kind="ANSWER_UNDELIVERABLE", subject=answer.trace_id, message="",
                raised_at=now,
            )  # fmt: skip
        alarm.message = message
        session.add(alarm)


def _undeliverable(trace_id: str) -> Any:
    return select(Alarm).where(
        Alarm.kind == "ANSWER_UNDELIVERABLE", Alarm.subject == trace_id, col(Alarm.cleared_at).is_(None)
    )


def _clear_undeliverable(session: Session, trace_id: str, now: datetime) -> None:
    """Clear the alarm once the latest answer of each kind is no longer refused: a resend has reached its reader."""
    latest = {
        answer.kind: answer.state
        for answer in session.exec(
            select(Answer).where(Answer.trace_id == trace_id).order_by(col(Answer.sequence))
        )
    }  # fmt: skip
    if UNDELIVERABLE not in latest.values():
        for alarm in session.exec(_undeliverable(trace_id)):
            alarm.cleared_at = now
            session.add(alarm)


@dataclass(frozen=True, kw_only=True, slots=True)
class Untold:
    """An alarm that operators were not told of yet."""

    id: int
    kind: str
    subject: str
    message: str
    raised_at: datetime


def untold_alarms(session: Session) -> list[Untold]:
    """List the open alarms that operators were not told of by mail."""
    statement = select(Alarm).where(col(Alarm.told_at).is_(None), col(Alarm.cleared_at).is_(None)).limit(100)
    return [
        Untold(id=one.id or 0, kind=one.kind, subject=one.subject, message=one.message, raised_at=one.raised_at)
        for one in session.exec(statement)
    ]


def mark_told(session: Session, alarm_ids: list[int], now: datetime) -> None:
    """Note that operators were told of alarms."""
    for alarm in session.exec(select(Alarm).where(col(Alarm.id).in_(alarm_ids))):
        alarm.told_at = now
        session.add(alarm)


def next_sequence(session: Session, trace_id: str, kind: str) -> int:
    """Give the number of the next answer of a kind."""
    statement = select(sa.func.max(Answer.sequence)).where(Answer.trace_id == trace_id, Answer.kind == kind)
    return (session.exec(statement).one() or 0) + 1


def answer_row(
    trace_id: str, kind: str, sequence: int, address: str, now: datetime, domain: str, *,
    uploads: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Give the values of an answer that is owed from now on; its Message-ID never changes."""
    suffix = "" if sequence == 1 else f".{sequence}"
    return {
        "trace_id": trace_id, "kind": kind, "sequence": sequence, "to_address": address, "state": WAITING,
        "uploads": uploads or [], "missing": [], "message_id": f"<{trace_id}.{kind}{suffix}@{domain}>", "tries": 0,
        "error": "", "created_at": now, "next_at": now,
    }  # fmt: skip


def _answer(
    trace_id: str, kind: str, sequence: int, address: str, now: datetime, domain: str, uploads: list[str]
) -> Answer:
    return Answer(**answer_row(trace_id, kind, sequence, address, now, domain, uploads=uploads))


def _ended_and_missing(session: Session, trace_id: str) -> tuple[list[str], list[str]]:
    """List the attempts that have ended and were not told of, and the uploads whose import has not ended."""
    uploads = session.exec(select(Upload).where(Upload.trace_id == trace_id).order_by(col(Upload.part))).all()
    told = _told(session, trace_id)
    ended: list[str] = []
    missing: list[str] = []
    for upload in uploads:
        if upload.status != UploadStatus.IMPORT_JOB_CREATED:
            continue
        last = last_attempt(session, upload.id)
        if last is None or last.status not in ENDED:
            missing.append(upload.id)
        elif f"{upload.id}#{last.number}" not in told:
            ended.append(f"{upload.id}#{last.number}")
    return ended, missing


def _told(session: Session, trace_id: str) -> set[str]:
    answers = session.exec(select(Answer).where(Answer.trace_id == trace_id, Answer.kind == RESULT))
    return {name for answer in answers for name in answer.uploads}


def _sent_in_hour(session: Session, address: str, now: datetime) -> int:
    statement = select(sa.func.count()).select_from(Answer).where(
        Answer.to_address == address, col(Answer.sent_at) > now - timedelta(hours=1)
    )  # fmt: skip
    return session.exec(statement).one()


def _overflowed(session: Session, address: str) -> bool:
    statement = select(Alarm.id).where(
        Alarm.kind == "ANSWERS_DELAYED", Alarm.subject == address, col(Alarm.cleared_at).is_(None)
    )
    return session.exec(statement).first() is not None


def _event(answer: Answer, after: str, why: str, now: datetime) -> Event:
    subject = f"{answer.trace_id}:{answer.kind}:{answer.sequence}"
    return Event(trace_id=answer.trace_id, subject=subject, before=WAITING, after=after, why=why, at=now)

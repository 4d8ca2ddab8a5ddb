"""Figures of the whole ledger for those who watch it: how much waits, for how long, and what is wrong.

What lives here: reading functions only. Each figure is answered from an index; none names a client or a connection.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.states import ImportStatus, UploadStatus
from models.tables import Alarm, Answer, Attempt, Defence, FolderFile, Mailbox, Upload
from storage.ledger.answers import WAITING
from storage.ledger.nodes import list_nodes

_UNENDED = (ImportStatus.QUEUED, ImportStatus.IN_PROGRESS)
_IN_FOLDERS = (UploadStatus.RECEIVING, UploadStatus.HELD, UploadStatus.SETTLING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What waits now, by state; ages are in seconds, 0 where nothing waits."""

    imports: dict[str, int] = field(default_factory=dict)  #: by status
    oldest_queued: float = 0.0
    oldest_running: float = 0.0  #: since it was begun
    answers: dict[str, int] = field(default_factory=dict)  #: waiting
    oldest_answer: float = 0.0
    uploads: dict[str, int] = field(default_factory=dict)  #: in clients' folders, not judged, by status
    judging_late: float = 0.0  #: how long the file that settled first has been waiting to be judged
    alarms: dict[str, int] = field(default_factory=dict)  #: open ones, by kind
    mailboxes: dict[str, int] = field(default_factory=dict)  #: polled, failing or unpolled
    oldest_poll: float = 0.0  #: since the latest good look at a mailbox that somebody polls
    bans: int = 0
    nodes: dict[str, int] = field(default_factory=dict)  #: that live, by role
    silent_nodes: int = 0  #: that did not end in good order, within a day


def figures(session: Session, now: datetime) -> Figures:
    """Count what waits."""

    def count(found: dict[str, tuple[int, datetime | None]], states: Iterable[str]) -> dict[str, int]:
        return {str(state): found[state][0] if state in found else 0 for state in states}

    def age(found: dict[str, tuple[int, datetime | None]], state: str) -> float:
        return _age(found[state][1], now) if state in found else 0.0

    imports = _by_state(session, Attempt.status, Attempt.queued_at, _UNENDED)
    started = session.exec(
        select(sa.func.min(Attempt.started_at)).where(Attempt.status == ImportStatus.IN_PROGRESS)
    ).one()
    answers = _by_state(session, Answer.state, Answer.created_at, (WAITING,))
    uploads = _by_state(session, Upload.status, Upload.received_at, _IN_FOLDERS)
    due = session.exec(
        select(sa.func.min(FolderFile.due_at)).where(
            col(FolderFile.due_at).is_not(None), col(FolderFile.gone_at).is_(None)
        )
    ).one()
    alarms = session.exec(
        select(Alarm.kind, sa.func.count()).where(col(Alarm.cleared_at).is_(None)).group_by(Alarm.kind)
    ).all()
    bans = session.exec(select(sa.func.count()).select_from(Defence).where(col(Defence.banned_until) > now)).one()
    mailboxes, oldest_poll = _mailboxes(session, now)
    nodes = list_nodes(session)
    return Figures(
        imports=count(imports, _UNENDED), oldest_queued=age(imports, ImportStatus.QUEUED),
        oldest_running=_age(started, now), answers=count(answers, (WAITING,)), oldest_answer=age(answers, WAITING),
        uploads=count(uploads, _IN_FOLDERS), judging_late=_age(due, now), alarms=dict(alarms), mailboxes=mailboxes,
        oldest_poll=oldest_poll, bans=bans, silent_nodes=sum(not node.alive for node in nodes),
        nodes=Counter(role for node in nodes if node.alive for role in node.roles),
    )  # fmt: skip


def _by_state(
    session: Session, state: Any, moment: Any, wanted: Iterable[str]
) -> dict[str, tuple[int, datetime | None]]:
    """Count rows by their state, and give the earliest moment of each."""
    statement = select(state, sa.func.count(), sa.func.min(moment)).where(state.in_(list(wanted))).group_by(state)
    return {found: (count, earliest) for found, count, earliest in session.exec(statement)}


def _mailboxes(session: Session, now: datetime) -> tuple[dict[str, int], float]:
    found, oldest = {"polled": 0, "failing": 0, "unpolled": 0}, 0.0
    rows = session.exec(select(Mailbox.lease_until, Mailbox.failing_since, Mailbox.polled_at))
    for lease_until, failing_since, polled_at in rows:
        leased = lease_until is not None and lease_until > now
        found["failing" if failing_since is not None else "polled" if leased else "unpolled"] += 1
        if leased or failing_since is not None:
            oldest = max(oldest, _age(polled_at or failing_since, now))
    return found, oldest


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max((now - moment).total_seconds(), 0.0)

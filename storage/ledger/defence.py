"""The defender in the ledger: failed logins, bans, and the addresses that are a user's own.

What lives here: their transactions. What they mean is decided in ``intake.bans``. User names stand here as digests:
what people type into the wrong field is sometimes a password.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, delete, select

from models.tables import Alarm, Defence, KnownLogin
from storage.ledger.clock import Clock, database_now

BANNED = "ADDRESS_BANNED"
_MOST_FAILURES = 64  #: of one subject


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """What the ledger keeps of one address or user: ``failures`` as plain JSON values."""

    failures: list[list[Any]]
    banned_until: datetime | None
    bans: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Ban:
    """A ban as it is shown."""

    address: str
    until: datetime
    bans: int  #: in a row
    clients: int  #: how many users have logged in from there before


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What nodes remember together: subjects by key, and when a pair of user and address was last good."""

    subjects: dict[str, Remembered]
    known: dict[tuple[str, str], datetime]
    until: datetime | None  #: the latest change among them, by the database's clock; None: nothing was found


def load_defence(session: Session, since: datetime | None = None) -> Memory:
    """Give what is remembered; with ``since``, of the subjects what has changed from then on, and of the pairs too."""
    rows = select(Defence)
    pairs = select(KnownLogin)
    if since is not None:
        rows = rows.where(Defence.updated_at >= since)
        pairs = pairs.where(KnownLogin.seen_at >= since)
    found = session.exec(rows).all()
    return Memory(
        subjects={row.subject: _remembered(row) for row in found},
        known={(row.user, row.address): row.seen_at for row in session.exec(pairs)},
        until=max((row.updated_at for row in found), default=None),
    )


def save_defence(
    session: Session, subjects: Mapping[str, Remembered | None], known: Mapping[tuple[str, str], datetime | None],
    now: datetime, clock: Clock = database_now,
) -> None:  # fmt: skip
    """Keep what has changed, together with what other nodes have kept; None forgets.

    A ban of an address that is a client's own raises an alarm.
    """
    changed_at = clock(session)
    for key, remembered in subjects.items():
        row = session.get(Defence, key)
        if remembered is None:
            if row is not None:
                session.delete(row)
            continue
        both = remembered if row is None else _merged(remembered, _remembered(row))
        row = row or Defence(subject=key, failures=[], updated_at=changed_at)
        row.failures, row.bans = both.failures, both.bans
        row.banned_until, row.updated_at = both.banned_until, changed_at
        session.add(row)
    for (user, address), seen_at in known.items():
        pair = session.get(KnownLogin, (user, address))
        if seen_at is None:
            if pair is not None:
                session.delete(pair)
            continue
        pair = pair or KnownLogin(user=user, address=address, seen_at=seen_at)
        pair.seen_at = seen_at
        session.add(pair)
    session.flush()
    _tend_alarms(session, now)


def _remembered(row: Defence) -> Remembered:
    return Remembered(failures=list(row.failures), banned_until=row.banned_until, bans=row.bans)


def _merged(ours: Remembered, theirs: Remembered) -> Remembered:
    """Put together what two nodes have seen; the ban that lasts longer stands."""
    failures = Counter(map(tuple, ours.failures)) | Counter(map(tuple, theirs.failures))
    bans = [one for one in (ours, theirs) if one.banned_until is not None]
    longest = max(bans, key=lambda one: one.banned_until or datetime.min, default=ours)
    return Remembered(
        failures=[list(one) for one in sorted(failures.elements())[-_MOST_FAILURES:]],
        banned_until=longest.banned_until,
        bans=max(ours.bans, theirs.bans),
    )


def lifted(session: Session, banned: Iterable[str]) -> list[str]:
    """Of subjects that were banned when they were saved, list those that are no longer: an operator lifted the ban."""
    keys = list(banned)
    held = select(Defence.subject).where(col(Defence.subject).in_(keys), col(Defence.banned_until).is_not(None))
    still = set(session.exec(held))
    return [key for key in keys if key not in still]


def list_bans(session: Session, now: datetime) -> list[Ban]:
    """List the addresses that are banned now, the longest ban first."""
    rows = session.exec(
        select(Defence).where(col(Defence.banned_until) > now).order_by(col(Defence.banned_until).desc())
    ).all()
    return [_ban(session, row) for row in rows]


def lift_ban(session: Session, key: str, now: datetime) -> bool:
    """Forget the ban and the failures of one address; False when it is not banned."""
    row = session.get(Defence, key)
    if row is None or row.banned_until is None or row.banned_until <= now:
        return False
    session.delete(row)
    session.flush()
    _tend_alarms(session, now)
    return True


def _ban(session: Session, row: Defence) -> Ban:
    assert row.banned_until is not None
    address = row.subject.partition(":")[2]
    clients = session.exec(select(KnownLogin.user).where(KnownLogin.address == address)).all()
    return Ban(address=address, until=row.banned_until, bans=row.bans, clients=len(set(clients)))


def _tend_alarms(session: Session, now: datetime) -> None:
    """Hold one open alarm per banned address from which a client of ours has logged in, and none for others."""
    bans = {ban.address: ban for ban in list_bans(session, now) if ban.clients}
    open_ones = session.exec(select(Alarm).where(Alarm.kind == BANNED, col(Alarm.cleared_at).is_(None))).all()
    for alarm in open_ones:
        if alarm.subject not in bans:
            alarm.cleared_at = now
            session.add(alarm)
    for address in bans.keys() - {alarm.subject for alarm in open_ones}:
        message = (
            f"{address}, from which a client has logged in before, is banned until"
            f" {bans[address].until:%Y-%m-%d %H:%M} UTC after wrong passwords"
        )
        session.add(Alarm(kind=BANNED, subject=address, message=message, raised_at=now))


def forget_known(session: Session, seen_before: datetime) -> None:
    """Forget pairs of user and address that have not been seen for long."""
    session.exec(delete(KnownLogin).where(col(KnownLogin.seen_at) < seen_before))

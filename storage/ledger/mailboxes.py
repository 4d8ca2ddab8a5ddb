"""Mailboxes in the ledger: who polls each, how that goes, and the wishes to look at once.

What lives here: the lease, the state of polling, and the alarm of a mailbox that cannot be polled. The lease goes by
the database's clock, so that nodes need not agree on the time. The messages stand in ``storage.ledger.messages``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from models.states import ConnectionState
from models.tables import Alarm, Connection, ConnectionVersion, Mailbox, MailboxFolder, Node
from storage.ledger.clock import Clock, database_now
from storage.ledger.connections import ConnectionRef, make_ref
from storage.ledger.nodes import DEAD_AFTER
from storage.locks import touches

FAILING = "MAILBOX_FAILING"


@dataclass(frozen=True, kw_only=True, slots=True)
class Polling:
    """How the polling of a mailbox goes, as the command line shows it."""

    reason: str
    step: str
    failures: int
    failing_since: datetime | None
    next_at: datetime | None
    polled_at: datetime | None
    polled_by: str
    wanted: int
    done: int


def pulled(session: Session) -> list[ConnectionRef]:
    """List the connections that pull from a mailbox and are not deleted, in the order of their making."""
    statement = (
        select(Connection, ConnectionVersion)
        .join(
            ConnectionVersion,
            (col(ConnectionVersion.connection_id) == col(Connection.id))
            & (col(ConnectionVersion.number) == col(Connection.version)),
        )
        .where(Connection.state != ConnectionState.DELETED)
        .order_by(col(Connection.id))
    )
    refs = [make_ref(*row) for row in session.exec(statement)]
    return [ref for ref in refs if ref.rule.remote is not None]


def open_mailbox(session: Session, host: str, port: int, username: str) -> int:
    """Give the id of a mailbox; its row is made where there is none."""
    found = _find(session, (host, port, username))
    if found is None:
        found = Mailbox(host=host, port=port, username=username)
        session.add(found)
        session.flush()
    assert found.id is not None
    return found.id


def find_mailbox(session: Session, host: str, port: int, username: str) -> int | None:
    """Give the id of a mailbox; None when it was never polled."""
    found = _find(session, (host, port, username))
    return None if found is None else found.id


@touches(lambda mailbox_id, *_, **__: {f"mailbox:{mailbox_id}"})
def take_lease(
    session: Session, mailbox_id: int, holder: str, lasts: timedelta, clock: Clock = database_now,
    is_gone: Callable[[str], bool] = lambda _holder: False,
) -> bool:  # fmt: skip
    """Take or renew the lease of a mailbox; False when another holds it that is not known to be gone, or a dead node.

    A lease that ends later than it could have been given was made by a clock that has been set back: it has lapsed.
    """
    mailbox, now = session.get_one(Mailbox, mailbox_id), clock(session)
    until = mailbox.lease_until
    held = until is not None and now < until <= now + 2 * lasts
    if held and mailbox.lease_holder not in ("", holder):
        node = session.get(Node, mailbox.lease_holder)
        dead = node is not None and node.seen_at <= now - DEAD_AFTER
        if not dead and not is_gone(mailbox.lease_holder):
            return False
    mailbox.lease_holder, mailbox.lease_until = holder, now + lasts
    session.add(mailbox)
    return True


@touches(lambda mailbox_id, *_, **__: {f"mailbox:{mailbox_id}"})
def leave_lease(session: Session, mailbox_id: int, holder: str) -> None:
    """Give a lease back, where it is still ours."""
    mailbox = session.get_one(Mailbox, mailbox_id)
    if mailbox.lease_holder == holder:
        mailbox.lease_holder, mailbox.lease_until = "", None
        session.add(mailbox)


def folder_changed(session: Session, mailbox_id: int, folder: str, uidvalidity: int, now: datetime) -> datetime | None:
    """Note the UIDVALIDITY of a folder; when it is another than before, gives when that happened the last time.

    None: it is as it was, is seen for the first time, or changes for the first time.
    """
    row = session.get(MailboxFolder, (mailbox_id, folder))
    if row is None:
        session.add(MailboxFolder(mailbox_id=mailbox_id, name=folder, uidvalidity=uidvalidity))
        return None
    if row.uidvalidity == uidvalidity:
        return None
    before = row.changed_at
    row.uidvalidity, row.changed_at = uidvalidity, now
    session.add(row)
    return before


def note_success(session: Session, mailbox_id: int, wish: int, now: datetime) -> None:
    """Note that a mailbox was looked at and all went well; clears its alarm."""
    mailbox = session.get_one(Mailbox, mailbox_id)
    mailbox.reason, mailbox.step, mailbox.failures = "", "", 0
    mailbox.failing_since, mailbox.next_at, mailbox.polled_at = None, None, now
    mailbox.pull_done = max(mailbox.pull_done, wish)
    session.add(mailbox)
    for alarm in _alarms(session, mailbox):
        alarm.cleared_at = now
        session.add(alarm)


def note_failure(
    session: Session, mailbox_id: int, *, step: str, reason: str, wish: int, next_at: datetime, now: datetime,
    at_once: bool, alarm_after: timedelta, connection_id: int | None,
) -> None:  # fmt: skip
    """Note why a mailbox cannot be polled; the operators are told at once, or when it has gone on for so long."""
    mailbox = session.get_one(Mailbox, mailbox_id)
    mailbox.step, mailbox.reason, mailbox.next_at = step, reason[:500], next_at
    mailbox.failures += 1
    mailbox.failing_since = mailbox.failing_since or now
    mailbox.pull_done = max(mailbox.pull_done, wish)
    session.add(mailbox)
    message = f"the mailbox {mailbox.username} at {mailbox.host} cannot be polled: {step}: {reason}"[:500]
    known = _alarms(session, mailbox)
    for one in known:
        one.message = message
        session.add(one)
    if not known and (at_once or now - mailbox.failing_since >= alarm_after):
        subject = _subject(mailbox)
        session.add(Alarm(connection_id=connection_id, kind=FAILING, subject=subject, message=message, raised_at=now))


def forget_failing(session: Session, mailbox_id: int, now: datetime) -> None:
    """Clear the alarm of a mailbox that no connection pulls from any more."""
    for alarm in _alarms(session, session.get_one(Mailbox, mailbox_id)):
        alarm.cleared_at = now
        session.add(alarm)


def wish_pull(session: Session, mailbox_id: int) -> int:
    """Ask whoever polls a mailbox to look at once; gives the number of the wish."""
    mailbox = session.get_one(Mailbox, mailbox_id)
    mailbox.pull_wanted += 1
    session.add(mailbox)
    return mailbox.pull_wanted


def wishes(session: Session) -> dict[int, int]:
    """Give the number of the latest wish for each mailbox that has one open."""
    rows = session.exec(select(Mailbox.id, Mailbox.pull_wanted).where(Mailbox.pull_wanted > Mailbox.pull_done))
    return {mailbox_id: wanted for mailbox_id, wanted in rows if mailbox_id is not None}


def polling(session: Session, host: str, port: int, username: str, clock: Clock = database_now) -> Polling | None:
    """Give how the polling of a mailbox goes; None when it was never polled."""
    row = _find(session, (host, port, username))
    if row is None:
        return None
    held = row.lease_until is not None and row.lease_until > clock(session)
    return Polling(
        reason=row.reason, step=row.step, failures=row.failures, failing_since=row.failing_since, next_at=row.next_at,
        polled_at=row.polled_at, polled_by=row.lease_holder if held else "", wanted=row.pull_wanted, done=row.pull_done,
    )  # fmt: skip


def _find(session: Session, key: tuple[str, int, str]) -> Mailbox | None:
    host, port, username = key
    return session.exec(
        select(Mailbox).where(Mailbox.host == host, Mailbox.port == port, Mailbox.username == username)
    ).first()


def _alarms(session: Session, mailbox: Mailbox) -> list[Alarm]:
    statement = select(Alarm).where(
        Alarm.kind == FAILING, Alarm.subject == _subject(mailbox), col(Alarm.cleared_at).is_(None)
    )
    return list(session.exec(statement))


def _subject(mailbox: Mailbox) -> str:
    return f"{mailbox.username}@{mailbox.host}:{mailbox.port}"

"""The hold on deletions: while a backup copies what the ledger lists, no bytes are deleted.

What lives here: its transactions. Whoever deletes bytes first commits the rows that name them no more, then asks
``is_held``, then deletes: a hold that was there before the backup's copy of the ledger is seen by every deletion of
what that copy lists. What is spared is found by the sweep later.
"""

from datetime import timedelta

from sqlmodel import Session, col, delete, select

from models.tables import Lease
from storage.ledger.clock import Clock, database_now

_NAME = "backup:"


def hold(session: Session, backup: str, lasts: timedelta, clock: Clock = database_now) -> None:
    """Hold every deletion for so long, or for so much longer; each backup has a hold of its own."""
    name = _NAME + backup
    lease = session.get(Lease, name) or Lease(name=name, holder=backup, until=clock(session))
    lease.until = clock(session) + lasts
    session.add(lease)


def release(session: Session, backup: str) -> None:
    """End the hold of one backup."""
    session.exec(delete(Lease).where(col(Lease.name) == _NAME + backup))


def is_held(session: Session, clock: Clock = database_now) -> bool:
    """Tell whether a backup goes on."""
    held = select(Lease.name).where(col(Lease.name).startswith(_NAME), Lease.until > clock(session)).limit(1)
    return session.exec(held).first() is not None

"""Leases in the ledger: duties that one node has at a time, such as handing over answers.

What lives here: their transactions. A lease goes by the database's clock. Its holder renews it long before it ends, and
by its own monotonic clock knows when it may no longer act; the lease of a node that has ended is free at once.
"""

from datetime import timedelta

from sqlmodel import Session

from models.tables import Lease, Node
from storage.ledger.clock import Clock, database_now
from storage.locks import touches


@touches(lambda name, *_, **__: {f"lease:{name}"})
def take_lease(session: Session, name: str, holder: str, lasts: timedelta, clock: Clock = database_now) -> bool:
    """Take or renew a lease; False when another node that lives holds it.

    A lease that ends later than it could have been given was made by a clock that has been set back: it has lapsed.
    """
    now = clock(session)
    lease = session.get(Lease, name) or Lease(name=name, holder="", until=now)
    held = now < lease.until <= now + 2 * lasts
    if held and lease.holder not in ("", holder) and session.get(Node, lease.holder) is not None:
        return False
    lease.holder, lease.until = holder, now + lasts
    session.add(lease)
    return True

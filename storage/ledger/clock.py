"""The database's clock: what nodes of a cluster agree on without agreeing on the time.

What lives here: one question.
"""

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session

from models.tables import UtcDateTime

Clock = Callable[[Session], datetime]


def database_now(session: Session) -> datetime:
    """Give the time by the database's clock: now, not when the transaction began, which may have waited for a lock."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        found = connection.scalar(sa.select(sa.func.clock_timestamp(type_=UtcDateTime())))
    else:
        found = connection.scalar(sa.select(sa.func.strftime("%Y-%m-%d %H:%M:%f000", "now", type_=UtcDateTime())))
    assert isinstance(found, datetime)
    return found

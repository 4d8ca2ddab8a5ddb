"""What a writing transaction locks on Postgres, where several processes write at once.

What lives here: the locks that stand in for SQLite's single writer. A ledger function reads, decides and writes; what
it has read must stay true until it commits. So every writing transaction first takes a lock of the whole ledger: for
itself alone, or shared with others where all its functions say what they touch (``touches``), and then a lock for
each of these things, in one order. Locks end with the transaction, as PgBouncer demands; they are taken before the
first read, and under READ COMMITTED each read sees what was committed before it.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from zlib import crc32

import sqlalchemy as sa

F = TypeVar("F", bound=Callable[..., Any])
Things = frozenset[str]

EVERYTHING: Things | None = None  #: what a function touches that does not say it
_CLASS = 0x6D67  # our half of Postgres' two-part lock numbers
_MIGRATION = 0x6D68
_LEDGER = 0
_WAIT = "5s"  # for a lock: behind a dead or a busy process a door says "not now"
_IDLE = "10s"  # of a process within a transaction: a paused one must not hold the others up


def touches(things: Callable[..., Iterable[str] | None]) -> Callable[[F], F]:
    """Say of a writing function what it reads and changes: ``things`` is given its arguments without the session.

    What it only adds, with a key that no other can have, need not be said. None: anything.
    """

    def mark(function: F) -> F:
        function.touches = things  # type: ignore[attr-defined]
        return function

    return mark


def touched(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Things | None:
    """Give what one call of a writing function touches; None: anything."""
    things = getattr(function, "touches", None)
    found = None if things is None else things(*args, **kwargs)
    return EVERYTHING if found is None else frozenset(found)


def together(all_things: Iterable[Things | None]) -> Things | None:
    """Give what several calls in one transaction touch."""
    union: set[str] = set()
    for things in all_things:
        if things is None:
            return EVERYTHING
        union |= things
    return frozenset(union)


def take(connection: sa.Connection) -> None:
    """Begin a transaction on Postgres with the locks that its option ``writes`` asks for.

    ``writes``: nothing for a reading one, True for one that may touch anything, or what it touches. ``patient``: it
    waits longer for them, and may be busy elsewhere meanwhile.
    """
    options = connection.get_execution_options()
    writes = options.get("writes", False)
    if writes is not False:
        locks = _locks(None if writes is True else writes)
        _begin(connection, locks, patient=options.get("patient", False))


def take_migration(connection: sa.Connection) -> None:
    """Wait until no other process migrates this database, and keep others from it until the transaction ends."""
    _begin(connection, [f"pg_advisory_xact_lock({_MIGRATION}, 0)"], patient=True)


def _begin(connection: sa.Connection, locks: list[str], *, patient: bool) -> None:
    wait, idle = ("25s", "0") if patient else (_WAIT, _IDLE)
    settings = f"SET LOCAL lock_timeout = '{wait}'; SET LOCAL idle_in_transaction_session_timeout = '{idle}'"
    connection.exec_driver_sql("; ".join([settings, *(f"SELECT {lock}" for lock in locks)]))


def _locks(things: Things | None) -> list[str]:
    if things is None:
        return [f"pg_advisory_xact_lock({_CLASS}, {_LEDGER})"]
    numbers = sorted({_number(thing) for thing in things})
    return [
        f"pg_advisory_xact_lock_shared({_CLASS}, {_LEDGER})",
        *(f"pg_advisory_xact_lock({_CLASS}, {number})" for number in numbers),
    ]


def _number(thing: str) -> int:
    """Give the lock of a thing; two things of one number wait for each other in vain, and nothing worse."""
    return (crc32(thing.encode()) & 0x7FFFFFFE) + 1

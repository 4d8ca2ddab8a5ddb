"""The ledger: every read and write of our tables is a named function here, one function = one transaction.

What lives here: the ledger itself, which runs such a function as one transaction, awaited or at once. The functions
stand in the modules beside it; each takes the session first and says in its docstring what it makes true.
"""

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from mailgate.observe import metrics
from storage.writer import LedgerBusy, Writer

__all__ = ["Ledger", "LedgerBusy"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Ledger:
    """Run ledger functions as transactions; a database that cannot answer now raises LedgerBusy."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._writer = Writer(engine)

    async def write(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one writing function; returns after its commit."""
        future = self._writer.submit(lambda session: function(session, *args, **kwargs))
        try:
            result: R = await asyncio.wrap_future(future)
        except DBAPIError as error:
            raise _translate(error) from error
        return result

    async def write_together(self, function: Callable[[Session, list[T]], list[R | Exception]], item: T) -> R:
        """Run a writing function that takes several callers' items at once; returns this item's result, durable."""
        try:
            result: R = await asyncio.wrap_future(self._writer.submit_together(function, item))
        except DBAPIError as error:
            raise _translate(error) from error
        return result

    def write_now(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one writing function and wait; for the command line and for threads."""
        future = self._writer.submit(lambda session: function(session, *args, **kwargs))
        try:
            result: R = future.result()
        except DBAPIError as error:
            raise _translate(error) from error
        return result

    async def read(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one reading function in a thread."""
        return await asyncio.to_thread(lambda: self.read_now(function, *args, **kwargs))

    def read_now(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one reading function and wait."""
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                return function(session, *args, **kwargs)
        except DBAPIError as error:
            raise _translate(error) from error

    def close(self) -> None:
        """Finish what is queued and let go of the database."""
        self._writer.close()
        self.engine.dispose()


def _translate(error: DBAPIError) -> Exception:
    """Give the error the world above knows: a database that is locked, full, unreadable or away is a fault for now."""
    passing = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError)
    if isinstance(error, passing) or type(error) is sa.exc.DatabaseError:
        metrics.database_errors.inc()
        return LedgerBusy(f"the database cannot answer now: {error.orig}")
    return error

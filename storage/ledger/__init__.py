"""The ledger: every read and write of our tables is a named function here, one function = one transaction.

What lives here: the ledger itself, which runs such a function as one transaction, awaited or at once. The functions
stand in the modules beside it; each takes the session first and says in its docstring what it makes true.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlmodel import Session

from mailgate.observe import metrics
from storage.locks import touched
from storage.writer import LedgerBusy, Writer

__all__ = ["Ledger", "LedgerBusy"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


_PATIENCE = 9.0  # seconds: a door answers "not now" within ten
_BEGUN_WITHIN = 7.0  # seconds that a transaction may wait for its turn
_READERS = 10  # threads; of their own, so that a database which says nothing keeps no other work waiting


class Ledger:
    """Run ledger functions as transactions; a database that cannot answer now raises LedgerBusy.

    On Postgres a writing function locks what it touches (``storage.locks``), and a reading one sees one moment.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._writer = Writer(engine)
        self._reads = engine
        if engine.dialect.name == "postgresql":
            self._reads = engine.execution_options(isolation_level="REPEATABLE READ")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-read")

    async def write(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one writing function; returns after its commit."""
        future = self._writer.submit(
            lambda session: function(session, *args, **kwargs), things=touched(function, *args, **kwargs),
            within=_BEGUN_WITHIN,
        )  # fmt: skip
        result: R = await _patiently(asyncio.wrap_future(future))
        return result

    async def write_together(self, function: Callable[[Session, list[T]], list[R | Exception]], item: T) -> R:
        """Run a writing function that takes several callers' items at once; returns this item's result, durable."""
        future = self._writer.submit_together(function, item, things=touched(function, item), within=_BEGUN_WITHIN)
        result: R = await _patiently(asyncio.wrap_future(future))
        return result

    def write_now(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one writing function and wait; for the command line and for threads."""
        future = self._writer.submit(
            lambda session: function(session, *args, **kwargs), things=touched(function, *args, **kwargs)
        )
        try:
            result: R = future.result()
        except sa.exc.SQLAlchemyError as error:
            raise _translate(error) from error
        return result

    async def read(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one reading function in a thread."""
        work = functools.partial(self.read_now, function, *args, **kwargs)
        result: R = await _patiently(asyncio.get_running_loop().run_in_executor(self._readers, work))
        return result

    def read_now(self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one reading function and wait."""
        try:
            with Session(self._reads, expire_on_commit=False) as session:
                return function(session, *args, **kwargs)
        except sa.exc.SQLAlchemyError as error:
            raise _translate(error) from error

    def close(self) -> None:
        """Finish what is queued and let go of the database."""
        self._writer.close()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()


async def _patiently(answer: "asyncio.Future[R]") -> R:
    """Wait for an answer of the database, but not for ever: LedgerBusy, and nobody knows what became of it."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await answer
    except TimeoutError:
        metrics.database_errors.inc()
        raise LedgerBusy("the database has not answered in time") from None
    except sa.exc.SQLAlchemyError as error:
        raise _translate(error) from error


def _translate(error: sa.exc.SQLAlchemyError) -> Exception:
    """Give the error the world above knows: a database that is locked, full, unreadable or away is a fault for now."""
    passing = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError)
    if isinstance(error, sa.exc.DBAPIError) and (isinstance(error, passing) or type(error) is sa.exc.DatabaseError):
        metrics.database_errors.inc()
        return LedgerBusy(f"the database cannot answer now: {error.orig}")
    if isinstance(error, (sa.exc.TimeoutError, sa.exc.PendingRollbackError)):
        metrics.database_errors.inc()
        return LedgerBusy("the database cannot answer now: no connection to it is free")
    return error

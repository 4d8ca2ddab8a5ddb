"""The one writer with group commit: many transactions wait for one sync of the disk.

What lives here: the queue and its thread. Each job is atomic by itself: it runs in a savepoint, and its caller
hears of success only after the commit that holds it.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from mailgate.observe import metrics
from models.faults import TemporaryError
from storage.locks import EVERYTHING, Things, together

_GROUP = 64  # jobs in one commit: beyond this the waiting grows more than the sync saves


Together = Callable[[Session, list[Any]], list[Any]]


class LedgerBusy(TemporaryError):
    """Say that the database cannot answer now: locked, full or away."""


class TransactionLost(LedgerBusy):
    """Say that nothing of a group was kept, because the database rolled it back of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    future: "Future[Any]"
    work: Callable[[Session], Any] | None = None
    together: Together | None = None  #: one of several items that this function takes at once
    item: Any = None
    things: Things | None = EVERYTHING  #: what it touches
    until: float | None = None  #: by the monotonic clock: whoever waits for it has given up then


class Writer:
    """Run writing transactions one after the other in a thread of their own, several to a commit."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        metrics.writer_waiting.set_function(self._jobs.qsize)
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[Session], Any], *, things: Things | None = EVERYTHING, within: float | None = None
    ) -> "Future[Any]":
        """Queue one transaction; the future holds what ``work`` returned, once it is durable.

        ``things``: what it touches (``storage.locks``). ``within``: seconds after which it is begun no more.
        """
        return self._put(_Job(Future(), work=work, things=things, until=_until(within)))

    def submit_together(
        self, function: Together, item: Any, *, things: Things | None = EVERYTHING, within: float | None = None
    ) -> "Future[Any]":
        """Queue one item of a transaction that takes several at once and gives a result or an exception for each."""
        return self._put(_Job(Future(), together=function, item=item, things=things, until=_until(within)))

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _put(self, job: _Job) -> "Future[Any]":
        # Running from the start: a caller that gives up waiting cannot take its transaction back.
        job.future.set_running_or_notify_cancel()
        self._jobs.put(job)
        return job.future

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group, ending = self._gather(job)
            metrics.writer_group.observe(len(group))
            with metrics.writer_seconds.time():
                self._commit(group)
            if ending:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        group = [first]
        while len(group) < _GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        results: dict[_Job, Any] = {}
        group = _wanted(group)
        things = together(job.things for job in group)
        try:
            with (
                self._engine.connect().execution_options(writes=True if things is None else things) as connection,
                connection.begin(),
            ):
                for jobs in _runs(group):
                    results.update(_perform(connection, jobs))
                    _check_open(connection)
        except Exception as error:  # noqa: BLE001 - no commit: nobody's work is durable
            results = dict.fromkeys(group, error)
        for job in group:
            result = results[job]
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)


def _until(within: float | None) -> float | None:
    return None if within is None else time.monotonic() + within


def _wanted(group: list[_Job]) -> list[_Job]:
    """Leave out the jobs whose callers have given up waiting: what they were told must stay true."""
    now, wanted = time.monotonic(), []
    for job in group:
        if job.until is not None and job.until < now:
            job.future.set_exception(LedgerBusy("the database cannot answer now: too many wait for it"))
        else:
            wanted.append(job)
    return wanted


def _check_open(connection: sa.Connection) -> None:
    """Raise when the database has ended the transaction by itself, or its connection is gone.

    On an I/O error or a full disk inside one statement SQLite may roll back everything and go on without a transaction:
    what came before is gone, what comes after would commit by itself, and the commit at the end would do nothing and
    say nothing.
    """
    if connection.dialect.name != "sqlite":
        if connection.invalidated or connection.closed:
            raise TransactionLost("the connection to the database was lost")
        return
    driver = connection.connection.dbapi_connection
    if driver is None or not driver.in_transaction:
        connection.invalidate()
        raise TransactionLost("the database ended the transaction by itself: a full disk or an I/O error")


def _runs(group: list[_Job]) -> list[list[_Job]]:
    """Part a group into single jobs and runs of items of one function, in their order."""
    runs: list[list[_Job]] = []
    for job in group:
        if job.together is not None and runs and runs[-1][0].together is job.together:
            runs[-1].append(job)
        else:
            runs.append([job])
    return runs


def _perform(connection: sa.Connection, jobs: list[_Job]) -> dict[_Job, Any]:
    """Run jobs in one savepoint; when it fails with several items, each is tried by itself."""
    try:
        with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session:
            first = jobs[0]
            if first.together is not None:
                results = first.together(session, [job.item for job in jobs])
            else:
                assert first.work is not None
                results = [first.work(session)]
            session.commit()  # of the savepoint
    except Exception as error:  # noqa: BLE001 - the caller gets it; the others go on
        _check_open(connection)
        if len(jobs) == 1:
            return {jobs[0]: error}
        return {job: result for one in jobs for job, result in _perform(connection, [one]).items()}
    return dict(zip(jobs, results, strict=True))

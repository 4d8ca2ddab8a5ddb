"""The one writer with group commit: many transactions wait for one sync of the disk.

What lives here: the queue and its thread. Each job is atomic by itself: it runs in a savepoint, and its caller
hears of success only after the commit that holds it.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

_GROUP = 64  # jobs in one commit: beyond this the waiting grows more than the sync saves


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[Session], Any]
    future: "Future[Any]"


class Writer:
    """Run writing transactions one after the other in a thread of their own, several to a commit."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Session], Any]) -> "Future[Any]":
        """Queue one transaction; the future holds what ``work`` returned, once it is durable."""
        future: Future[Any] = Future()
        self._jobs.put(_Job(work, future))
        return future

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group, ending = self._gather(job)
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
        done: list[tuple[_Job, Any]] = []
        failed: list[tuple[_Job, BaseException]] = []
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                for job in group:
                    try:
                        with Session(
                            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
                        ) as session:
                            result = job.work(session)
                            session.commit()  # of the savepoint
                        done.append((job, result))
                    except Exception as error:  # noqa: BLE001 - the caller gets it; the others go on
                        failed.append((job, error))
        except Exception as error:  # noqa: BLE001 - no commit: nobody's work is durable
            failed.extend((job, error) for job, _ in done)
            done = []
            told = {id(job) for job, _ in failed}
            failed.extend((job, error) for job in group if id(job) not in told)
        for job, result in done:
            job.future.set_result(result)
        for job, fault in failed:
            job.future.set_exception(fault)

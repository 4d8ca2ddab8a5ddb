"""Warm worker processes for parsing, watched from here: their resident memory and their time.

What lives here: the pool. A worker that grows or lasts too long is killed, and its file alone ends as
``RESOURCE_LIMIT``.
"""

import contextlib
import os
import queue
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from imports.parse_job import ParseJob, ParseOutcome
from models.codes import Code
from models.faults import Fault, PermanentError, TemporaryError

_LOOK = 0.05  # seconds between two looks at a busy worker
_PAGE = os.sysconf("SC_PAGE_SIZE")


class WorkerDied(TemporaryError):
    """Say that a worker ended without an answer."""


class NoRoom(TemporaryError):
    """Say that a worker could not write: the disk's fault, not the file's."""


class _Worker:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        self._lifeline = [write_end]
        root = str(Path(__file__).resolve().parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "imports.worker_main", str(theirs.fileno()), str(read_end)],
            pass_fds=(theirs.fileno(), read_end),
            stdin=subprocess.DEVNULL,
            cwd=root,
        )
        theirs.close()
        os.close(read_end)
        self.connection = Connection(ours.detach())
        self._ready = False

    def wait_until_ready(self, seconds: float = 60) -> None:
        if not self._ready:
            if not self.connection.poll(seconds):
                raise WorkerDied("a worker did not start")
            try:
                self.connection.recv()
            except (EOFError, OSError):
                raise WorkerDied("a worker ended while it started") from None
            self._ready = True

    def resident_bytes(self) -> int:
        try:
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return 0

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.close()
        with contextlib.suppress(OSError, IndexError):
            os.close(self._lifeline.pop())  # once only: afterwards the number may be another file's
        self.process.kill()
        self.process.wait()


class ParsePool:
    """Lend warm workers, one file each at a time; safe to call from several threads."""

    def __init__(self, *, workers: int, memory_bytes: int, seconds: float) -> None:
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._all: set[_Worker] = set()
        self._closed = False
        for _ in range(workers):
            self._idle.put(self._start())

    def run(self, job: ParseJob) -> ParseOutcome:
        """Parse one file in a worker; blocks until there is one.

        Raises PermanentError with RESOURCE_LIMIT when the file took too much, WorkerDied when the worker ended or
        failed of itself.
        """
        worker = self._idle.get()
        try:
            worker = worker or self._start()
            outcome = self._ask(worker, job)
        except BaseException:
            if worker is not None:
                self._all.discard(worker)
                worker.end()
            self._idle.put(None)  # its place is filled when it is needed
            raise
        self._idle.put(worker)
        if outcome.no_room:
            raise NoRoom(outcome.failure)
        if outcome.failure:
            raise WorkerDied(f"parsing failed: {outcome.failure}")
        return outcome

    def close(self) -> None:
        """End every worker."""
        self._closed = True
        for worker in list(self._all):
            worker.end()

    def _start(self) -> _Worker:
        if self._closed:
            raise WorkerDied("the pool is closed")
        worker = _Worker()
        self._all.add(worker)
        return worker

    def _ask(self, worker: _Worker, job: ParseJob) -> ParseOutcome:
        worker.wait_until_ready()
        deadline = time.monotonic() + self._seconds
        try:
            worker.connection.send(job)
            while not worker.connection.poll(_LOOK):
                if worker.resident_bytes() > self._memory_bytes:
                    raise _too_much(f"more than {self._memory_bytes:,} bytes of memory")
                if time.monotonic() > deadline:
                    raise _too_much(f"longer than {self._seconds:.0f} seconds")
            outcome: ParseOutcome = worker.connection.recv()
        except (EOFError, OSError):
            raise WorkerDied(f"a worker ended with {worker.process.poll()}") from None
        return outcome


def _too_much(what: str) -> PermanentError:
    return PermanentError(Fault(code=Code.RESOURCE_LIMIT, message=f"Reading this file took {what}; it was stopped."))

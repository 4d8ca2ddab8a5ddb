"""One import, from its order to its answers: the steps, each safe to repeat.

What lives here: what the durable job does. Which job runs when is ``imports.engine``'s; what an answer says is
``imports.letters``'.
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from imports.parse_job import ParseJob, ParseOutcome
from imports.workers import NoRoom, ParsePool
from mailgate.observe import metrics, notes
from mailgate.settings import Settings
from models.answers import errors_name, superseding
from models.codes import Code
from models.faults import PermanentError
from models.result import Identity, Summary, Warning_, result_object
from models.states import ImportStatus
from storage.blobs import Blobs, BlobWriter
from storage.ledger import Ledger, LedgerBusy, imports
from storage.ledger.before import files_before
from storage.ledger.deliveries import delivery_belongs_to
from storage.ledger.imports import Order, Patience
from storage.local import local

_STARTS_PER_FAILURE = 5  # a process that dies is seldom the file's fault
_BLOCK = 1 << 20


class Importer:
    """Run the import of an upload to its end."""

    def __init__(
        self, ledger: Ledger, blobs: Blobs, pool: ParsePool, settings: Settings, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_finished: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._blobs = blobs
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._on_finished = on_finished
        self._stopping = False
        self.running: Counter[tuple[str, int]] = Counter()  #: attempts this process works for, waiting or not
        self._active = 0
        self._idle = asyncio.Event()
        tries = settings.limits.import_tries
        self._patience = Patience(failures=tries, starts=tries * _STARTS_PER_FAILURE)

    async def run(self, upload: str, attempt: int) -> str:
        """Bring one attempt to its end, whatever a former process had done of it; gives its last status.

        A try that fails is counted and tried again a little later; the ledger parks an import that fails too often.
        """
        self.running[upload, attempt] += 1
        try:
            return await self._run(upload, attempt)
        finally:
            self.running[upload, attempt] -= 1
            if not self.running[upload, attempt]:
                del self.running[upload, attempt]

    async def _run(self, upload: str, attempt: int) -> str:
        begun = 0
        while True:
            if self._stopping:
                await asyncio.Event().wait()  # the next start takes it up
            self._active += 1
            self._idle.clear()
            try:
                order = await self._ledger.write(
                    imports.begin, upload, attempt, self._clock(), self._patience, self._settings.domain, begun=begun
                )
                if order is None:  # or it goes on elsewhere
                    self._on_finished()
                    return await self._note_end(upload, attempt)
                if not begun and order.queued_at is not None:
                    notes.import_begun(
                        trace_id=order.trace_id, upload=upload, attempt=attempt, connection=order.connection,
                        waited=(order.started_at - order.queued_at).total_seconds(),
                    )  # fmt: skip
                begun = order.begun
                with metrics.imports_active.track_inprogress():
                    return await self._once(order)
            except FileNotFoundError as error:
                wait = await self._count_failure(upload, attempt, begun, error)
            except (LedgerBusy, NoRoom, OSError) as error:  # the disk's or the database's fault, not the file's
                notes.import_failed(upload=upload, attempt=attempt, kind="waits", error=str(error))
                wait = 1.0
            except Exception as error:  # noqa: BLE001 - the worker: whatever it was is counted and tried again
                wait = await self._count_failure(upload, attempt, begun, error)
            finally:
                self._active -= 1
                if not self._active:
                    self._idle.set()
            await asyncio.sleep(wait)

    async def stop(self, seconds: float) -> None:
        """Begin nothing new and wait a while for what runs; what fails from now on is no fault of a file."""
        self._stopping = True
        if self._active:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    async def _count_failure(self, upload: str, attempt: int, begun: int, error: Exception) -> float:
        """Count a failure; gives the seconds to wait before the next try."""
        if self._stopping:
            return 0
        try:
            failures = await self._ledger.write(
                imports.note_failure, upload, attempt, repr(error)[:500], self._clock(), begun
            )
        except LedgerBusy:
            failures = 1
        notes.import_failed(upload=upload, attempt=attempt, kind="failed", error=repr(error)[:500], failures=failures)
        return float(min(0.2 * 4 ** (failures - 1), 30))

    async def _note_end(self, upload: str, attempt: int) -> str:
        """Say what became of an attempt that had nothing left to do: it was parked or cancelled, or had ended."""
        status, code, message = await self._ledger.read(imports.end_of, upload, attempt)
        notes.import_not_begun(upload=upload, attempt=attempt, status=status, code=code, reason=message)
        return "ended"

    async def _once(self, order: Order) -> str:
        began = time.monotonic()
        errors_path = self._settings.spool_dir / f"{secrets.token_hex(16)}.errors"
        try:
            summary, parent, parsing = await self._parse(order, errors_path)
            errors = await asyncio.to_thread(self._keep, errors_path) if summary.entries else None
        finally:
            await asyncio.to_thread(errors_path.unlink, missing_ok=True)
        if await self._ledger.read(imports.cancel_requested, order.upload, order.attempt):
            why = "It was cancelled by an operator."
            await self._ledger.write(
                imports.abort, order.upload, order.attempt, why, self._clock(), self._settings.domain, order.begun
            )
            self._on_finished()
            notes.import_not_begun(
                upload=order.upload, attempt=order.attempt, status=str(ImportStatus.ABORTED), code="", reason=why
            )
            return str(ImportStatus.ABORTED)
        now = self._clock()
        result = self._result(order, summary, parent, now)
        ours = await self._ledger.write(
            imports.finish, order.upload, order.attempt, status=summary.status,
            result=result,
            errors_blob=errors.id if errors else None, errors_bytes=errors.size if errors else None,
            no_rows=any(warning.code is Code.NO_ROWS for warning in summary.warnings), now=now,
            domain=self._settings.domain, begun=order.begun, credential_id=order.credential_id,
        )  # fmt: skip
        self._on_finished()
        if not ours:
            return await self._note_end(order.upload, order.attempt)
        notes.import_ended(
            trace_id=order.trace_id, upload=order.upload, attempt=order.attempt, status=str(summary.status),
            code=str(summary.code or ""), result=result, seconds=time.monotonic() - began, parsing=parsing,
            since_received=(now - order.received_at).total_seconds(),
        )  # fmt: skip
        return str(summary.status)

    async def _parse(self, order: Order, errors_path: Path) -> tuple[Summary, str | None, float]:
        """Give what the parser says, the trace id that the file itself names, and the seconds that it took."""
        limits = self._settings.limits
        before = await self._ledger.read(files_before, order.upload, order.rule.data_type)
        job = ParseJob(
            path="", data_type=order.rule.data_type, policy=order.rule.policy, max_rows=limits.max_rows,
            warn_rows=limits.warn_rows, max_entries=limits.max_error_entries, now=order.received_at,
            trace_id=order.trace_id, errors_path=str(errors_path),
            data_types_dir=str(self._settings.data_types_dir), enums=self._settings.enums,
            format="jsonl" if order.file_name.lower().endswith((".jsonl", ".ndjson")) else "",
            encoding=order.rule.encoding, columns=order.rule.columns, previous_header=before.header,
            usual_rows=before.usual_rows,
        )  # fmt: skip
        began = time.monotonic()
        try:
            outcome = await asyncio.to_thread(self._run_job, order.blob, job)
        except PermanentError as error:
            rejected = Summary(status=ImportStatus.REJECTED, code=error.fault.code, message=error.fault.message)
            return rejected, None, time.monotonic() - began
        parsing = time.monotonic() - began
        assert outcome.summary is not None
        summary = outcome.summary
        if order.duplicate_of is not None:
            message = f"The same content came before, in the delivery {order.duplicate_of}."
            known = Warning_(code=Code.DUPLICATE_FILE, message=message)
            summary = replace(summary, warnings=(*summary.warnings, known))
        if order.supersedes is not None:
            summary = replace(summary, message=f"{superseding(order.supersedes)} {summary.message}".rstrip())
        parent = outcome.parent_trace_id
        if parent is not None and not await self._ledger.read(delivery_belongs_to, parent, order.upload):
            parent = None
        return summary, parent, parsing

    def _run_job(self, blob: str, job: ParseJob) -> ParseOutcome:
        with local(self._blobs, blob, self._settings.spool_dir) as path:
            return self._pool.run(replace(job, path=str(path)))

    def _keep(self, path: Path) -> BlobWriter:
        writer = self._blobs.create(self._clock())
        with path.open("rb") as source:
            _copy(source, writer.write)
        self._blobs.commit([writer])
        return writer

    def _result(self, order: Order, summary: Summary, parent: str | None, now: datetime) -> dict[str, object]:
        identity = Identity(
            trace_id=order.trace_id, upload=order.upload, parent_trace_id=parent, connection=order.connection,
            data_type=order.rule.data_type, file_name=order.file_name, sha256=order.sha256, attempt=order.attempt,
            started_at=iso_time(order.started_at), finished_at=iso_time(now),
            errors_file=errors_name(order.answer_name) if summary.entries else None,
            support_contact=self._settings.support_contact,
        )  # fmt: skip
        return result_object(identity, summary)


def iso_time(moment: datetime) -> str:
    """Write a time as answers print it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _copy(source: BinaryIO, write: Callable[[bytes], object]) -> None:
    while block := source.read(_BLOCK):
        write(block)

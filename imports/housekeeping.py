"""Housekeeping: alarms for late results, retention, and the sweep of what no row names.

What lives here: the loop. Each round may be cut off anywhere: rows are changed first, bytes are deleted after.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from imports.engine import JobEngine
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.faults import TemporaryError
from storage.blobs import Blobs
from storage.duty import Alone, Duty
from storage.jobs import Enqueue
from storage.ledger import Ledger, housekeeping, nodes
from storage.ledger.deliveries import queue_again
from storage.ledger.holding import is_held

log = get_logger("housekeeping")
_ROUND = 2.5  # seconds between two looks for dead nodes
_LOOK = 15.0  # seconds between two looks for late results
_SWEEP = 3600.0  # seconds between two sweeps
_REVIVE_AFTER = timedelta(seconds=30)
_ORPHAN = timedelta(days=1)
_JOBS_KEPT = timedelta(days=7)


class Housekeeper:
    """Keep the house in order while the service runs."""

    def __init__(
        self, ledger: Ledger, blobs: Blobs, engine: JobEngine, enqueue: Enqueue, settings: Settings, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC), on_owed: Callable[[], None] = lambda: None,
        duty: Duty | None = None,
    ) -> None:  # fmt: skip
        self._duty = duty or Alone()
        self._ledger = ledger
        self._blobs = blobs
        self._engine = engine
        self._enqueue = enqueue
        self._suspects: set[tuple[str, int]] = set()  # attempts that had not ended at the last look
        self._settings = settings
        self._clock = clock
        self._on_owed = on_owed

    async def run(self) -> None:
        """Work until cancelled, while the duty is ours."""
        since_look, since_sweep = _LOOK, _SWEEP
        while True:
            try:
                if since_sweep >= _SWEEP:
                    await self.sweep_spool()  # each node has its own
                if await self._duty.mine():
                    await self.hand_on()
                    if since_look >= _LOOK:
                        since_look = 0
                        await self.look_for_late_results()
                        await self.hand_over_lost_jobs()
                    if since_sweep >= _SWEEP:
                        await self.sweep()
                        while await self._engine.forget_ended(self._clock() - _JOBS_KEPT):
                            continue
                since_sweep %= _SWEEP
            except (TemporaryError, OSError) as error:
                log.warning("housekeeping waits", reason=str(error))
            except Exception:
                log.exception("housekeeping stumbled")
            await asyncio.sleep(_ROUND)
            since_look += _ROUND
            since_sweep += _ROUND

    async def hand_on(self) -> None:
        """Hand on the imports of nodes that are dead."""
        alive = await self._ledger.read(nodes.alive)
        for job in await self._engine.hand_on(alive):
            log.warning("job of a dead node handed on", job=job)

    async def look_for_late_results(self) -> None:
        """Raise an alarm for each delivery without its result in time, and tell its sender."""
        now = self._clock()
        late = await self._ledger.read(housekeeping.overdue, now - self._settings.limits.result_within)
        for trace_id in late:
            await self._ledger.write(housekeeping.note_overdue, trace_id, now, self._settings.domain)
            log.error("result late", trace_id=trace_id)
        await self._ledger.write(housekeeping.clear_late_alarms, now)
        if late:
            self._on_owed()

    async def hand_over_lost_jobs(self) -> None:
        """Give a new job to each import that has none, seen so at two looks in a row."""
        now = self._clock()
        left = await self._ledger.read(housekeeping.unfinished, now - _REVIVE_AFTER)
        suspects, self._suspects = self._suspects, set(left)
        for upload, attempt, jobs in await self._engine.lost([one for one in left if one in suspects]):
            await self._ledger.write(queue_again, upload, attempt, jobs, now, self._enqueue)
            log.warning("lost job handed over anew", upload=upload, attempt=attempt, jobs=jobs)

    async def sweep(self) -> None:
        """Forget what is past its time, then delete blobs and spool files that nothing names."""
        now, retention = self._clock(), self._settings.retention
        taken, others = now - retention.originals, now - retention.ignored
        while gone := await self._ledger.write(housekeeping.forget_originals, taken, others, now):
            await self._delete(gone)
        while gone := await self._ledger.write(housekeeping.forget_errors, now - retention.answers):
            await self._delete(gone)
        quota = self._settings.limits.ignored_quota_bytes
        await self._delete(await self._ledger.write(housekeeping.trim_not_taken, quota, now))
        batches = _in_batches(self._blobs.older_than(now - _ORPHAN), 500)
        while some := await asyncio.to_thread(next, batches, None):  # each look at a folder is the disk's time
            orphans = await self._ledger.read(housekeeping.unnamed, some)
            await self._delete(orphans)
            if orphans:
                log.info("orphaned blobs deleted", count=len(orphans))

    async def sweep_spool(self) -> None:
        """Delete spool files of this node that a process has left."""
        await asyncio.to_thread(self._sweep_spool, self._clock() - _ORPHAN)

    async def _delete(self, blob_ids: Iterable[str]) -> None:
        """Delete what no row names any more; while a backup goes on it waits for a later sweep."""
        wanted = list(blob_ids)
        if wanted and not await self._ledger.read(is_held):
            await asyncio.to_thread(self._delete_all, wanted)

    def _delete_all(self, blob_ids: Iterable[str]) -> None:
        for blob_id in blob_ids:
            self._blobs.delete(blob_id)

    def _sweep_spool(self, before: datetime) -> None:
        for path in self._settings.spool_dir.iterdir():
            if path.is_file() and path.stat().st_mtime < before.timestamp():
                path.unlink(missing_ok=True)


def _in_batches(items: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(islice(items, size)):
        yield batch

"""Make blobs durable in groups: deliveries that arrive together share the waiting for the disk.

What lives here: the gathering. A group is synced in a thread; what comes meanwhile is the next group.
"""

import asyncio
from collections.abc import Sequence

from mailgate.observe import metrics
from storage.blobs import Blobs, BlobWriter

_ROUNDS = 3  # under way at once, so that one large file does not hold up the small ones


class DurableBlobs:
    """Gather blobs that wait to be synced."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._waiting: list[tuple[Sequence[BlobWriter], asyncio.Future[None]]] = []
        self._rounds = 0  # that will look at what waits once more before they end
        self._running: set[asyncio.Task[None]] = set()

    async def commit(self, writers: Sequence[BlobWriter]) -> None:
        """Return when these blobs and their folders are on the disk; OSError when they are not."""
        if not writers:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((writers, done))
        if self._rounds < _ROUNDS:
            self._rounds += 1
            task = asyncio.create_task(self._round())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await done

    async def _round(self) -> None:
        try:
            while self._waiting:
                await self._commit_group()
        finally:
            self._rounds -= 1  # in one step with the last look: who comes now must begin a round of its own

    async def _commit_group(self) -> None:
        group, self._waiting = self._waiting, []
        writers = [writer for some, _ in group for writer in some]
        try:
            with metrics.timed("blobs"):
                await asyncio.to_thread(self._blobs.commit, writers)
        except BaseException as error:  # whoever waits must hear of it, whatever it is
            metrics.blob_errors.labels("commit").inc()
            told = error if isinstance(error, Exception) else OSError("the blobs were not synced")
            for _, done in group:
                if not done.done():
                    done.set_exception(told)
            if not isinstance(error, Exception):
                raise
        else:
            for _, done in group:
                if not done.done():
                    done.set_result(None)

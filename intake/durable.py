"""Make blobs durable in groups: deliveries that arrive together share the waiting for the disk.

What lives here: the gathering. A group is synced in a thread; what comes meanwhile is the next group.
"""

import asyncio
from collections.abc import Sequence

from storage.blobs import Blobs, BlobWriter

_ROUNDS = 3  # under way at once, so that one large file does not hold up the small ones


class DurableBlobs:
    """Gather blobs that wait to be synced."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._waiting: list[tuple[Sequence[BlobWriter], asyncio.Future[None]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def commit(self, writers: Sequence[BlobWriter]) -> None:
        """Return when these blobs and their folders are on the disk; OSError when they are not."""
        if not writers:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((writers, done))
        if len(self._running) < _ROUNDS:
            task = asyncio.create_task(self._round())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await done

    async def _round(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            writers = [writer for some, _ in group for writer in some]
            failure: OSError | None = OSError("the blobs were not synced")  # whatever else ends the round
            try:
                await asyncio.to_thread(self._blobs.commit, writers)
                failure = None
            except OSError as error:
                failure = error
            finally:
                for _, done in group:
                    if not done.done() and failure is None:
                        done.set_result(None)
                    elif not done.done() and failure is not None:
                        done.set_exception(failure)

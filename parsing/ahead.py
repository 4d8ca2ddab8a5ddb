"""Work that runs ahead of its reader: the search for records, and the judging of several parts at once.

What lives here: threads and order. What is done in them is decided elsewhere.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


class Ahead(Generic[Item]):
    """Take items from an iterator in a thread of their own, at most ``depth`` before they are asked for."""

    def __init__(self, items: Iterator[Item], depth: int) -> None:
        self._items = items
        self._found: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(depth)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="structure", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                self._found.put((item, None))
                if self._stopped:
                    return
            self._found.put((None, None))
        except BaseException as error:  # noqa: BLE001 - raised again where the items are taken
            self._found.put((None, error))

    def __iter__(self) -> Iterator[Item]:
        """Give the items in order; what the iterator raises is raised here."""
        while True:
            item, error = self._found.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def close(self) -> None:
        """Take no more items, and wait until the thread has ended."""
        self._stopped = True
        while self._thread.is_alive():
            while not self._found.empty():
                self._found.get_nowait()
            self._thread.join(0.01)


def in_order(
    items: Iterator[Item], work: Callable[[Item], Callable[[], Result]], at_once: Callable[[], bool], threads: int
) -> Iterator[Result]:
    """Give the result of each item in order; ``work`` prepares an item, what it gives is run in a thread.

    While ``at_once`` is false, an item is finished before the next one is prepared.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads, thread_name_prefix="judge") as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                if not at_once():
                    while pending:
                        yield pending.popleft().result()
                    yield work(item)()
                    continue
                pending.append(pool.submit(work(item)))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

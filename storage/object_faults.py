"""What an object store's errors mean to us, and what is known of a store that does not answer.

What lives here: the translation of foreign exceptions, by a table, and the memory of an outage.
"""

import re
import threading
from collections.abc import Callable

from obstore import exceptions

from storage.blobs import BlobsAway

_PAUSE = 1.0  # seconds between two tries while the store does not answer
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")


class EmptyRange(OSError):
    """Say that a range begins at or behind the end of an object."""


_MEANING: dict[type[Exception], type[OSError]] = {
    exceptions.AlreadyExistsError: FileExistsError,
    exceptions.PreconditionError: FileExistsError,
}  # what is not among them says that the store cannot be used now: no answer, no permission, an error of its own


def translated(error: Exception) -> OSError | None:
    """Give our exception for one of the store's; None for what is none of its own."""
    if isinstance(error, FileNotFoundError):
        # A missing bucket, or a balancer's page, is a fault of the set-up: it says nothing of any object.
        gone = _code(error) == "NoSuchKey" or "Error performing HEAD" in str(error)
        return FileNotFoundError(summary(error)) if gone else BlobsAway(summary(error))
    if not isinstance(error, exceptions.BaseError):
        return None
    if _code(error) == "InvalidRange":
        return EmptyRange(summary(error))
    return _MEANING.get(type(error), BlobsAway)(summary(error))


def summary(error: Exception) -> str:
    """Say in one short line what the store said, without its XML and the library's traces."""
    line = str(error).splitlines()[0].partition("<?xml")[0].strip()
    code = _code(error)
    return f"{line[:300]} {code}".strip() if code else line[:300]


def _code(error: Exception) -> str:
    found = _CODE.search(str(error))
    return found[1] if found else ""


class Outage:
    """Whether the store answers. While it does not, everybody hears it at once, and one in a second tries again."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._reason = ""
        self._next_try = 0.0

    def check(self) -> None:
        """Raise BlobsAway while the store is known not to answer, but for the one whose turn it is to try."""
        if not self._reason:
            return
        with self._lock:
            if not self._reason:
                return
            now = self._monotonic()
            if now < self._next_try:
                raise BlobsAway(f"the object store does not answer: {self._reason}")
            self._next_try = now + _PAUSE

    def failed(self, reason: str) -> None:
        """Note that the store did not answer."""
        with self._lock:
            self._reason = reason or "no answer"
            self._next_try = self._monotonic() + _PAUSE

    def worked(self) -> None:
        """Note that it answered."""
        if self._reason:
            with self._lock:
                self._reason = ""

"""Whether what came over a data connection is the whole file: in FTP its end looks like the end of the file.

What lives here: the decision, and how slow a transfer may be. No socket.
"""

from dataclasses import dataclass

from transfer.ftp_wire import Ending


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """What came of an upload."""

    ending: Ending  #: how the data connection ended
    got: int  #: bytes over this connection
    start: int = 0  #: where the upload went on
    allocated: int | None = None  #: what the client said with ALLO, if it did
    ascii: bool = False  #: under TYPE A clients count their own line ends, and may send more than they said
    lenient: bool = False  #: the credential's clients end TLS without close_notify


def why_not_whole(came: Came) -> str:
    """Say why an upload is not the whole file; empty: it is.

    A data connection that was reset is never whole. One that ended without TLS's close_notify is, where the size
    agrees with ALLO or the credential is lenient: anyone on the way can forge the end of a connection, not a size.
    """
    total = came.start + came.got
    agrees = came.allocated is not None and came.allocated in (total, came.got)
    if came.ending not in (Ending.CLEAN, Ending.TORN):
        return "the data connection was cut off"
    if came.allocated is not None and not agrees and (not came.ascii or total < came.allocated):
        return f"ALLO announced {came.allocated:,} bytes, and {total:,} came"
    if came.ending is Ending.TORN and not agrees and not came.lenient:
        return "the data connection ended without TLS close_notify"
    return ""


class Pace:
    """How fast a transfer has been over the last window. The time is passed in."""

    def __init__(self, now: float, *, minimum_rate: int, window: float) -> None:
        self._since = now
        self._bytes = 0
        self._rate, self._window = minimum_rate, window

    def too_slow(self, count: int, now: float) -> bool:
        """Note bytes; tells at the end of each window whether they were too few."""
        self._bytes += count
        if now - self._since < self._window:
            return False
        slow = self._bytes < self._rate * (now - self._since)
        self._since, self._bytes = now, 0
        return slow

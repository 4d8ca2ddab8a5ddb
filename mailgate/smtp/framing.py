"""The end of DATA, exactly: bytes in, bytes of the mail out (RFC 5321 section 4.5.2).

What lives here: a pure machine fed in pieces of any size. Only CRLF.CRLF ends a mail; bare CR, bare LF and NUL are
noted, so that no two servers can disagree on where a mail ends.
"""

import numpy as np

_CR, _LF = 13, 10
_END = b"\r\n.\r\n"


class DataFraming:
    """Take the stream behind 354 apart into the mail's bytes and what follows the final dot."""

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the line end of DATA itself: a dot at once behind it ends an empty mail
        self._virtual = 2  # of the tail, bytes that are not the mail's
        self.ended = False
        self.rest = b""  #: bytes behind the final dot, of the next commands
        self.bare_line_end = False
        self.nul = False

    def feed(self, chunk: bytes) -> bytes:
        """Give the mail's bytes that are certain by now, dots unstuffed; empty pieces are normal."""
        data = self._tail + chunk
        dots = b"." in data  # base64 has none, and looking for one byte costs next to nothing
        end = data.find(_END) if dots else -1
        if end >= 0:
            self.ended = True
            self.rest = data[end + len(_END) :]
            data = data[: end + 2]
            self._tail = b""
        else:
            keep = _undecided(data)
            data, self._tail = (data[:-keep], data[-keep:]) if keep else (data, b"")
        if not data:
            return data
        self._inspect(data)
        if dots and b"\r\n." in data:
            data = data.replace(b"\r\n.", b"\r\n")
        if self._virtual:
            data, self._virtual = data[self._virtual :], 0
        return data

    def _inspect(self, data: bytes) -> None:
        """Note bare line ends: a CRLF never straddles two pieces, since a CR at the end stays undecided."""
        values = np.frombuffer(data, np.uint8)
        returns, feeds = values == _CR, values == _LF
        if feeds[0] or returns[-1] or not np.array_equal(returns[:-1], feeds[1:]):
            self.bare_line_end = True
        if b"\0" in data:
            self.nul = True


def _undecided(data: bytes) -> int:
    """Count the bytes at the end that may begin CRLF.CRLF."""
    for length in (4, 3, 2, 1):
        if data.endswith(_END[:length]):
            return length
    return 0

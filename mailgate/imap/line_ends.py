"""The line ends of a fetched mail: those that a server hands on as bare LF become CRLF.

What lives here: a pure machine fed in pieces of any size. A bare CR and a NUL stay and are noted; by SMTP such a mail
is refused, and so it is here.
"""


class LineEnds:
    """Normalise the line ends of one mail (RFC 5322 section 2.3)."""

    def __init__(self) -> None:
        self._held = b""  # a CR whose LF may come with the next piece
        self.bare_cr = False
        self.nul = False
        self.mended = False  #: a bare LF became CRLF

    def feed(self, piece: bytes) -> bytes:
        """Give the bytes that are certain by now."""
        data = self._held + piece
        self._held = b""
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        return self._mend(data)

    def end(self) -> bytes:
        """Give what was held back at the end of the mail."""
        data, self._held = self._held, b""
        return self._mend(data)

    def _mend(self, data: bytes) -> bytes:
        pairs, returns, feeds = data.count(b"\r\n"), data.count(b"\r"), data.count(b"\n")
        self.nul = self.nul or b"\0" in data
        self.bare_cr = self.bare_cr or returns != pairs
        if feeds == pairs:
            return data
        self.mended = True
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

"""The bytes of a server, bounded: how many may come for one command, how long it may take, how long it may be silent.

What lives here: reading from the socket with a budget and a deadline, and waiting for the next byte. Nothing here
knows IMAP.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable
from enum import Enum, auto

_PIECE = 256 * 1024


class TooMuch(Exception):
    """Say that a server sent more, or took longer, than one command may."""


class Woken(Enum):
    """Why a wait ended."""

    DATA = auto()
    CALLED = auto()
    TIME = auto()


class BoundedStream:
    """Read what a server sends, within what the present command allows."""

    def __init__(self, plug: socket.socket, *, silence: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._plug = plug
        self._silence = silence
        self._monotonic = monotonic
        self._buffer = bytearray()
        self._budget = 0
        self._deadline = 0.0
        self.allow(64 * 1024, silence)  # for the greeting

    def allow(self, octets: int, seconds: float) -> None:
        """Begin a command: so many bytes from now on, in so many seconds."""
        self._budget = octets
        self._deadline = self._monotonic() + seconds

    @property
    def buffered(self) -> bool:
        """Tell whether bytes have come that nobody has read."""
        return bool(self._buffer)

    def read(self, size: int) -> bytes:
        """Give exactly so many bytes. Raises TooMuch, TimeoutError, ConnectionError."""
        self._spend(size)
        while len(self._buffer) < size:
            self._receive(size - len(self._buffer))
        return self._take(size)

    def readline(self) -> bytes:
        """Give one line with its line end; empty at the end of the stream. Raises as ``read``."""
        seen = 0
        while (end := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if seen > self._budget:
                raise TooMuch("the server sends a line without end")
            try:
                self._receive(_PIECE)
            except ConnectionError:
                return b""
        self._spend(end + 1)
        return self._take(end + 1)

    def wait(self, seconds: float, call: socket.socket | None = None) -> Woken:
        """Wait for a byte of the server, or of ``call``."""
        pending = isinstance(self._plug, ssl.SSLSocket) and self._plug.pending() > 0
        if self._buffer or pending:
            return Woken.DATA
        poll = select.poll()
        poll.register(self._plug.fileno(), select.POLLIN)
        if call is not None:
            poll.register(call.fileno(), select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(max(seconds, 0) * 1000)}
        if call is not None and call.fileno() in ready:
            return Woken.CALLED
        return Woken.DATA if ready else Woken.TIME

    def _spend(self, octets: int) -> None:
        if octets > self._budget:
            raise TooMuch("the server sends more than this command may bring")
        self._budget -= octets

    def _receive(self, wanted: int) -> None:
        left = self._deadline - self._monotonic()
        if left <= 0:
            raise TooMuch("the server takes longer than a command may last")
        self._plug.settimeout(min(left, self._silence))
        data = self._plug.recv(min(max(wanted, 4096), _PIECE))
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data

    def _take(self, size: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return taken

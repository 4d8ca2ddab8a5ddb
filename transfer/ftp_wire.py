"""One TCP connection, plain or under TLS: bytes in, bytes out, and how it ended.

What lives here: an asyncio protocol with flow control that drives TLS itself. asyncio's own TLS transport, like
``ssl`` with its default options, lets an end without close_notify look like one with it; here the two differ.
"""

import asyncio
import contextlib
import fcntl
import socket
import ssl
import sys
import termios
from collections.abc import Callable
from enum import Enum
from typing import Any, cast

from mailgate.observe import get_logger

log = get_logger("ftp")
_SLICE = 256 * 1024  # bytes encrypted at once
_SMALL = 64 * 1024  # bytes: behind so many at once more is on its way
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_TICKETS = 2  # OpenSSL's own number


class Ending(Enum):
    """How the other side ended its half of the connection."""

    OPEN = "open"  #: it has not
    CLEAN = "clean"  #: in order: FIN, under TLS close_notify
    TORN = "torn"  #: under TLS: FIN, and no close_notify before it. Anyone on the way can send a FIN
    LOST = "lost"  #: reset, timed out, or what came was not TLS


class Wire(asyncio.BufferedProtocol):
    """A connection. ``room``: bytes read at once; ``most``: bytes that may wait here before the peer has to."""

    def __init__(
        self,
        *,
        room: int,
        most: int,
        on_made: Callable[[], None] = lambda: None,
        out: int = 64 * 1024,
        quick: bool = True,
    ) -> None:
        self.ending = Ending.OPEN
        self._quick = quick
        self._room = memoryview(bytearray(room))
        self._most, self._out = most, out
        self._on_made = on_made
        self._pieces: list[bytes] = []
        self._waiting = 0  # bytes in pieces
        self._paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._failed: Exception | None = None
        self._transport: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._in, self._sealed = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._shaken = asyncio.Event()
        self._spoken = False

    # --- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._acknowledge()
        self._transport.set_write_buffer_limits(high=self._out)
        self._on_made()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the room for what comes."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come."""
        if self._quick and nbytes < _SMALL:
            self._acknowledge()
        if self._tls is None:
            self._take(bytes(self._room[:nbytes]))
            return
        self._in.write(self._room[:nbytes])
        self._open_sealed()

    def eof_received(self) -> bool:
        """Note the other side's FIN; our half stays open until we close it."""
        self._end(Ending.CLEAN if self._tls is None else Ending.TORN)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing comes or goes any more."""
        self._failed = exc
        self._end(Ending.LOST)
        self._gone.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """Note that the peer reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the peer has read."""
        self._writable.set()

    def _acknowledge(self) -> None:
        """Acknowledge at once: many clients hold back what they send next until their last few bytes are acknowledged.

        TLS clients send their end of the handshake, their file and close_notify one after the other; the kernel would
        wait for 40 ms before it acknowledges the first, and Nagle's rule at the client for just that.
        """
        if _QUICKACK is not None:
            self.set_option(socket.IPPROTO_TCP, _QUICKACK, 1)

    # --- TLS

    def begin_tls(self, context: ssl.SSLContext, *, tickets: bool) -> None:
        """Speak TLS from now on, as the server.

        ``tickets``: whether TLS 1.3 session tickets are sent. On a connection that only takes bytes they are left out:
        a client that closes before it has read them resets the connection, and what it sent last is lost.
        """
        context.num_tickets = _TICKETS if tickets else 0  # each connection takes the number as it stands at its birth
        self._tls = context.wrap_bio(self._in, self._sealed, server_side=True)

    async def shaken(self) -> bool:
        """Wait for the end of the handshake; tells whether TLS is spoken now."""
        await self._shaken.wait()
        return self._spoken

    def info(self) -> str:
        """Say what is spoken, for people."""
        if self._tls is None:
            return "plain text"
        return f"{self._tls.version()}, {(self._tls.cipher() or ('',))[0]}"

    @property
    def protected(self) -> bool:
        """Tell whether TLS is spoken."""
        return self._tls is not None

    @property
    def reused(self) -> bool:
        """Tell whether the client took up an earlier TLS session."""
        return self._tls is not None and bool(self._tls.session_reused)

    def _open_sealed(self) -> None:
        """Go on with the handshake, and decrypt what is whole."""
        assert self._tls is not None
        pieces = []
        try:
            if not self._spoken:
                self._tls.do_handshake()
                self._spoken = True
                self._shaken.set()
            while piece := self._tls.read(_SLICE):
                pieces.append(piece)
            clean = True
        except ssl.SSLWantReadError:
            clean = False
        except ssl.SSLZeroReturnError:
            clean = True
        except ssl.SSLError as error:
            log.info("no TLS", reason=error.reason or str(error), peer=self.peer)
            self._send_sealed()  # the alert that says why
            self._end(Ending.LOST)
            self._close_transport()
            return
        if pieces:
            self._take(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if clean:
            self._say_close_notify()  # at once: clients wait for it before they read the reply
            self._end(Ending.CLEAN)
        self._send_sealed()

    def _say_close_notify(self) -> None:
        if self._tls is not None and self._spoken:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._send_sealed()

    def _send_sealed(self) -> None:
        if self._sealed.pending and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._sealed.read())

    # --- reading

    def _take(self, data: bytes) -> None:
        if self.ending is not Ending.OPEN:
            return
        self._pieces.append(data)
        self._waiting += len(data)
        self._arrived.set()
        if self._waiting >= self._most and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _end(self, ending: Ending) -> None:
        if self.ending is Ending.OPEN:
            self.ending = ending
        self._arrived.set()
        self._shaken.set()

    async def read(self) -> bytes:
        """Give all that has come, at least a byte; nothing once the other side has ended. A cancelled call loses none.

        Then ``ending`` says how.
        """
        while not self._pieces:
            if self.ending is not Ending.OPEN:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    @property
    def unread(self) -> bool:
        """Tell whether bytes have come that nobody has read."""
        return bool(self._pieces)

    # --- writing

    def send(self, data: bytes) -> None:
        """Write without waiting; nothing where the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is None:
            self._transport.write(data)
            return
        with contextlib.suppress(ssl.SSLError):  # a peer that has broken TLS is told nothing more
            for start in range(0, len(data), _SLICE):
                self._tls.write(data[start : start + _SLICE])
        self._send_sealed()

    async def write(self, data: bytes) -> None:
        """Write, and wait until the peer has read enough; raises ConnectionError where it is gone."""
        self.send(data)
        await self.drained()

    async def drained(self) -> None:
        """Wait until the peer has read enough; raises ConnectionError where it is gone."""
        await asyncio.sleep(0)  # others get their turn, and the loop can tell of a connection that is gone
        await self._writable.wait()
        if self.closing:
            raise self._failed or ConnectionResetError("the connection is closed")

    async def drain(self) -> None:
        """Wait until the peer has read enough, or is gone."""
        await self._writable.wait()

    @property
    def unsent(self) -> int:
        """Give the bytes that the peer has not acknowledged, here and in the kernel; where it reads they grow fewer."""
        handle = self._extra("socket")
        if self._transport is None or handle is None:
            return 0
        queued = bytes(4)
        with contextlib.suppress(OSError, ValueError):  # closed by now
            queued = fcntl.ioctl(handle.fileno(), termios.TIOCOUTQ, queued)
        return self._transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    async def finished(self) -> None:
        """Wait, after ``close``, until all is sent; raises ConnectionError where it could not be."""
        await self._gone.wait()
        if self._failed is not None:
            raise ConnectionResetError(str(self._failed))

    def close(self) -> None:
        """Close in order, once what was written is sent."""
        self._say_close_notify()
        self._close_transport()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def closing(self) -> bool:
        """Tell whether our half is closed, or closing."""
        return self._transport is None or self._transport.is_closing()

    # --- who is there

    @property
    def peer(self) -> str:
        """Give the address of the other side."""
        return self._address("peername")

    @property
    def here(self) -> str:
        """Give our own address of this connection."""
        return self._address("sockname")

    def set_option(self, level: int, option: int, value: int) -> None:
        """Set an option of the socket, where that is possible."""
        handle = self._extra("socket")
        if handle is not None:
            with contextlib.suppress(OSError):
                handle.setsockopt(level, option, value)

    def _address(self, which: str) -> str:
        name = self._extra(which)
        return plain_address(str(name[0])) if isinstance(name, tuple) else ""

    def _extra(self, which: str) -> Any:
        return self._transport.get_extra_info(which) if self._transport is not None else None

    def _close_transport(self) -> None:
        if self._transport is not None:
            self._transport.close()


def plain_address(address: str) -> str:
    """Give an address without what a dual-stack socket puts before one of IPv4."""
    return address.removeprefix("::ffff:") if "." in address else address


def urgent_inline(wire: Wire) -> None:
    """Let urgent bytes stand in the line where they were sent: Telnet's Synch comes before ABOR (RFC 959)."""
    wire.set_option(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)

"""Data connections: one socket for one transfer, and nobody on it but the client of the control connection.

What lives here: how a data connection comes to be, passive (PASV, EPSV) or active (PORT, EPRT). What goes over it
stands in ``transfer.ftp_transfer``.
"""

import asyncio
import errno
import random
import socket
import ssl
from collections.abc import Callable, Sequence

from mailgate.observe import get_logger
from transfer.ftp_wire import Wire, plain_address

log = get_logger("ftp")
ROOM = 256 * 1024  #: bytes read at once
MOST = 512 * 1024  #: bytes that may wait for the disk, and for the client
_BACKLOG = 128  # strangers that knock at once must not keep the client out
_SHUFFLE = random.SystemRandom().shuffle


class NoPort(Exception):
    """Say that every port of the range is taken."""


class Channel:
    """A data connection that is being made, for one transfer. It is given up where nobody asks for it in time."""

    def __init__(self, *, seconds: float, tls: ssl.SSLContext | None) -> None:
        self._seconds = seconds
        self._tls = tls
        self._making: asyncio.Task[Wire] | None = None
        self._given_up = asyncio.get_running_loop().call_later(seconds, self.close)
        self._taken = False

    def _begin(self, making: asyncio.Task[Wire]) -> None:
        self._making = making
        making.add_done_callback(_forget_fault)

    def _wire(self) -> Wire:
        wire = Wire(room=ROOM, most=MOST, out=MOST, on_made=lambda: self._shake_hands(wire))
        return wire

    def _shake_hands(self, wire: Wire) -> None:
        if self._tls is not None:
            wire.begin_tls(self._tls, tickets=False)

    async def wire(self) -> Wire:
        """Give the connection once it stands, its TLS too; raises OSError (TimeoutError) where it does not."""
        assert self._making is not None
        self._given_up.cancel()
        self._taken = True
        try:
            async with asyncio.timeout(self._seconds):
                wire = await asyncio.shield(self._making)
                if self._tls is not None and not await wire.shaken():
                    raise ConnectionError("no TLS on the data connection")
        except asyncio.CancelledError:
            self.close()
            raise
        except OSError:
            self.close()
            raise
        return wire

    def close(self) -> None:
        """Give up: nobody can connect any more, and a connection that stands is cut."""
        self._given_up.cancel()
        if self._making is None:
            return
        if not self._making.done():
            self._making.cancel()
        elif not self._making.cancelled() and self._making.exception() is None:
            self._making.result().abort()

    async def gone(self) -> None:
        """Give up, and return when the port is closed."""
        self.close()
        if self._making is not None:
            await asyncio.wait([self._making])


class Passive(Channel):
    """Wait for the client on a port of ours. The socket is closed as soon as the client is there."""

    def __init__(
        self, host: str, ports: Sequence[int], peer: str, *, seconds: float, tls: ssl.SSLContext | None,
        shuffle: Callable[[list[int]], None] = _SHUFFLE,
    ) -> None:  # fmt: skip
        """Listen on a random port of a range (0: any free one); raises NoPort, OSError."""
        self._listener = listen(host, ports, shuffle)
        self.port = int(self._listener.getsockname()[1])
        super().__init__(seconds=seconds, tls=tls)
        self._begin(asyncio.get_running_loop().create_task(self._accept(peer)))

    async def _accept(self, peer: str) -> Wire:
        loop = asyncio.get_running_loop()
        strangers = 0
        try:
            while True:
                client, address = await loop.sock_accept(self._listener)
                if plain_address(str(address[0])) == peer:
                    break
                client.close()  # and go on waiting for the one who asked
                strangers += 1
                if strangers == 1:
                    log.warning("a stranger came to a passive port", peer=peer, stranger=str(address[0]))
        finally:
            self._listener.close()
        wire = self._wire()
        await loop.connect_accepted_socket(lambda: wire, client)
        return wire


class Active(Channel):
    """Connect to the client, from the address that it knows."""

    def __init__(self, host: str, address: str, port: int, *, seconds: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(seconds=seconds, tls=tls)
        self._begin(asyncio.get_running_loop().create_task(self._connect(host, address, port)))

    async def _connect(self, host: str, address: str, port: int) -> Wire:
        wire = self._wire()
        await asyncio.get_running_loop().create_connection(lambda: wire, address, port, local_addr=(host, 0))
        return wire


def listen(host: str, ports: Sequence[int], shuffle: Callable[[list[int]], None]) -> socket.socket:
    """Open a listening socket on a random free port of some; raises NoPort."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tries = list(ports)
    shuffle(tries)
    for port in tries:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # downloads leave TIME_WAIT behind
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        listener.setblocking(False)
        return listener
    raise NoPort


def _forget_fault(making: asyncio.Task[Wire]) -> None:
    """Look at what failed, so that nobody complains of a fault that was never asked for."""
    if not making.cancelled():
        making.exception()

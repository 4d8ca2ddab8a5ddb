"""One listener: accepts clients, reads what a proxy of ours says of them, begins TLS, hands each to a protocol.

What lives here: sockets before a door's protocol begins. A door gives a function that makes a protocol for a client's
address: limits, bans, log lines and records all name the client, never the proxy before it.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailgate.listening.header import BadHeader, parse_header, wanted
from mailgate.observe import get_logger, notes

log = get_logger("listening")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Make = Callable[[str], asyncio.BaseProtocol | bytes]
_BACKLOG = 512
_WITHOUT_HEADER = 1000  # connections of proxies whose header has not come; a proxy sends it at once
_AT_ONCE = 32  # clients accepted in one turn of the loop
_LEAVING = 100  # clients that are turned away and told so at once; the others are only turned away
_LISTENS = 2.0  # seconds that such a client has
_BREATH = 0.1  # seconds to wait where no client can be accepted, such as without a free descriptor


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxies:
    """From whom a PROXY header is demanded; from anybody else none is read."""

    networks: tuple[Network, ...] = ()
    seconds: float = 5.0  #: that a header may take
    most: int = 4096  #: bytes of one


@dataclass(frozen=True, kw_only=True, slots=True)
class Tls:
    """TLS from the first byte that is the client's."""

    context: ssl.SSLContext
    seconds: float  #: that a handshake may take


def within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address is in one of the networks; an IPv4 address inside IPv6 counts as IPv4."""
    if not networks:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


class Listener:
    """Listen for the clients of one door.

    ``make`` gives a protocol for the address of a client, or the last words for one that is turned away, which costs
    next to nothing. It is asked before TLS begins; ``gone`` is told of a protocol whose connection never began.
    """

    def __init__(
        self, door: str, make: Make, proxies: Proxies, *, tls: Tls | None = None,
        gone: Callable[[asyncio.BaseProtocol], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._door = door
        self._make = make
        self._proxies = proxies
        self._tls = tls
        self._gone = gone
        self._sockets: list[socket.socket] = []
        self._arriving: set[asyncio.Task[bool]] = set()
        self._beginning: dict[asyncio.BaseProtocol, asyncio.Task[Any]] = {}
        self._without_header = 0
        self._leaving = 0

    async def open(self, host: str, port: int) -> int:
        """Begin to listen at every address of a host; gives the port. Port 0: any free one."""
        self._sockets = await _bind(host, port)
        for listening in self._sockets:
            self._listen(listening)
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """Take no new clients, and none of those whose connection has not begun."""
        while self._sockets:
            listening = self._sockets.pop()
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        for task in self._arriving:
            task.cancel()

    def drop(self, protocol: asyncio.BaseProtocol) -> None:
        """End a connection that is still beginning, such as in the handshake of TLS."""
        task = self._beginning.get(protocol)
        if task is not None:
            task.cancel()

    def _listen(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Accept some of those who knock; then those inside have their turn."""
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            try:
                client, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # most of all: no free descriptor
                log.warning("a client was not accepted", door=self._door, reason=str(error))
                loop.remove_reader(listening)
                loop.call_later(_BREATH, self._listen, listening)
                return
            client.setblocking(False)
            task = loop.create_task(self._arrive(client, str(address[0])))
            self._arriving.add(task)
            task.add_done_callback(partial(self._arrived, client))

    def _arrived(self, client: socket.socket, task: asyncio.Task[bool]) -> None:
        """Close what was handed to nobody, whatever the reason."""
        self._arriving.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a client could not be served", door=self._door, exc_info=error)
        if task.cancelled() or error is not None or not task.result():
            client.close()

    async def _arrive(self, client: socket.socket, address: str) -> bool:
        """Bring a client to its protocol; tells whether it got there."""
        if within(address, self._proxies.networks):
            address = await self._behind(client, address)
        made = self._make(address) if address else b""
        if isinstance(made, bytes):
            await self._turn_away(client, made)
            return False
        return await self._begin(client, made, address)

    async def _turn_away(self, client: socket.socket, words: bytes) -> None:
        """Say the last words and give the client a moment to hear them: bytes of its own, unread, would undo them."""
        if self._leaving >= _LEAVING or not words:
            return
        self._leaving += 1
        try:
            client.send(words)  # a few bytes: they fit
            client.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_LISTENS):
                while await asyncio.get_running_loop().sock_recv(client, 4096):
                    pass
        except OSError:  # it is gone, or the time is over
            pass
        finally:
            self._leaving -= 1

    async def _behind(self, client: socket.socket, proxy: str) -> str:
        """Give the address of the client behind a proxy, its own where it speaks for itself; empty: drop it."""
        if self._without_header >= _WITHOUT_HEADER:
            self._refuse(proxy, "too many connections without a header")
            return ""
        self._without_header += 1
        try:
            async with asyncio.timeout(self._proxies.seconds):
                return await self._read_header(client) or proxy
        except (BadHeader, OSError) as error:  # TimeoutError is an OSError
            self._refuse(proxy, "it did not come in time" if isinstance(error, TimeoutError) else str(error))
            return ""
        finally:
            self._without_header -= 1

    def _refuse(self, proxy: str, reason: str) -> None:
        notes.refused(self._door, "no_proxy_header")
        log.warning("no PROXY header", door=self._door, proxy=proxy, reason=reason)

    async def _read_header(self, client: socket.socket) -> str:
        loop = asyncio.get_running_loop()
        data = b""
        while (header := parse_header(data, most=self._proxies.most)) is None:
            more = await loop.sock_recv(client, wanted(data))
            if not more:
                raise BadHeader("the connection ended before it")
            data += more
        return header.client

    async def _begin(self, client: socket.socket, protocol: asyncio.BaseProtocol, address: str) -> bool:
        tls = self._tls
        task = asyncio.current_task()
        assert task is not None
        self._beginning[protocol] = task
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, client, ssl=tls.context if tls else None,
                ssl_handshake_timeout=tls.seconds if tls else None,
            )  # fmt: skip
        except OSError as error:  # TimeoutError, ConnectionError and SSLError are among them
            log.info("a connection did not begin", door=self._door, peer=address, reason=str(error))
            self._gone(protocol)
            return False
        except asyncio.CancelledError:
            self._gone(protocol)
            raise
        finally:
            del self._beginning[protocol]
        return True


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Open a listening socket at every address of a host, as ``create_server`` does."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
    except BaseException:
        for listening in sockets:
            listening.close()
        raise
    return sockets

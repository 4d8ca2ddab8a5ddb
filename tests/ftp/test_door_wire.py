"""One connection, plain and under TLS, on both event loops: what comes, what goes, and how it ended."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mailgate.tls import write_local_certificate
from transfer.ftp_tls import make_context
from transfer.ftp_wire import Ending, Wire

Loops = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
Versions = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    write_local_certificate(folder / "crt", folder / "key", "intake.localhost")
    return folder / "crt", folder / "key"


def run(loop: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(work, 30))


async def meet(
    client: Callable[[socket.socket], None], server: Callable[[Wire], Awaitable[None]], *,
    context: ssl.SSLContext | None = None, tickets: bool = False, most: int = 1 << 20,
) -> None:  # fmt: skip
    """Let a blocking client, in a thread, meet a wire."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)

    def connect() -> None:
        with socket.create_connection(listener.getsockname(), timeout=20) as sock:
            client(sock)

    other = loop.run_in_executor(None, connect)
    accepted, _ = await loop.sock_accept(listener)

    def begin() -> None:
        if context is not None:
            wire.begin_tls(context, tickets=tickets)

    wire = Wire(room=65536, most=most, on_made=begin)
    await loop.connect_accepted_socket(lambda: wire, accepted)
    try:
        await server(wire)
        await other
    finally:
        wire.abort()
        listener.close()


async def read_all(wire: Wire) -> bytes:
    data = b""
    while some := await wire.read():
        data += some
    return data


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# --- plain


@Loops
@pytest.mark.parametrize(("leave", "ending"), [(socket.socket.close, Ending.CLEAN), (reset, Ending.LOST)])
def test_how_a_plain_connection_ends(loop: Any, leave: Callable[[socket.socket], None], ending: Ending) -> None:
    come = asyncio.Event()

    def client(sock: socket.socket) -> None:
        sock.sendall(b"abc")
        assert sock.recv(1) == b"!"  # so that a reset destroys nothing
        leave(sock)

    async def server(wire: Wire) -> None:
        assert await wire.read() == b"abc"
        wire.send(b"!")
        assert await wire.read() == b""
        assert wire.ending is ending
        come.set()

    run(loop, meet(client, server))
    assert come.is_set()


@Loops
def test_a_client_that_sends_faster_than_we_read_waits(loop: Any) -> None:
    data = bytes(range(256)) * 40_000

    async def server(wire: Wire) -> None:
        got = b""
        while some := await wire.read():
            assert len(some) <= 4 * 65536 + 65536, "no more is kept than was allowed, and one reading"
            got += some
            await asyncio.sleep(0)
        assert got == data

    run(loop, meet(lambda sock: sock.sendall(data), server, most=4 * 65536))


@Loops
def test_writing_waits_for_the_reader_and_hears_of_its_end(loop: Any) -> None:
    def client(sock: socket.socket) -> None:
        sock.recv(1000)
        reset(sock)

    async def write_for_ever(wire: Wire) -> None:
        wire.send(b"x" * 10_000_000)
        assert 0 < wire.unsent <= 10_000_000
        while True:
            await wire.write(b"x" * 100_000)

    async def server(wire: Wire) -> None:
        with pytest.raises(ConnectionError):
            await write_for_ever(wire)

    run(loop, meet(client, server))


# --- TLS


def under_tls(pair: tuple[Path, Path], version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pair[0]))
    context.maximum_version = version
    return context


@pytest.fixture
def context(pair: tuple[Path, Path]) -> ssl.SSLContext:
    return make_context(*pair)


@Loops
@Versions
@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_close_notify_is_a_clean_end(loop: Any, version: Any, context: Any, pair: Any, size: int) -> None:
    data = b"x" * size

    def client(sock: socket.socket) -> None:
        tls = under_tls(pair, version).wrap_socket(sock, server_hostname="localhost")
        tls.sendall(data)
        tls.unwrap()  # waits for the answer, which must come before anything else happens here
        tls.close()

    async def server(wire: Wire) -> None:
        assert await wire.shaken()
        assert await read_all(wire) == data
        assert wire.ending is Ending.CLEAN

    run(loop, meet(client, server, context=context))


@Loops
@Versions
@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_an_end_without_close_notify_is_torn(loop: Any, version: Any, context: Any, pair: Any, size: int) -> None:
    data = b"x" * size

    def client(sock: socket.socket) -> None:
        tls = under_tls(pair, version).wrap_socket(sock, server_hostname="localhost")
        tls.sendall(data)
        tls.close()  # a FIN, and no word before it

    async def server(wire: Wire) -> None:
        assert await wire.shaken()
        assert await read_all(wire) == data
        assert wire.ending is Ending.TORN

    run(loop, meet(client, server, context=context))


@Loops
def test_what_is_no_tls_is_lost(loop: Any, context: Any) -> None:
    def client(sock: socket.socket) -> None:
        sock.sendall(b"STOR x\r\n" * 10)
        while sock.recv(100):
            pass

    async def server(wire: Wire) -> None:
        assert not await wire.shaken()
        assert await wire.read() == b""
        assert wire.ending is Ending.LOST

    run(loop, meet(client, server, context=context))


@Loops
def test_a_handshake_that_is_left_is_no_tls(loop: Any, context: Any) -> None:
    async def server(wire: Wire) -> None:
        assert not await wire.shaken()
        assert wire.ending is Ending.TORN

    run(loop, meet(lambda sock: None, server, context=context))


@Loops
@pytest.mark.parametrize("tickets", [False, True])
def test_a_client_that_never_reads_loses_nothing_where_no_tickets_are_sent(
    loop: Any, context: Any, pair: Any, tickets: bool
) -> None:  # fmt: skip
    """With tickets, a client that closes with them unread resets the connection: what it sent last may be lost."""
    data = b"x" * 200_000

    def client(sock: socket.socket) -> None:
        tls = under_tls(pair, ssl.TLSVersion.TLSv1_3).wrap_socket(sock, server_hostname="localhost")
        if not tickets:
            tls.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                tls.recv(1)  # there is nothing to read
            tls.setblocking(True)
        tls.sendall(data)
        assert tls.read(1) if tickets else True

    async def server(wire: Wire) -> None:
        assert await wire.shaken()
        if tickets:
            wire.send(b"!")
        assert await read_all(wire) == data

    run(loop, meet(client, server, context=context, tickets=tickets))


@Loops
@Versions
def test_much_is_sent_under_tls_and_ends_in_order(loop: Any, version: Any, context: Any, pair: Any) -> None:
    data = bytes(range(256)) * 20_000

    def client(sock: socket.socket) -> None:
        tls = under_tls(pair, version).wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        got = b""
        while some := tls.recv(100_000):
            got += some
        assert got == data

    async def server(wire: Wire) -> None:
        assert await wire.shaken()
        for start in range(0, len(data), 700_000):
            await wire.write(data[start : start + 700_000])
        wire.close()
        await wire.finished()

    run(loop, meet(client, server, context=context))


def test_old_versions_are_refused(context: Any, pair: Any) -> None:
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION

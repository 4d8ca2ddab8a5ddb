"""A client of FTP of which each byte is decided by the test: what no decent client does, and when."""

import contextlib
import re
import socket
import ssl
import struct
from types import TracebackType
from typing import Self

_END = re.compile(r"\d{3} ")


class Gone(Exception):
    """Say that the server ended the connection."""


class Raw:
    """One control connection, read and written by hand."""

    def __init__(self, port: int, context: ssl.SSLContext, *, source: str = "127.0.0.1", greet: bool = True) -> None:
        self.context = context
        self.source = source
        self.secured = False
        self.plain = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        self.sock: socket.socket = self.plain
        self._buffer = b""
        self.greeting = self.reply() if greet else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.sock.close()

    # --- words

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def line(self) -> str:
        """Read one line; raises Gone at the end."""
        while b"\n" not in self._buffer:
            try:
                more = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Gone(str(error)) from error
            if not more:
                raise Gone
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def reply(self) -> str:
        """Read one reply, all its lines."""
        lines = [self.line()]
        while not (_END.match(lines[-1]) and lines[-1][:3] == lines[0][:3]):
            lines.append(self.line())
        return "\n".join(lines)

    def ask(self, command: str) -> str:
        """Send a command and read the reply."""
        self.send(command.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    def must(self, command: str, code: str = "2") -> str:
        """Send a command whose reply must begin so."""
        reply = self.ask(command)
        assert reply.startswith(code), f"{command}: {reply}"
        return reply

    def must_hear(self, start: str) -> str:
        """Read the next reply, which must begin so."""
        reply = self.reply()
        assert reply.startswith(start), reply
        return reply

    def rest(self) -> list[str]:
        """Read all replies to the end of the connection."""
        replies: list[str] = []
        with contextlib.suppress(Gone):
            while True:
                replies.append(self.reply())
        return replies

    def at_end(self) -> bool:
        """Tell whether the server has ended the connection; waits for it."""
        with contextlib.suppress(Gone):
            self.line()
            return False
        return True

    def to_the_end(self) -> bytes:
        """Read below TLS until the server ends the connection, as it must; gives what it said."""
        heard = self._buffer
        with contextlib.suppress(ConnectionError):
            while more := self.plain.recv(65536):
                heard += more
        return heard

    # --- sessions

    def secure(self) -> None:
        """Put the control connection under TLS."""
        self.must("AUTH TLS", "234")
        self.sock = self.context.wrap_socket(self.plain, do_handshake_on_connect=True)
        self.must("PBSZ 0")
        self.must("PROT P")
        self.secured = True

    def log_in(self, user: str, password: str) -> None:
        """Say who we are."""
        self.must(f"USER {user}", "331")
        self.must(f"PASS {password}", "230")
        self.must("TYPE I")

    # --- data connections

    def passive(self, command: str = "EPSV") -> int:
        """Ask for a port to connect to."""
        reply = self.must(command)
        if command.startswith("EPSV"):
            found = re.search(r"\(\|\|\|(\d+)\|\)", reply)
            assert found, reply
            return int(found[1])
        numbers = re.search(r"(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", reply)
        assert numbers, reply
        return int(numbers[5]) * 256 + int(numbers[6])

    def connect(self, port: int, source: str = "") -> socket.socket:
        """Connect to a passive port, without TLS."""
        return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source or self.source, 0))

    def vanish(self, *data: socket.socket) -> None:
        """Die in the middle of everything: both connections end by RST."""
        for sock in (self.sock, *data):
            reset(sock)

    def begin(self, command: str, *, passive: str = "EPSV") -> socket.socket:
        """Begin a transfer; gives the data connection, under TLS where the control connection is."""
        data = self.begin_or_none(command, passive=passive)
        assert data is not None, command
        return data

    def begin_or_none(self, command: str, *, passive: str = "EPSV") -> socket.socket | None:
        """Begin a transfer that may be refused."""
        data = self.connect(self.passive(passive))
        if not self.ask(command).startswith("1"):
            data.close()
            return None
        return self.context.wrap_socket(data) if self.secured else data


def reset(sock: socket.socket) -> None:
    """End a connection by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _bare(sock).close()


def finish(sock: socket.socket) -> None:
    """End a connection as one should: close_notify under TLS, then FIN."""
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            sock.unwrap()
    sock.close()


def cut(sock: socket.socket) -> None:
    """End a connection by FIN: under TLS without close_notify."""
    bare = _bare(sock)
    if bare is not sock:
        bare.shutdown(socket.SHUT_WR)
        drain(bare)  # what is unread at a close turns the FIN into an RST
    bare.close()


def _bare(sock: socket.socket) -> socket.socket:
    if not isinstance(sock, ssl.SSLSocket):
        return sock
    timeout = sock.gettimeout()
    bare = socket.socket(fileno=sock.detach())
    bare.settimeout(timeout)
    return bare


def drain(sock: socket.socket) -> bytes:
    """Read to the end, however it ends."""
    pieces: list[bytes] = []
    with contextlib.suppress(OSError):
        while piece := sock.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)

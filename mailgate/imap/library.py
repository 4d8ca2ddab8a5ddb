"""IMAPClient over our own bounded stream: the only module that knows the library's inside.

What lives here: the classes that put our socket and our limits under it. It uses private names of IMAPClient 4.1
(``_create_IMAP4``, ``_imap``) and of imaplib (``_command``, ``_get_response``, ``_get_line``, ``_simple_command``,
``_get_capabilities``, ``_untagged_response``, ``_tls_established``); a test holds each.
"""

import contextlib
import imaplib
import socket
import ssl
from collections.abc import Callable
from typing import Any

import imapclient

from mailgate.imap.stream import BoundedStream, Woken

StreamMaker = Callable[[socket.socket], BoundedStream]


class BoundedImap4(imaplib.IMAP4):
    """Speak IMAP over a socket that is open already."""

    def __init__(self, plug: socket.socket, host: str, make_stream: StreamMaker) -> None:
        self._plug = plug
        self._make_stream = make_stream
        super().__init__(host)

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Begin on the socket we were given."""
        self.host, self.port = host, port
        self._use(self._plug)

    def read(self, size: int) -> bytes:
        """Read a literal."""
        return self.stream.read(size)

    def readline(self) -> bytes:
        """Read a line."""
        return self.stream.readline()

    def shutdown(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> Any:
        """Begin TLS; what came in clear behind the server's word would be taken for its own later: refused."""
        assert ssl_context is not None
        kind, data = self._simple_command("STARTTLS")
        if kind != "OK":
            raise self.error(f"the server refuses STARTTLS: {data!r}")
        if self.stream.buffered:
            raise self.abort("bytes in clear behind STARTTLS")
        self._use(ssl_context.wrap_socket(self.sock, server_hostname=self.host))
        self._tls_established = True
        self.untagged_responses = {}
        self._get_capabilities()
        return kind, data

    def _use(self, plug: socket.socket) -> None:
        self.sock = plug
        self.stream = self._make_stream(plug)


class BoundedClient(imapclient.IMAPClient):  # type: ignore[misc]
    """IMAPClient over ``BoundedImap4``."""

    def __init__(self, plug: socket.socket, host: str, port: int, *, tls: bool, make_stream: StreamMaker) -> None:
        self._plug = plug
        self._make_stream = make_stream
        super().__init__(host, port, ssl=tls)
        self._imap.debug = 0  # at 5 every line is put into words for a logger that nobody reads

    def _create_IMAP4(self) -> BoundedImap4:  # noqa: N802 - the library's name
        return BoundedImap4(self._plug, self.host, self._make_stream)

    def _set_read_timeout(self) -> None:
        pass  # the stream sets it before each read

    @property
    def bounded(self) -> BoundedStream:
        """Give the stream that the present command reads."""
        return self._imap.stream  # type: ignore[no-any-return]

    def begin(self, octets: int, seconds: float) -> None:
        """Begin a command with its allowance; what the server said unasked before is forgotten."""
        self._imap.untagged_responses.clear()
        self.bounded.allow(octets, seconds)

    def idle_begin(self) -> bytes:
        """Send IDLE and return when the server agrees (RFC 2177); gives the tag."""
        tag: bytes = self._imap._command("IDLE")
        while self._imap._get_response() is not None:
            if self._imap.tagged_commands[tag]:
                raise self.Error(f"the server refuses IDLE: {self._imap.tagged_commands.pop(tag)!r}")
        return tag

    def idle_line(self, seconds: float, call: socket.socket) -> tuple[Woken, bytes]:
        """Wait for what the server says while idle."""
        woken = self.bounded.wait(seconds, call)
        return woken, self._imap._get_line() if woken is Woken.DATA else b""

    def idle_end(self, tag: bytes) -> None:
        """Send DONE and return when the server has agreed."""
        self._imap.send(b"DONE\r\n")
        while not self._imap.tagged_commands[tag]:
            self._imap._get_response()
        del self._imap.tagged_commands[tag]

    def ask_nothing(self) -> None:
        """Send NOOP; IMAPClient's own reads the answers apart, which nobody needs."""
        self._checkok("NOOP", *self._imap._simple_command("NOOP"))

    def drop(self) -> None:
        """Close the socket, from any thread."""
        self._imap.shutdown()

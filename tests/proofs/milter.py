"""A mail filter for Postfix, as OpenDMARC is one: it puts one header field on top of every mail.

What lives here: as much of the milter protocol, version 6, as that takes: no callback but the end of the mail.
"""

import contextlib
import socketserver
import struct
import threading
from collections.abc import Iterator
from typing import Any

_ADD_HEADERS = 0x01
_NOTHING_BUT_THE_END = 0x37F  # no connect, helo, mail, rcpt, headers, body, unknown command, DATA


@contextlib.contextmanager
def milter(name: str, value: str) -> Iterator[int]:
    """Run a filter that inserts a field at the top; gives its port."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self.rfile.read(4):
                packet = self.rfile.read(struct.unpack("!I", head)[0])
                match packet[:1]:
                    case b"O":
                        self._say(b"O" + struct.pack("!III", 6, _ADD_HEADERS, _NOTHING_BUT_THE_END))
                    case b"E":
                        self._say(b"i" + struct.pack("!I", 0) + name.encode() + b"\0" + value.encode() + b"\0")
                        self._say(b"c")
                    case b"Q":
                        return

        def _say(self, packet: bytes) -> None:
            self.wfile.write(struct.pack("!I", len(packet)) + packet)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of a Postfix that hangs up."""

    with Server(("127.0.0.1", 0), Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()

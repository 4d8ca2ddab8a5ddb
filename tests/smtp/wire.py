"""An SMTP client that says exactly what it is told, byte for byte, and reads whole replies."""

import contextlib
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence

from tests.house import ADDRESS, SENDER

PATIENCE = 30.0


def anyone() -> ssl.SSLContext:
    """Give a TLS context that takes any certificate: ours is self-signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def stuffed(mail: bytes) -> bytes:
    """Give a mail as it goes behind 354: dots doubled, ended by the final dot."""
    body = mail.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def base64(*fields: str) -> str:
    """Give fields joined by NUL, as AUTH PLAIN wants them."""
    return b64encode("\0".join(fields).encode()).decode()


def free_port() -> int:
    """Give a port that was free a moment ago, for listeners where 0 means off."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Wire:
    """One connection. A reply is its lines joined by newlines; it is empty when the server has closed."""

    def __init__(self, port: int, *, tls: bool = False, source: str = "127.0.0.1", before: bytes = b"") -> None:
        self._raw = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
        self._raw.sendall(before)
        self._socket: socket.socket = anyone().wrap_socket(self._raw) if tls else self._raw
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(self) -> str:
        """Read one reply, all its lines."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = self._line()
            if not line:
                return "\n".join(lines)
            lines.append(line)
        return "\n".join(lines)

    def replies(self, count: int) -> list[str]:
        return [self.reply() for _ in range(count)]

    def say(self, line: str) -> str:
        """Send one command and read its reply."""
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    def greet(self, name: str = "EHLO client.acme.example") -> str:
        """Read the greeting where it has not been read and say EHLO."""
        greeting = self.reply()
        assert greeting.startswith("220 "), greeting
        return self.say(name)

    def start_tls(self, injected: bytes = b"") -> None:
        """Change to TLS; a command may stand injected right behind STARTTLS, in the clear."""
        self.send(b"STARTTLS\r\n" + injected)
        answer = self.reply()
        assert answer.startswith("220 "), answer
        assert not self._buffer, "the server went on in the clear"
        self._socket = anyone().wrap_socket(self._raw)

    def envelope(self, to: Sequence[str] = (ADDRESS,), sender: str = SENDER, options: str = "") -> str:
        """Say everything up to DATA; gives the reply to DATA."""
        answers = [self.say(f"MAIL FROM:<{sender}>{options}"), *(self.say(f"RCPT TO:<{one}>") for one in to)]
        assert all(one.startswith("250 ") for one in answers), answers
        return self.say("DATA")

    def deliver(self, mail: bytes, to: Sequence[str] = (ADDRESS,), sender: str = SENDER) -> str:
        """Send a whole mail; gives the reply behind the dot."""
        answer = self.envelope(to, sender)
        assert answer.startswith("354 "), answer
        self.send(stuffed(mail))
        return self.reply()

    def deliver_each(self, mail: bytes, to: Sequence[str] = (ADDRESS,), sender: str = SENDER) -> list[str]:
        """Send a whole mail by LMTP; gives a reply for each recipient."""
        answer = self.envelope(to, sender)
        assert answer.startswith("354 "), answer
        self.send(stuffed(mail))
        return self.replies(len(to))

    def log_in(self, username: str, password: str) -> str:
        return self.say(f"AUTH PLAIN {base64('', username, password)}")

    def at_end(self, seconds: float = PATIENCE) -> bool:
        """Tell whether the server closes within some time; what it still says is thrown away."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._socket.settimeout(max(0.05, deadline - time.monotonic()))
            try:
                if not self._socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False

    def hang_up(self) -> None:
        """Close at once, whatever is under way."""
        self._socket.close()

    def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            try:
                more = self._socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                more = b""
            if not more:
                return ""
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("utf-8", "replace")


@contextlib.contextmanager
def wire(
    port: int, *, tls: bool = False, greet: bool = True, source: str = "127.0.0.1", hello: str = "EHLO",
    before: bytes = b"",
) -> Iterator[Wire]:  # fmt: skip
    """Connect, and say EHLO unless told not to; ``before`` is sent in the clear before anything else."""
    client = Wire(port, tls=tls, source=source, before=before)
    try:
        if greet:
            client.greet(f"{hello} client.acme.example")
        yield client
    finally:
        client.hang_up()

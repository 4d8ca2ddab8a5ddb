"""Lines of a control connection: bytes to commands, and replies to bytes (RFC 959 sections 4 and 5, RFC 2640).

What lives here: pure translation. Telnet's control codes are dropped where clients put them, before an ABOR.
"""

from dataclasses import dataclass

LONGEST = 4096 + 64  #: bytes of a command line: a path has at most 4096
_ENDLESS = 64 * 1024  # bytes of a line: who goes on has no end in mind
_TELNET = bytes(range(0xF0, 0x100))  # IP, DM, IAC and their like; no verb begins so
_WORDS = frozenset({"USER", "PASS", "ACCT"})  # what they carry is no name of a file


class LineTooLong(Exception):
    """Say that a line was longer than any command; it is dropped whole."""


class Endless(Exception):
    """Say that a line has no end: the session is over."""


class NotUtf8(Exception):
    """Say that an argument is not UTF-8; ``verb`` is what was asked."""

    def __init__(self, verb: str) -> None:
        super().__init__(verb)
        self.verb = verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command: the verb in upper case, and what stands behind it, as it came."""

    verb: str
    argument: str = ""


class LineBuffer:
    """Gather bytes and give whole lines; at most one line's worth is kept of a line without end."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._bytes = bytearray()
        self._skipped = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._bytes += data

    def take(self) -> bytes | None:
        """Give the next line without its end, or None; raises LineTooLong once for a line that was dropped, Endless."""
        end = self._bytes.find(b"\n")
        if end < 0:
            if self._skipped or len(self._bytes) > self._longest:
                self._skipped += len(self._bytes)
                self._bytes.clear()
            if self._skipped > _ENDLESS:
                raise Endless
            return None
        line = bytes(self._bytes[:end])
        del self._bytes[: end + 1]
        if self._skipped or len(line) > self._longest:
            self._skipped = 0
            raise LineTooLong
        return line.removesuffix(b"\r")

    @property
    def pending(self) -> bool:
        """Tell whether bytes have come that belong to no line that was taken."""
        return bool(self._bytes) or self._skipped > 0


def parse(line: bytes) -> Command:
    """Read a command; raises NotUtf8. A user name or password that is not UTF-8 is read as Latin-1."""
    head, _, rest = line.lstrip(_TELNET).partition(b" ")
    verb = head.decode("ascii", "replace").upper()
    try:
        argument = rest.decode("utf-8")
    except UnicodeDecodeError:
        if verb not in _WORDS:
            raise NotUtf8(verb) from None
        argument = rest.decode("latin-1")
    return Command(verb=verb, argument=argument)


def reply(code: int, *lines: str) -> bytes:
    """Write a reply (RFC 959 section 4.2); characters that cannot be seen are escaped, so that nobody adds a line."""
    shown = [harmless(line) for line in lines] or [""]
    first = [f"{code}-{line}" for line in shown[:1]] if len(shown) > 1 else []
    middle = [f" {line}" for line in shown[1:-1]]  # a space before each, so that none looks like the end
    return "".join(f"{line}\r\n" for line in (*first, *middle, f"{code} {shown[-1]}")).encode()


def harmless(text: str) -> str:
    """Give a text for one line: what is not printable is written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)

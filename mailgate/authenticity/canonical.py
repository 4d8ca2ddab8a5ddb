"""The canonical forms of DKIM (RFC 6376 section 3.4), fed in pieces, in constant memory and linear time.

What lives here: bytes to bytes, and bytes to a hash. No tag, no key.
"""

import re
from collections.abc import Callable
from typing import Protocol

_FIELD = re.compile(rb"[^\n]*(?:\n[ \t][^\n]*)*\n?")
_is_field_name = re.compile(rb"[!-9;-~]+").fullmatch
_LINE_ENDS = b"\r\n" * 32768


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def raw_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Split a header block into fields: lower-case name, and the whole field as it stands, without its last line end.

    A line that is no field is left out, with what follows it folded.
    """
    fields = []
    for match in _FIELD.finditer(block):
        field = match.group().removesuffix(b"\n").removesuffix(b"\r")
        name, colon, _ = field.partition(b":")
        name = name.rstrip(b" \t")
        if colon and _is_field_name(name):
            fields.append((name.lower(), field))
    return fields


def simple_field(field: bytes) -> bytes:
    """Give a field as it stands, without its last line end (section 3.4.1)."""
    return field


def relaxed_field(field: bytes) -> bytes:
    """Give a field in lower case, unfolded, its blanks single, without its last line end (section 3.4.2)."""
    name, _, value = field.partition(b":")
    value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return name.lower().rstrip(b" \t") + b":" + _single_blanks(value).strip(b" ")


def _single_blanks(data: bytes) -> bytes:
    """Make each run of blanks one space; halving them is ten times faster than a regular expression."""
    data = data.replace(b"\t", b" ")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data


FIELDS: dict[str, Callable[[bytes], bytes]] = {"simple": simple_field, "relaxed": relaxed_field}


class Body:
    """Feed a body into a hash in one of the two canonical forms (sections 3.4.3 and 3.4.4).

    Blanks and line ends at the end of what came are held back as counts: whether they count shows only later.
    """

    def __init__(self, form: str, into: _Hash) -> None:
        self._relaxed = form == "relaxed"
        self._into = into
        self._held = b""  # undecided bytes at the end: blanks as one, and a carriage return
        self._line_ends = 0  # CRLFs that are no part of the body unless something follows
        self._anything = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        data = self._held + chunk
        self._held = b""
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        if self._relaxed:
            kept = data.rstrip(b" \t")
            if len(kept) < len(data):
                data, self._held = kept, b" " + self._held
            if b" " in data or b"\t" in data:  # base64 has none
                data = _single_blanks(data).replace(b" \r\n", b"\r\n")
        self._pass_on(data)

    def finish(self) -> None:
        """End the body: one line end stands at the end of any that is not empty."""
        self._pass_on(self._held)
        self._held = b""
        if self._anything or not self._relaxed:
            self._into.update(b"\r\n")

    def _pass_on(self, data: bytes) -> None:
        core = data.rstrip(b"\r\n")
        # The run behind it may hold a lone CR or LF, which is no line end: only CRLFs at its very end are.
        marked = data[len(core) :].replace(b"\r\n", b"N")
        rest = marked.rstrip(b"N")
        core += rest.replace(b"N", b"\r\n")
        if core:
            self._write_line_ends()
            self._into.update(core)
            self._anything = True
        self._line_ends += len(marked) - len(rest)

    def _write_line_ends(self) -> None:
        count, self._line_ends = self._line_ends, 0
        while count > 0:
            piece = _LINE_ENDS[: 2 * count]
            self._into.update(piece)
            count -= len(piece) // 2

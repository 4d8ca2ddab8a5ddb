"""The search for boundary delimiters in a body (RFC 2046 section 5.1.1).

What lives here: the stack of boundaries that are in force and the search for the next line that is one of them, over
large runs of bytes. What a delimiter means for the tree is the splitter's matter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailgate.message.source import Window

_TAIL = re.compile(rb"(--)?[ \t]{0,200}(?:\r?\n|\r?\Z)")  # more blanks than that are taken for a look-alike
_TAIL_ROOM = 204


class TooManyLookalikes(Exception):
    """Say that the search was given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delimiter:
    """One delimiter line."""

    level: int  #: index of its boundary on the stack
    start: int  #: offset of its first dash
    end: int  #: offset behind its line end
    closing: bool


class BoundarySearch:
    """Find the next delimiter of any boundary on the stack.

    A line that begins with a boundary and goes on with something else is a delimiter to some readers (RFC 2046 allows
    them) and text to others, and so is a boundary behind a bare CR: such places are not delimiters here and set
    ``doubtful``.
    """

    def __init__(self, window: Window, *, start: int, lookalikes: int) -> None:
        self._window = window
        self._start = start
        self._needles: list[bytes] = []
        self._overlap = 0
        self._lookalikes_left = lookalikes
        self.doubtful = False

    def push(self, boundary: bytes) -> bool:
        """Put a boundary into force; false where it cannot be told apart from one that is."""
        needle = b"--" + boundary
        distinct = all(needle not in (n, n + b"--") and n != needle + b"--" for n in self._needles)
        self._needles.append(needle)
        self._overlap = max(self._overlap, len(needle) + _TAIL_ROOM)
        return distinct

    def pop(self) -> None:
        """Take the innermost boundary out of force."""
        self._needles.pop()

    def next(self, position: int, limit: int) -> Delimiter | None:
        """Return the first delimiter that begins at or after ``position`` and before ``limit``."""
        needles = self._needles[::-1]
        window = self._window
        while needles and position < limit:
            at = window.load(position, self._overlap + 1)
            # Hits that begin before ``stop`` have their whole line at hand.
            stop = len(window.data) - (0 if window.at_end else self._overlap)
            stop = min(stop, limit - window.base)
            hit = _first(window.data, needles, at, stop)
            if hit < 0:
                position = window.base + stop
                continue
            delimiter = self._judge(hit)
            if delimiter is not None:
                return delimiter
            position = window.base + hit + 1
        return None

    def _judge(self, hit: int) -> Delimiter | None:
        window = self._window
        offset = window.base + hit
        before = b"\n" if offset == self._start else window.byte_before(offset)
        if before == b"\n":
            for level in range(len(self._needles) - 1, -1, -1):
                needle = self._needles[level]
                if not window.data.startswith(needle, hit):
                    continue
                tail = _TAIL.match(window.data, hit + len(needle))
                if tail is not None and (
                    tail.end() < len(window.data) or tail.group().endswith(b"\n") or window.at_end
                ):
                    end = window.base + tail.end()
                    return Delimiter(level=level, start=offset, end=end, closing=tail.group(1) is not None)
        self._lookalikes_left -= 1
        if self._lookalikes_left < 0:
            raise TooManyLookalikes
        self.doubtful = self.doubtful or before in b"\r\n"
        return None


def _first(data: bytes, needles: Sequence[bytes], start: int, stop: int) -> int:
    """Return where the first of the needles begins, in ``[start, stop)``, or -1.

    Each needle is searched only up to the best hit so far, so that a run is not searched to its end for each delimiter.
    """
    best = -1
    for needle in needles:
        hit = data.find(needle, start, stop + len(needle) - 1)
        if hit >= 0:
            best = stop = hit
    return best

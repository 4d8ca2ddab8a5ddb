"""How the lines of a JSON Lines file are written: the bytes that stand around the values, the same in many lines.

What lives here: what is learned of one sound line. Which other lines are written like it, ``parsing.json_alike`` finds.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from parsing.json_line import Opens

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

MARK = b'":'  #: ends every name

_TOKEN = re.compile(rb'"([^"]*)"([ ]*:)?|[\[\]{}]|[^\s",:\[\]{}]+')
_ENDS_NAME = re.compile(rb'":[ ]*\Z')
_ODD = re.compile(rb"[\\\x00-\x1f]")


@dataclass(frozen=True)
class Template:
    """The bytes of a line without its values; quotes belong to the values."""

    around: tuple[bytes, ...]  #: before the first value, between each two, and behind the last
    names: tuple[str, ...]  #: the dotted name of each value
    quoted: tuple[bool, ...]  #: which values stood in quotes

    @cached_property
    def marks(self) -> int:
        """Count the marks that end a name."""
        return sum(text.count(MARK) for text in self.around)

    @cached_property
    def anchors(self) -> list[int]:
        """Give for each value which mark of the line stands before it."""
        return [count - 1 for count in accumulate(text.count(MARK) for text in self.around[:-1])]

    @cached_property
    def behind_marks(self) -> Ints:
        """Give for each value how many bytes it stands behind its mark's first one."""
        return np.array([len(text) - text.rindex(MARK) for text in self.around[:-1]])

    @cached_property
    def sizes(self) -> Ints:
        """Give how many bytes stand before each value, and behind the last one."""
        return np.array([len(text) for text in self.around])

    @cached_property
    def room(self) -> Ints:
        """Give how many bytes each value and what stands behind it have at least."""
        room: Ints = self.sizes[1:] + 2 * np.array(self.quoted)
        return room

    @cached_property
    def quotes(self) -> int:
        """Count the quotes that do not belong to values."""
        return sum(text.count(b'"') for text in self.around)

    @cached_property
    def window(self) -> int:
        """Give the size in which all texts around values fit, with one byte more at each side; whole words."""
        return -(-(int(self.sizes.max()) + 2) // 8) * 8

    @cached_property
    def expected(self) -> tuple[Words, Words]:
        """Give what the windows around all values hold, and which of their bits are certain."""
        before, behind = (False, *self.quoted), (*self.quoted, False)
        shown, certain = b"", b""
        for left, text, right in zip(before, self.around, behind, strict=True):
            shown += (b'"' + text + b'"').rjust(self.window, b"\0")
            marks = [b"\xff" if there else b"\0" for there in (left, right)]
            certain += (marks[0] + b"\xff" * len(text) + marks[1]).rjust(self.window, b"\0")
        words, bits = np.frombuffer(shown, "<u8"), np.frombuffer(certain, "<u8")
        return words, bits


def template_of(raw: bytes, opens: Opens) -> Template | None:
    """Learn from a line that is known to be sound; None where it is written in a way that few are."""
    if _ODD.search(raw):
        return None
    around: list[bytes] = []
    names: list[str] = []
    quoted: list[bool] = []
    open_names: list[str] = []  #: of the objects that are open
    name, at = "", 0
    for found in _TOKEN.finditer(raw):
        token = found.group()
        if found[2] is not None:
            name = (open_names[-1] if open_names else "") + found[1].decode()
        elif token == b"{":
            if open_names and not opens(name):
                return None
            open_names.append(name + "." if open_names else "")
        elif token == b"}":
            open_names.pop()
        elif token in {b"[", b"]"}:
            return None
        else:
            around.append(raw[at : found.start()])
            names.append(name)
            quoted.append(found[1] is not None)
            at = found.end()
    if not names or any(not _ENDS_NAME.search(text) for text in around):
        return None
    return Template((*around, raw[at:]), tuple(names), tuple(quoted))

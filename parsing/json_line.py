"""One line of JSON Lines, exactly: its values as text by dotted name, or why it cannot be read.

What lives here: the reading of single lines. It is strict: what RFC 8259 does not allow is refused, and so is a name
that stands twice. Numbers keep the digits they were written with.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.codes import Code

MAX_DEPTH = 20  #: levels of lists and objects

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_LONE = re.compile(r"\\u[dD][89a-fA-F]")


class LineFault(Exception):
    """Say why a line is refused."""

    def __init__(self, code: Code, message: str, column: str = "", *, cut: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.column = code, message, column
        self.cut = cut  #: the line ends where more was expected


@dataclass(frozen=True, slots=True)
class Nested:
    """A list or an object where a single value is expected."""

    what: str


class Object(list[tuple[str, object]]):
    """An object as its pairs."""


class Number(str):
    """A number with the digits it was written with."""

    __slots__ = ()


Value = str | Nested
Opens = Callable[[str], bool]  #: tells whether an object under a name holds columns of its own


def read_line(raw: bytes, opens: Opens) -> dict[str, Value]:
    """Give the values of a line by dotted name; raise LineFault where it is not one sound object."""
    return _flat(read_object(raw), opens)


def read_object(raw: bytes) -> Object:
    """Give the pairs of a line; raise LineFault where it is not one sound object."""
    text = raw.decode("utf-8", "replace")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise LineFault(Code.NESTED_VALUE, f"This line nests deeper than {MAX_DEPTH} levels")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        message = f"This line is not valid JSON: {_why(error)} at character {error.pos + 1}"
        cut = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip())
        raise LineFault(Code.JSON_INVALID, message, cut=cut) from None
    if "\\u" in text and _LONE.search(_PAIR.sub("", text.replace("\\\\", "  "))):
        raise LineFault(Code.JSON_INVALID, "This line holds half of a character (a lone surrogate such as \\ud800)")
    if not isinstance(value, Object):
        raise LineFault(Code.JSON_INVALID, f"This line must be one JSON object, not {_kind(value)}")
    return value


def _flat(value: Object, opens: Opens) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, cell in _leaves(value, "", opens):
        if name in found:
            raise LineFault(Code.DUPLICATE_FIELD, f"The field {name[:100]} stands in this line twice", name[:100])
        found[name] = cell
    return found


def _leaves(value: Object, prefix: str, opens: Opens) -> Iterator[tuple[str, Value]]:
    for key, cell in value:
        name = prefix + key
        if isinstance(cell, Object) and opens(name):
            yield from _leaves(cell, name + ".", opens)
        else:
            yield name, _text(cell)


def written(value: Object, prefix: str, opens: Opens) -> Iterator[tuple[str, bool]]:
    """Give the names of values that are there, and whether they stand in quotes."""
    for key, cell in value:
        name = prefix + key
        if isinstance(cell, Object):
            if opens(name):
                yield from written(cell, name + ".", opens)
        elif cell is not None:
            yield name, isinstance(cell, str) and not isinstance(cell, Number)


def _text(value: object) -> Value:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else Nested(_kind(value))


def _kind(value: object) -> str:
    if isinstance(value, Object):
        return "an object"
    return "a list" if isinstance(value, list) else "a single value"


def _why(error: json.JSONDecodeError) -> str:
    """Give the decoder's reason in the words of a sentence."""
    return error.msg[:1].lower() + error.msg[1:].replace("Expecting", "expecting").rstrip(":")


def _depth(text: str) -> int:
    deepest = depth = 0
    for found in _BRACKETS.finditer(text):
        mark = found.group()
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def _pairs(pairs: list[tuple[str, object]]) -> Object:
    if len({key for key, _ in pairs}) < len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise LineFault(Code.DUPLICATE_FIELD, f"The field {name[:100]} stands in this line twice", name[:100])
    return Object(pairs)


def _constant(word: str) -> object:
    raise LineFault(Code.JSON_INVALID, f"{word} is not a JSON value; use null for a missing number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=Number, parse_float=Number, parse_constant=_constant, strict=True
)  # fmt: skip

"""What is wrong with a header that names no column, or not those it must.

What lives here: the refusal and its advice: where the names stand instead, or what separates them. Reading a header
stands in ``parsing.header``.
"""

from collections.abc import Callable, Iterable

from models.codes import Code
from models.data_type import AnyOf, DataType
from models.faults import Fault, PermanentError
from parsing.names import Names, bare, folded, known_names, near, shown, trimmed
from parsing.record import DELIMITERS, cells_of
from parsing.source import Source

_LINES, _BYTES = 50, 64 << 10  #: that the names are looked for in behind the first line
#: what some separate columns by; we do not
_OTHERS = {" ": "blanks", "\x01": "the byte 01", "\x1f": "the byte 1F", **{mark: f'"{mark}"' for mark in "^:~#/*&"}}


def refusal(code: Code, message: str) -> PermanentError:
    """Make the error that rejects a file for its header."""
    return PermanentError(Fault(code=code, message=message))


def refuse_missing(have: set[str], unknown: list[str], data_type: DataType, why: Callable[[], str]) -> None:
    """Raise where no field is there or a required one is not.

    ``unknown``: the other names in the header; ``why`` gives the advice for a header without any of ours.
    """
    missing = [field.name for field in data_type.fields if field.constraints.required and field.name not in have]
    sentences = [f"The column {name} is missing{_instead(name, unknown)}" for name in missing]
    sentences += [
        f"One of the columns {rule.words} is needed, and none is there."
        for rule in data_type.rules
        if isinstance(rule, AnyOf) and not any(have.issuperset(group) for group in rule.groups)
    ]
    if not have and not any(near(name, unknown) for name in missing):
        raise refusal(Code.HEADER_MISSING, f"The first line names no column of {data_type.title}; {why()}")
    if sentences:
        raise refusal(Code.REQUIRED_COLUMN_MISSING, " ".join(sentences))


def _instead(name: str, unknown: list[str]) -> str:
    found = near(name, unknown)
    if found is None:
        return "."
    what = ""
    if found.casefold() == name.casefold():
        what = " (upper and lower case matter)"
    elif bare(found) == name:
        what = " (without quotes and hidden characters)"
    return f"; the header has {shown(found)}, did you mean {name}{what}?"


def advice(source: Source, start: int, line: int, data_type: DataType, theirs: Names) -> str:
    """Say what to do about a first line without names; it is the physical line ``line`` and begins at ``start``."""
    known, first = known_names(data_type, theirs), source.line_end(start)
    needed = min(2, len(known))
    text = source.data[start : min(first, start + _BYTES)].decode("utf-8", "replace")

    def names_in(cells: Iterable[str]) -> int:
        return len({folded(bare(cell), data_type) for cell in cells} & known)

    for mark, word in _OTHERS.items():
        if names_in(text.split(mark)) >= needed:
            return f"its names are separated by {word}: separate columns by comma, semicolon, tab or vertical bar."
    for mark in DELIMITERS:
        if names_in(text.split(mark)) >= needed:
            return "the whole line stands in one pair of quotes: quote each name by itself, or none."
    at = source.behind_line_end(first)
    for further in range(1, _LINES):
        if at >= min(source.size, start + _BYTES):
            break
        end = source.line_end(at)
        raw = bytes(source.data[at : min(end, at + _BYTES)])
        if any(names_in(map(trimmed, cells_of(raw, mark))) >= needed for mark in DELIMITERS):
            return f"the names stand in line {line + further}: remove the lines above it."
        at = source.behind_line_end(end)
    return f"it must hold the column names, such as {', '.join(field.name for field in data_type.fields[:3])}."

"""One record, exactly: where it ends, whether its quotes are sound, what its cells are.

What lives here: the grammar of one record (RFC 4180 with LF, CR and CRLF), as regular expressions that cannot
backtrack. ``parsing.structure`` asks here for the few records that its vectorised pass does not take.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from parsing.source import Source

DELIMITERS = (",", ";", "\t", "|")
NAMED = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
MAX_LINE = 1_000_000  #: bytes of one physical line, and of one record

BLANK = 1  #: an empty line
MALFORMED = 2  #: a quote fault or a NUL byte; the record is its first physical line only
TOO_LARGE = 4  #: over MAX_LINE
SUSPECT = 8  #: a quote that is text, or line breaks in quotes that look like rows
LITERAL = 16  #: holds a quote that is text
UNFINISHED = 32  #: the last record, without a line end
OPEN = 64  #: a quote is still open at the end of the file
CONTROL = 128  #: a line of JSON that holds a control character


@dataclass(frozen=True, slots=True)
class Record:
    """Where one record stands; ``end`` is behind its content, ``after`` behind its line end too."""

    start: int
    end: int
    after: int
    fields: int
    lines: int  #: physical lines
    flags: int
    read_to: int  #: how far had to be looked


@dataclass(frozen=True, slots=True)
class Grammar:
    """The expressions for one delimiter."""

    record: re.Pattern[bytes]
    field: re.Pattern[bytes]  #: a cell and the delimiter behind it


@lru_cache(maxsize=8)
def grammar(delimiter: str) -> Grammar:
    """Give the expressions of a one-byte delimiter."""
    d = re.escape(delimiter).encode()
    quoted = rb'"[^"]*+(?:""[^"]*+)*+"(?=[' + d + rb"\r\n]|\Z)"
    plain = rb'(?!")[^' + d + rb"\r\n]*+"
    one = rb"(?:" + quoted + rb"|" + plain + rb")"
    return Grammar(
        record=re.compile(one + rb"(?:" + d + one + rb")*+"),
        field=re.compile(rb"(" + quoted + rb"|[^" + d + rb"]*+)" + d),
    )


def raw_cells(raw: bytes, delimiter: str) -> list[bytes]:
    """Split a record's content into the bytes of its cells, quotes kept; a broken quote counts as text."""
    mark = delimiter.encode()
    return raw.split(mark) if b'"' not in raw else grammar(delimiter).field.findall(raw + mark)


def is_quoted(cell: bytes) -> bool:
    """Tell whether the bytes of a sound cell stand in quotes."""
    return len(cell) >= 2 and cell[:1] == cell[-1:] == b'"'


def cells_of(raw: bytes, delimiter: str) -> list[str]:
    """Give the cells of a record as text."""
    if b'"' not in raw:
        return raw.decode("utf-8", "replace").split(delimiter)
    return [
        (cell[1:-1].replace(b'""', b'"') if cell[:1] == b'"' and is_quoted(cell) else cell).decode("utf-8", "replace")
        for cell in raw_cells(raw, delimiter)
    ]


def looks_like_rows(raw: bytes, delimiter: str, width: int) -> bool:
    """Tell whether the lines inside a record of several lines each have a header's worth of fields."""
    lines = re.split(rb"\r\n|\r|\n", raw)
    inner = lines[1:-1] or lines
    return len(lines) > 1 and all(line.count(delimiter.encode()) == width - 1 for line in inner)


def read_record(source: Source, start: int, delimiter: str, width: int, reach: int) -> Record:
    """Read the record at ``start`` exactly, looking at most ``reach`` bytes far for the end of a quoted cell."""
    first = source.line_end(start)
    if first - start > MAX_LINE:
        flags = TOO_LARGE | (UNFINISHED if first == source.size else 0)
        return Record(start, first, source.behind_line_end(first), 0, 1, flags, first)
    if first == start:
        return Record(start, start, source.behind_line_end(start), 1, 1, BLANK, start)
    limit = min(source.size, start + min(MAX_LINE, max(reach, first - start)))
    found = grammar(delimiter).record.match(source.data, start, limit)
    end = found.end() if found else start
    if found and (end == source.size or source.data[end] in b"\r\n"):
        return _sound(source, start, end, delimiter, width)
    return _broken(source, start, first, limit, delimiter)


def _sound(source: Source, start: int, end: int, delimiter: str, width: int) -> Record:
    raw = bytes(source.data[start:end])
    cells = raw_cells(raw, delimiter)
    flags = UNFINISHED if end == source.size else 0
    if any(b'"' in cell and not is_quoted(cell) for cell in cells):
        flags |= LITERAL | SUSPECT
    elif looks_like_rows(raw, delimiter, width):
        flags |= SUSPECT
    if b"\0" in raw:
        flags |= MALFORMED
    lines = 1 + raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")
    return Record(start, end, source.behind_line_end(end), len(cells), lines, flags, end)


def _broken(source: Source, start: int, first: int, limit: int, delimiter: str) -> Record:
    raw = bytes(source.data[start:first])
    flags = MALFORMED
    if first == source.size:
        flags |= UNFINISHED
        if _ends_open(raw, delimiter):
            flags |= OPEN
    return Record(start, first, source.behind_line_end(first), len(raw_cells(raw, delimiter)), 1, flags, limit)


def _ends_open(raw: bytes, delimiter: str) -> bool:
    """Tell whether the field at which the grammar stopped has no closing quote at all."""
    found = grammar(delimiter).record.match(raw)
    at = found.end() + 1 if found else 0  # behind the delimiter of the field that failed
    return re.match(rb'"[^"]*+(?:""[^"]*+)*+\Z', raw[at:]) is not None

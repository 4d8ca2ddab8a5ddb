"""The header: which delimiter it uses, which column is which field, and what is wrong with it.

What lives here: decisions on the first record alone.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from models.codes import Code
from models.data_type import AnyOf, DataType, Field
from models.faults import Fault, PermanentError
from models.result import Warning_
from parsing.record import BLANK, MALFORMED, MAX_LINE, TOO_LARGE, Record, cells_of, read_record
from parsing.source import Source

DELIMITERS = (",", ";", "\t", "|")
NAMED = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

Names = Mapping[str, str]  #: their column's name → ours
MAX_NAME = 100  #: characters of a column's name that are compared and shown
MAX_WARNINGS = 50  #: unknown columns that are named one by one

_GUARDS = ("'=", "'+", "'-", "'@", "'\t", "'\r")
#: the columns that an errors file puts before the original ones; a file that begins with them is a mended one
ERROR_COLUMNS = ("trace_id", "row", "line", "column", "value", "severity", "code", "status", "message", "hint")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of the file; ``field`` is None where the data type does not know it."""

    index: int
    name: str  #: as the header writes it, trimmed
    field: Field | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What the first record says of the rest."""

    after: int  #: offset of the first record behind it
    first_row: int  #: number of that record's row
    first_line: int  #: and of its physical line
    delimiter: str
    width: int  #: fields of every record
    names: tuple[str, ...]  #: of the original columns, trimmed
    columns: tuple[Column, ...]
    mended: bool = False
    warnings: tuple[Warning_, ...] = ()


def first_record(source: Source, start: int, data_type: DataType, theirs: Names) -> tuple[Record, str, int]:
    """Give the first record that is not blank, its delimiter and how many blank lines stand before it."""
    blank = 0
    while start < source.size and source.line_end(start) == start:
        start, blank = source.behind_line_end(start), blank + 1
    known = {_folded(name, data_type) for f in data_type.fields for name in (f.name, *f.aliases)}
    known |= set(ERROR_COLUMNS) | {_folded(name, data_type) for name in theirs}
    best: tuple[tuple[int, bool, int], Record, str] | None = None
    for delimiter in DELIMITERS:
        record = read_record(source, start, delimiter, 0, MAX_LINE)
        cells = cells_of(bytes(source.data[start : record.end]), delimiter) if not record.flags & TOO_LARGE else []
        hits = sum(_folded(cell.strip(), data_type) in known for cell in cells)
        score = (hits, not record.flags & MALFORMED, len(cells))
        if best is None or score > best[0]:
            best = score, record, delimiter
    assert best is not None
    return best[1], best[2], blank


def _folded(name: str, data_type: DataType) -> str:
    return name.casefold() if data_type.header_case == "ignore" else name


def _fault(code: Code, message: str) -> PermanentError:
    return PermanentError(Fault(code=code, message=message))


def read_header(source: Source, start: int, data_type: DataType, theirs: Names) -> Header:
    """Read and judge the header; raise PermanentError where the file cannot be read with it."""
    record, delimiter, blank = first_record(source, start, data_type, theirs)
    if record.flags & (TOO_LARGE | BLANK):
        raise _fault(Code.HEADER_INVALID, f"The header line is longer than {MAX_LINE} bytes.")
    raw = bytes(source.data[record.start : record.end])
    if record.flags & MALFORMED:
        what = "a NUL byte" if b"\0" in raw else "a quote that is not closed or is followed by more text"
        raise _fault(Code.HEADER_INVALID, f"The header line holds {what}; write the column names plainly.")
    cells = cells_of(raw, delimiter)
    mended = is_mended(cells)
    offset = len(ERROR_COLUMNS) if mended else 0
    if mended:
        cells = [without_guard(cell) for cell in cells]
    names = tuple(cell.strip() for cell in cells[offset:])
    known = FieldNames(data_type, theirs)
    columns = tuple(Column(index=offset + i, name=name, field=known.find(name)) for i, name in enumerate(names))
    warnings = [
        Warning_(
            code=Code.HEADER_SPACE,
            message=f"The blanks around the column name {name[:MAX_NAME]} were ignored.",
            column=name[:MAX_NAME],
        )
        for cell, name in zip(cells[offset:], names, strict=True)
        if cell != name
    ][:MAX_WARNINGS]
    _refuse_duplicates(columns)
    _refuse_missing(columns, data_type)
    if data_type.unknown_columns == "warn":
        warnings += unknown_columns(columns, data_type)
    return Header(
        after=record.after,
        first_row=blank + 2,
        first_line=blank + record.lines + 1,
        delimiter=delimiter,
        width=len(cells),
        names=names,
        columns=columns,
        mended=mended,
        warnings=tuple(warnings),
    )


def without_guard(cell: str) -> str:
    """Take the guard off a cell that we put it on, so that no spreadsheet calculates it."""
    return cell[1:] if cell.startswith(_GUARDS) else cell


def is_mended(cells: list[str]) -> bool:
    """Tell whether a header begins with the columns of an errors file."""
    return tuple(cell.strip() for cell in cells[: len(ERROR_COLUMNS)]) == ERROR_COLUMNS


class FieldNames:
    """Find the field that a name in a file means."""

    def __init__(self, data_type: DataType, theirs: Names) -> None:
        self._data_type = data_type
        self._theirs = {_folded(known, data_type): ours for known, ours in theirs.items()}
        self._fields = {_folded(name, data_type): f for f in data_type.fields for name in (f.name, *f.aliases)}

    def find(self, name: str) -> Field | None:
        """Give the field a name means, None where the data type does not know it."""
        name = self._theirs.get(_folded(name, self._data_type), name)
        folded = _folded(name, self._data_type)
        if folded in self._fields:
            return self._fields[folded]
        for family in self._data_type.families:
            if len(name) > len(family.prefix) and folded.startswith(_folded(family.prefix, self._data_type)):
                return family.field(family.prefix + name[len(family.prefix) :])
        return None


def _refuse_duplicates(columns: tuple[Column, ...]) -> None:
    count = Counter(column.field.name if column.field else column.name for column in columns)
    twice = [name for name, number in count.items() if number > 1 and name]
    if twice:
        raise _fault(
            Code.HEADER_DUPLICATE,
            f"The header names {', '.join(name[:MAX_NAME] for name in twice[:5])} more than once; keep one of each.",
        )


def _refuse_missing(columns: tuple[Column, ...], data_type: DataType) -> None:
    """Raise where a required column is not there, naming what stands in its place."""
    have = {column.field.name for column in columns if column.field}
    unknown = [column.name for column in columns if column.field is None and column.name]
    missing = [field.name for field in data_type.fields if field.constraints.required and field.name not in have]
    sentences = [f"The column {name} is missing{_instead(name, unknown)}" for name in missing]
    sentences += [
        f"One of the columns {rule.words} is needed, and none is there."
        for rule in data_type.rules
        if isinstance(rule, AnyOf) and not any(have.issuperset(group) for group in rule.groups)
    ]
    if not sentences:
        return
    if not have and not any(near(name, unknown) for name in missing):
        raise _fault(
            Code.HEADER_MISSING,
            f"The first line names no column of {data_type.title}; it must hold the column names, such as "
            f"{', '.join(field.name for field in data_type.fields[:3])}.",
        )
    raise _fault(Code.REQUIRED_COLUMN_MISSING, " ".join(sentences))


def _instead(name: str, unknown: list[str]) -> str:
    found = near(name, unknown)
    if found is None:
        return "."
    case = " (upper and lower case matter)" if found.casefold() == name.casefold() else ""
    return f"; the header has {found}, did you mean {name}{case}?"


def near(name: str, candidates: list[str]) -> str | None:
    """Give the candidate that is the name in other case, or nearly the name; None where none is."""
    folded = {candidate.casefold(): candidate for candidate in candidates if len(candidate) <= MAX_NAME}
    if len(name) > MAX_NAME:
        return None
    if name.casefold() in folded:
        return folded[name.casefold()]
    from difflib import get_close_matches

    close = get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.8)
    return folded[close[0]] if close else None


def unknown_columns(columns: tuple[Column, ...], data_type: DataType) -> list[Warning_]:
    """Warn of the columns that the data type does not know, the first ones by name."""
    unknown = [column for column in columns if column.field is None]
    warnings = [_unknown(column, columns, data_type) for column in unknown[:MAX_WARNINGS]]
    if len(unknown) > MAX_WARNINGS:
        message = f"{len(unknown) - MAX_WARNINGS} more columns are not known and were left out."
        warnings.append(Warning_(code=Code.UNKNOWN_COLUMN, message=message))
    return warnings


def _unknown(column: Column, columns: tuple[Column, ...], data_type: DataType) -> Warning_:
    if not column.name:
        message = f"Column {column.index + 1} has no name in the header and was left out."
        return Warning_(code=Code.UNKNOWN_COLUMN, message=message)
    have = {c.field.name for c in columns if c.field}
    meant = near(column.name, [field.name for field in data_type.fields if field.name not in have])
    hint = f"; did you mean {meant}?" if meant else "."
    name = column.name[:MAX_NAME]
    message = f"The column {name} is not known and was left out{hint}"
    return Warning_(code=Code.UNKNOWN_COLUMN, message=message, column=name)

"""The header: which delimiter it uses, which column is which field, and what is wrong with it.

What lives here: decisions on the first record alone.
"""

from dataclasses import dataclass

from models.codes import Code
from models.data_type import DataType, Field
from models.result import Warning_
from parsing.header_faults import advice, refusal, refuse_missing
from parsing.names import MAX_NAME, Names, folded, known_names, near, shown, trimmed
from parsing.record import BLANK, DELIMITERS, MALFORMED, MAX_LINE, TOO_LARGE, Record, cells_of, read_record
from parsing.source import Source

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
    raw: bytes  #: the line itself; empty where there is none
    names: tuple[str, ...]  #: of the original columns, trimmed
    columns: tuple[Column, ...]
    mended: bool = False
    warnings: tuple[Warning_, ...] = ()


def first_record(source: Source, start: int, data_type: DataType, theirs: Names) -> tuple[Record, str, int]:
    """Give the first record that is not blank, its delimiter and how many blank lines stand before it."""
    blank = 0
    while start < source.size and source.line_end(start) == start:
        start, blank = source.behind_line_end(start), blank + 1
    known = known_names(data_type, theirs) | set(ERROR_COLUMNS)
    best: tuple[tuple[int, bool, int], Record, str] | None = None
    for delimiter in DELIMITERS:
        record = read_record(source, start, delimiter, 0, MAX_LINE)
        cells = cells_of(bytes(source.data[start : record.end]), delimiter) if not record.flags & TOO_LARGE else []
        hits = sum(folded(trimmed(cell), data_type) in known for cell in cells)
        score = (hits, not record.flags & MALFORMED, len(cells))
        if best is None or score > best[0]:
            best = score, record, delimiter
    assert best is not None
    return best[1], best[2], blank


def read_header(source: Source, start: int, data_type: DataType, theirs: Names) -> Header:
    """Read and judge the header; raise PermanentError where the file cannot be read with it."""
    record, delimiter, blank = first_record(source, start, data_type, theirs)
    if record.flags & (TOO_LARGE | BLANK):
        raise refusal(Code.HEADER_INVALID, f"The header line is longer than {MAX_LINE} bytes.")
    raw = bytes(source.data[record.start : record.end])
    if record.flags & MALFORMED:
        what = "a NUL byte" if b"\0" in raw else "a quote that is not closed or is followed by more text"
        raise refusal(Code.HEADER_INVALID, f"The header line holds {what}; write the column names plainly.")
    cells = cells_of(raw, delimiter)
    mended = is_mended(cells)
    offset = len(ERROR_COLUMNS) if mended else 0
    if mended:
        cells = [without_guard(cell) for cell in cells]
    names = tuple(trimmed(cell) for cell in cells[offset:])
    known = FieldNames(data_type, theirs)
    columns = tuple(Column(index=offset + i, name=name, field=known.find(name)) for i, name in enumerate(names))
    warnings = [_space(cell, name) for cell, name in zip(cells[offset:], names, strict=True) if cell != name]
    warnings = warnings[:MAX_WARNINGS]
    _refuse_duplicates(columns)
    have = {column.field.name for column in columns if column.field}
    unknown = [column.name for column in columns if column.field is None and column.name]
    refuse_missing(have, unknown, data_type, lambda: advice(source, record.start, blank + 1, data_type, theirs))
    if data_type.unknown_columns == "warn":
        warnings += unknown_columns(columns, data_type)
    return Header(
        after=record.after,
        first_row=blank + 2,
        first_line=blank + record.lines + 1,
        delimiter=delimiter,
        width=len(cells),
        raw=raw,
        names=names,
        columns=columns,
        mended=mended,
        warnings=tuple(warnings),
    )


def _space(cell: str, name: str) -> Warning_:
    hidden = "" if cell.strip() == name else " and hidden characters"
    message = f"The blanks{hidden} around the column name {shown(name)} were ignored."
    return Warning_(code=Code.HEADER_SPACE, message=message, column=name[:MAX_NAME])


def without_guard(cell: str) -> str:
    """Take the guard off a cell that we put it on, so that no spreadsheet calculates it."""
    return cell[1:] if cell.startswith(_GUARDS) else cell


def is_mended(cells: list[str]) -> bool:
    """Tell whether a header begins with the columns of an errors file."""
    return tuple(trimmed(cell) for cell in cells[: len(ERROR_COLUMNS)]) == ERROR_COLUMNS


class FieldNames:
    """Find the field that a name in a file means."""

    def __init__(self, data_type: DataType, theirs: Names) -> None:
        self._data_type = data_type
        self._theirs = {folded(known, data_type): ours for known, ours in theirs.items()}
        self._fields = {folded(name, data_type): f for f in data_type.fields for name in (f.name, *f.aliases)}

    def find(self, name: str) -> Field | None:
        """Give the field a name means, None where the data type does not know it."""
        name = self._theirs.get(folded(name, self._data_type), name)
        compared = folded(name, self._data_type)
        if compared in self._fields:
            return self._fields[compared]
        for family in self._data_type.families:
            if len(name) > len(family.prefix) and compared.startswith(folded(family.prefix, self._data_type)):
                return family.field(family.prefix + name[len(family.prefix) :])
        return None


def _refuse_duplicates(columns: tuple[Column, ...]) -> None:
    written: dict[str, list[str]] = {}
    for column in columns:
        written.setdefault(column.field.name if column.field else column.name, []).append(shown(column.name))
    twice = [
        shown(name) + (f" (as {' and '.join(dict.fromkeys(names))})" if len(set(names)) > 1 else "")
        for name, names in written.items()
        if len(names) > 1 and name
    ]
    if twice:
        message = f"The header names {', '.join(twice[:5])} more than once; keep one of each."
        raise refusal(Code.HEADER_DUPLICATE, message)


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
    message = f"The column {shown(column.name)} is not known and was left out{hint}"
    return Warning_(code=Code.UNKNOWN_COLUMN, message=message, column=column.name[:MAX_NAME])

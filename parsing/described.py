"""What the report says of a file's columns and how they are written.

What lives here: the value, made from a header or from the keys of JSON objects.
"""

from dataclasses import dataclass

from models.result import Warning_
from parsing.header import ERROR_COLUMNS, Header


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """The columns of a file for its report."""

    delimiter: str | None
    header: tuple[str, ...]
    originals: tuple[tuple[int, str], ...]  #: index and name of each column that the errors file repeats
    warnings: tuple[Warning_, ...]


def describe(header: Header) -> Described:
    """Describe a file that has a header."""
    offset = len(ERROR_COLUMNS) if header.mended else 0
    return Described(
        delimiter=header.delimiter,
        header=header.names,
        originals=tuple((offset + i, name) for i, name in enumerate(header.names)),
        warnings=header.warnings,
    )

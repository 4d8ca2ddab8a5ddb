"""An entry of the catalogue: what mailgate says about one code, to clients and to operators.

What lives here: the shape alone. The texts stand in the tables beside it, ``models.catalogue`` gathers them.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.codes import Code


class Scope(StrEnum):
    """What a code speaks of, as ``formats.md`` groups them."""

    FILE = "file"  #: one file, or the mail that carried it
    ROW = "row"  #: one row of a file
    DELIVERY = "delivery"  #: a delivery that was not taken
    OURS = "ours"  #: something that is not the sender's fault


class Severity(StrEnum):
    """How hard a code strikes."""

    ERROR = "error"  #: the file or the row is refused
    WARNING = "warning"  #: the file or the row is taken all the same
    IGNORED = "ignored"  #: nothing is imported, the history shows it


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One code with its texts, in words that a client's bookkeeper understands."""

    code: Code
    scope: Scope
    severity: Severity
    title: str  #: a few words, without a full stop
    meaning: str  #: one or two sentences: what happened, and what became of the file or row
    mend: str  #: one line under 140 characters, imperative: the hint column of the errors file
    example: str  #: a concrete bad value or situation, and the right one

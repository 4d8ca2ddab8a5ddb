"""What was found wrong: entries of the errors file, gathered and cut.

What lives here: the entries and their counts. Who finds them is elsewhere, who writes them too.
"""

from collections import Counter
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from models.codes import Code

ERROR, WARNING = "error", "warning"
MAX_VALUE = 1_000  #: characters of a value that are shown


class Entry(NamedTuple):
    """One line of the errors file."""

    record: int  #: index of the record, from 0
    order: int  #: among the entries of the record
    column: str
    value: str | None  #: None is the raw text of the record
    severity: str
    code: Code
    message: str


class Findings:
    """Gather entries up to a limit and count all of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.errors: Counter[Code] = Counter()
        self._entries: list[Entry] = []

    def count(self, code: Code, severity: str, number: int) -> None:
        """Count findings, whether or not they become entries."""
        self.total += number
        if severity == ERROR:
            self.errors[code] += number

    @property
    def full(self) -> bool:
        """Tell whether findings about later records would be cut anyway."""
        return len(self._entries) >= self.limit

    def keep(self, entries: Iterable[Entry]) -> None:
        """Keep entries; of one code at most ``limit`` ought to be given."""
        self._entries.extend(entries)
        if len(self._entries) > 2 * self.limit:
            self._entries = self.sorted()

    def sorted(self) -> list[Entry]:
        """Give the entries by record, cut at the limit."""
        self._entries.sort(key=itemgetter(0, 1))
        return self._entries[: self.limit]

"""What was found wrong: entries of the errors file in columns, gathered and cut.

What lives here: the entries and their counts. Who finds them is elsewhere, who writes them too.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.codes import Code

ERROR, WARNING = "error", "warning"
MAX_VALUE = 1_000  #: characters of a value that are shown

#: ``record`` is the index of the record, from 0; ``order`` is among its entries; a null value is its raw text
SCHEMA = {
    "record": pl.Int64,
    "order": pl.Int64,
    "column": pl.String,
    "value": pl.String,
    "severity": pl.String,
    "code": pl.String,
    "message": pl.String,
}


Texts = str | Sequence[str]  #: the same for all, or one for each


@dataclass(frozen=True, slots=True)
class _Entries:
    """Entries of one kind; kept as they come, and made to columns together."""

    records: npt.NDArray[np.int64]
    order: int
    column: Texts
    values: pl.Series | None
    severity: str
    code: str
    message: Texts


class Findings:
    """Gather entries up to a limit and count all of them; ``full`` where later records would be cut anyway."""

    def __init__(self, limit: int, *, full: bool = False) -> None:
        self.limit = limit
        self.total = 0
        self.errors: Counter[Code] = Counter()
        self._frames: list[pl.DataFrame] = []  #: entries made to columns already, all before those in parts
        self.parts: list[_Entries] = []
        self.kept = 0
        self._full = full

    @property
    def full(self) -> bool:
        """Tell whether findings about later records would be cut anyway."""
        return self._full or self.kept >= self.limit

    def add(
        self,
        records: npt.NDArray[np.int64],
        code: Code,
        severity: str,
        message: Texts,
        *,
        order: int = 0,
        column: Texts = "",
        values: pl.Series | Sequence[str] | None = None,
    ) -> None:
        """Add one finding about each of some records, in order; the values are as many as are kept of them."""
        self.total += len(records)
        if severity == ERROR and len(records):
            self.errors[code] += len(records)
        if self._full or not len(records):
            return
        shown = None if values is None else pl.Series(values, dtype=pl.String)
        entries = _Entries(records[: self.limit], order, column, shown, severity, str(code), message)
        self._keep([entries], len(entries.records))

    def merge(self, other: "Findings") -> None:
        """Take over the findings about later records."""
        self.total += other.total
        self.errors += other.errors
        self._keep(other.parts, other.kept)

    def _keep(self, parts: list[_Entries], count: int) -> None:
        self.parts += parts
        self.kept += count
        if self.kept > 3 * self.limit:
            self._frames, self.parts = [self.sorted()], []
            self.kept = self._frames[0].height

    def sorted(self) -> pl.DataFrame:
        """Give the entries by record, cut at the limit."""
        frames = [*self._frames, *([_columns(self.parts)] if self.parts else [])]
        if not frames:
            return pl.DataFrame(schema=SCHEMA)
        return pl.concat(frames).sort("record", "order", maintain_order=True).head(self.limit)


def _columns(parts: list[_Entries]) -> pl.DataFrame:
    """Give entries as one table."""
    sizes = [len(part.records) for part in parts]
    which = pl.Series(np.repeat(np.arange(len(parts), dtype=np.uint32), sizes))
    said = {
        "column": _spread([part.column for part in parts], which, sizes),
        "value": _values([part.values for part in parts], sizes).str.slice(0, MAX_VALUE),
        "severity": pl.Series([part.severity for part in parts], dtype=pl.String).gather(which),
        "code": pl.Series([part.code for part in parts], dtype=pl.String).gather(which),
        "message": _spread([part.message for part in parts], which, sizes),
    }
    order = np.repeat(np.array([part.order for part in parts], np.int64), sizes)
    return pl.DataFrame({"record": np.concatenate([part.records for part in parts]), "order": order, **said})


def _spread(texts: list[Texts], which: pl.Series, sizes: list[int]) -> pl.Series:
    """Give the text of each entry."""
    if all(isinstance(text, str) for text in texts):
        return pl.Series(texts, dtype=pl.String).gather(which)
    parts = [
        pl.repeat(text, size, dtype=pl.String, eager=True)
        if isinstance(text, str)
        else pl.Series(list(text), dtype=pl.String)
        for text, size in zip(texts, sizes, strict=True)
    ]
    return pl.concat(parts)


def _values(values: list[pl.Series | None], sizes: list[int]) -> pl.Series:
    """Give the value of each entry, null where its raw text is shown."""
    parts = [
        pl.repeat(None, size, dtype=pl.String, eager=True) if found is None else found
        for found, size in zip(values, sizes, strict=True)
    ]
    return pl.concat(parts)

"""What was found wrong: entries of the errors file in columns, gathered and cut.

What lives here: the entries and their counts. Who finds them is elsewhere, who writes them too.
"""

from collections import Counter
from collections.abc import Sequence

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


class Findings:
    """Gather entries up to a limit and count all of them; ``full`` where later records would be cut anyway."""

    def __init__(self, limit: int, *, full: bool = False) -> None:
        self.limit = limit
        self.total = 0
        self.errors: Counter[Code] = Counter()
        self.parts: list[pl.DataFrame] = []
        self._kept = 0
        self._full = full

    @property
    def full(self) -> bool:
        """Tell whether findings about later records would be cut anyway."""
        return self._full or self._kept >= self.limit

    def add(
        self,
        records: npt.NDArray[np.int64],
        code: Code,
        severity: str,
        message: str | Sequence[str],
        *,
        order: int = 0,
        column: str | Sequence[str] = "",
        values: pl.Series | Sequence[str] | None = None,
    ) -> None:
        """Add one finding about each of some records, in order; the values are as many as are kept of them."""
        self.total += len(records)
        if severity == ERROR and len(records):
            self.errors[code] += len(records)
        if self._full or not len(records):
            return
        kept = records[: self.limit]
        shown = pl.Series([None], dtype=pl.String) if values is None else pl.Series(values, dtype=pl.String)
        part = pl.DataFrame({"record": kept}).with_columns(
            pl.lit(order).alias("order"),
            _said(column).alias("column"),
            pl.lit(shown if values is not None else None, dtype=pl.String).str.slice(0, MAX_VALUE).alias("value"),
            pl.lit(severity).alias("severity"),
            pl.lit(str(code)).alias("code"),
            _said(message).alias("message"),
        )
        self._keep([part.cast({"order": pl.Int64})])

    def merge(self, other: "Findings") -> None:
        """Take over the findings about later records."""
        self.total += other.total
        self.errors += other.errors
        self._keep(other.parts)

    def _keep(self, parts: list[pl.DataFrame]) -> None:
        self.parts += parts
        self._kept += sum(part.height for part in parts)
        if self._kept > 3 * self.limit:
            self.parts = [self.sorted()]
            self._kept = self.parts[0].height

    def sorted(self) -> pl.DataFrame:
        """Give the entries by record, cut at the limit."""
        if not self.parts:
            return pl.DataFrame(schema=SCHEMA)
        entries = pl.concat(self.parts)
        return entries.sort("record", "order", maintain_order=True).head(self.limit)


def _said(text: str | Sequence[str]) -> pl.Expr:
    return pl.lit(text if isinstance(text, str) else pl.Series(list(text), dtype=pl.String))

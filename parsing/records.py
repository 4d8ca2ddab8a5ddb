"""Where some records of a file are, in columns.

What lives here: the value that the structure scan gives and every later stage takes.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Records:
    """Some records of a file, one below the other; every array has one element for each."""

    start: Ints  #: offset of the first byte
    end: Ints  #: offset behind the content, before the line end
    after: Ints  #: offset behind the line end
    fields: Ints
    lines: Ints  #: physical lines, 1 without line breaks in quotes
    flags: npt.NDArray[np.uint8]  #: see parsing.record

    def __len__(self) -> int:
        return len(self.start)

    def part(self, low: int, high: int) -> "Records":
        """Give the records from one place up to another."""
        return Records(*(getattr(self, f.name)[low:high] for f in fields(self)))

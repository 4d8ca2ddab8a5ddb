"""What a caller may decide about one import, and what parsing never decides by itself: limits, policy, the time.

What lives here: values only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Options:
    """Policy, limits and the time for one parse, and what is known of the files before it."""

    now: datetime  #: aware UTC; rows are too old against it
    policy: str = "accept_valid"  #: accept_valid | all_or_nothing | max_bad_percent=N
    max_rows: int = 1_000_000
    warn_rows: int = 500_000
    max_entries: int = 100_000  #: of the errors file, which is cut there
    format: str = ""  #: csv | jsonl; empty: what the first bytes say
    encoding: str = ""  #: of files without a byte-order mark, e.g. cp1252; empty: UTF-8
    columns: Mapping[str, str] = field(default_factory=dict)  #: their column's name → ours
    previous_header: tuple[str, ...] | None = None  #: of the last accepted file
    usual_rows: int | None = None  #: of the files before it
    progress: Callable[[int, int], None] | None = None  #: called with bytes read and bytes in all

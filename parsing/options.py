"""What a caller may decide about one import, and what parsing never decides by itself: limits, policy, the time.

What lives here: values only.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Options:
    """Policy, limits and the time for one parse."""

    now: datetime  #: aware UTC; rows are too old against it
    policy: str = "accept_valid"  #: accept_valid | all_or_nothing | max_bad_percent=N
    max_rows: int = 1_000_000
    warn_rows: int = 500_000
    max_entries: int = 100_000  #: of the errors file, which is cut there

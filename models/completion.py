"""What a file in a client's folder becomes when it is closed, renamed or marked.

``matching.uploads`` decides it, ``storage.ledger`` writes it. Values only.
"""

from dataclasses import dataclass

from models.states import UploadStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Next:
    """The next state of a file whose last handle was closed cleanly."""

    status: UploadStatus  #: SETTLING or HELD
    at_once: bool = False  #: it need not stay untouched first
    reason: str = ""  #: why it is held

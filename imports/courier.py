"""The seam through which replies leave the house.

What lives here: what a reply is, and the protocol of who takes it. The implementations stand in ``mailgate.courier``.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One mail of ours, ready to be handed over; handing it over twice must show the same Message-ID."""

    to_address: str
    trace_id: str
    kind: str  #: receipt, result or digest
    sequence: int
    created_at: datetime
    message: bytes  #: RFC 5322, CRLF


class Courier(Protocol):
    """Hand replies over."""

    async def deliver(self, reply: Reply) -> None:
        """Hand over one reply, whole or not at all.

        Raises TemporaryError when it may go later, PermanentError when the receiving side refused it for good.
        """

    async def close(self) -> None:
        """Let go of connections."""

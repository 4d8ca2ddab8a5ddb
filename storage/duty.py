"""A duty that one node of the cluster has at a time: held by a lease, given up in time.

What lives here: the holder's side of ``storage.ledger.leases``. A process that was paused may wake up long after its
lease has ended: so it asks ``still`` right before each thing that cannot be undone, and knows the answer by its own
monotonic clock.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from storage.ledger import Ledger
from storage.ledger.leases import take_lease

LASTS = timedelta(seconds=15)
_RENEWED = 1 / 3  # of its time, when it is taken anew
_MARGIN = 2 / 3  # of its time, after which its holder trusts it no more


class Duty(Protocol):
    """Something that only one node may do at a time; it is given back when the node ends (``storage.heartbeat``)."""

    async def mine(self) -> bool:
        """Take the duty or keep it; False when another node has it."""

    def still(self) -> bool:
        """Tell whether the duty is ours for certain, at this moment."""


class Alone:
    """The duty of a service that is the only one."""

    async def mine(self) -> bool:
        """Say yes."""
        return True

    def still(self) -> bool:
        """Say yes."""
        return True


class Leased:
    """A duty among several nodes."""

    def __init__(
        self, ledger: Ledger, name: str, node_id: str, *, lasts: timedelta = LASTS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._name = name
        self._node_id = node_id
        self._lasts = lasts
        self._monotonic = monotonic
        self._since = float("-inf")

    async def mine(self) -> bool:
        """Take the lease, or renew it when a third of its time is over; False when another node has it."""
        now = self._monotonic()
        if now - self._since < self._lasts.total_seconds() * _RENEWED:
            return True
        # It counts from before the question: the answer may be late.
        ours = await self._ledger.write(take_lease, self._name, self._node_id, self._lasts)
        self._since = now if ours else float("-inf")
        return self.still()

    def still(self) -> bool:
        """Tell whether the lease is ours, with room for what is done now."""
        return self._monotonic() - self._since < self._lasts.total_seconds() * _MARGIN

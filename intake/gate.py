"""The gate of a door: how many may be inside, how many of them unproved, and how fast one address may knock.

What lives here: counters and the decision who comes in and who has to make room. The time is passed in; no socket.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from intake.bans import address_key

V = TypeVar("V")
_BUCKETS_MOST = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How many may be inside at once."""

    total: int
    per_address: int
    unproved: int  #: that have not logged in yet
    unproved_per_address: int
    knocks_per_second: int  #: of one address; as many at once as it may have unproved


@dataclass(frozen=True, kw_only=True, slots=True)
class Entrance(Generic[V]):
    """Whether a visitor comes in, and who has to leave for it."""

    reason: str = ""  #: why not; empty: it comes in
    evicted: V | None = None


class Gate(Generic[V]):
    """Count visitors, so that one address can neither fill the door nor keep it busy with handshakes.

    ``spare`` tells of a visitor that must not give way, whatever it has proved.
    """

    def __init__(self, room: Room, spare: Callable[[V], bool] = lambda _: False) -> None:
        self._room = room
        self._spare = spare
        self._inside: dict[V, str] = {}
        self._of: dict[str, OrderedDict[V, bool]] = {}  # the visitors of an address, oldest first, and who is unproved
        self._unproved: dict[str, int] = {}
        self._knocks: OrderedDict[str, tuple[float, float]] = OrderedDict()  # when, and how many were left then

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, visitor: V, address: str, now: float, *, brief: bool = False) -> Entrance[V]:
        """Let a visitor in, or say why not; where the door is full of unproved ones, the greediest address gives way.

        ``now``: seconds of a monotonic clock. ``brief``: the address is banned, and may knock once a second.
        """
        place, room = address_key(address), self._room
        own: dict[V, bool] = self._of.get(place, OrderedDict())
        if not self._may_knock(place, now, 1 if brief else room.knocks_per_second, 5 if brief else None):
            return Entrance(reason="too many connections in a short time from your address")
        if len(own) >= room.per_address:
            return Entrance(reason="too many connections from your address")
        if self._unproved.get(place, 0) >= room.unproved_per_address:
            return Entrance(reason="too many connections from your address that have not logged in")
        evicted: V | None = None
        if sum(self._unproved.values()) >= room.unproved or len(self._inside) >= room.total:
            evicted = self._who_gives_way(self._unproved.get(place, 0))
            if evicted is None:
                return Entrance(reason="too many connections")
            self.leave(evicted)
        self._inside[visitor] = place
        self._of.setdefault(place, OrderedDict())[visitor] = True
        self._unproved[place] = self._unproved.get(place, 0) + 1
        return Entrance(evicted=evicted)

    def _who_gives_way(self, own: int) -> V | None:
        """Give the oldest unproved visitor of the greediest address that has one, if it has more than so many."""
        for place in sorted(self._unproved, key=self._unproved.__getitem__, reverse=True):
            if self._unproved[place] <= own:
                return None
            for one, unproved in self._of[place].items():
                if unproved and not self._spare(one):
                    return one
        return None

    def proved(self, visitor: V) -> None:
        """Note that a visitor has logged in: its knock is given back."""
        place = self._inside.get(visitor)
        if place is not None and self._of[place][visitor]:
            self._of[place][visitor] = False
            self._less_unproved(place)
            if place in self._knocks:
                then, left = self._knocks[place]
                self._knocks[place] = (then, left + 1)

    def leave(self, visitor: V) -> None:
        """Note that a visitor is gone; one who never came in does not count."""
        place = self._inside.pop(visitor, None)
        if place is None:
            return
        if self._of[place].pop(visitor):
            self._less_unproved(place)
        if not self._of[place]:
            del self._of[place]

    def _less_unproved(self, place: str) -> None:
        self._unproved[place] -= 1
        if not self._unproved[place]:
            del self._unproved[place]

    def _may_knock(self, place: str, now: float, rate: int, burst: int | None) -> bool:
        most = float(burst if burst is not None else self._room.unproved_per_address)
        then, left = self._knocks.pop(place, (now, most))
        left = min(most, left + (now - then) * rate)
        self._knocks[place] = (now, left - 1 if left >= 1 else left)
        while len(self._knocks) > _BUCKETS_MOST:
            self._knocks.popitem(last=False)
        return left >= 1

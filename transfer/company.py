"""Who is inside a file door: who may come in, who may stay, and who must leave.

What lives here: the visitors of one door and what they share. No socket, no packet.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from intake.gate import Gate, Room
from intake.logins import Login, Logins
from mailgate.observe import get_logger, metrics, notes
from models.faults import TemporaryError

log = get_logger("company")
_LOOK = 1.0  # seconds between two looks at who must leave: a revocation is obeyed within two


class Visitor(Protocol):
    """One connection."""

    address: str
    username: str
    login: Login | None  #: once it has proved itself
    last_heard: float  #: of a request or of bytes, by the loop's clock

    @property
    def busy(self) -> bool:
        """Tell whether an upload is under way."""

    def say_goodbye(self, reason: str) -> None:
        """End the connection with a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    """How many a door takes, and for how long they may be silent."""

    room: Room
    per_credential: int
    idle: timedelta


class Company:
    """Everyone inside one door."""

    def __init__(self, house: House, logins: Logins, door: str) -> None:
        self.logins = logins
        self.visitors: set[Visitor] = set()
        self._house = house
        self._door = door
        self._admitted: Counter[str] = Counter()
        self._gate: Gate[Visitor] = Gate(house.room)
        metrics.connections.labels(door).set_function(lambda: len(self.visitors))

    def enter(self, visitor: Visitor) -> str:
        """Let a connection in; gives the reason where it is one too many."""
        now = asyncio.get_running_loop().time()
        banned = self.logins.defender.banned(visitor.address)
        entrance = self._gate.enter(visitor, visitor.address, now, brief=banned)
        if entrance.evicted is not None:
            entrance.evicted.say_goodbye("too many connections from your address that have not logged in")
        if not entrance.reason:
            self.visitors.add(visitor)
        else:
            notes.refused(self._door, "too_many_connections")
        return entrance.reason

    def admit(self, visitor: Visitor) -> str:
        """Let a visitor stay that has logged in; gives the reason where its credential has too many connections."""
        assert visitor.login is not None
        self._gate.proved(visitor)
        self.logins.defender.known(visitor.address, visitor.username)
        self._admitted[visitor.login.credential] += 1
        most = self._house.per_credential
        return f"at most {most} connections with one login" if self._admitted[visitor.login.credential] > most else ""

    def log_out(self, visitor: Visitor) -> None:
        """Note that a visitor stays without its login, before it is taken from it."""
        if visitor.login is not None:
            self._admitted[visitor.login.credential] -= 1
            if not self._admitted[visitor.login.credential]:
                del self._admitted[visitor.login.credential]

    def leave(self, visitor: Visitor) -> None:
        """Note that a visitor is gone."""
        self._gate.leave(visitor)
        self.visitors.discard(visitor)
        self.log_out(visitor)

    async def watch(self) -> None:
        """Look every second at who must leave, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self.look()
            except TemporaryError as error:
                log.warning("logins are not looked at now", door=self._door, reason=str(error))
            except Exception:
                log.exception("looking at the visitors failed", door=self._door)

    async def look(self) -> None:
        """End the connections whose login has been taken away, and those that are silent for too long."""
        inside = [visitor for visitor in self.visitors if visitor.login is not None]
        ended = await self.logins.ended(visitor.login for visitor in inside if visitor.login is not None)
        silent_since = asyncio.get_running_loop().time() - self._house.idle.total_seconds()
        for visitor in inside:
            if visitor.login in ended:
                visitor.say_goodbye("this login has ended")
            elif visitor.last_heard < silent_since:
                visitor.say_goodbye("silent for too long")

"""The defender: one for every door. It says whether a password may be looked at, and remembers what came of it.

What lives here: what is remembered in this process, when it is written to the ledger, and the order of password
checks. The decisions stand in ``intake.bans``. A public key needs no defence: nobody guesses one.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from intake.bans import (
    INNOCENT,
    Failure,
    Policy,
    Ruling,
    Subject,
    address_key,
    failed,
    forgettable,
    is_banned,
    room,
    rule,
)
from mailgate.observe import get_logger, metrics
from mailgate.settings import Limits
from models.faults import TemporaryError
from storage.ledger import Ledger
from storage.ledger.defence import Remembered, lifted, load_defence, save_defence

log = get_logger("defender")
_ROUND = 1.0  # seconds between two looks: what has changed is written, what an operator lifted is forgotten
_SLACK = timedelta(seconds=10)  # a change may be committed so long after its time was taken
_MOST = 20_000  # subjects remembered; beyond it the oldest that are not banned go
_KNOWN_MOST = 50  # addresses remembered of one user


def policy_of(limits: Limits) -> Policy:
    """Take the figures from the settings."""
    return Policy(
        points=limits.login_points, ban_points=limits.login_ban_points, guard_points=limits.login_guard_points,
        window=limits.login_window, ban=limits.login_ban, growth=limits.login_ban_growth,
        longest=limits.login_ban_longest,
    )  # fmt: skip


class Try:
    """One password that is being looked at: the door tells what came of it."""

    def __init__(self, ruling: Ruling) -> None:
        self.ruling = ruling
        self.right: bool | None = None  #: None: nobody looked, or nobody could


class Defender:
    """Judge every password that any door is offered; bans cover every door and survive a restart."""

    def __init__(
        self, ledger: Ledger, limits: Limits, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger = ledger
        self._policy = policy_of(limits)
        self._known_for = limits.login_known_for
        self._clock = clock
        self._subjects: dict[str, Subject] = {}
        self._known: dict[tuple[str, str], datetime] = {}
        self._changed: set[str] = set()
        self._changed_known: set[tuple[str, str]] = set()
        self._under_way: Counter[str] = Counter()
        self._turns: defaultdict[str, asyncio.Condition] = defaultdict(asyncio.Condition)
        self._writing = asyncio.Lock()
        self._learnt: datetime | None = None  # up to this change, by the database's clock

    async def load(self) -> None:
        """Remember what was remembered before the service stopped."""
        memory = await self._ledger.read(load_defence)
        self._known = dict(memory.known)
        self._subjects = {key: _read(remembered) for key, remembered in memory.subjects.items()}
        self._learnt = memory.until

    async def run(self) -> None:
        """Write what has changed, every second, until cancelled."""
        while True:
            await asyncio.sleep(_ROUND)
            try:
                await self.keep()
            except TemporaryError as error:
                log.warning("the defender's memory is not written now", reason=str(error))

    def banned(self, address: str) -> bool:
        """Tell whether an address is banned: a door may then be brief with it."""
        return is_banned(self._subjects.get(f"address:{address_key(address)}", INNOCENT), self._clock())

    @contextlib.asynccontextmanager
    async def password(self, address: str, username: str) -> AsyncIterator[Try]:
        """Ask for one password: look at it only where the ruling says so, and set ``right`` on what is yielded.

        Passwords from one address wait for each other as its threshold comes near, so that many at once are not more
        guesses than one after the other.
        """
        place, user = f"address:{address_key(address)}", _user(username)
        turn = self._turns[place]
        async with turn:
            self._under_way[f"waits {place}"] += 1
            await turn.wait_for(lambda: self._has_room(place))
            self._under_way[f"waits {place}"] -= 1
            one = Try(self._rule(place, user))
            looks = one.ruling is Ruling.LOOK
            self._under_way[place] += looks
        try:
            yield one
        finally:
            async with turn:
                self._under_way[place] -= looks
                if looks and one.right is not None:
                    self._note(place, user, right=one.right)
                turn.notify_all()
                if not self._under_way[place] and not self._under_way[f"waits {place}"]:
                    for key in (place, f"waits {place}"):
                        del self._under_way[key]
                    self._turns.pop(place, None)

    def known(self, address: str, username: str) -> None:
        """Note that a user has logged in from an address, by password or key."""
        self._note_known(f"address:{address_key(address)}", _user(username))

    async def keep(self) -> None:
        """Write what has changed to the ledger, learn what other nodes wrote, forget bans that an operator lifted."""
        async with self._writing:
            await self._forget_lifted()
            await self._learn()
            now = self._clock()
            self._tidy(now)
            subjects, known = self._changed, self._changed_known
            if not subjects and not known:
                return
            self._changed, self._changed_known = set(), set()
            try:
                await self._ledger.write(
                    save_defence, {key: _plain(self._subjects.get(key)) for key in subjects},
                    {pair: self._known.get(pair) for pair in known}, now,
                )  # fmt: skip
            except BaseException:
                self._changed |= subjects
                self._changed_known |= known
                raise

    async def _learn(self) -> None:
        """Take over what other nodes have seen; what has changed here too is put together when it is written."""
        since = None if self._learnt is None else self._learnt - _SLACK
        memory = await self._ledger.read(load_defence, since)
        for key, remembered in memory.subjects.items():
            if key not in self._changed:
                self._subjects[key] = _read(remembered)
        for pair, seen in memory.known.items():
            self._known[pair] = max(seen, self._known.get(pair, seen))
        self._learnt = memory.until or self._learnt

    def _has_room(self, place: str) -> bool:
        subject = self._subjects.get(place, INNOCENT)
        return room(subject, self._under_way[place], now=self._clock(), policy=self._policy)

    def _rule(self, place: str, user: str) -> Ruling:
        now = self._clock()
        seen = self._known.get((user, place.partition(":")[2]))
        return rule(
            self._subjects.get(place, INNOCENT), self._subjects.get(user, INNOCENT), user_key=user,
            known=seen is not None and now - seen < self._known_for, now=now, policy=self._policy,
        )  # fmt: skip

    def _note(self, place: str, user: str, *, right: bool) -> None:
        if right:
            self._note_known(place, user)
            return
        now, before = self._clock(), self._subjects.get(place, INNOCENT)
        after = failed(before, user, now=now, policy=self._policy, bannable=True)
        self._subjects[place] = after
        self._subjects[user] = failed(
            self._subjects.get(user, INNOCENT), place, now=now, policy=self._policy, bannable=False
        )
        self._changed |= {place, user}
        if after.banned_until != before.banned_until and after.banned_until is not None:
            metrics.bans.inc()
            log.warning("address banned", address=place.partition(":")[2], until=after.banned_until.isoformat())

    def _note_known(self, place: str, user: str) -> None:
        pair, now = (user, place.partition(":")[2]), self._clock()
        seen = self._known.get(pair)
        self._known[pair] = now
        if seen is None or now - seen > self._policy.window:  # not every login is a write
            self._changed_known.add(pair)
        if seen is None:
            others = sorted((one for one in self._known if one[0] == user), key=self._known.__getitem__)
            for one in others[:-_KNOWN_MOST]:
                del self._known[one]
                self._changed_known.add(one)

    async def _forget_lifted(self) -> None:
        now = self._clock()
        banned = [
            key for key, one in self._subjects.items() if is_banned(one, now) and key not in self._changed
        ]  # fmt: skip
        if not banned:
            return
        for key in await self._ledger.read(lifted, banned):
            if key not in self._changed:
                del self._subjects[key]
                log.info("ban lifted", address=key.partition(":")[2])

    def _tidy(self, now: datetime) -> None:
        """Forget what no longer matters, and the oldest of what is too much."""
        gone = [key for key, one in self._subjects.items() if forgettable(one, now, self._policy)]
        left = len(self._subjects) - len(gone)
        if left > _MOST:
            going = set(gone)
            loose = [key for key, one in self._subjects.items() if not is_banned(one, now) and key not in going]
            loose.sort(key=lambda key: self._subjects[key].failures[-1].at if self._subjects[key].failures else now)
            gone += loose[: left - _MOST]
        for key in gone:
            del self._subjects[key]
        self._changed.update(gone)
        old = [pair for pair, seen in self._known.items() if now - seen > self._known_for]
        for pair in old:
            del self._known[pair]
        self._changed_known.update(old)


def _user(username: str) -> str:
    """Give the key of a user name, a digest: what people type here by mistake may be a password."""
    return "user:" + sha256(username.strip().casefold().encode("utf-8", "replace")).hexdigest()[:32]


def _read(remembered: Remembered) -> Subject:
    failures = tuple(
        Failure(at=datetime.fromisoformat(at), points=points, other=other) for at, points, other in remembered.failures
    )
    return Subject(failures=failures, banned_until=remembered.banned_until, bans=remembered.bans)


def _plain(subject: Subject | None) -> Remembered | None:
    if subject is None:
        return None
    failures = [[failure.at.isoformat(), failure.points, failure.other] for failure in subject.failures]
    return Remembered(failures=failures, banned_until=subject.banned_until, bans=subject.bans)

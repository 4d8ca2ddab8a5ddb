"""One mailbox, one thread: lease, log in, look, wait for the server's hint, back off when something fails.

What lives here: the life of a poller. What one look does stands in ``taking``. Everything it waits for can be
interrupted, and every wait is bounded.
"""

import random
import re
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.imap.holders import is_gone
from mailgate.imap.oauth import Secrets
from mailgate.imap.plan import MailboxPlan
from mailgate.imap.session import Session, open_session
from mailgate.imap.stream import Woken
from mailgate.imap.taking import FolderLook, FolderMemory, Means, Taken
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.connection import Remote
from models.faults import TemporaryError
from storage.ledger import mailboxes
from storage.ledger.clock import Clock, database_now

log = get_logger("imap")
_FIRST_WAIT = 5.0  # seconds after a first failure
_REFUSED_WAIT = 60.0  # after a refused login: servers lock accounts
_ALARM_AFTER = timedelta(minutes=15)  # of failures; what somebody must mend alarms at once
_STANDBY = 8.0  # seconds between two tries for a lease that another has
_SLICE = 20.0  # seconds of waiting between looks at the lease
_NEWS = re.compile(rb"\* \d+ (EXISTS|RECENT)")


class Ended(Exception):
    """Say that the poller was told to end, or lost its lease."""


class QuotaUsed(MailboxError):
    """Say that the day's share of bytes is used up."""


def wait_after(error: TemporaryError, failures: int, most: timedelta, chance: Callable[[], float]) -> float:
    """Give the seconds to wait after so many failures in a row: twice as long each time, with a little chance."""
    refused = isinstance(error, MailboxError) and error.kind is Kind.NOT_ALLOWED
    first = _REFUSED_WAIT if refused else _FIRST_WAIT
    return float(min(first * 2 ** min(failures - 1, 20), most.total_seconds()) * (0.9 + 0.2 * chance()))


def must_be_mended(error: TemporaryError) -> bool:
    """Tell whether a failure will not pass by itself."""
    return isinstance(error, MailboxError) and error.kind in (Kind.NOT_ALLOWED, Kind.NO_FOLDER)


class Bell:
    """Wake a thread that waits, also one that waits for a socket."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._there.setblocking(False)

    @property
    def ear(self) -> socket.socket:
        """Give the socket that becomes readable when the bell rings."""
        return self._here

    def ring(self) -> None:
        """Wake whoever waits, now or the next time."""
        try:
            self._there.send(b"!")
        except OSError:  # full: it rings already; closed: nobody waits
            return

    def hush(self) -> None:
        """Forget what rang so far."""
        try:
            while self._here.recv(4096):
                continue
        except OSError:
            return

    def close(self) -> None:
        """Close both ends."""
        self._here.close()
        self._there.close()


@dataclass(slots=True)
class _Day:
    """The bytes fetched in the last day."""

    began: float = 0.0
    octets: int = 0


@dataclass(kw_only=True)
class PollerMeans:
    """What a poller needs beside its mailbox; the tests choose time, chance and waiting."""

    taking: Means
    holder: str
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    open: Callable[[Remote, Settings], Session] = open_session
    lease_clock: Clock = field(default=database_now)


class Poller:
    """Poll one mailbox while it holds the lease."""

    def __init__(self, plan: MailboxPlan, means: PollerMeans) -> None:
        self._plan = plan
        self._means = means
        self._settings = means.taking.settings
        self._ledger = means.taking.ledger
        self._bell = Bell()
        self._ending = threading.Event()
        self._secrets = Secrets(plan.remote, self._settings, monotonic=means.monotonic)
        self._session: Session | None = None
        self._memory = FolderMemory()
        self._leased_at = float("-inf")
        self._failures = 0
        self._day = _Day(means.monotonic())
        self._wish = 0
        self._thread: threading.Thread | None = None
        self.mailbox_id = self._ledger.write_now(mailboxes.open_mailbox, *plan.remote.mailbox)

    # --- from outside, any thread

    def start(self) -> None:
        """Begin to poll in a thread."""
        self._thread = threading.Thread(target=self._run, name=f"imap-{self.mailbox_id}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End soon: nothing new is fetched, and a server that is waited for is left."""
        self._ending.set()
        self._bell.ring()
        session = self._session
        if session is not None:
            session.drop()

    def join(self, seconds: float) -> bool:
        """Wait for the thread; tells whether it has ended."""
        if self._thread is not None:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def follow(self, plan: MailboxPlan) -> None:
        """Use another plan from the next look on; a change of the login, or a wish for news, needs no restart."""
        if plan == self._plan:
            return
        if plan.remote.login != self._plan.remote.login or plan.remote.mailbox != self._plan.remote.mailbox:
            self._secrets = Secrets(plan.remote, self._settings, monotonic=self._means.monotonic)
            session = self._session
            if session is not None:
                session.drop()
        self._plan = plan
        self._failures = 0
        self._bell.ring()

    def look_at_once(self, wish: int) -> None:
        """Look now, whatever the schedule says."""
        if wish > self._wish:
            self._wish = wish
            self._bell.ring()

    # --- the thread

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                seconds = self.turn()
            except Ended:
                seconds = 0.0 if self._ending.is_set() else 1.0
            except Exception:
                log.exception("a poller stumbled", mailbox=self._plan.remote.username)
                seconds = 60.0
            self._rest(seconds)
        self._bell.close()

    def turn(self) -> float:
        """Poll until something fails; gives the seconds to wait before the next turn. Raises Ended."""
        if not self._lease():
            return min(self._settings.limits.imap_lease.total_seconds() / 4, _STANDBY)
        wish = self._wish
        try:
            self._work()
        except TemporaryError as error:
            if self._ending.is_set():
                raise Ended from error
            return self._failed(error, wish)
        finally:
            self._hang_up()
        return 0.0

    def once(self) -> list[Taken]:
        """Look once and hang up, for the command line and for tests. Raises MailboxError, TemporaryError, Ended."""
        if not self._lease():
            raise Ended("another poller holds the lease")
        try:
            self._connect()
            return self._look()
        finally:
            self._hang_up()

    def leave(self) -> None:
        """Give the lease back."""
        self._ledger.write_now(mailboxes.leave_lease, self.mailbox_id, self._means.holder)
        self._leased_at = float("-inf")

    def note(self, error: TemporaryError) -> float:
        """Write down why the mailbox cannot be polled; gives the seconds to wait."""
        return self._failed(error, self._wish)

    def _work(self) -> None:
        self._connect()
        while not self._ending.is_set():
            self._look()
            self._wait_for_news()

    def _connect(self) -> None:
        remote = self._plan.remote
        secret = self._secrets.get()
        self._session = self._means.open(remote, self._settings)
        try:
            self._session.log_in(remote, secret)
        except MailboxError as error:
            if error.kind is not Kind.NOT_ALLOWED or not self._secrets.forget():
                raise
            self._hang_up()  # the token may have been withdrawn before its end: once more with a fresh one
            self._session = self._means.open(remote, self._settings)
            self._session.log_in(remote, self._secrets.get())

    def _look(self) -> list[Taken]:
        """Look at every folder; a folder or message that fails holds up no other."""
        assert self._session is not None
        self._bell.hush()
        self._alive(0)
        plan, wish = self._plan, self._wish
        taken: list[Taken] = []
        troubles: list[MailboxError] = []
        means = replace(self._means.taking, alive=self._alive)
        for folder in plan.folders:
            look = FolderLook(self._session, plan.remote, self.mailbox_id, folder, means, self._memory)
            try:
                some, of_messages = look.run()
            except MailboxError as error:
                if not (error.alive or error.kind is Kind.NO_FOLDER):
                    raise
                troubles.append(error)
                continue
            taken += some
            troubles += of_messages
        if troubles:
            raise troubles[0]
        self._failures = 0
        self._ledger.write_now(mailboxes.note_success, self.mailbox_id, wish, self._means.taking.clock())
        if taken:
            log.info("mails taken", mailbox=plan.remote.username, host=plan.remote.host, count=len(taken))
        return taken

    def _alive(self, octets: int) -> None:
        """Go on: the lease is ours, nobody wants us to end, and the day's share of bytes is not used up."""
        if self._ending.is_set() or not self._lease():
            raise Ended
        now, most = self._means.monotonic(), self._settings.limits.imap_bytes_per_day
        if now - self._day.began >= 86_400:
            self._day = _Day(now)
        self._day.octets += octets
        if not octets and self._day.octets > most:  # between mails: what was begun is brought to its end
            left = timedelta(seconds=86_400 - (now - self._day.began))
            raise QuotaUsed(
                Step.QUOTA, f"more than {most:,} bytes were fetched in a day; it goes on in {_in_words(left)}"
            )

    def _lease(self) -> bool:
        """Hold the lease: take it, or renew it when a part of its time is over."""
        lasts = self._settings.limits.imap_lease
        now = self._means.monotonic()
        if now - self._leased_at < lasts.total_seconds() / 4:
            return True
        ours = self._ledger.write_now(
            mailboxes.take_lease, self.mailbox_id, self._means.holder, lasts, self._means.lease_clock, is_gone
        )
        self._leased_at = now if ours else float("-inf")
        return ours

    # --- waiting

    def _wait_for_news(self) -> None:
        """Return when it is time for the next look, or something new was heard."""
        assert self._session is not None
        until = self._means.monotonic() + self._plan.every.total_seconds()
        idle = self._session.can_idle and len(self._plan.folders) >= 1
        if idle and len(self._plan.folders) > 1:
            self._session.select(self._plan.folders[0].name)
        while (left := until - self._means.monotonic()) > 0:
            if self._ending.is_set() or not self._lease():
                raise Ended
            if idle:
                if self._idle(min(left, self._settings.limits.imap_idle.total_seconds())):
                    return
            elif self._rest(min(left, _SLICE)):
                return
        if not idle:
            self._session.noop()

    def _idle(self, seconds: float) -> bool:
        """Be in IDLE for so long at most; tells whether to look. An early end without a word means dead."""
        assert self._session is not None
        until = self._means.monotonic() + seconds
        with self._session.idling() as client:
            while (left := until - self._means.monotonic()) > 0:
                woken, line = client.idle_line(min(left, _SLICE), self._bell.ear)
                if woken is Woken.CALLED or _NEWS.match(line):
                    return True
                if line.startswith(b"* BYE"):
                    raise MailboxError(Step.IDLE, "the server says goodbye")
                if self._ending.is_set() or not self._lease():
                    raise Ended
        return False

    def _rest(self, seconds: float) -> bool:
        """Wait so long, or until the bell rings; tells whether it rang."""
        if seconds <= 0 or self._ending.is_set():
            return False
        rang = _ring_within(self._bell.ear, seconds)
        self._bell.hush()
        return rang

    # --- after a failure

    def _failed(self, error: TemporaryError, wish: int) -> float:
        self._failures += 1
        limits, now = self._settings.limits, self._means.taking.clock()
        seconds = wait_after(error, self._failures, limits.imap_backoff_most, self._means.chance)
        step = str(error.step) if isinstance(error, MailboxError) else str(Step.OURS)
        reason = error.reason if isinstance(error, MailboxError) else str(error)
        log.warning(
            "mailbox not polled", mailbox=self._plan.remote.username, host=self._plan.remote.host, step=step,
            reason=reason, failures=self._failures, wait=round(seconds),
        )  # fmt: skip
        self._ledger.write_now(
            mailboxes.note_failure, self.mailbox_id, step=step, reason=reason, wish=wish,
            next_at=now + timedelta(seconds=seconds), now=now, at_once=must_be_mended(error), alarm_after=_ALARM_AFTER,
            connection_id=self._plan.first.id,
        )  # fmt: skip
        return seconds

    def _hang_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _ring_within(ear: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(ear.fileno(), select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _in_words(left: timedelta) -> str:
    minutes = max(int(left.total_seconds() // 60), 1)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"

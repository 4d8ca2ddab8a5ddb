"""One look at a folder: what is new is fetched, handed to intake, and moved or flagged once it is recorded.

What lives here: the order of things, commit first. Several mails are under way at once, so that the network and the
disk wait for each other less; they are recorded in the order of their UIDs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from intake.accept import Intake, NoSpace
from intake.mail import Mail, SenderNotKnownNow
from intake.spool import Spool
from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.imap.fetching import Fetched, fetch, imap_url, make_mail
from mailgate.imap.plan import TAKEN, FolderPlan
from mailgate.imap.session import Selected, Session
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.codes import Code
from models.connection import Remote
from models.faults import Fault, TemporaryError
from storage.ledger import Ledger
from storage.ledger.mailboxes import folder_changed
from storage.ledger.messages import FolderState, MessageKey, Tried, folder_state, forget_tries, note_try, settle
from storage.ledger.recording import Recorded

log = get_logger("imap")
_TOGETHER = 32  # mails recorded together, while the next are fetched
_BYTES_TOGETHER = 8 << 20  # of their spools
_SETTLED_AT_ONCE = 100  # messages in one MOVE
_OFTEN = timedelta(hours=1)  # a UIDVALIDITY that changes twice within it cannot be relied on
_IN_MEMORY = 64 * 1024  # bytes of one spool: a batch and the next of many mailboxes must fit
_SIZES_AT_ONCE = 200
_NEVER_TRIED = Tried(tries=0, reason="")
_FIRST_TRY = timedelta(minutes=1)
_LONGEST_TRY = timedelta(hours=4)


@dataclass(frozen=True, kw_only=True)
class Means:
    """What looking at a mailbox needs beside the session."""

    ledger: Ledger
    intake: Intake
    loop: asyncio.AbstractEventLoop  #: that intake runs in
    settings: Settings
    clock: Callable[[], datetime]
    alive: Callable[[int], None]  #: told of each piece's length, and 0 between mails; raises when the work must end


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What became of one message."""

    uid: int
    outcomes: tuple[Recorded, ...]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A mail that was fetched and is not recorded yet."""

    key: MessageKey
    mail: Mail
    former: Tried


@dataclass(slots=True)
class _Marks:
    """How far a folder was looked at, between two looks of one session."""

    uidvalidity: int = 0
    highest: int = 0
    whole_at: datetime | None = None


@dataclass(slots=True)
class FolderMemory:
    """What is remembered of the folders of a mailbox while it is polled."""

    marks: dict[str, _Marks] = field(default_factory=dict)

    def of(self, folder: str) -> _Marks:
        """Give the marks of a folder."""
        return self.marks.setdefault(folder, _Marks())


class FolderLook:
    """Look at one folder of a mailbox once."""

    def __init__(
        self, session: Session, remote: Remote, mailbox_id: int, folder: FolderPlan, means: Means, memory: FolderMemory
    ) -> None:
        self._session = session
        self._remote = remote
        self._mailbox_id = mailbox_id
        self._folder = folder
        self._means = means
        self._marks = memory.of(folder.name)
        self._selected = Selected(uidvalidity=0, exists=0, keywords=False)
        self._ready: list[_Ready] = []
        self._under_way: list[_Ready] = []
        self._recording: Future[list[list[Recorded] | Exception]] | None = None
        self._to_settle: list[tuple[int, str]] = []
        self._taken: list[Taken] = []
        self._troubles: list[MailboxError] = []

    def run(self) -> tuple[list[Taken], list[MailboxError]]:
        """Take what is new; gives what became of it, and what went wrong with single messages.

        Raises MailboxError where the session cannot go on, TemporaryError where we cannot take anything now; whatever
        was recorded stays so, and is moved or flagged the next time.
        """
        self._selected = self._session.select(self._folder.name)
        self._note_uidvalidity()
        found, state = self._search()
        self._settle_former(found, state)
        known = state.taken | state.waiting | {one.uid for one in state.unsettled}
        new = [uid for uid in found if uid not in known]
        try:
            if new:
                self._take_all(new, state.due)
        finally:
            self._record_ready()
            self._finish()
        self._settle_all()
        return self._taken, self._troubles

    # --- what is there

    def _note_uidvalidity(self) -> None:
        means, uidvalidity, now = self._means, self._selected.uidvalidity, self._means.clock()
        if self._marks.uidvalidity == uidvalidity:
            return
        before = means.ledger.write_now(folder_changed, self._mailbox_id, self._folder.name, uidvalidity, now)
        self._marks.uidvalidity, self._marks.highest, self._marks.whole_at = uidvalidity, 0, None
        if before is not None and abs(now - before) < _OFTEN:
            self._marks.uidvalidity = 0
            raise MailboxError(
                Step.FOLDER, f"{self._folder.name}: its UIDVALIDITY keeps changing, so mails cannot be told apart",
                Kind.NO_FOLDER,
            )  # fmt: skip

    def _search(self) -> tuple[list[int], FolderState]:
        """Find what may be new: all there is from time to time, else what has come behind the highest UID seen."""
        means, marks = self._means, self._marks
        now = means.clock()
        whole = marks.whole_at is None or not timedelta() <= now - marks.whole_at < means.settings.limits.imap_rescan
        found = self._session.search(0 if whole else marks.highest)
        state = means.ledger.read_now(folder_state, self._mailbox_id, self._folder.name, marks.uidvalidity, now)
        if whole:
            marks.whole_at = now
            self._forget_vanished(set(found), state)
        else:
            found = sorted({*found, *state.due, *(one.uid for one in state.unsettled)})
        return found, state

    def _forget_vanished(self, found: set[int], state: FolderState) -> None:
        gone = [one.uid for one in state.unsettled if one.uid not in found]
        if gone:
            self._means.ledger.write_now(settle, *self._place(), gone)

    def _settle_former(self, found: Sequence[int], state: FolderState) -> None:
        there = set(found)
        for one in state.unsettled:
            if one.uid in there:
                self._to_settle.append((one.uid, self._folder.destination(one.verdict, one.connection_id)))
        self._settle_all()

    # --- taking

    def _take_all(self, uids: Sequence[int], due: Mapping[int, Tried]) -> None:
        for start in range(0, len(uids), _SIZES_AT_ONCE):
            some = uids[start : start + _SIZES_AT_ONCE]
            sizes = self._session.sizes(some)
            for uid in some:
                self._take(uid, sizes.get(uid), due.get(uid, _NEVER_TRIED))

    def _take(self, uid: int, size: int | None, former: Tried) -> None:
        """Fetch one mail and hand it over; one that cannot be fetched is tried again later, and at last given up."""
        self._means.intake.check_space()
        self._means.alive(0)
        most, key = self._means.settings.smtp.max_message_bytes, self._key(uid)
        self._settle_some()
        spool = Spool(self._means.settings.spool_dir, in_memory=_IN_MEMORY)
        dead: MailboxError | None = None
        try:
            fetched = fetch(self._session, uid, size, spool, most, self._means.alive)
            if former.tries >= self._tries:
                fetched = self._give_up(key, former.tries, former.reason)
        except MailboxError as error:
            dead = None if error.alive else error
            given_up = self._not_fetched(key, error, former)
            if given_up is None:
                spool.close()
                if dead is not None:
                    raise
                return
            fetched = given_up
        except OSError as error:
            spool.close()
            raise NoSpace(f"bytes cannot be kept now: {error}") from error
        except BaseException:
            spool.close()
            raise
        self._hand_over(replace(key, sha256=spool.hexdigest()), fetched, spool, former)
        if dead is not None:
            raise dead

    def _not_fetched(self, key: MessageKey, error: MailboxError, former: Tried) -> Fetched | None:
        """Note that a mail cannot be fetched; after the last try gives what is recorded of it."""
        if error.kind is Kind.GONE:
            log.info("a message is gone", message=imap_url(self._remote, key))
            self._means.ledger.write_now(forget_tries, key)
            return None
        if error.step is not Step.FETCH:
            raise error
        if former.tries + 1 >= self._tries:
            return self._give_up(key, former.tries + 1, error.reason)
        self._try_later(key, error, former)
        return None

    def _give_up(self, key: MessageKey, tries: int, reason: str) -> Fetched:
        log.error("a mail is given up", message=imap_url(self._remote, key), tries=tries, reason=reason)
        message = f"The mail could not be taken from the mailbox in {tries} tries: {reason}."
        return Fetched(octets=0, fault=Fault(code=Code.INCOMPLETE, message=message))

    def _try_later(self, key: MessageKey, error: MailboxError, former: Tried) -> None:
        delay = min(_FIRST_TRY * 4**former.tries, _LONGEST_TRY)
        self._means.ledger.write_now(note_try, key, error.reason, self._means.clock() + delay)
        self._troubles.append(error)
        url, tries = imap_url(self._remote, key), former.tries + 1
        log.warning("a mail cannot be taken now", message=url, tries=tries, reason=error.reason)

    def _hand_over(self, key: MessageKey, fetched: Fetched, spool: Spool, former: Tried) -> None:
        try:
            mail = make_mail(fetched, spool, self._folder, self._remote, key, self._means.settings)
            mail = replace(mail, last_try=former.tries + 1 >= self._tries)
        except Exception as error:
            spool.close()
            log.exception("a mail could not be read", message=imap_url(self._remote, key))
            self._try_later(key, _fault_of_ours(key, error), former)
            return
        self._ready.append(_Ready(key, mail, former))
        if len(self._ready) >= _TOGETHER or sum(one.mail.spool.size for one in self._ready) >= _BYTES_TOGETHER:
            self._record_ready()

    def _record_ready(self) -> None:
        """Hand what was fetched to intake, once what was handed over before is recorded: the order stays."""
        try:
            self._finish()
        except BaseException:
            for one in self._ready:
                one.mail.spool.close()
            self._ready = []
            raise
        if self._ready:
            self._under_way, self._ready = self._ready, []
            work = self._means.intake.accept_all([one.mail for one in self._under_way])
            self._recording = asyncio.run_coroutine_threadsafe(work, self._means.loop)

    def _finish(self) -> None:
        """Wait for what was handed over; a failure of ours is raised when all has been looked at."""
        recording, self._recording = self._recording, None
        if recording is None:
            return
        failure: TemporaryError | None = None
        for one, outcomes in zip(self._under_way, recording.result(), strict=True):
            if isinstance(outcomes, SenderNotKnownNow):
                self._try_later(one.key, MailboxError(Step.OURS, str(outcomes)[:300], Kind.REFUSED), one.former)
            elif isinstance(outcomes, TemporaryError):
                failure = failure or outcomes
            elif isinstance(outcomes, Exception):
                log.error("a mail could not be taken", message=imap_url(self._remote, one.key), exc_info=outcomes)
                self._try_later(one.key, _fault_of_ours(one.key, outcomes), one.former)
            else:
                self._note_taken(one, outcomes)
        if failure is not None:
            raise failure

    def _note_taken(self, one: _Ready, outcomes: list[Recorded]) -> None:
        self._taken.append(Taken(uid=one.key.uid, outcomes=tuple(outcomes)))
        self._marks.highest = max(self._marks.highest, one.key.uid)
        best = min(range(len(outcomes)), key=lambda place: outcomes[place].verdict not in TAKEN)
        destination = self._folder.destination(outcomes[best].verdict, one.mail.recipients[best].connection.id)
        self._to_settle.append((one.key.uid, destination))

    # --- afterwards

    def _settle_some(self) -> None:
        if len(self._to_settle) >= _SETTLED_AT_ONCE:
            self._settle_all()

    def _settle_all(self) -> None:
        """Move or flag what was recorded; one that cannot be moved now holds up nothing and is tried again."""
        todo, self._to_settle = self._to_settle, []
        by_folder: dict[str, list[int]] = {}
        for uid, destination in todo:
            by_folder.setdefault(destination, []).append(uid)
        for destination, uids in by_folder.items():
            try:
                if destination:
                    self._session.move(uids, destination)
                else:
                    self._session.flag(uids)
            except MailboxError as error:
                if not error.alive:
                    raise
                self._troubles.append(error)
                log.warning("mails cannot be moved", folder=destination, uids=uids[:20], reason=error.reason)
                continue
            self._means.ledger.write_now(settle, *self._place(), uids)

    @property
    def _tries(self) -> int:
        return self._means.settings.limits.imap_message_tries

    def _place(self) -> tuple[int, str, int]:
        return self._mailbox_id, self._folder.name, self._selected.uidvalidity

    def _key(self, uid: int) -> MessageKey:
        mailbox_id, folder, uidvalidity = self._place()
        return MessageKey(mailbox_id=mailbox_id, folder=folder, uidvalidity=uidvalidity, uid=uid)


def _fault_of_ours(key: MessageKey, error: Exception) -> MailboxError:
    return MailboxError(Step.OURS, f"message {key.uid}: {error!r}"[:300], Kind.REFUSED)

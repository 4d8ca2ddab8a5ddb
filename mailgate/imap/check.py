"""The test of a mailbox: each step with its reason, then what would be taken and why the others would not.

What lives here: looking without changing anything. Mails are fetched to the spool, judged as intake judges them, and
forgotten.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from intake.mail import Facts, Mail, SenderNotKnownNow, preview
from intake.mailboxes import Candidate, Failure, Tested, TestedStep
from intake.spool import Spool
from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.imap.fetching import fetch, make_mail
from mailgate.imap.oauth import Secrets
from mailgate.imap.plan import FolderPlan, MailboxPlan
from mailgate.imap.session import Session, open_session
from mailgate.settings import Settings
from models.codes import Code
from models.connection import Remote
from models.faults import TemporaryError
from models.judgement import Judgement
from models.states import Verdict
from storage.ledger import Ledger
from storage.ledger.connections import ConnectionRef
from storage.ledger.mailboxes import find_mailbox
from storage.ledger.messages import FolderState, MessageKey, folder_state

_MOST = 100  # mails that one test reads, the newest
_STEPS = (Step.DNS, Step.TCP, Step.TLS, Step.TOKEN, Step.LOGIN, Step.FOLDER)
_NOTHING_KNOWN = FolderState(taken=frozenset(), unsettled=(), waiting=frozenset(), due={})


def failure_of(error: TemporaryError) -> Failure:
    """Tell what kind of failure an error is."""
    if isinstance(error, MailboxError) and error.kind is Kind.NOT_ALLOWED:
        return Failure.NOT_ALLOWED
    if isinstance(error, MailboxError) and error.kind is Kind.NO_FOLDER:
        return Failure.NO_FOLDER
    return Failure.OTHER


def failure_of_step(step: str) -> Failure:
    """Tell what kind of failure it was from the step that the running service noted."""
    if step in (Step.LOGIN, Step.TOKEN):
        return Failure.NOT_ALLOWED
    return Failure.NO_FOLDER if step == Step.FOLDER else Failure.OTHER


class MailboxTest:
    """Test the mailbox of one connection."""

    def __init__(
        self, ref: ConnectionRef, plan: MailboxPlan, ledger: Ledger, settings: Settings,
        clock: Callable[[], datetime], find_out: Callable[[Mail], Facts],
    ) -> None:  # fmt: skip
        assert ref.rule.remote is not None
        self._ref = ref
        self._remote: Remote = ref.rule.remote
        self._plan = plan
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._find_out = find_out
        self._wanted = [step for step in _STEPS if step is not Step.TOKEN or self._remote.oauth_token_url]

    def run(self) -> Tested:
        """Go step by step; the first that fails ends it."""
        session: Session | None = None
        try:
            secret = self._secret_early()
            session = open_session(self._remote, self._settings)
            session.log_in(self._remote, secret if secret is not None else self._secret())
            selected = session.select(self._remote.folder)
            taken, others, left = self._look(session, selected.uidvalidity)
            return Tested(
                steps=self._good(self._folder_words(session)),
                would_take=taken,
                would_not_take=others,
                not_looked_at=left,
            )
        except MailboxError as error:
            return Tested(steps=self._until(error), failure=failure_of(error))
        finally:
            if session is not None:
                session.close()

    def _secret_early(self) -> str | None:
        """Fetch a token before connecting, as the poller does; a password's file is the login's concern."""
        return self._secret() if self._remote.oauth_token_url else None

    def _secret(self) -> str:
        return Secrets(self._remote, self._settings).get()

    # --- the steps

    def _good(self, folder: str) -> tuple[TestedStep, ...]:
        words = {Step.TLS: "off: passwords travel in clear" if self._remote.tls == "off" else self._remote.tls}
        words[Step.FOLDER] = folder
        return tuple(TestedStep(step=str(step), ok=True, reason=words.get(step, "")) for step in self._wanted)

    def _until(self, error: MailboxError) -> tuple[TestedStep, ...]:
        failed = error.step if error.step in self._wanted else Step.FOLDER
        if failed is Step.TOKEN:
            return (TestedStep(step=str(failed), ok=False, reason=error.reason),)
        before = [step for step in self._wanted if step is Step.TOKEN]
        rest = [step for step in self._wanted if step is not Step.TOKEN]
        passed = [*before, *rest[: rest.index(failed)]]
        steps = [TestedStep(step=str(step), ok=True) for step in passed]
        return (*steps, TestedStep(step=str(failed), ok=False, reason=error.reason))

    def _folder_words(self, session: Session) -> str:
        missing = [
            name
            for name in dict.fromkeys((self._remote.processed_folder, self._remote.ignored_folder))
            if name and not session.folder_exists(name)
        ]
        will = f"; {' and '.join(missing)} will be made when first needed" if missing else ""
        return f"{self._remote.folder}{will}"

    # --- the mails

    def _look(self, session: Session, uidvalidity: int) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...], int]:
        mailbox_id = self._ledger.read_now(find_mailbox, *self._remote.mailbox)
        state = _NOTHING_KNOWN
        if mailbox_id is not None:
            place = (mailbox_id, self._remote.folder, uidvalidity, self._clock())
            state = self._ledger.read_now(folder_state, *place)
        folder = next((one for one in self._plan.folders if one.name == self._remote.folder), None)
        folder = folder or FolderPlan(name=self._remote.folder, connections=(self._ref,))
        known = state.taken | {one.uid for one in state.unsettled}
        uids = session.search()
        some = uids[-_MOST:]
        sizes = session.sizes(some)
        taken: list[Candidate] = []
        others: list[Candidate] = []
        for uid in some:
            if uid in known:
                others.append(
                    Candidate(uid=uid, code=str(Code.ALREADY_SEEN), reason="It was taken before; it only stays here.")
                )
                continue
            key = MessageKey(mailbox_id=mailbox_id or 0, folder=folder.name, uidvalidity=uidvalidity, uid=uid)
            found = self._judge(session, folder, key, sizes.get(uid))
            (others if found.reason else taken).append(found)
        return tuple(taken), tuple(others), len(uids) - len(some)

    def _judge(self, session: Session, folder: FolderPlan, key: MessageKey, size: int | None) -> Candidate:
        spool = Spool(self._settings.spool_dir)
        try:
            most = self._settings.smtp.max_message_bytes
            fetched = fetch(session, key.uid, size, spool, most, lambda _octets: None)
            mail = make_mail(fetched, spool, folder, self._remote, key, self._settings)
            facts = self._find_out(mail)
            headers = facts.message.headers
            bare = Candidate(uid=key.uid, sender=mail.sender, subject=headers.subject[:200], octets=fetched.octets)
            judged = preview(mail, facts)
            for recipient, judgement in zip(mail.recipients, judged, strict=True):
                if recipient.connection.id == self._ref.id:
                    return _judged(bare, judgement)
            names = ", ".join(one.connection.rule.name for one in mail.recipients)
            return replace(bare, reason=f"It is addressed to {names}.")
        except SenderNotKnownNow as error:
            return Candidate(uid=key.uid, octets=size or 0, reason=f"It would be tried again later: {error}")
        except MailboxError as error:
            if not error.alive:
                raise
            return Candidate(uid=key.uid, octets=size or 0, reason=error.reason)
        finally:
            spool.close()


def _judged(bare: Candidate, judgement: Judgement) -> Candidate:
    files = tuple(part.name for part in judgement.counted)
    if judgement.verdict is Verdict.ACCEPTED:
        return replace(bare, files=files)
    return replace(bare, files=files, code=str(judgement.code), reason=judgement.message or str(judgement.code))

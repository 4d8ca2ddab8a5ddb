"""Accept: the one function in which an arrival becomes ours, for every door.

What lives here: the order of things. Files become durable blobs, then one transaction records everything, and only
then the caller hears a verdict. Nothing here knows a protocol.
"""

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from intake.durable import DurableBlobs
from intake.files import prepare_file
from intake.mail import Facts, Mail, Prepared, Recipient, discard, prepare_all, read_message
from intake.sender_check import Check, SenderCheck
from mailgate.observe import get_logger, notes
from mailgate.settings import Settings
from models.codes import Code
from models.faults import TemporaryError
from models.states import Verdict
from models.trace import make_trace_id
from storage.blobs import Blobs, BlobsAway
from storage.descriptors import DataTypePrefixes
from storage.jobs import Enqueue
from storage.ledger import Ledger
from storage.ledger.arriving import Held
from storage.ledger.connections import ConnectionRef, by_address, former_connection
from storage.ledger.holding import is_held
from storage.ledger.recording import Arrival, Means, Recorded, RuleChanged, record
from storage.ledger.settling import Candidate, Settled, Unsettled, candidate, note_bytes_lost, record_settled

log = get_logger("intake")
T = TypeVar("T")
_KNOWN_FOR = 1.0  # seconds that a look-up of an address may be old
_KNOWN_MOST = 10_000  # addresses remembered
_JUDGEMENTS = 5  # how often a delivery is judged anew when its connection changes under it


class NoSpace(TemporaryError):
    """Say that the disk is too full to take more now."""


class Intake:
    """Take in arrivals: the only way a delivery enters the ledger."""

    def __init__(
        self, ledger: Ledger, blobs: Blobs, enqueue: Enqueue, settings: Settings, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        randomness: Callable[[int], bytes] = secrets.token_bytes,
        on_recorded: Callable[[], None] = lambda: None, senders: Check | None = None,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._blobs = blobs
        self._durable = DurableBlobs(blobs)
        self._enqueue = enqueue
        self._settings = settings
        self._clock = clock
        self._randomness = randomness
        self._on_recorded = on_recorded
        self._senders = SenderCheck(senders, settings.limits) if senders is not None else None
        self._known: dict[str, tuple[float, ConnectionRef | None]] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._types = DataTypePrefixes(settings.data_types_dir, settings.enums)

    async def connection_for(self, local_part: str) -> ConnectionRef | None:
        """Find the connection of an intake address, as it was a second ago at most.

        A rule that has changed meanwhile is noticed when the delivery is recorded.
        """
        known = self._known.get(local_part)
        now = time.monotonic()
        if known is not None and now - known[0] < _KNOWN_FOR:
            return known[1]
        ref = await self._ledger.read(by_address, local_part)
        if ref is not None and ref.rule.methodology != "push":
            ref = None  # its mails lie in a mailbox: nobody sends them to us
        if len(self._known) >= _KNOWN_MOST:
            self._known.clear()
        self._known[local_part] = (now, ref)
        return ref

    def check_space(self) -> None:
        """Raise NoSpace when the disk has less room than the reserve."""
        free = shutil.disk_usage(self._settings.data_dir).free
        if free < self._settings.limits.minimum_free_bytes:
            raise NoSpace(f"{free:,} bytes free, fewer than the reserve")

    async def accept(self, mail: Mail) -> list[Recorded]:
        """Take in one mail; gives what became of it for each recipient, in their order.

        Raises TemporaryError when nothing was kept. The work goes on when the caller is cancelled: a client that
        hangs up after its last byte neither undoes nor doubles anything. The spool is closed at the end.
        """
        return await self._to_the_end(self._accept(mail))

    async def accept_all(self, mails: Sequence[Mail]) -> list[list[Recorded] | Exception]:
        """Take in several mails in their order, with one wait for the disk; gives for each what ``accept`` gives.

        A mail that fails by itself has its exception in its place. Raises TemporaryError when none was kept.
        """
        return await self._to_the_end(self._accept_all(mails))

    async def accept_each(self, mail: Mail) -> list[Recorded | Exception]:
        """Take in one mail for each of its recipients by itself; gives in their order what became of it.

        A recipient whose delivery cannot be taken has the exception in its place; the others are recorded all the
        same. Raises TemporaryError when nothing was kept for anybody. Otherwise as ``accept``.
        """
        return await self._to_the_end(self._accept_each(mail))

    async def accept_file(self, held: Held) -> Recorded | None:
        """Take in one file that has settled in a client's folder; None when it was touched meanwhile.

        Raises TemporaryError when it stays as it was, to be judged later. Its spool file is deleted at the end.
        """
        begun = time.monotonic()
        for _ in range(_JUDGEMENTS):
            one = await self._ledger.read(candidate, held)
            if one is None:
                return None
            with contextlib.suppress(RuleChanged):
                return await self._once_file(one, begun)
        raise TemporaryError("the connection keeps changing")

    async def _once_file(self, one: Candidate, begun: float) -> Recorded | None:
        now = self._clock()
        path = self._settings.uploads_dir / one.spool if one.blob is None and one.spool else None
        orphan = None if one.connections else await self._ledger.read(former_connection, one.trace_id)
        prefixes = await asyncio.to_thread(self._types.read)
        try:
            prepared = await asyncio.to_thread(prepare_file, one, path, self._blobs, prefixes, now, orphan)
            await self._durable.commit([prepared.writer] if prepared.writer else [])
        except OSError as error:
            if await asyncio.to_thread(_is_gone, path, error):
                return await self._lost(one, now)
            raise _not_kept(one.name, error) from error
        # After any other failure of the commit the blob stays until the sweep finds that no row names it.
        try:
            item = Settled(candidate=one, arrival=Arrival(deliveries=(prepared.new,), means=self._means(now)))
            outcome: Recorded = (await self._ledger.write_together(record_settled, item))[0]
        except (Unsettled, RuleChanged) as error:
            if prepared.writer is not None:
                await asyncio.to_thread(self._blobs.delete, prepared.writer.id)
            if isinstance(error, RuleChanged):
                raise
            return None
        await self._let_go(one, path, prepared.new.files[0].blob)
        self._on_recorded()
        notes.delivery(
            trace_id=outcome.trace_id, connection=prepared.new.rule.name, door=one.door, peer=one.peer,
            verdict=str(outcome.verdict), code=str(outcome.code or ""), octets=one.size, files=1,
            recording=time.monotonic() - begun,
        )  # fmt: skip
        return outcome

    async def _let_go(self, one: Candidate, path: Path | None, kept: str | None) -> None:
        """Delete what a judged file was in, unless its upload or a backup has it; the sweep does it later."""
        with contextlib.suppress(OSError, TemporaryError):
            if await self._ledger.read(is_held):
                return
            if path is not None:
                await asyncio.to_thread(path.unlink, missing_ok=True)
            elif one.blob is not None and one.blob != kept:
                await asyncio.to_thread(self._blobs.delete, one.blob)

    async def _lost(self, one: Candidate, now: datetime) -> Recorded | None:
        """Say that the bytes of a settled file are gone; nobody is left waiting."""
        log.error("the bytes of a stored file are gone", trace_id=one.trace_id, file_name=one.name)
        if not await self._ledger.write(note_bytes_lost, one.held, now, self._settings.domain):
            return None
        self._on_recorded()
        return Recorded(trace_id=one.trace_id, verdict=Verdict.REJECTED, code=Code.SYSTEM_ERROR)

    async def drain(self) -> None:
        """Wait for the arrivals under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._senders is not None:
            self._senders.close()

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _accept(self, mail: Mail) -> list[Recorded]:
        try:
            return await self._judge_until_recorded(mail, await self._find_out(mail))
        finally:
            await asyncio.to_thread(mail.spool.close)

    async def _find_out(self, mail: Mail) -> Facts | None:
        """Read a mail and find out who sent it; None where senders are not checked: one thread does all of it then."""
        if self._senders is None:
            return None
        self.check_space()
        message = await asyncio.to_thread(read_message, mail, self._settings)
        return Facts(message=message, authenticity=await self._senders.check(mail, message, self._clock()))

    def find_out_now(self, mail: Mail) -> Facts:
        """Read a mail and find out who sent it, in a thread that may wait."""
        message = read_message(mail, self._settings)
        if self._senders is None:
            return Facts(message=message)
        return Facts(message=message, authenticity=self._senders.check_now(mail, message, self._clock()))

    async def _judge_until_recorded(self, mail: Mail, facts: Facts | None) -> list[Recorded]:
        for _ in range(_JUDGEMENTS):
            (outcome,) = await self._once([(mail, facts)])
            if isinstance(outcome, RuleChanged):
                mail = await self._look_up_again(mail)
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                return outcome
        raise TemporaryError("the connection keeps changing")

    async def _accept_all(self, mails: Sequence[Mail]) -> list[list[Recorded] | Exception]:
        try:
            facts = await asyncio.gather(*map(self._find_out, mails), return_exceptions=True)
            return await self._until_recorded(list(zip(mails, facts, strict=True)))
        finally:
            await asyncio.to_thread(_close, mails)

    async def _accept_each(self, mail: Mail) -> list[Recorded | Exception]:
        try:
            facts = await self._find_out(mail)
            if facts is None:  # read once, not once for each
                facts = Facts(message=await asyncio.to_thread(read_message, mail, self._settings))
            each = [replace(mail, recipients=(one,)) for one in mail.recipients]
            outcomes = await self._until_recorded([(one, facts) for one in each])
            return [outcome if isinstance(outcome, Exception) else outcome[0] for outcome in outcomes]
        finally:
            await asyncio.to_thread(mail.spool.close)

    async def _until_recorded(
        self, mails: Sequence[tuple[Mail, Facts | BaseException | None]]
    ) -> list[list[Recorded] | Exception]:
        """Record mails side by side; one whose rule changed meanwhile is judged again, by itself."""
        outcomes = await self._once(mails)
        for place, (mail, found) in enumerate(mails):
            if isinstance(outcomes[place], RuleChanged) and not isinstance(found, BaseException):
                try:
                    outcomes[place] = await self._judge_until_recorded(await self._look_up_again(mail), found)
                except TemporaryError as error:
                    outcomes[place] = error
        return outcomes

    async def _once(
        self, mails: Sequence[tuple[Mail, Facts | BaseException | None]]
    ) -> list[list[Recorded] | Exception]:
        self.check_space()
        now = self._clock()
        try:
            prepared = await asyncio.to_thread(prepare_all, mails, self._blobs, self._settings, now)
        except OSError as error:
            raise _not_kept("a mail", error) from error
        kept = [one for some in prepared if not isinstance(some, Exception) for one in some]
        try:
            await self._durable.commit([writer for one in kept for writer in one.writers])
        except OSError as error:
            await asyncio.to_thread(discard, self._blobs, kept)
            raise _not_kept("a mail", error) from error
        means = self._means(now)
        recording = [
            some if isinstance(some, Exception) else self._record(mail, some, means)
            for (mail, _), some in zip(mails, prepared, strict=True)
        ]
        outcomes = await asyncio.gather(*(_settled(one) for one in recording), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome
        self._on_recorded()
        return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)
                or isinstance(outcome, Exception)]  # fmt: skip

    async def _record(self, mail: Mail, prepared: list[Prepared], means: Means) -> list[Recorded]:
        arrival = Arrival(deliveries=tuple(one.new for one in prepared), means=means, message=mail.message)
        try:
            outcomes = await self._ledger.write_together(record, arrival)
        except RuleChanged:
            await asyncio.to_thread(discard, self._blobs, prepared)
            raise
        # After any other failure of the commit the blobs stay: nobody can tell whether the rows that name them are
        # on the disk. The sweep removes them when no row does.
        repeated = [one for one, outcome in zip(prepared, outcomes, strict=True) if outcome.seen_again]
        if repeated:
            await asyncio.to_thread(discard, self._blobs, repeated)
        self._log(mail, prepared, outcomes)
        return outcomes

    async def _look_up_again(self, mail: Mail) -> Mail:
        recipients = []
        for one in mail.recipients:
            ref = await self._ledger.read(by_address, one.connection.rule.address)
            if ref is None:
                raise TemporaryError(f"the connection of {one.address} is gone")
            recipients.append(Recipient(connection=ref, address=one.address, tag=one.tag))
        return replace(mail, recipients=tuple(recipients))

    def _means(self, now: datetime) -> Means:
        return Means(
            now=now,
            new_trace_id=lambda: make_trace_id(int(now.timestamp() * 1000), self._randomness(10)),
            enqueue=self._enqueue,
            duplicate_days=self._settings.limits.duplicate_days,
            domain=self._settings.domain,
        )

    def _log(self, mail: Mail, prepared: list[Prepared], outcomes: list[Recorded]) -> None:
        recording = time.monotonic() - mail.whole
        receiving = None if mail.begun is None else mail.whole - mail.begun
        for one, outcome in zip(prepared, outcomes, strict=True):
            notes.delivery(
                trace_id=outcome.trace_id, connection=one.new.rule.name, door=mail.door, peer=mail.peer,
                verdict=str(outcome.verdict), code=str(outcome.code or ""), octets=mail.spool.size,
                files=len(one.new.files), seen_again=outcome.seen_again, receiving=receiving, recording=recording,
            )  # fmt: skip


def _is_gone(path: Path | None, error: OSError) -> bool:
    return not path.exists() if path is not None else isinstance(error, FileNotFoundError)


def _not_kept(what: str, error: OSError) -> TemporaryError:
    """Give the reason for "not now": the store's silence is told from a disk that takes no more."""
    kind = TemporaryError if isinstance(error, BlobsAway) else NoSpace
    return kind(f"{what} cannot be kept now: {error}")


async def _settled(one: Exception | Coroutine[Any, Any, T]) -> T:
    if isinstance(one, Exception):
        raise one
    return await one


def _close(mails: Sequence[Mail]) -> None:
    for mail in mails:
        mail.spool.close()

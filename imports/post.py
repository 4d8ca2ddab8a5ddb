"""The post: hands over every answer that is owed, once, and tries again over a day.

What lives here: the loop over the ledger's answers. It is woken when one is owed, and looks by itself every second.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec

from sqlmodel import Session

from imports.courier import Courier, Reply
from imports.letters import (
    Attachment,
    Letter,
    Outcome,
    Posting,
    alarm_letter,
    compose,
    digest_letter,
    receipt_letter,
    result_letter,
)  # fmt: skip
from mailgate.observe import get_logger, notes
from mailgate.settings import Settings
from models.answers import answer_names, errors_name, result_name
from models.faults import PermanentError, TemporaryError
from models.tables import Attempt, Upload
from storage.blobs import Blobs, BlobsAway
from storage.duty import Alone, Duty
from storage.ledger import Ledger, answers
from storage.ledger.answers import Due
from storage.ledger.history import AnswerFacts, answer_facts, attempt_object

P = ParamSpec("P")
log = get_logger("post")
_AT_ONCE = 8
_ALARM_LOOK = timedelta(seconds=10)
_GIVE_UP = timedelta(days=1)
_TRIES_OF_A_DAY = 10


def retry_delay(tries: int) -> timedelta:
    """Give the wait before the next try: one minute, doubled each time, an hour at most."""
    return timedelta(minutes=min(2 ** max(tries, 0), 60))


class Post:
    """Hand over what is owed."""

    def __init__(
        self, ledger: Ledger, blobs: Blobs, courier: Courier, settings: Settings, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC), duty: Duty | None = None,
        look: float = 1.0,
    ) -> None:  # fmt: skip
        self._duty = duty or Alone()
        self._look = look
        self._ledger = ledger
        self._blobs = blobs
        self._courier = courier
        self._settings = settings
        self._clock = clock
        self._told: set[tuple[int, int]] = set()  # alarm and operator: one that fails must not repeat the others
        self._bell = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ring(self) -> None:
        """Say that an answer may be owed; callable from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._bell.set)

    async def run(self) -> None:
        """Work until cancelled, while the duty is ours: answers go out from one node, in their order."""
        self._loop = asyncio.get_running_loop()
        next_look = self._clock()
        while True:
            self._bell.clear()
            try:
                handed_over = 0
                if await self._duty.mine():
                    handed_over = await self.work_once()
                    if self._clock() >= next_look:
                        await self.tell_operators()
                        next_look = self._clock() + _ALARM_LOOK
            except TemporaryError as error:
                log.warning("the post waits", reason=str(error))
                handed_over = 0
            except Exception:
                log.exception("the post stumbled")
                handed_over = 0
            if not handed_over:
                # Not wait_for: up to Python 3.11 it loses a cancellation that comes as the bell rings.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look):
                        await self._bell.wait()

    async def work_once(self) -> int:
        """Hand over what is due now; gives how many mails were tried."""
        now = self._clock()
        due, waiting = await self._ledger.read(answers.due, now, self._settings.limits.answers_per_hour)
        for address in waiting:
            await self._ledger.write(answers.note_overflow, address, now)
        places = asyncio.Semaphore(_AT_ONCE)

        by_address: dict[str, list[Due]] = {}
        for one in due:
            by_address.setdefault(one.to_address, []).append(one)

        async def hand_over(of_one_address: list[Due]) -> None:
            async with places:
                for one in of_one_address:  # in their order: a receipt before its result
                    if not await self._duty.mine():
                        return
                    await self._hand_over(one)

        ended = await asyncio.gather(*map(hand_over, by_address.values()), return_exceptions=True)
        for outcome in ended:  # only when all have ended: none may be handed over beside itself by the next round
            if isinstance(outcome, BaseException):
                raise outcome
        return len(due)

    async def tell_operators(self) -> None:
        """Mail each new alarm to every operator; one that cannot go now is tried again at the next look."""
        if not self._settings.operators:
            return
        for alarm in await self._ledger.read(answers.untold_alarms):
            tried = [await self._tell(alarm, place) for place in range(len(self._settings.operators))]
            if all(tried):
                await self._surely(answers.mark_told, [alarm.id], self._clock())

    async def _tell(self, alarm: answers.Untold, place: int) -> bool:
        """Mail an alarm to one operator, once; False when it must be tried again."""
        if (alarm.id, place) in self._told:
            return True
        if not await self._duty.mine():
            return False
        operator, name = self._settings.operators[place], f"alarm-{alarm.id}"
        posting = Posting(
            sender=self._settings.reply_from, to_address=operator, date=alarm.raised_at, trace_id=name,
            message_id=f"<{name}.{place + 1}@{self._settings.domain}>",
        )  # fmt: skip
        letter = alarm_letter(alarm.kind, alarm.message, alarm.raised_at)
        reply = Reply(
            to_address=operator, trace_id=name, kind="alarm", sequence=place + 1, created_at=alarm.raised_at,
            message=compose(letter, posting),
        )  # fmt: skip
        try:
            await self._courier.deliver(reply)
        except TemporaryError as error:
            log.warning("an operator cannot be told now", alarm=alarm.kind, reason=str(error))
            return False
        except PermanentError as error:
            log.error("an operator's address refuses alarms", alarm=alarm.kind, reason=error.fault.message)
        self._told.add((alarm.id, place))
        return True

    async def _hand_over(self, one: Due) -> None:
        facts = await self._ledger.read(answer_facts, one.answers)
        trace_id, began = facts[0].answer.trace_id, time.monotonic()
        try:
            reply, digest, count = await asyncio.to_thread(self._reply, facts, digest=one.digest)
            one, facts = replace(one, answers=one.answers[:count]), facts[:count]
            if not self._duty.still():  # it was paused, or waited for the disk: another hands it over
                return
            await self._courier.deliver(reply)
        except PermanentError as error:
            await self._ledger.write(answers.mark_undeliverable, one.answers, self._clock(), error.fault.message)
            self._note(facts, "undeliverable", began, error.fault.message)
        except (TemporaryError, BlobsAway) as error:
            await self._postpone(one, facts, str(error), began)
        except Exception as error:
            log.exception("an answer could not be handed over", trace_id=trace_id)
            await self._postpone(one, facts, repr(error), began)
        else:
            await self._surely(answers.mark_sent, one.answers, self._clock(), digest=digest)
            self._note(facts, "sent", began, digest=one.digest)

    async def _surely(
        self, function: Callable[Concatenate[Session, P], None], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Note what has happened, however long the database is away: else it would happen again."""
        while True:
            try:
                return await self._ledger.write(function, *args, **kwargs)
            except TemporaryError as error:
                log.warning("the post cannot note what it has handed over", reason=str(error))
                await asyncio.sleep(1.0)

    def _note(
        self, facts: list[AnswerFacts], outcome: str, began: float, reason: str = "", *, digest: bool = False
    ) -> None:
        """Say of each delivery what became of its answer: a digest carries those of many."""
        now, seconds = self._clock(), time.monotonic() - began
        for fact in facts:
            notes.answer(
                trace_id=fact.answer.trace_id, kind=fact.answer.kind, outcome=outcome, tries=fact.answer.tries + 1,
                owed_for=(now - fact.answer.created_at).total_seconds(), seconds=seconds, reason=reason, digest=digest,
            )  # fmt: skip

    async def _postpone(self, one: Due, facts: list[AnswerFacts], error: str, began: float) -> None:
        now = self._clock()
        oldest = min(fact.answer.created_at for fact in facts)
        tries = max(fact.answer.tries for fact in facts)
        if now - oldest > _GIVE_UP and tries >= _TRIES_OF_A_DAY:  # a service that was down has not tried for a day
            why = f"given up after a day: {error}"
            await self._ledger.write(answers.mark_undeliverable, one.answers, now, why)
            self._note(facts, "undeliverable", began, why)
            return
        await self._ledger.write(answers.postpone, one.answers, now + retry_delay(tries), error)
        self._note(facts, "postponed", began, error)

    def _reply(self, facts: list[AnswerFacts], *, digest: bool) -> tuple[Reply, str | None, int]:
        """Compose one mail; gives the digest's Message-ID where it is one, and how many answers it holds."""
        letters = self._letters(facts)
        first = facts[0]
        answer, delivery = first.answer, first.delivery
        domain = self._settings.domain
        if digest:
            letter = digest_letter(letters, self._settings.limits.answers_per_hour)
            message_id: str = f"<{answer.trace_id}.{answer.kind}.digest@{domain}>"
            in_reply_to, references = "", tuple[str, ...]()
        else:
            letter, message_id = letters[0], answer.message_id
            in_reply_to, references = delivery.message_id, tuple(delivery.references)
        posting = Posting(
            sender=self._settings.reply_from, to_address=answer.to_address, date=answer.created_at,
            message_id=message_id, trace_id=answer.trace_id, in_reply_to=in_reply_to, references=references,
        )  # fmt: skip
        reply = Reply(
            to_address=answer.to_address, trace_id=answer.trace_id, kind="digest" if digest else answer.kind,
            sequence=answer.sequence, created_at=answer.created_at, message=compose(letter, posting),
        )  # fmt: skip
        return reply, message_id if digest else None, len(letters)

    def _letters(self, facts: list[AnswerFacts]) -> list[Letter]:
        """Write letters until their files fill a mail; the rest of a digest goes out in a further one."""
        letters: list[Letter] = []
        size = 0
        for fact in facts:
            letters.append(self._letter(fact))
            size += sum(len(attachment.content) for attachment in letters[-1].attachments)
            if size > self._settings.limits.answer_bytes:
                break
        return letters

    def _letter(self, facts: AnswerFacts) -> Letter:
        contact = self._settings.support_contact
        if facts.answer.kind == answers.RECEIPT:
            return receipt_letter(facts.delivery, facts.uploads, facts.connection, contact)
        names = dict(
            zip(
                [upload.id for upload in facts.uploads],
                answer_names([upload.file_name for upload in facts.uploads]),
                strict=True,
            )
        )
        room = self._settings.limits.answer_bytes
        outcomes = []
        for upload, attempt in facts.attempts:
            outcome = self._outcome(facts, upload, attempt, names[upload.id], room)
            room -= len(outcome.errors_file.content) if outcome.errors_file else 0
            outcomes.append(outcome)
        return result_letter(facts.delivery, facts.uploads, facts.connection, outcomes, facts.answer.missing, contact)

    def _outcome(self, facts: AnswerFacts, upload: Upload, attempt: Attempt, name: str, room: int) -> Outcome:
        contact = self._settings.support_contact
        result = attempt_object(upload, attempt, facts.connection.name, facts.delivery.data_type, contact)
        errors_file, cut = None, False
        if attempt.errors_blob is not None:
            content, cut = self._errors(attempt.errors_blob, max(room, 1))
            errors_file = Attachment(name=errors_name(name), content=content, subtype="csv")
        text = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
        return Outcome(
            upload=upload, result=result, errors_file=errors_file, errors_cut=cut,
            result_file=Attachment(name=result_name(name), content=text.encode(), subtype="json"),
        )  # fmt: skip

    def _errors(self, blob: str, room: int) -> tuple[bytes, bool]:
        """Read an errors file, cut behind a whole line where it is larger than a mail should be."""
        with self._blobs.open(blob) as source:
            content = source.read(room + 1)
        if len(content) <= room:
            return content, False
        return content[: content.rfind(b"\n", 0, room) + 1], True

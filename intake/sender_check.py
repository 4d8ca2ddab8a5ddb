"""The check of senders on its way in: who is checked, for how long, and how many at once.

What lives here: the seam to ``mailgate.authenticity``, threads of its own and their bounds. A slow DNS holds up these
threads, never those that split, decode and hash.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Protocol

from intake.mail import Mail
from mailgate.settings import Limits
from models.authenticity import Authenticity, Dmarc, Origin, Outcome
from models.message import Message

_AT_ONCE = 16
_UNASKED_AT_ONCE = 8  # of them, for mails whose results are only recorded
_PATIENCE = 0.1  # seconds that such a mail waits for a place


class Bytes(Protocol):
    """Give any range of a mail's bytes."""

    @property
    def size(self) -> int:
        """Say how many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end."""


class Check(Protocol):
    """Find out who sent a mail."""

    def check(
        self, source: Bytes, message: Message, origin: Origin, *, now: datetime, seconds: float
    ) -> Authenticity:  # fmt: skip
        """Check one mail, in a thread; ``seconds`` bound the time for DNS."""


class SenderCheck:
    """Check the senders of mails, so many at once."""

    def __init__(self, check: Check, limits: Limits) -> None:
        self._check = check
        self._limits = limits
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._unasked = asyncio.Semaphore(_UNASKED_AT_ONCE)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sender")

    async def check(self, mail: Mail, message: Message, now: datetime) -> Authenticity | None:
        """Find out who sent a mail; None where its bytes are no mail. Waits a short while where nobody demands it."""
        if mail.fault is not None:
            return None
        wait = self._limits.sender_check if mail.must_prove else self._limits.sender_check_unasked
        seconds = wait.total_seconds()
        try:
            async with asyncio.timeout(seconds if mail.must_prove else min(seconds, _PATIENCE)):
                if not mail.must_prove:
                    await self._unasked.acquire()
                await self._take_place(unasked=not mail.must_prove)
        except TimeoutError:
            reason = "too many senders were being checked at once"
            return Authenticity(dmarc=Dmarc(result=Outcome.TEMPERROR, reason=reason))
        work = partial(self._check.check, mail.spool, message, mail.origin, now=now, seconds=seconds)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._places.release()
            if not mail.must_prove:
                self._unasked.release()

    def check_now(self, mail: Mail, message: Message, now: datetime) -> Authenticity | None:
        """Find out who sent a mail in the calling thread, however many are checked beside; None as ``check``."""
        if mail.fault is not None:
            return None
        wait = self._limits.sender_check if mail.must_prove else self._limits.sender_check_unasked
        return self._check.check(mail.spool, message, mail.origin, now=now, seconds=wait.total_seconds())

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False)

    async def _take_place(self, *, unasked: bool) -> None:
        try:
            await self._places.acquire()
        except BaseException:
            if unasked:
                self._unasked.release()
            raise

"""One mail on its way from the socket to the spool: framed, capped, and at least at the minimum rate.

What lives here: flow control between the event loop and the thread that writes. No command, no reply text.
"""

import asyncio
from collections.abc import Callable
from enum import Enum

from intake.spool import Spool
from mailgate.smtp.framing import DataFraming
from models.codes import Code
from models.faults import Fault

_INLINE = 1 << 16  # bytes appended on the loop: they stay in memory
_BATCH = 1 << 20  # bytes handed to the writing thread at once


class Ending(Enum):
    """How a stream of DATA came to its end."""

    DOT = "the final dot"
    ENDLESS = "more than twice the limit: the sender is cut off"
    SLOW = "below the minimum rate"


class DataStream:
    """Feed one mail into a spool; ``ended`` is set when nothing more will be taken."""

    def __init__(
        self, spool: Spool, *, most: int, minimum_rate: int, rate_window: float,
        pause: Callable[[], None], resume: Callable[[], None],
    ) -> None:  # fmt: skip
        self.spool = spool
        self.framing = DataFraming()
        self.received = 0
        self.too_large = False
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._most = most
        self._size = 0  # of the mail so far, stored or not
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._writing: asyncio.Task[None] | None = None
        self._failure: OSError | None = None
        self._pause, self._resume, self._paused = pause, resume, False
        self._least = minimum_rate * rate_window
        self._window = rate_window
        self._at_last_look = 0
        self._timer = asyncio.get_running_loop().call_later(rate_window, self._look_at_rate)

    def feed(self, chunk: bytes) -> None:
        """Take bytes from the socket; bytes behind the final dot stand in ``framing.rest``."""
        if self.ended.done():
            return
        self.received += len(chunk)
        data = self.framing.feed(chunk)
        self._size += len(data)
        if not self.too_large:
            self._pending.append(data)
            self._pending_size += len(data)
            if self._size > self._most:
                self._note_too_large()
        if self.framing.ended:
            self._end(Ending.DOT)
        elif self.received > 2 * self._most + _BATCH:
            self._end(Ending.ENDLESS)
        elif self._pending_size >= _BATCH:
            if self._writing is None:
                self._writing = asyncio.create_task(self._write())
            else:
                self._paused = True
                self._pause()

    async def finish(self) -> None:
        """Write what is still pending; OSError when the spool could not keep the bytes."""
        if self._writing is not None:
            await self._writing
        if self._failure is not None:
            raise self._failure
        if self._pending:
            pending, self._pending, self._pending_size = self._pending, [], 0
            if self.spool.size == 0 and sum(map(len, pending)) <= _INLINE:
                self.spool.append(pending)  # small: stays in memory, a thread would cost more
            else:
                await asyncio.to_thread(self.spool.append, pending)

    def abandon(self) -> None:
        """Stop taking bytes; the client is gone or was cut off."""
        self._timer.cancel()
        self._pending, self._pending_size, self._paused = [], 0, False
        if not self.ended.done():
            self.ended.cancel()

    def discard(self) -> None:
        """Stop, and forget the bytes once the thread that writes them is done."""
        self.abandon()
        if self._writing is None:
            self.spool.close()
        else:
            self._writing.add_done_callback(lambda _: self.spool.close())

    @property
    def fault(self) -> Fault | None:
        """Say what is wrong with the mail as a stream of bytes."""
        if self.too_large:
            return Fault(
                code=Code.FILE_TOO_LARGE, message=f"The mail is larger than {self._most:,} bytes, the most we take."
            )
        if self.framing.bare_line_end or self.framing.nul:
            what = "a NUL byte" if self.framing.nul else "a line end that is not CRLF"
            return Fault(
                code=Code.MESSAGE_MALFORMED,
                message=f"The mail contains {what}; send it as a mail program does, the file as base64 attachment.",
            )
        return None

    def _note_too_large(self) -> None:
        """Keep what there is for the record of headers, and store nothing more."""
        self.too_large = True
        if self.spool.size or self._writing is not None:
            self._pending, self._pending_size = [], 0

    async def _write(self) -> None:
        while self._pending_size >= _BATCH and self._failure is None:
            pending, self._pending, self._pending_size = self._pending, [], 0
            self._go_on()
            try:
                await asyncio.to_thread(self.spool.append, pending)
            except OSError as error:
                self._failure = error
                self.too_large = True  # read on to the dot without storing; the reply is 452
                self._pending, self._pending_size = [], 0
        self._go_on()
        self._writing = None

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._resume()

    def _end(self, how: Ending) -> None:
        self._timer.cancel()
        self._go_on()
        self.ended.set_result(how)

    def _look_at_rate(self) -> None:
        if self.received - self._at_last_look < self._least and not self._paused:
            self._end(Ending.SLOW)
            return
        self._at_last_look = self.received
        self._timer = asyncio.get_running_loop().call_later(self._window, self._look_at_rate)

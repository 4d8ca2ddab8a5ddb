"""The pulse: what the service says of itself, where another thread can read it.

What lives here: how far the service has come, and when its event loop was last heard of. No I/O.
"""

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum

from mailgate.observe import metrics

_BEAT = 0.5  # seconds


class Stage(StrEnum):
    """How far the service has come."""

    STARTING = "starting"
    OPEN = "open"
    STOPPING = "stopping"


class Pulse:
    """Hold the state of one service process; written by its loop, read by the thread of the watch door."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard = clock()
        self.stage = Stage.STARTING
        self.failure = ""  #: what ended a task of the service

    async def beat(self) -> None:
        """Say again and again that the loop runs, and how late it came back; until cancelled."""
        while True:
            self._heard = before = self._clock()
            await asyncio.sleep(_BEAT)
            metrics.loop_lag.observe(max(self._clock() - before - _BEAT, 0.0))

    def silence(self) -> float:
        """Give the seconds since the loop was heard of."""
        return self._clock() - self._heard

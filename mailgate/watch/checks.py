"""The checks: does this process live, and can it take deliveries now?

What lives here: what is looked at, and that looking does no harm: each check has a thread of its own, is asked once at
a time, is given up after a while, and its outcome is kept for a moment, however often somebody asks.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from mailgate.observe import get_logger
from mailgate.settings import Settings
from mailgate.watch.pulse import Pulse, Stage
from models.faults import MailgateError
from storage.blobs import Blobs
from storage.migrate import is_current

log = get_logger("watch")
_TRIAL = 15.0  # seconds between two trials of the blob store that go well: each writes a file and deletes it
_FAULTS = (MailgateError, OSError, sa.exc.SQLAlchemyError)
Check = Callable[[], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What the checks said: a reason for each that is not well, else ``ok``."""

    checks: Mapping[str, str]

    @property
    def well(self) -> bool:
        """Say whether all is well."""
        return all(said == "ok" for said in self.checks.values())


def liveness(pulse: Pulse, silence: float) -> Health:
    """Tell whether the process lives: a supervisor that hears no had better start it anew."""
    quiet = pulse.silence()
    return Health(checks={
        "loop": "ok" if quiet <= silence else f"the event loop has not been heard of for {quiet:.0f} s",
        "tasks": f"a task of the service has failed: {pulse.failure}" if pulse.failure else "ok",
    })  # fmt: skip


class Readiness:
    """Tell whether the process can take deliveries; for the loop of one thread."""

    def __init__(self, pulse: Pulse, checks: Mapping[str, Check], *, patience: float, kept: float) -> None:
        self._pulse = pulse
        self._checks = checks
        self._patience = patience
        self._kept = kept
        self._looked = float("-inf")
        self._said: dict[str, str] = {}
        self._looking: asyncio.Task[None] | None = None
        self._under_way: dict[str, asyncio.Future[str]] = {}
        self._was_well = True
        self._threads = ThreadPoolExecutor(max(len(checks), 1), thread_name_prefix="check")

    async def look(self) -> Health:
        """Give what the checks say, or said a moment ago; never takes longer than a check may."""
        if time.monotonic() - self._looked >= self._kept:
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
                self._looking.add_done_callback(self._looked_at)
            await asyncio.shield(self._looking)
        stage = self._pulse.stage
        return Health(checks={"stage": "ok" if stage is Stage.OPEN else f"the service is {stage}", **self._said})

    def close(self) -> None:
        """Let go of the threads; one that hangs is left."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        for name, check in self._checks.items():
            if name not in self._under_way:  # one that hangs still is not asked a second time
                self._under_way[name] = loop.run_in_executor(self._threads, _ask, check)
        asked = dict(self._under_way)
        await asyncio.wait(asked.values(), timeout=self._patience)
        for name, asking in asked.items():
            if asking.done():
                self._said[name] = asking.result()
                del self._under_way[name]
            else:
                self._said[name] = f"no answer within {self._patience:g} s"

    def _looked_at(self, _task: asyncio.Task[None]) -> None:
        self._looking, self._looked = None, time.monotonic()
        ill = {name: said for name, said in self._said.items() if said != "ok"}
        if ill and self._was_well:
            log.warning("not ready to take deliveries", **ill)
        elif not ill and not self._was_well:
            log.info("ready to take deliveries again")
        self._was_well = not ill


def _ask(check: Check) -> str:
    try:
        return check() or "ok"
    except _FAULTS as error:
        return str(getattr(error, "orig", None) or error)[:300]
    except Exception as error:
        log.exception("a check failed")
        return repr(error)[:300]


def checks_of(settings: Settings, engine: sa.Engine, blobs: Blobs) -> dict[str, Check]:
    """Give the checks of a process: database, blob store and room on the disk."""
    return {
        "database": lambda: _database(engine),
        "blobs": BlobTrial(blobs),
        "space": lambda: _space(settings),
    }


def _database(engine: sa.Engine) -> str:
    return "" if is_current(engine) else "the database has another schema than this version needs"


def _space(settings: Settings) -> str:
    free, reserve = shutil.disk_usage(settings.data_dir).free, settings.limits.minimum_free_bytes
    return "" if free >= reserve else f"{free:,} bytes are free, fewer than the reserve of {reserve:,}"


class BlobTrial:
    """Keep a small blob and delete it, now and then while all is well, at each look while it is not."""

    def __init__(self, blobs: Blobs, clock: Callable[[], float] = time.monotonic) -> None:
        self._blobs = blobs
        self._clock = clock
        self._good_until = float("-inf")

    def __call__(self) -> str:
        """Try; raises what the store raises."""
        if self._clock() < self._good_until:
            return ""
        self._good_until = float("-inf")
        writer = self._blobs.create(datetime.now(UTC))
        try:
            writer.write(b"mailgate check")
            self._blobs.commit([writer])
        finally:
            self._blobs.delete(writer.id)
        self._good_until = self._clock() + _TRIAL
        return ""

"""The settler: judges files in clients' folders once they have settled, and lets go of what waited too long.

What lives here: the loop over the ledger's rows, so that a restart goes on where a former process stopped. What a file
is judged to be is decided by ``intake.accept``.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from intake.accept import Intake
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.faults import TemporaryError
from storage.ledger import Ledger, folder_answers, settling
from storage.ledger.arriving import Held
from storage.ledger.folders import Place
from transfer.folder import LedgerFolders
from transfer.lost import Lost

log = get_logger("settler")
_AT_ONCE = 8  # folders
_LONGEST = 1.0  # seconds between two looks
_TIDY = timedelta(seconds=15)
_ORPHAN = timedelta(days=1)


class Settler:
    """Judge what has settled."""

    def __init__(
        self, ledger: Ledger, intake: Intake, folders: LedgerFolders, settings: Settings, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC), on_owed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._intake = intake
        self._folders = folders
        self._settings = settings
        self._clock = clock
        self._on_owed = on_owed
        self._bell = asyncio.Event()
        self._lost = Lost(folders)

    def ring(self) -> None:
        """Say that a file may have settled; called on the loop."""
        self._bell.set()

    async def run(self) -> None:
        """Work until cancelled."""
        next_tidy = self._clock()
        while True:
            self._bell.clear()
            wait = _LONGEST
            try:
                if not await self.work_once():
                    wait = await self._until_next()
                if self._clock() >= next_tidy:
                    await self.tidy()
                    next_tidy = self._clock() + _TIDY
            except (TemporaryError, OSError) as error:
                log.warning("the settler waits", reason=str(error))
            except Exception:
                log.exception("the settler stumbled")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._bell.wait()

    async def work_once(self) -> int:
        """Judge what has settled by now; gives how many files were judged."""
        by_folder: dict[Place, list[Held]] = {}
        for place, held in await self._ledger.read(settling.due, self._clock()):
            by_folder.setdefault(place, []).append(held)
        places = asyncio.Semaphore(_AT_ONCE)

        async def judge(of_one_folder: list[Held]) -> int:
            async with places:  # in their order: imports of a connection follow it
                return sum([await self._judge(held) for held in of_one_folder])

        return sum(await asyncio.gather(*map(judge, by_folder.values())))

    async def tidy(self) -> None:
        """Break off uploads that nobody writes to, and let go of what is past its time."""
        now, domain = self._clock(), self._settings.domain
        await self._lost.look()
        limits = self._settings.limits
        if await self._ledger.write(settling.note_stuck, now - limits.result_within, now):
            log.error("files have settled and cannot be judged")
        kept = now - limits.incomplete_kept
        while gone := await self._ledger.write(settling.expire, kept, now, domain):
            await self._folders.forget(gone)
        while await self._ledger.write(settling.vanish, now - self._folders.visible(), now):
            continue
        answers = now - self._settings.retention.answers
        while await self._ledger.write(settling.forget_seen, answers, now):
            continue
        while await self._ledger.write(folder_answers.forget_answers, answers, now):
            continue
        await self._sweep(now)
        self._on_owed()

    async def _judge(self, held: Held) -> int:
        try:
            return int(await self._intake.accept_file(held) is not None)
        except TemporaryError as error:
            log.warning("a file waits to be judged", file=held.file_id, reason=str(error))
        except Exception:  # one file must not hold up the others
            log.exception("a file could not be judged", file=held.file_id)
        return 0

    async def _until_next(self) -> float:
        moment = await self._ledger.read(settling.next_due)
        if moment is None:
            return _LONGEST
        return min(_LONGEST, max(0.01, (moment - self._clock()).total_seconds()))

    async def _sweep(self, now: datetime) -> None:
        old = await asyncio.to_thread(self._folders.spools_before, now - _ORPHAN)
        if old:
            named = await self._ledger.read(settling.spools_named, old)
            await self._folders.forget([spool for spool in old if spool not in named])

"""Uploads that nobody writes to any more: their node died, or their handle is gone.

What lives here: finding them, and bringing what came of them to where every node finds it. A node's own rows are
held against its own table of handles, those of others against the ledger's word on who lives.
"""

from mailgate.observe import get_logger
from storage.ledger import arriving, settling
from storage.ledger.arriving import Held, Kept
from storage.ledger.settling import UnderWayRow
from transfer.live import Live
from transfer.premises import Premises

log = get_logger("folder")
_OVERTAKEN = "the file was removed, or is written to by another session"


class Lost:
    """The uploads that are lost, as two looks in a row saw them."""

    def __init__(self, owner: Premises) -> None:
        self._owner = owner
        self._suspects: set[Held] = set()
        self._overtaken: set[Live] = set()

    async def take_up(self) -> int:
        """Begin with what dead nodes left: sessions are over, uploads are cut off; gives how many were."""
        ledger, owner = self._owner.ledger, self._owner
        await ledger.write(settling.end_visits, owner.alive)
        alive = await ledger.read(owner.alive)
        left = [row for row in await ledger.read(settling.under_way) if row.node not in alive]
        cut = sum([await self._break_off(row) for row in left])
        await self._bring()
        return cut

    async def look(self) -> None:
        """Break off what nobody writes to, let go of handles that were overtaken on another node."""
        owner = self._owner
        open_here = {live for live in owner.live.by_file.values() if live.closing is None}
        alive = await owner.ledger.read(owner.alive)
        rows = {row.held: row for row in await owner.ledger.read(settling.under_way)}
        lost = {held for held, row in rows.items() if self._nobody_writes(row, alive)}
        for held in self._suspects & lost:
            await self._break_off(rows[held])
        self._suspects = lost
        overtaken = {live for live in open_here if live.held not in rows}
        for live in self._overtaken & overtaken:
            if owner.live.get(live.held) is live:
                owner.live.void(live.held.file_id, _OVERTAKEN)
                await live.under_way.shut()
        self._overtaken = overtaken
        await self._bring()

    def _nobody_writes(self, row: UnderWayRow, alive: set[str]) -> bool:
        if row.node == self._owner.node:
            return self._owner.live.get(row.held) is None
        return row.node not in alive

    async def _break_off(self, row: UnderWayRow) -> bool:
        owner = self._owner
        kept = await self._kept(row)
        outcome = await owner.ledger.write(arriving.break_off, row.held, kept, owner.now(), owner.domain())
        if outcome is None:  # another node was first
            await owner.forget([kept.blob] if kept.blob else [])
            return False
        await owner.forget(outcome.gone)
        log.warning("a lost upload is incomplete", trace_id=outcome.trace_id, reason=outcome.message)
        return True

    async def _kept(self, row: UnderWayRow) -> Kept:
        owner = self._owner
        if not owner.stores:
            return Kept(size=owner.size_on_disk(row.spool))
        if not owner.is_here(row.spool):
            return Kept(size=None)
        try:
            size, blob = await owner.store(row.spool)
        except OSError:
            return Kept(size=None)  # it stays here, and is brought when the store is back
        return Kept(size=size, blob=blob, moved=True)

    async def _bring(self) -> None:
        """Bring what this node alone has of cut uploads, since the store was away or the node was killed."""
        owner = self._owner
        if not owner.stores:
            return
        for row in await owner.ledger.read(settling.stranded):
            if not owner.is_here(row.spool):
                continue
            try:
                size, blob = await owner.store(row.spool)
            except OSError as error:
                log.warning("a cut upload stays on this node", reason=str(error))
                return
            gone = await owner.ledger.write(arriving.bring, row.held, row.spool, size, blob)
            await owner.forget(gone if gone is not None else [name for name in (row.spool, blob) if name])

"""The uploads that are written to in this process right now, shared by every session.

What lives here: which file is open, by whom, and how large it has grown. The ledger knows the rest.
"""

import asyncio
from dataclasses import dataclass, field

from storage.ledger.arriving import Held
from storage.ledger.folders import Place
from transfer.under_way import UnderWay


@dataclass(slots=True, eq=False)
class Live:
    """One upload under way."""

    held: Held
    trace_id: str
    place: Place
    name: str
    visit: str
    under_way: UnderWay
    handles: int = 1
    cut: bool = False  #: one of its handles was broken off
    void: str = ""  #: why its handles may not write any more
    closing: asyncio.Event | None = None  #: its last handle is being closed: set when that is over


@dataclass(slots=True)
class LiveUploads:
    """All uploads under way in this process, by the id of their row."""

    by_file: dict[int, Live] = field(default_factory=dict)

    def add(self, live: Live) -> None:
        """Note an upload."""
        self.by_file[live.held.file_id] = live

    def drop(self, live: Live) -> None:
        """Forget an upload; one that was taken over meanwhile stays."""
        if self.by_file.get(live.held.file_id) is live:
            del self.by_file[live.held.file_id]

    def get(self, held: Held) -> Live | None:
        """Give the upload of a row, where somebody writes to it here; None for one that was overtaken elsewhere."""
        live = self.by_file.get(held.file_id)
        return live if live is not None and live.held == held else None

    def void(self, file_id: int, why: str) -> Live | None:
        """Take an upload from its handles: they hear why at their next call."""
        live = self.by_file.pop(file_id, None)
        if live is not None:
            live.void = why
        return live

    def size_of(self, credential_id: int) -> int:
        """Give the bytes of a credential that are under way."""
        return sum(one.under_way.size for one in self.by_file.values() if one.place.credential_id == credential_id)

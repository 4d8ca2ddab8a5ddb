"""The one virtual folder, made from ledger and blobs: SFTP and FTP are doors to it.

What lives here: where visits begin, and what is taken up when a process starts. No name of a client becomes a path on
a disk, and every look at the ledger carries the credential: accounts are walls.
"""

from transfer.lost import Lost
from transfer.premises import Premises, log
from transfer.visit import LedgerVisit


class LedgerFolders(Premises):
    """Where visits begin; one for all file doors of a process."""

    async def open(self) -> None:
        """Take up what a former process left: its uploads under way are incomplete."""
        self.settings.uploads_dir.mkdir(parents=True, exist_ok=True)
        cut = await Lost(self).take_up()
        if cut:
            log.info("uploads of a former process are incomplete", count=cut)
        self.ring()

    async def enter(self, credential: str, *, door: str, peer: str) -> LedgerVisit:
        """Begin a visit of a credential that has proved itself."""
        await self.home(credential)
        return LedgerVisit(self, credential, door, peer, self.new_visit())

"""Who is inside the SFTP door, and how much of our memory each may have.

What lives here: what SSH connections share beyond what the visitors of every file door do (``transfer.company``).
"""

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from intake.gate import Room
from intake.logins import Logins
from mailgate.settings import Settings
from transfer.company import Company as AnyCompany
from transfer.company import House
from transfer.view import Folders

_ON_THEIR_WAY = 2 * 1024 * 1024
_NARROWEST, _WIDEST = 64 * 1024, 2 * 1024 * 1024  # bytes of one session's window; the widest is OpenSSH's own


class Company(AnyCompany):
    """Everyone inside."""

    def __init__(
        self, settings: Settings, logins: Logins, folders: Folders, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        limits = settings.limits
        room = Room(
            total=limits.sftp_connections, per_address=limits.sftp_connections_per_address,
            unproved=limits.sftp_unauthenticated, unproved_per_address=limits.sftp_unauthenticated_per_address,
            knocks_per_second=limits.login_connections_per_second,
        )  # fmt: skip
        house = House(room=room, per_credential=limits.sftp_connections_per_credential, idle=limits.sftp_idle)
        super().__init__(house, logins, "sftp")
        self.limits = limits
        self.folders = folders
        self.clock = clock
        self.serving: set[asyncio.Task[None]] = set()  #: sessions that have not come to their end
        self._settings = settings

    def window(self) -> int:
        """Give the bytes that one session may have on their way to us: its share, between sensible bounds."""
        return max(_NARROWEST, min(_WIDEST, _ON_THEIR_WAY // (len(self.serving) + 1)))

    def free_bytes(self) -> int:
        """Tell how much room there is for uploads."""
        return shutil.disk_usage(self._settings.data_dir).free - self.limits.minimum_free_bytes

"""One SFTP session: reads requests in order, and waits where the client does not read.

What lives here: asyncssh's session handler with our limits. It uses private names of asyncssh 2.24
(``SFTPServerHandler`` with ``_cleanup``, ``_process_packet``, ``_process_open``, ``_process_opendir``,
``_process_readdir``, ``_process_limits``, ``_packet_handlers``, ``_extensions``, ``_file_handles``, ``_dir_handles``,
``_reader``, ``_writer``); a test holds each.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asyncssh import SFTPBadMessage, SFTPEOFError, SFTPFailure, SFTPInvalidHandle, SFTPLimits, SFTPName
from asyncssh.constants import FXP_BLOCK, FXP_LINK, FXP_OPEN, FXP_OPENDIR, FXP_READDIR, FXP_UNBLOCK
from asyncssh.packet import SSHPacket
from asyncssh.sftp import MIN_SFTP_VERSION, SFTPServerHandler

from transfer.sftp_files import MOST_AT_ONCE, Files

_PACKET = 256 * 1024 + 1024  #: bytes of the longest request; OpenSSH's own figure
_NAMES_AT_ONCE = 100
_NEVER = (FXP_LINK, FXP_BLOCK, FXP_UNBLOCK, b"hardlink@openssh.com", b"copy-data", b"ranges@asyncssh.com")


class Handler(SFTPServerHandler):
    """Serve one SFTP session."""

    _extensions = [
        (name, data) for name, data in SFTPServerHandler._extensions if name.endswith(b"@openssh.com") and
        name not in _NEVER
    ]  # fmt: skip

    def __init__(
        self, files: Files, reader: Any, writer: Any, *, handles: int, at_once: int, busy: Callable[[], None],
        flow: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        super().__init__(files, reader, writer, MIN_SFTP_VERSION)
        self._files = files
        self._most_handles = handles
        self._at_once = min(at_once, MOST_AT_ONCE)
        self._busy = busy
        self._flow = flow

    async def recv_packet(self) -> SSHPacket:
        """Read one request, of a length that no honest client passes."""
        assert self._reader is not None
        length = int.from_bytes(await self._reader.readexactly(4), "big")
        if length > _PACKET:
            raise SFTPBadMessage(f"a request has at most {_PACKET} bytes")
        return SSHPacket(await self._reader.readexactly(length))

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """Answer one request, then wait until the client has read enough of the answers."""
        self._busy()
        await super()._process_packet(pkttype, pktid, packet)
        if self._writer is not None:
            await self._writer.drain()
            await self._flow()

    async def _cleanup(self, exc: Exception | None) -> None:
        """Note that the session is over before handles are closed: what is open now was cut off."""
        self._files.ending = True
        for opened in list(self._file_handles.values()):
            with contextlib.suppress(Exception):  # it was logged where it arose; the others must be closed too
                await self._files.close(opened)
        self._file_handles = {}
        await super()._cleanup(exc)

    async def _process_open(self, packet: SSHPacket) -> bytes:
        self._check_handles()
        return await super()._process_open(packet)

    async def _process_opendir(self, packet: SSHPacket) -> bytes:
        """List the folder at once: a listing does not change while it is read, and one that fails says so here."""
        path = packet.get_string()
        packet.check_end()
        self._check_handles()
        names = await self._files.names(path)
        handle = self._get_next_handle()
        self._dir_handles[handle] = cast(Any, names)
        return handle

    async def _process_readdir(self, packet: SSHPacket) -> tuple[list[SFTPName], bool]:
        handle = packet.get_string()
        packet.check_end()
        names = cast("list[SFTPName] | None", self._dir_handles.get(handle))
        if names is None:
            raise SFTPInvalidHandle("there is no such handle")
        if not names:
            raise SFTPEOFError
        some = names[:_NAMES_AT_ONCE]
        del names[:_NAMES_AT_ONCE]
        return some, not names

    async def _process_limits(self, packet: SSHPacket) -> SFTPLimits:
        packet.check_end()
        return SFTPLimits(_PACKET, MOST_AT_ONCE, self._at_once, self._most_handles)

    def _check_handles(self) -> None:
        if len(self._file_handles) + len(self._dir_handles) >= self._most_handles:
            raise SFTPFailure(f"at most {self._most_handles} files and folders may be open at once")

    _packet_handlers = {
        **{kind: call for kind, call in SFTPServerHandler._packet_handlers.items() if kind not in _NEVER},
        FXP_OPEN: cast(Any, _process_open),
        FXP_OPENDIR: cast(Any, _process_opendir),
        FXP_READDIR: cast(Any, _process_readdir),
        b"limits@openssh.com": cast(Any, _process_limits),
    }

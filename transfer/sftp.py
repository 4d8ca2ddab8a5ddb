"""The SFTP door as a whole: its listener, its algorithms, and how it closes.

What lives here: the socket, what is offered to clients, the graceful stop. Who is inside stands in
``transfer.sftp_company``.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import asyncssh

from intake.logins import Logins
from mailgate.listening import Listener, Proxies
from mailgate.observe import get_logger
from mailgate.settings import Settings
from transfer.sftp_company import Company
from transfer.sftp_connection import FAST_CIPHERS, Connection, Guest
from transfer.sftp_keys import host_key_fingerprints, make_host_keys, read_host_keys
from transfer.sftp_refusal import VERSION, refusal
from transfer.view import Folders

log = get_logger("sftp")
_GRACE = 4.0  # seconds for uploads under way, of the ten that a stop may take
_KEEPALIVE = 30
_PACKET = 64 * 1024

#: Key exchanges, best first. Left out: SHA-1, group exchange, GSS, and groups so large that a stranger's handshake
#: would cost us a tenth of a second; the NIST curves are for clients that have nothing else.
KEX = (
    "mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "curve448-sha512",
    "diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256",
    "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
)  # fmt: skip
CIPHERS = (*(cipher.decode() for cipher in FAST_CIPHERS), "aes256-ctr", "aes192-ctr", "aes128-ctr")
MACS = (
    "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "umac-128-etm@openssh.com",
    "hmac-sha2-256", "hmac-sha2-512",
)  # fmt: skip
SIGNATURES = ("ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512")


class SftpDoor:
    """Open the SFTP door over the virtual folders."""

    def __init__(
        self, settings: Settings, logins: Logins, folders: Folders, *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._settings = settings
        self._company = Company(settings, logins, folders, clock=clock)
        self._listener: Listener | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> list[tuple[str, str, int]]:
        """Begin to listen; gives name, host and port. Host keys that are missing are made, and fingerprints logged."""
        sftp, limits, paths = self._settings.sftp, self._settings.limits, self._settings.host_key_paths
        if await asyncio.to_thread(make_host_keys, paths):
            log.warning("host keys made", paths=[str(path) for path in paths])
        for algorithm, fingerprint in host_key_fingerprints(paths).items():
            log.info("host key", algorithm=algorithm, fingerprint=fingerprint)
        options = await self._options(read_host_keys(paths))
        loop = asyncio.get_running_loop()
        proxies = Proxies(
            networks=sftp.proxy_protocol_from, seconds=limits.proxy_header_time.total_seconds(),
            most=limits.proxy_header_bytes,
        )  # fmt: skip
        self._listener = Listener("sftp", partial(self._make, loop, options), proxies, gone=_leave)
        port = await self._listener.open(sftp.host, sftp.port)
        self._watching = asyncio.create_task(self._company.watch())
        return [("sftp", sftp.host, port)]

    async def close(self) -> None:
        """Take no new guests, let uploads under way finish for a while, then say goodbye to all."""
        if self._listener is None:
            return
        self._listener.close()
        if self._watching is not None:
            self._watching.cancel()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GRACE
        while True:
            for guest in [guest for guest in self._company.visitors if not guest.busy]:
                guest.say_goodbye("closing for now, please come back")
            if not self._company.visitors or loop.time() > deadline:
                break
            await asyncio.sleep(0.05)
        for guest in list(self._company.visitors):
            guest.say_goodbye("closing for now, please come back")
        if self._company.serving:
            await asyncio.wait(self._company.serving, timeout=_GRACE)

    def _make(
        self, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions, client: str
    ) -> Connection | bytes:
        """Ask the gate before anything is made for a client."""
        guest = Guest(self._company, client)
        reason = self._company.enter(guest)
        if not reason:
            return Connection(loop, options, guest)
        log.warning("turned away", peer=client, reason=reason)
        return refusal(reason)

    # --- asyncssh

    async def _options(self, keys: list[asyncssh.SSHKey]) -> asyncssh.SSHServerConnectionOptions:
        options: asyncssh.SSHServerConnectionOptions = await asyncssh.SSHServerConnectionOptions.construct(
            None, config=None, server_factory=asyncssh.SSHServer, server_host_keys=keys, server_version=VERSION,
            kex_algs=_present(KEX), encryption_algs=list(CIPHERS), mac_algs=list(MACS), compression_algs=None,
            signature_algs=list(SIGNATURES), gss_host=None, gss_kex=False, gss_auth=False, host_based_auth=False,
            kbdint_auth=False, public_key_auth=True, password_auth=True, allow_pty=False, agent_forwarding=False,
            x11_forwarding=False, allow_scp=False, line_editor=False, encoding=None, max_pktsize=_PACKET,
            login_timeout=self._settings.limits.sftp_login_time.total_seconds(),
            keepalive_interval=_KEEPALIVE, tcp_keepalive=True,
        )  # fmt: skip
        for algorithm in [name for name in options.server_host_keys if name.decode() not in SIGNATURES]:
            del options.server_host_keys[algorithm]  # the RSA key stays, its SHA-1 and vendors' signatures go
        return options


def _leave(connection: asyncio.BaseProtocol) -> None:
    """Give back the place of a guest whose connection never began."""
    assert isinstance(connection, Connection)
    connection.guest.company.leave(connection.guest)


def _present(wanted: tuple[str, ...]) -> list[str]:
    """Leave out what this build of the libraries does not have (post-quantum exchanges need a recent OpenSSL)."""
    from asyncssh.kex import get_kex_algs

    there = {name.decode() for name in get_kex_algs()}
    return [name for name in wanted if name in there]

"""One SSH connection: who comes in, how it proves itself, and that it opens nothing but SFTP sessions.

What lives here: asyncssh's connection, server and channel with our limits. It uses private names of asyncssh 2.24
(``SSHServerConnection`` with ``_send``, ``_force_close``, ``_send_kexinit``, ``_process_kexinit``,
``_packet_handlers``, ``_enc_algs``, ``_protocol_factory``, ``_transport``; ``SSHServerChannel`` with its arguments and
``_process_env_request``; ``SSHServerStreamSession``); a test holds each. Forwarding, agent and X11 are refused by
asyncssh where nobody allows them.
"""

import asyncio
from typing import Any

import asyncssh
from asyncssh.connection import SSHServerConnection
from asyncssh.constants import (
    DISC_BY_APPLICATION,
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    DISC_TOO_MANY_CONNECTIONS,
    MSG_IGNORE,
    MSG_KEXINIT,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.packet import SSHPacket
from asyncssh.stream import SSHReader, SSHServerStreamSession, SSHWriter

from intake.logins import Login
from mailgate.observe import get_logger, metrics
from models.faults import MailgateError, TemporaryError
from transfer.sftp_company import Company
from transfer.sftp_files import Files
from transfer.sftp_handler import Handler

log = get_logger("sftp")
FAST_CIPHERS = (b"aes128-gcm@openssh.com", b"aes256-gcm@openssh.com")
TOO_MANY_TRIES = "too many failed logins"
_OFFER_AFTER = 0.5  # seconds for a client that lets the server offer its algorithms first
_OTHER_REQUESTS = 20  # requests for other ways to log in, beside the attempts that count
_TURN = 128 * 1024  # bytes sent before the loop has to turn, so that a client that does not read is noticed
_UNREAD = 1024 * 1024  # bytes of answers that may wait for a client before its requests wait


class Guest(asyncssh.SSHServer):
    """Answer what asyncssh asks about one connection: who may log in, and which sessions it may open."""

    def __init__(self, company: Company, address: str) -> None:
        self.company = company
        self.login: Login | None = None
        self.address = address  #: of the client, also where a proxy passes it on
        self.username = ""
        self.failures = 0
        self._tries = 0
        self.sessions: set[Session] = set()
        self.last_heard = asyncio.get_running_loop().time()
        self._candidate: Login | None = None
        self._by_key = False
        self._connection: Any = None
        self._goodbye = ""

    # --- the life of the connection

    def connection_made(self, conn: Any) -> None:
        """Begin, unless the guest had to make room meanwhile."""
        self._connection = conn
        if self._goodbye:
            asyncio.get_running_loop().call_soon(conn.disconnect, DISC_TOO_MANY_CONNECTIONS, self._goodbye)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave; handles that are open are broken off by their sessions."""
        self.company.leave(self)
        if self.login is not None:
            log.info("left", peer=self.address, credential=self.login.credential, reason=str(exc or ""))

    def say_goodbye(self, reason: str) -> None:
        """End the connection with a sentence, as soon as there is one."""
        self._goodbye = reason
        if self._connection is not None:
            self._connection.disconnect(DISC_BY_APPLICATION, reason)

    @property
    def busy(self) -> bool:
        """Tell whether an upload is under way."""
        return any(session.busy for session in self.sessions)

    # --- proving who one is

    def begin_auth(self, username: str) -> bool:
        """Ask everyone for a proof, whether the user exists or not."""
        self.username = username
        return True

    def public_key_auth_supported(self) -> bool:
        """Offer keys to everyone."""
        return True

    def password_auth_supported(self) -> bool:
        """Offer passwords to everyone."""
        return True

    async def validate_public_key(self, username: str, key: Any) -> bool:
        """Tell whether a key belongs to a user; asyncssh asks before and after the signature, which it checks."""
        self._candidate = None
        if self._tries_are_over():
            return False
        self._by_key = True
        line = key.export_public_key("openssh").decode("ascii", "replace")
        try:
            self._candidate = await self.company.logins.by_key(username, line)
        except TemporaryError as error:
            log.warning("a key cannot be looked up now", reason=str(error))
        self.failures += self._candidate is None
        return self._candidate is not None

    async def validate_password(self, username: str, password: str) -> bool:
        """Tell whether a password is right, as the defender allows."""
        self._candidate = None
        if self._tries_are_over():
            return False
        self._by_key = False
        try:
            self._candidate = await self.company.logins.by_password(username, password, self.address)
        except TemporaryError as error:
            log.warning("a password cannot be checked now", reason=str(error))
        if self._candidate is None:
            log.warning("login refused", peer=self.address, username=username[:100])
        self.failures += self._candidate is None
        return self._candidate is not None

    def _tries_are_over(self) -> bool:
        """Count what is asked before it is answered: a client that does not wait for answers guesses no more often."""
        self._tries += 1
        most = 2 * self.company.limits.sftp_login_attempts  # a key is asked for twice
        if self._tries > most:
            self._connection.disconnect(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, TOO_MANY_TRIES)
        return self._tries > most

    def auth_completed(self) -> None:
        """Let a guest that has proved itself stay, unless its credential has too many connections."""
        assert self._candidate is not None
        self.login = self._candidate
        refusal = self.company.admit(self)
        if refusal:
            log.warning("turned away", peer=self.address, credential=self.login.credential, reason=refusal)
            self._connection.disconnect(DISC_TOO_MANY_CONNECTIONS, refusal)
            return
        log.info("login", peer=self.address, credential=self.login.credential, client=self.client_version)
        if self._by_key:  # passwords were counted where they were looked at
            metrics.logins.labels("key", "right").inc()

    @property
    def client_version(self) -> str:
        """Give what the client calls itself."""
        return str(self._connection.get_extra_info("client_version", ""))[:100]

    # --- sessions

    def session_requested(self) -> Any:
        """Open a session for SFTP; no shell, command, terminal, agent or forwarding is behind it."""
        if len(self.sessions) >= self.company.limits.sftp_channels:
            raise asyncssh.ChannelOpenError(
                OPEN_RESOURCE_SHORTAGE, f"at most {self.company.limits.sftp_channels} sessions in one connection"
            )
        return Channel(self._connection, self.company), Session(self)


class Channel(asyncssh.SSHServerChannel[bytes]):
    """A channel without terminal and environment."""

    def __init__(self, connection: Any, company: Company) -> None:
        self._company = company
        window, packet = company.window(), connection._max_pktsize
        connection._update_recv_pktlen(packet)
        super().__init__(connection, connection._loop, False, False, False, 0, 1024, None, "strict", window, packet)
        self.set_write_buffer_limits(high=_UNREAD)

    def _deliver_data(self, data: bytes, datatype: Any) -> None:
        """Let the client send as much as its share of our memory is now: much when it is alone, less among many."""
        self._init_recv_window = self._company.window()
        super()._deliver_data(data, datatype)

    def _process_env_request(self, packet: SSHPacket) -> bool:
        """Refuse: nothing here reads an environment, and keeping one costs memory."""
        return False


class Session(SSHServerStreamSession[bytes]):
    """One session of a guest: the SFTP subsystem or nothing."""

    def __init__(self, guest: Guest) -> None:
        super().__init__(None)
        self._guest = guest
        self._files: Files | None = None

    @property
    def busy(self) -> bool:
        """Tell whether an upload is under way."""
        return self._files is not None and bool(self._files.writing)

    def connection_made(self, chan: Any) -> None:
        """Begin."""
        super().connection_made(chan)
        self._guest.sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; what is open is broken off when the handler has come to the end of what it was sent."""
        self._guest.sessions.discard(self)
        super().connection_lost(exc)

    def subsystem_requested(self, subsystem: str) -> bool:
        """Take the one subsystem there is."""
        return subsystem == "sftp" and self._guest.login is not None

    def session_started(self) -> None:
        """Serve."""
        task = asyncio.get_running_loop().create_task(self._serve(self._chan, self._conn))
        self._guest.company.serving.add(task)
        task.add_done_callback(self._guest.company.serving.discard)

    async def _serve(self, channel: Any, connection: Any) -> None:
        guest, company = self._guest, self._guest.company
        assert guest.login is not None
        stderr: SSHWriter[bytes] = SSHWriter(self, channel, asyncssh.EXTENDED_DATA_STDERR)
        shows = guest.client_version.startswith("SSH-2.0-OpenSSH")  # others keep it, or choke on it

        def tell(line: str) -> None:
            if shows and not channel.is_closing():
                stderr.write(line.encode())

        who = {"peer": guest.address, "credential": guest.login.credential}
        try:
            visit = await company.folders.enter(guest.login.credential, door="sftp", peer=guest.address)
        except MailgateError as error:
            log.warning("no visit", reason=str(error), **who)
            tell("mailgate: this cannot be done now, please try again\n")
            channel.exit(1)
            return
        files = self._files = Files(
            channel, visit, who=who, tell=tell, free_bytes=company.free_bytes, clock=company.clock
        )
        handler = Handler(
            files, SSHReader(self, channel), SSHWriter(self, channel), handles=company.limits.sftp_handles,
            at_once=company.window() // 4, busy=self._heard, flow=connection.flow,
        )  # fmt: skip
        try:
            await handler.run()
        except Exception:
            log.exception("an SFTP session failed", **who)
            await handler._cleanup(None)

    def _heard(self) -> None:
        self._guest.last_heard = asyncio.get_running_loop().time()


class Connection(SSHServerConnection):
    """An SSH connection that offers fast ciphers to who has them, counts attempts, and waits for slow readers."""

    def __init__(self, loop: Any, options: Any, guest: Guest) -> None:
        super().__init__(loop, options, None, None)
        self.guest = guest
        self._protocol_factory = lambda: guest
        self._offered = False
        self._requests = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._writable = asyncio.Event()
        self._writable.set()

    # --- which algorithms

    def _send_kexinit(self) -> None:
        """Wait a moment for the client's offer: the cipher is its choice, so slow ones are offered where needed."""
        if self._offered:
            super()._send_kexinit()
        else:
            self._loop.call_later(_OFFER_AFTER, self._offer)

    def _offer(self, ciphers: tuple[bytes, ...] = ()) -> None:
        if self._offered or self._transport is None:
            return
        self._offered = True
        if ciphers:
            self._enc_algs = list(ciphers)
        super()._send_kexinit()

    async def _process_kexinit(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """Narrow the offer to the fast ciphers that the client has, if it has any."""
        if not self._offered:
            offer = SSHPacket(packet.get_remaining_payload())
            offer.get_bytes(16)  # cookie
            offer.get_namelist(), offer.get_namelist()
            both = set(offer.get_namelist()) & set(offer.get_namelist())
            self._offer(tuple(cipher for cipher in FAST_CIPHERS if cipher in both))
        await super()._process_kexinit(pkttype, pktid, packet)

    _packet_handlers = {**SSHServerConnection._packet_handlers, MSG_KEXINIT: _process_kexinit}

    # --- how many attempts

    def send_userauth_failure(self, partial_success: bool) -> None:
        """Say no, and goodbye after too many of them."""
        self._requests += 1
        most = self.guest.company.limits.sftp_login_attempts
        if self.guest.failures >= most or self._requests > most + _OTHER_REQUESTS:
            self.disconnect(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, TOO_MANY_TRIES)
            return
        super().send_userauth_failure(partial_success)

    # --- how much may wait

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send a packet, without the empty one that asyncssh puts before each: it guards ciphers not offered here."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=handler)

    def _send(self, data: bytes) -> None:
        """Gather what is sent in one turn of the loop: one system call for many packets."""
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if len(self._gathered) == 1:
            self._loop.call_soon(self._send_gathered)

    def _send_gathered(self) -> None:
        gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
        if gathered:
            super()._send(b"".join(gathered))

    def _force_close(self, exc: Exception | None) -> None:
        self._send_gathered()
        super()._force_close(exc)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None = None) -> None:
        """End; who waits for the client waits no longer."""
        self._writable.set()
        super().connection_lost(exc)

    async def flow(self) -> None:
        """Return when the client has read enough of what was sent; others get their turn of the loop meanwhile."""
        if self._gathered_bytes > _TURN:
            await asyncio.sleep(0)
        await self._writable.wait()

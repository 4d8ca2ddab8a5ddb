"""One session with one mailbox: the few commands we use, each bounded, each failure a ``MailboxError``.

What lives here: the wrapper round the library. Arguments are checked before they are sent, since the library is not to
be trusted with line ends; answers for messages that nobody asked for are left out. Not for two threads at once, except
``drop``.
"""

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from intake.outward import TargetRefused, connect, resolve
from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.imap.library import BoundedClient
from mailgate.imap.stream import BoundedStream, TooMuch
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.connection import Remote

log = get_logger("imap")
CHUNK = 1 << 20  # bytes of a mail in one answer
KEYWORD = "$MailgateDone"
_SLACK = 1 << 20  # bytes of one answer beside what was asked for
_SEARCH = 8 << 20  # bytes of an answer to SEARCH: about a million UIDs
_LARGEST_UID = (1 << 32) - 1
_AT_ONCE = 200  # UIDs in one command


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """What a server says of a folder when it is opened."""

    uidvalidity: int
    exists: int
    keywords: bool  #: whether our keyword may be set


class Session:
    """Work with one mailbox; use ``open_session``."""

    def __init__(self, client: BoundedClient, settings: Settings) -> None:
        self._client = client
        self._limits = settings.limits
        self._selected: Selected | None = None
        self._dead = False

    def log_in(self, remote: Remote, secret: str) -> None:
        """Log in with a password, or with an access token where the remote has OAuth."""
        client = self._client
        username, secret = _plain(remote.username, Step.LOGIN), _plain(secret, Step.LOGIN)
        try:
            with self._asking(Step.LOGIN):
                if remote.oauth_token_url:
                    _oauth(client, remote.oauth_mechanism, username, secret)
                elif client.has_capability("AUTH=PLAIN"):  # takes every character, which LOGIN does not
                    client.plain_login(username, secret)
                else:
                    client.login(_quoted(username), secret)
            with self._asking(Step.LOGIN):
                client.capabilities()
        except MailboxError as error:
            kind = Kind.NOT_ALLOWED if error.kind is Kind.REFUSED else error.kind
            reason = error.reason.replace(secret, "***") if secret else error.reason  # a server may echo it
            raise MailboxError(error.step, reason, kind) from None

    # --- looking

    def select(self, folder: str) -> Selected:
        """Open a folder; a server that gives no UIDVALIDITY is refused, its messages cannot be told apart."""
        try:
            with self._asking(Step.FOLDER):
                said = self._client.select_folder(_plain(folder, Step.FOLDER))
        except MailboxError as error:
            if error.kind in (Kind.REFUSED, Kind.NO_FOLDER):
                raise MailboxError(Step.FOLDER, f"{folder}: {error.reason}", Kind.NO_FOLDER) from error
            raise
        validity = said.get(b"UIDVALIDITY", 0)
        if not isinstance(validity, int) or not 0 < validity < 1 << 63:
            raise MailboxError(
                Step.FOLDER,
                f"{folder}: the server gives no UIDVALIDITY, so mails cannot be told apart",
                Kind.NO_FOLDER,
            )
        flags = {bytes(flag).lower() for flag in said.get(b"PERMANENTFLAGS", ()) if isinstance(flag, bytes)}
        exists = said.get(b"EXISTS", 0)
        self._selected = Selected(
            uidvalidity=validity, exists=exists if isinstance(exists, int) else 0,
            keywords=bool(flags & {b"\\*", KEYWORD.lower().encode()}),
        )  # fmt: skip
        return self._selected

    def search(self, after: int = 0) -> list[int]:
        """Give the UIDs above one, ascending."""
        with self._asking(Step.FOLDER, _SEARCH):
            found = self._client.search([b"UID", f"{after + 1}:*".encode()] if after else "ALL")
        return sorted({uid for uid in found if after < uid <= _LARGEST_UID})

    def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """Give RFC822.SIZE of messages, as the server has it; what it does not say is left out."""
        sizes: dict[int, int] = {}
        for start in range(0, len(uids), _AT_ONCE):
            with self._asking(Step.FETCH):
                found = self._client.fetch(uids[start : start + _AT_ONCE], ["RFC822.SIZE"])
            for uid, items in found.items():
                size = items.get(b"RFC822.SIZE")
                if isinstance(size, int):
                    sizes[uid] = size
        return sizes

    def chunk(self, uid: int, offset: int, length: int = CHUNK) -> bytes:
        """Give bytes of a message, unseen as before (``BODY.PEEK``); fewer than asked at its end."""
        with self._asking(Step.FETCH, length + _SLACK):
            found = self._client.fetch([uid], [f"BODY.PEEK[]<{offset}.{length}>"])
        if uid not in found:
            raise MailboxError(Step.FETCH, f"the message {uid} is not there any more", Kind.GONE)
        items = found[uid]
        key = f"BODY[]<{offset}>".encode()
        if key not in items:
            raise MailboxError(Step.FETCH, f"the server does not give the bytes of message {uid}", Kind.REFUSED)
        data = items[key]
        if data is None:
            return b""
        if not isinstance(data, bytes) or len(data) > length:
            raise MailboxError(Step.FETCH, f"the server gives other bytes of message {uid} than asked", Kind.MISBEHAVES)
        return data

    # --- changing

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Move messages; without MOVE they are copied and marked deleted, and only they are expunged (UIDPLUS)."""
        folder = _plain(folder, Step.MOVE)
        for start in range(0, len(uids), _AT_ONCE):
            some = uids[start : start + _AT_ONCE]
            try:
                self._move(some, folder)
            except MailboxError as error:
                if error.kind is not Kind.REFUSED:
                    raise
                self._make_folder(folder, error)
                self._move(some, folder)

    def flag(self, uids: Sequence[int]) -> None:
        """Mark messages as done: with our keyword, or as seen where the folder takes no keywords."""
        keywords = self._selected is not None and self._selected.keywords
        for start in range(0, len(uids), _AT_ONCE):
            with self._asking(Step.MOVE):
                self._client.add_flags(uids[start : start + _AT_ONCE], [KEYWORD if keywords else "\\Seen"], silent=True)

    def folder_exists(self, folder: str) -> bool:
        """Tell whether there is a folder of this name."""
        with self._asking(Step.FOLDER):
            return bool(self._client.folder_exists(_plain(folder, Step.FOLDER)))

    # --- waiting

    def noop(self) -> None:
        """Ask for nothing: a dead connection shows."""
        with self._asking(Step.IDLE):
            self._client.ask_nothing()

    @property
    def can_idle(self) -> bool:
        """Tell whether the server can say that mail has come."""
        return self.has("IDLE")

    def has(self, capability: str) -> bool:
        """Tell whether the server has a capability."""
        with self._asking(Step.LOGIN):
            return bool(self._client.has_capability(capability))

    @contextlib.contextmanager
    def idling(self) -> Iterator[BoundedClient]:
        """Be in IDLE for a while."""
        with self._asking(Step.IDLE, _SLACK, self._limits.imap_idle.total_seconds() + 60):
            tag = self._client.idle_begin()
            yield self._client
            self._client.idle_end(tag)

    # --- the end

    def close(self) -> None:
        """Say goodbye, where the connection lives, and close."""
        if not self._dead:
            with contextlib.suppress(MailboxError), self._asking(Step.LOGIN, seconds=2):
                self._client.logout()
        self.drop()

    def drop(self) -> None:
        """Close the connection at once; may be called from another thread to end a command that waits."""
        with contextlib.suppress(OSError):
            self._client.drop()

    # --- inside

    def _move(self, uids: Sequence[int], folder: str) -> None:
        if self.has("MOVE"):
            with self._asking(Step.MOVE):
                self._client.move(uids, folder)
            return
        with self._asking(Step.MOVE):
            self._client.copy(uids, folder)
        with self._asking(Step.MOVE):
            self._client.add_flags(uids, ["\\Deleted"], silent=True)
        if self.has("UIDPLUS"):  # a plain EXPUNGE would remove what others have marked
            with self._asking(Step.MOVE):
                self._client.uid_expunge(uids)

    def _make_folder(self, folder: str, why: MailboxError) -> None:
        if self.folder_exists(folder):
            raise why
        with self._asking(Step.MOVE):
            self._client.create_folder(folder)

    @contextlib.contextmanager
    def _asking(self, step: Step, octets: int = _SLACK, seconds: float | None = None) -> Iterator[None]:
        try:
            with translated(step):
                self._client.begin(octets, seconds or self._limits.imap_command_total.total_seconds())
                yield
        except MailboxError as error:
            self._dead = self._dead or not (error.alive or error.kind is Kind.NO_FOLDER)
            raise


@contextlib.contextmanager
def translated(step: Step) -> Iterator[None]:
    """Turn whatever the library, the socket or the parsing of an answer raises into a MailboxError."""
    try:
        yield
    except (MailboxError, KeyboardInterrupt):
        raise
    except BoundedClient.ReadOnlyError as error:
        raise MailboxError(step, "it can only be read, so nothing could be moved or flagged", Kind.NO_FOLDER) from error
    except BoundedClient.AbortError as error:
        raise MailboxError(step, _said(error)) from error
    except BoundedClient.Error as error:
        raise MailboxError(step, _said(error), Kind.REFUSED) from error
    except (TooMuch, RecursionError) as error:
        raise MailboxError(step, _said(error), Kind.MISBEHAVES) from error
    except ssl.SSLCertVerificationError as error:
        raise MailboxError(step, f"the certificate is not accepted: {error.verify_message}") from error
    except OSError as error:
        raise MailboxError(step, _said(error)) from error
    except Exception as error:  # an answer that nobody can read may raise anything in a parser
        log.info("an answer cannot be read", step=str(step), exc_info=error)
        raise MailboxError(step, f"the server's answer cannot be read: {error!r}"[:300], Kind.MISBEHAVES) from error


def open_session(remote: Remote, settings: Settings, stream: Any = BoundedStream) -> Session:
    """Resolve, connect and begin TLS; the login follows. Raises MailboxError."""
    limits = settings.limits
    port = remote.port_in_use
    with translated(Step.DNS):
        try:
            target = resolve(remote.host, port, allow_private=settings.pull.allow_private)
        except TargetRefused as error:
            raise MailboxError(Step.DNS, str(error), Kind.NOT_ALLOWED) from error
    with translated(Step.TCP):
        plug = connect(target, limits.imap_connect.total_seconds())
    try:
        context = _tls_context(remote) if remote.tls != "off" else None
        if remote.tls == "implicit" and context is not None:
            with translated(Step.TLS):
                plug = context.wrap_socket(plug, server_hostname=remote.host)
        silence = limits.imap_silence.total_seconds()
        with translated(Step.TCP):
            client = BoundedClient(
                plug,
                remote.host,
                port,
                tls=remote.tls == "implicit",
                make_stream=lambda raw: stream(raw, silence=silence),
            )
        session = Session(client, settings)
        if remote.tls == "starttls":
            with translated(Step.TLS):
                client.begin(_SLACK, silence)
                client.starttls(context)
        return session
    except BaseException:
        plug.close()
        raise


def _oauth(client: BoundedClient, mechanism: str, username: str, token: str) -> None:
    said: list[str] = []
    if mechanism == "OAUTHBEARER":
        name = username.replace("=", "=3D").replace(",", "=2C")
        words = f"n,a={name},\1auth=Bearer {token}\1\1"  # RFC 7628 section 3.1
    else:
        words = f"user={username}\1auth=Bearer {token}\1\1"

    def answer(challenge: bytes) -> str:
        if not said:
            said.append("")
            return words
        if len(said) > 1:
            raise TooMuch("the server keeps asking instead of deciding about the login")
        said.append(challenge.decode("utf-8", "replace")[:200])  # why not; it wants an empty answer
        return "" if mechanism == "XOAUTH2" else "\1"

    try:
        client.sasl_login(mechanism, answer)
    except client.Error as error:
        more = f" ({said[1]})" if len(said) > 1 else ""
        raise type(error)(f"{error}{more}") from error


def _tls_context(remote: Remote) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=remote.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise MailboxError(Step.TLS, f"ca_file {remote.ca_file} cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _plain(value: str, step: Step) -> str:
    if any(letter in value for letter in "\r\n\0"):
        raise MailboxError(step, "a line end or NUL in a name or secret is refused", Kind.NOT_ALLOWED)
    return value


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:300]

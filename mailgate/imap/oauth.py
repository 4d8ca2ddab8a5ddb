"""What a mailbox is logged in with: the password of a file, or an access token of OAuth 2.0.

What lives here: fetching tokens from the configured endpoint (RFC 6749 sections 4.4 and 6), and keeping them until
shortly before they end. A refresh token that the endpoint replaces is written back to its file.
"""

import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from intake.outward import TargetRefused, connect, resolve
from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.imap.session import translated
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.connection import Remote

log = get_logger("imap")
_MOST = 64 * 1024  # bytes of an endpoint's answer
_TOTAL = 30.0  # seconds for the whole of it
_EARLY = 60.0  # seconds before its end a token is replaced


class Secrets:
    """Give what a mailbox is logged in with: its password, or an access token."""

    def __init__(self, remote: Remote, settings: Settings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._remote = remote
        self._settings = settings
        self._monotonic = monotonic
        self._token = ""
        self._ends = 0.0
        self._refresh_token = ""  # one that could not be written back

    def get(self) -> str:
        """Give the password as its file has it now, or a token that is good for a while. Raises MailboxError."""
        if not self._remote.oauth_token_url:
            return _read(self._remote.password_file, Step.LOGIN)
        if not self._token or self._monotonic() >= self._ends:
            self._refresh()
        return self._token

    def forget(self) -> bool:
        """Forget the token after it was refused; tells whether there was one that a fresh one may replace."""
        had, self._token = bool(self._token), ""
        return had

    def _refresh(self) -> None:
        said = self._ask(self._form())
        token = said.get("access_token")
        if not isinstance(token, str) or not token or not token.isprintable():
            raise MailboxError(Step.TOKEN, "the token endpoint gives no access token", Kind.MISBEHAVES)
        lasts = said.get("expires_in", 3600)
        self._token = token
        seconds = float(lasts) if isinstance(lasts, int | float) or str(lasts).isdigit() else 3600.0
        self._ends = self._monotonic() + max(seconds - _EARLY, seconds / 2)
        self._keep(said.get("refresh_token"))

    def _form(self) -> dict[str, str]:
        remote = self._remote
        form = {"client_id": remote.oauth_client_id}
        if remote.oauth_client_secret_file:
            form["client_secret"] = _read(remote.oauth_client_secret_file, Step.TOKEN)
        if remote.oauth_scope:
            form["scope"] = remote.oauth_scope
        if not remote.oauth_refresh_token_file:
            return {"grant_type": "client_credentials", **form}
        token = self._refresh_token or _read(remote.oauth_refresh_token_file, Step.TOKEN)
        return {"grant_type": "refresh_token", "refresh_token": token, **form}

    def _keep(self, new: object) -> None:
        path = self._remote.oauth_refresh_token_file
        if not isinstance(new, str) or not new or not new.isprintable() or not path:
            return
        self._refresh_token = new
        try:
            beside = Path(f"{path}.new")
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(new + "\n")
                out.flush()
                os.fsync(out.fileno())
            beside.replace(path)
            self._refresh_token = ""
        except OSError as error:
            log.warning("the new refresh token cannot be written back", file=path, reason=str(error))

    def _ask(self, form: dict[str, str]) -> dict[str, Any]:
        url = urlsplit(self._remote.oauth_token_url)
        with translated(Step.TOKEN):
            connection = _connection(url.scheme, url.hostname or "", url.port, self._settings)
            alarm = threading.Timer(_TOTAL, _shut, [connection])
            alarm.daemon = True
            alarm.start()
            try:
                connection.request(
                    "POST", url.path + (f"?{url.query}" if url.query else "") or "/", urlencode(form),
                    {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                )  # fmt: skip
                response = connection.getresponse()
                status, body = response.status, response.read(_MOST + 1)
            except http.client.HTTPException as error:
                raise MailboxError(Step.TOKEN, f"the token endpoint answers no HTTP: {error!r}"[:300]) from error
            finally:
                alarm.cancel()
                connection.close()
        return _judged(status, body)


def _judged(status: int, body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body) if len(body) <= _MOST else None
    except ValueError:
        said = None
    if status == 200 and isinstance(said, dict):
        return said
    words = ""
    if isinstance(said, dict):
        words = " ".join(str(said.get(key, "")) for key in ("error", "error_description")).strip()
    words = "".join(letter if letter.isprintable() else " " for letter in words)[:250]
    # 400 and 401 are the endpoint's no to us (RFC 6749 section 5.2); all else may pass.
    kind = Kind.NOT_ALLOWED if status in (400, 401, 403) else Kind.UNREACHABLE
    raise MailboxError(Step.TOKEN, f"the token endpoint answers {status}: {words or 'no reason'}", kind)


def _connection(scheme: str, host: str, port: int | None, settings: Settings) -> http.client.HTTPConnection:
    seconds = settings.limits.imap_connect.total_seconds()
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=seconds)
    try:
        target = resolve(connection.host, connection.port, allow_private=settings.pull.allow_private)
    except TargetRefused as error:
        raise MailboxError(Step.TOKEN, str(error), Kind.NOT_ALLOWED) from error
    plug = connect(target, seconds)
    if scheme == "https":
        plug = ssl.create_default_context().wrap_socket(plug, server_hostname=host)
    connection.sock = plug  # its own would be of a second look-up
    return connection


def _shut(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError, AttributeError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)


def _read(path: str, step: Step) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MailboxError(step, f"{path} cannot be read: {error}", Kind.NOT_ALLOWED) from error

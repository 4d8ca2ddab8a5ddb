"""What the SFTP door says: entries as attributes and long names, refusals as status codes with a text.

What lives here: pure translation (draft-ietf-secsh-filexfer-02, version 3). No session.
"""

import posixpath
from datetime import UTC, datetime, timedelta
from stat import S_IFDIR, S_IFREG, filemode

import asyncssh

from models.faults import TemporaryError
from transfer.view import Entry, Kind, NoSuchName, NotAllowed, Refused

_MODES = {
    (Kind.FOLDER, True): S_IFDIR | 0o755,
    (Kind.FOLDER, False): S_IFDIR | 0o555,
    (Kind.FILE, True): S_IFREG | 0o644,
    (Kind.FILE, False): S_IFREG | 0o444,
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RECENT = timedelta(days=182)
_LONGEST_PATH = 4096
_TEXT = 1000  # characters of a reason: it travels with every refusal
NOT_NOW = "this cannot be done now, please try again"


def attributes(entry: Entry, size: int | None = None) -> asyncssh.SFTPAttrs:
    """Give the attributes of an entry; ``size`` where an open upload knows better."""
    moment = max(0, int(entry.modified_at.timestamp()))
    return asyncssh.SFTPAttrs(
        size=entry.size if size is None else size, uid=0, gid=0, permissions=_MODES[entry.kind, entry.writable],
        atime=moment, mtime=moment,
    )  # fmt: skip


def name_of(entry: Entry, name: str, now: datetime) -> asyncssh.SFTPName:
    """Give an entry as READDIR does, with the long name that ``ls -l`` shows."""
    attrs = attributes(entry)
    assert attrs.permissions is not None
    links = 2 if entry.kind is Kind.FOLDER else 1
    long = f"{filemode(attrs.permissions)} {links:4} mailgate mailgate {entry.size:10} {_date(entry, now)} {name}"
    return asyncssh.SFTPName(name.encode(), long.encode(), attrs)


def path_of(raw: bytes) -> str:
    """Turn what a client names into an absolute path without dots; above ``/`` there is nothing. Raises SFTPError."""
    if len(raw) > _LONGEST_PATH:
        raise asyncssh.SFTPFailure(f"a path has at most {_LONGEST_PATH} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise asyncssh.SFTPFailure("NAME_INVALID: names are UTF-8") from None
    if "\0" in text:
        raise asyncssh.SFTPFailure("NAME_INVALID: a name holds no NUL")
    return posixpath.normpath("/" + text.lstrip("/"))


def status(error: Exception) -> asyncssh.SFTPError:
    """Give the status that says a refusal in the client's words; the reason is the text."""
    if isinstance(error, asyncssh.SFTPError):
        return error
    text = reason(error)
    match error:
        case NoSuchName():
            return asyncssh.SFTPNoSuchFile(f"No such file: {text}")  # scripts look for these words
        case NotAllowed():
            return asyncssh.SFTPPermissionDenied(f"Permission denied: {text}")
        case _:
            return asyncssh.SFTPFailure(text)


def reason(error: Exception) -> str:
    """Give the text of a refusal: code and reason; never what a foreign exception says."""
    match error:
        case Refused(code=code, reason=why):
            text = f"{code}: {why}" if code is not None else why
        case TemporaryError():
            text = f"{NOT_NOW}: {error}" if str(error) else NOT_NOW
        case _:
            text = NOT_NOW
    return " ".join(text.split())[:_TEXT]


def worth_telling(error: Exception) -> bool:
    """Tell whether a refusal is news to the client; that a name is not there is how many of them ask."""
    return isinstance(error, Refused | TemporaryError) and not isinstance(error, NoSuchName)


def _date(entry: Entry, now: datetime) -> str:
    moment = entry.modified_at.astimezone(UTC)
    recent = now - _RECENT < moment <= now + timedelta(days=1)
    ending = f"{moment:%H:%M}" if recent else f" {moment.year:4}"
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {ending}"

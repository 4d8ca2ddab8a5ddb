"""What the FTP door says: entries as lines of a listing, refusals as reply codes with a reason.

What lives here: pure translation (RFC 959, RFC 3659 section 7). No session.
"""

import posixpath
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from mailgate.observe import notes
from matching.wildcard import compile_pattern
from models.faults import TemporaryError
from transfer.view import Entry, Kind, NameTaken, NoRoom, NoSuchName, Refused, TooLarge

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RECENT = timedelta(days=182)
_TEXT = 500  # characters of a reason
NOT_NOW = "this cannot be done now, please try again"

#: Facts of MLST and MLSD in their order, and whether they are told unless the client chooses others.
FACTS = {
    "type": True, "perm": True, "size": True, "modify": True, "unique": True, "unix.mode": False, "unix.uid": False,
    "unix.gid": False,
}  # fmt: skip
_MODES = {
    (Kind.FOLDER, True): ("drwxr-xr-x", "0755", "elcmf"),
    (Kind.FOLDER, False): ("dr-xr-xr-x", "0555", "el"),
    (Kind.FILE, True): ("-rw-r--r--", "0644", "adfrw"),
    (Kind.FILE, False): ("-r--r--r--", "0444", "r"),
}


class BadPath(Refused):
    """Say why a path cannot be one."""


def absolute(here: str, path: str) -> str:
    """Give the absolute path that a client means from where it stands; above ``/`` there is nothing."""
    if len(path.encode()) > 4096:
        raise BadPath("a path has at most 4096 bytes")
    if "\0" in path:
        raise BadPath("NAME_INVALID: a name holds no NUL")
    if path == "~" or path.startswith("~/"):
        path = "/" + path[1:]
    return posixpath.normpath("/" + posixpath.join(here, path).lstrip("/"))


_REASONS = {451: "not_now", 452: "no_space", 552: "too_large"}


def refusal(error: Exception) -> tuple[int, str]:
    """Give the reply code and the words for what was not done, and count it; never what a foreign exception says."""
    code, words = 451, NOT_NOW
    match error:
        case NoSuchName(reason=why):
            code, words = 550, f"No such file or directory: {why}"
        case NameTaken(reason=why):
            code, words = 550, f"File exists: {why}"
        case TooLarge():
            code, words = 552, _with_code(error)
        case Refused():
            code, words = 550, _with_code(error)
        case NoRoom():
            code, words = 452, str(error)
        case TemporaryError():
            words = f"{NOT_NOW}: {error}" if str(error) else NOT_NOW
    if not isinstance(error, NoSuchName):  # that a name is not there is how many clients ask
        notes.refused("ftp", _REASONS.get(code, "not_allowed"))
    return code, " ".join(words.split(" "))[:_TEXT]


def _with_code(error: Refused) -> str:
    return f"{error.code}: {error.reason}" if error.code is not None else error.reason


def list_line(entry: Entry, name: str, now: datetime) -> str:
    """Give an entry as ``ls -l`` does."""
    links = 2 if entry.kind is Kind.FOLDER else 1
    mode = _MODES[entry.kind, entry.writable][0]
    return f"{mode} {links:4} mailgate mailgate {entry.size:10} {_date(entry.modified_at, now)} {name}"


def facts_line(entry: Entry, path: str, name: str, wanted: Iterable[str]) -> str:
    """Give an entry as MLSD does; ``path`` is where it stands, ``name`` what is shown."""
    _, mode, perm = _MODES[entry.kind, entry.writable]
    known = {
        "type": "dir" if entry.kind is Kind.FOLDER else "file", "perm": perm, "size": str(entry.size),
        "modify": time_value(entry.modified_at), "unique": sha256(path.encode()).hexdigest()[:16], "unix.mode": mode,
        "unix.uid": "0", "unix.gid": "0",
    }  # fmt: skip
    return "".join(f"{fact}={known[fact]};" for fact in FACTS if fact in wanted) + f" {name}"


def time_value(moment: datetime) -> str:
    """Give a time as MDTM does (RFC 3659 section 2.3), in UTC."""
    return f"{moment.astimezone(UTC):%Y%m%d%H%M%S}"


def without_options(argument: str) -> str:
    """Drop what clients put before the path of LIST and NLST as they would for ``ls``: ``-al`` and the like."""
    rest = argument.strip(" ")
    while rest.startswith("-"):
        word, _, rest = rest.partition(" ")
        rest = rest.lstrip(" ")
        if word == "--":
            break
    return rest


def is_wild(name: str) -> bool:
    """Tell whether the last part of a path is a pattern."""
    return "*" in name or "?" in name


def matching(entries: Sequence[Entry], pattern: str) -> list[Entry]:
    """Give the entries whose names fit a pattern of the shell; none for one that is no pattern."""
    try:
        matcher = compile_pattern(pattern, True)
    except ValueError:
        return []
    return [entry for entry in entries if matcher.matches(entry.name)]


def numbered(name: str, number: int) -> str:
    """Give a name like another that is taken: the number stands before the ending."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.{number}.{ending}" if dot and stem else f"{name}.{number}"


def _date(moment: datetime, now: datetime) -> str:
    moment = moment.astimezone(UTC)
    recent = now - _RECENT < moment <= now + timedelta(days=1)
    ending = f"{moment:%H:%M}" if recent else f" {moment.year:4}"
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {ending}"

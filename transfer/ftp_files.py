"""The verbs about names and files (RFC 959, RFC 3659).

What lives here: each verb in terms of the visit. Faults go up to ``transfer.ftp_talk``, which says them; what goes
over a data connection stands in ``transfer.ftp_transfer``.
"""

import re
from datetime import datetime

from mailgate.observe import get_logger
from transfer.ftp_session import Doing, Session
from transfer.ftp_transfer import Order, channel_for, send_file, send_lines, stored_lines, take_file, told
from transfer.ftp_words import (
    absolute,
    facts_line,
    is_wild,
    list_line,
    matching,
    numbered,
    time_value,
    without_options,
)
from transfer.view import Begin, Entry, Kind, NoSuchName

log = get_logger("ftp")
_STOU_TRIES = 20
_moment = re.compile(r"(\d{14})(?:\.\d+)? (.+)", re.DOTALL).fullmatch
NO_FOLDER = "Folders belong to connections and stay."


# --- folders


async def pwd(session: Session, _: str) -> None:
    """Tell where the session stands."""
    session.say(257, f"{_quoted(session.here)} is the current directory.")


async def cwd(session: Session, argument: str) -> None:
    """Go to a folder; without an argument to the first."""
    await _go(session, session.path(argument or "/"))


async def cdup(session: Session, _: str) -> None:
    """Go to the folder above; above ``/`` there is none."""
    await _go(session, absolute(session.here, ".."))


async def _go(session: Session, path: str) -> None:
    entry = await session.there().stat(path)
    if entry.kind is not Kind.FOLDER:
        session.say(550, f"Not a directory: {path}")
        return
    session.here = path
    session.say(250, f"{_quoted(path)} is the current directory.")


async def mkd(session: Session, argument: str) -> None:
    """Be friendly about a folder that is there; any other is refused with the reason."""
    path = session.path(argument)
    await session.there().make_folder(path)
    session.say(257, f"{_quoted(path)} is there.")


async def rmd(session: Session, argument: str) -> None:
    """Refuse: the folders are those of the connections."""
    path = session.path(argument)
    if path == "/":
        session.say(550, "Can't remove root directory.")
        return
    entry = await session.there().stat(path)
    session.say(550, NO_FOLDER if entry.kind is Kind.FOLDER else f"Not a directory: {path}")


# --- files


async def dele(session: Session, argument: str) -> None:
    """Withdraw an upload, or delete an answer."""
    path = session.path(argument)
    await session.there().remove(path)
    log.info("removed", path=path, **session.who)
    session.say(250, "File removed.")


async def rnfr(session: Session, argument: str) -> None:
    """Take the name of a file that is to be renamed."""
    path = session.path(argument)
    if path == "/":
        session.say(550, "Can't rename home directory.")
        return
    await session.there().stat(path)
    session.ways.renaming = path
    session.say(350, "Ready for destination name.")


async def rnto(session: Session, argument: str) -> None:
    """Rename it; a file that has the new name and was not accepted yet gives way."""
    old, session.ways.renaming = session.ways.renaming, ""
    if not old:
        session.say(503, "Bad sequence of commands: use RNFR first.")
        return
    new = session.path(argument)
    stored = await session.there().rename(old, new, replace=True)
    if stored is None:
        session.say(250, "Renamed.")
        return
    log.info("stored", trace_id=stored.trace_id, state=stored.state, path=new, **session.who)
    session.say(250, *stored_lines(stored))


async def size(session: Session, argument: str) -> None:
    """Tell the bytes of a file; of an upload that was cut off, those that are kept."""
    if session.ways.ascii:
        session.say(550, "SIZE not allowed in ASCII mode: send TYPE I first.")
        return
    entry = await _file(session, argument)
    if entry is not None:
        session.say(213, str(entry.size))


async def mdtm(session: Session, argument: str) -> None:
    """Tell the time of a file; where a time stands before the name, take it as MFMT does."""
    if _moment(argument) is not None:
        await mfmt(session, argument)
        return
    entry = await _file(session, argument)
    if entry is not None:
        session.say(213, time_value(entry.modified_at))


async def mfmt(session: Session, argument: str) -> None:
    """Say yes to a time for a file that is there: it means nothing here, and clients give up without."""
    value, _, name = argument.partition(" ")
    if not name:
        session.say(501, "Syntax error: command needs two arguments.")
        return
    digits = value.partition(".")[0]
    try:
        if len(digits) != 14:
            raise ValueError
        datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        session.say(501, "Invalid time format; expected: YYYYMMDDHHMMSS.")
        return
    path = session.path(name)
    await session.there().stat(path)
    session.say(213, f"Modify={digits}; {path}")


async def _file(session: Session, argument: str) -> Entry | None:
    path = session.path(argument)
    try:
        entry = await session.there().stat(path)
    except NoSuchName:
        session.say(550, f"{path} is not retrievable: there is no such file.")
        return None
    if entry.kind is not Kind.FILE:
        session.say(550, f"{path} is not retrievable: it is a folder.")
        return None
    return entry


# --- listings


async def list_(session: Session, argument: str) -> None:
    """List a folder, a file, or the names that fit a pattern, as ``ls -l`` does."""
    path = session.path(without_options(argument))
    entries = await _entries(session, path)
    now = session.desk.clock()
    _send_lines(session, [list_line(entry, entry.name, now) for entry in entries], path)


async def nlst(session: Session, argument: str) -> None:
    """List names alone, with the folder before them that was asked for: clients fetch by what they read here."""
    given = without_options(argument)
    path = session.path(given)
    entries = await _entries(session, path)
    if is_wild(given) or (len(entries) == 1 and not await _is_folder(session, path)):
        before = given.rpartition("/")[0] + "/" if "/" in given else ""
    else:
        before = given.rstrip("/") + "/" if given.strip("/.") else ""
    _send_lines(session, [before + entry.name for entry in entries], path)


async def mlsd(session: Session, argument: str) -> None:
    """List a folder in facts."""
    path = session.path(argument)
    if not await _is_folder(session, path):
        session.say(501, "No such directory: MLSD is for folders, MLST for files.")
        return
    entries = await session.there().list(path)
    wanted = session.ways.facts
    _send_lines(session, [facts_line(one, absolute(path, one.name), one.name, wanted) for one in entries], path)


async def mlst(session: Session, argument: str) -> None:
    """Tell the facts of one name."""
    path = session.path(argument)
    entry = await session.there().stat(path)
    session.say(250, f"Listing {_quoted(path)}:", facts_line(entry, path, path, session.ways.facts), "End MLST.")


async def stat_path(session: Session, argument: str) -> None:
    """List over the control connection."""
    given = without_options(argument)
    if is_wild(given):
        session.say(550, "Globbing not supported.")
        return
    path, now = session.path(given), session.desk.clock()
    lines = [list_line(entry, entry.name, now) for entry in await _entries(session, path)]
    session.say(213, f"Status of {_quoted(path)}:", *lines, "End of status.")


async def _entries(session: Session, path: str) -> list[Entry]:
    """Give what a listing shows: what is in a folder, one file, or what fits a pattern; raises NoSuchName."""
    visit = session.there()
    folder, _, name = path.rpartition("/")
    if is_wild(name):
        return matching(await visit.list(folder or "/"), name)
    entry = await visit.stat(path)
    return await visit.list(path) if entry.kind is Kind.FOLDER else [entry]


async def _is_folder(session: Session, path: str) -> bool:
    return (await session.there().stat(path)).kind is Kind.FOLDER


def _send_lines(session: Session, lines: list[str], path: str) -> None:
    channel = channel_for(session)
    if channel is not None:
        doing = Doing(f"Sending the listing of {path}")
        session.begin_transfer(doing, told(session, path, doing, send_lines(session, channel, lines, doing)))


# --- transfers


async def retr(session: Session, argument: str) -> None:
    """Send a file."""
    path, start = session.path(argument), _take_restart(session)
    visit = session.there()
    if start and await _is_behind_the_end(session, path, start):
        return
    channel = channel_for(session)
    if channel is not None:
        doing = Doing(f"Sending {path}")
        sending = send_file(session, visit, channel, path, start, doing)
        session.begin_transfer(doing, told(session, path, doing, sending))


async def stor(session: Session, argument: str) -> None:
    """Take a file; after REST go on with what is there."""
    path, start = session.path(argument), _take_restart(session)
    if start and await _is_behind_the_end(session, path, start):
        return
    _take(session, path, Begin.RESUME if start else Begin.TRUNCATE, start=start)


async def _is_behind_the_end(session: Session, path: str, start: int) -> bool:
    """Tell whether a REST lies behind the end of a file; then the client has been told."""
    size = (await session.there().stat(path)).size
    if start > size:
        await session.drop_channel()
        session.say(554, f"Invalid REST parameter: position {start} > file size {size}.")
    return start > size


async def appe(session: Session, argument: str) -> None:
    """Take bytes behind the end of a file."""
    if _take_restart(session):
        session.say(450, "Can't APPE while REST request is pending.")
        return
    path = session.path(argument)
    try:
        start = (await session.there().stat(path)).size
    except NoSuchName:
        start = 0
    _take(session, path, Begin.APPEND, start=start)


async def stou(session: Session, argument: str) -> None:
    """Take a file under a name that is free, which 150 tells (RFC 1123 section 4.1.2.9)."""
    if _take_restart(session):
        session.say(450, "Can't STOU while REST request is pending.")
        return
    name = argument or f"upload_{time_value(session.desk.clock())}_{session.desk.token()}.csv"
    for number in range(_STOU_TRIES):
        path = session.path(numbered(name, number) if number else name)
        try:
            await session.there().stat(path)
        except NoSuchName:
            _take(session, path, Begin.EXCLUSIVE, opening=f"FILE: {path.rpartition('/')[2]}")
            return
    session.say(450, "No usable unique file name found.")


def _take(session: Session, path: str, begin: Begin, *, start: int = 0, opening: str = "") -> None:
    visit, login = session.there(), session.login
    allocated, session.ways.allocated = session.ways.allocated, None
    channel = channel_for(session)
    if channel is None:
        return
    order = Order(
        path=path, begin=begin, start=start, allocated=allocated, ascii=session.ways.ascii,
        lenient=login is not None and login.lenient, opening=opening or "Ok to send data.",
    )  # fmt: skip
    doing = Doing(f"Receiving {path}", upload=True)
    session.begin_transfer(doing, told(session, path, doing, take_file(session, visit, channel, order, doing)))


def _take_restart(session: Session) -> int:
    start, session.ways.restart = session.ways.restart, 0
    return start


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"'

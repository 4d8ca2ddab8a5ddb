"""The verbs that tell and set, and touch no file (RFC 959, RFC 2389, RFC 3659).

What lives here: FEAT, HELP, OPTS, SITE, STAT, SYST, NOOP, TYPE, MODE, STRU, ALLO, REST and ABOR.
"""

import asyncio
import re

from mailgate.observe import get_logger
from transfer.ftp_files import stat_path
from transfer.ftp_session import Session
from transfer.ftp_words import FACTS

log = get_logger("ftp")
_types = re.compile(r"(A|AN|L7|I|L8)")
_mode = re.compile(r"[0-7]{3,4}").fullmatch


# --- what is told


async def feat(session: Session, _: str) -> None:
    """List what goes beyond RFC 959."""
    facts = "".join(f"{fact}{'*' if fact in session.ways.facts else ''};" for fact in FACTS)
    tls = ["AUTH SSL", "AUTH TLS", "PBSZ", "PROT"] if session.desk.certificate is not None else []
    active = ["EPRT"] if session.desk.settings.ftp.active else []
    more = ["EPSV", "MDTM", "MFMT", f"MLST {facts}", "REST STREAM", "SIZE", "TVFS", "UTF8"]
    session.say(211, "Features supported:", *sorted([*tls, *active, *more]), "End FEAT.")


async def syst(session: Session, _: str) -> None:
    """Give the name that clients take for a listing as ``ls -l`` writes it."""
    session.say(215, "UNIX Type: L8")


async def clnt(session: Session, name: str) -> None:
    """Note what the client calls itself."""
    log.info("client", name=name[:100], **session.who)
    session.say(200, "Noted.")


async def noop(session: Session, _: str) -> None:
    """Do nothing, politely."""
    session.say(200, "I successfully did nothing.")


async def stat(session: Session, argument: str) -> None:
    """Tell how things stand; with a path, list it over the control connection."""
    if argument:
        await stat_path(session, argument)
        return
    name = session.username if session.login is not None else "nobody yet"
    lines = [f"Connected from {session.address}, {session.wire.info()}.", f"Logged in: {name}."]
    if session.transferring and session.doing is not None:
        doing = session.doing
        lines.append(f"{doing.what}: {doing.bytes} bytes so far.")
    else:
        lines.append(f"TYPE {'A' if session.ways.ascii else 'I'}, no transfer.")
    session.say(211, "mailgate FTP status:", *lines, "End of status.")


# --- what is set


async def type_(session: Session, argument: str) -> None:
    """Take the type; the bytes of a file are the same under each."""
    wanted = argument.upper().replace(" ", "")
    if _types.fullmatch(wanted) is None:
        session.say(504, f"Unsupported type {argument}.")
        return
    session.ways.ascii = wanted in ("A", "AN", "L7")
    session.say(200, f"Type set to {'ASCII: bytes are kept as they are sent' if session.ways.ascii else 'Binary'}.")


async def mode(session: Session, argument: str) -> None:
    """Take the one mode there is."""
    _only(session, argument, "S", "BCZ", "transfer mode")


async def stru(session: Session, argument: str) -> None:
    """Take the one structure there is."""
    _only(session, argument, "F", "PR", "file structure")


def _only(session: Session, argument: str, own: str, others: str, what: str) -> None:
    wanted = argument.strip().upper()
    if wanted == own:
        session.say(200, f"The {what} is {own}.")
    elif wanted and wanted in others:
        session.say(504, f"Unimplemented {what} {wanted}.")
    else:
        session.say(501, f"Unrecognized {what}.")


async def allo(session: Session, argument: str) -> None:
    """Note the size of the next upload: what comes must have it. Records (``ALLO n R m``) mean nothing here."""
    words = argument.split()
    session.ways.allocated = int(words[0]) if words and words[0].isdecimal() and len(words[0]) < 19 else None
    session.say(200 if session.ways.allocated is not None else 202, "No storage allocation necessary.")


async def rest(session: Session, argument: str) -> None:
    """Note where the next transfer goes on."""
    position = argument.strip()
    if session.ways.ascii and position != "0":
        session.say(
            *(
                _BAD_MARKER
                if not _is_position(position)
                else (501, "Resuming transfers not allowed in ASCII mode: send TYPE I first.")
            )
        )
    elif not _is_position(position):
        session.say(*_BAD_MARKER)
    else:
        session.ways.restart = int(position)
        session.say(350, f"Restarting at position {session.ways.restart}.")


_BAD_MARKER = (501, "Invalid parameter: a position is a number of bytes.")


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


async def opts(session: Session, argument: str) -> None:
    """Choose facts of MLST; UTF8 is always on."""
    words = argument.split(" ")
    verb, given = words[0].upper(), words[1:]
    if verb == "UTF8":
        session.say(200, "UTF8 is always on.")
    elif verb != "MLST":
        session.say(501, "Unsupported command: OPTS is for MLST and UTF8.")
    elif len(given) > 1:
        session.say(501, "Invalid number of arguments.")
    elif given and given[0] and ";" not in given[0]:
        session.say(501, "Invalid argument: facts end with a semicolon.")
    else:
        wanted = "".join(given).lower().split(";")
        session.ways.facts = frozenset(fact for fact in FACTS if fact in wanted)
        session.say(200, "MLST OPTS " + "".join(f"{fact};" for fact in FACTS if fact in wanted))


# --- SITE


async def site(session: Session, argument: str) -> None:
    """Say politely that there is no such thing."""
    session.say(500, f'Command "SITE {argument.split(" ")[0].upper()}" not understood.')


async def site_chmod(session: Session, argument: str) -> None:
    """Say yes to a mode for a file that is there: it means nothing here, and clients give up without."""
    mode, _, name = argument.partition(" ")
    if not name:
        session.say(501, "SITE CHMOD needs two arguments.")
    elif _mode(mode) is None:
        session.say(501, "Invalid SITE CHMOD format.")
    else:
        await session.there().stat(session.path(name))
        session.say(200, "SITE CHMOD successful: modes mean nothing here.")


async def site_ignored(session: Session, _: str) -> None:
    """Say yes to what means nothing here."""
    session.say(200, "Ok, and it means nothing here.")


# --- ABOR


async def abor(session: Session, _: str) -> None:
    """Cut the transfer under way; one whose file is being stored comes to its end first (RFC 959)."""
    if session.transferring:
        cut = session.abort_transfer()
        assert session.transfer is not None
        await asyncio.wait([session.transfer])
        session.say(226, "Abort successful." if cut else "Nothing left to abort.")
        return
    await session.drop_channel()
    session.say(225, "No transfer to abort.")

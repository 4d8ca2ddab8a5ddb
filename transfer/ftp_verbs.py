"""Every verb of the FTP door: what it does, whether it takes an argument, and when it may be sent.

What lives here: the table. HELP is made from it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from transfer import ftp_access, ftp_files, ftp_said, ftp_ways
from transfer.ftp_session import Session

Call = Callable[[Session, str], Awaitable[None]]


class Takes(Enum):
    """Whether a verb takes an argument."""

    NONE = "none"
    MAY = "may"
    MUST = "must"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """One verb."""

    call: Call
    takes: Takes
    help: str
    login: bool = True  #: only for who has logged in
    now: bool = False  #: answered during a transfer; the others wait for its end


def _before_login(call: Call, takes: Takes, words: str, *, now: bool = False) -> Verb:
    return Verb(call=call, takes=takes, help=words, login=False, now=now)


def _verb(call: Call, takes: Takes, words: str, *, now: bool = False) -> Verb:
    return Verb(call=call, takes=takes, help=words, now=now)


async def _help(session: Session, argument: str) -> None:
    """List the verbs, or tell how one is used."""
    wanted = argument.strip().upper()
    if not wanted:
        names = sorted(name for name in VERBS if " " not in name)
        lines = [" ".join(names[start : start + 10]) for start in range(0, len(names), 10)]
        session.say(214, "These commands are understood:", *lines, "Help command successful.")
    elif wanted in VERBS:
        session.say(214, f"Syntax: {VERBS[wanted].help}")
    else:
        session.say(501, "Unrecognized command.")


async def _site_help(session: Session, argument: str) -> None:
    """Do the same for SITE."""
    wanted = argument.strip().upper()
    if not wanted:
        names = [name for name in VERBS if name.startswith("SITE ")]
        session.say(214, "These SITE commands are understood:", *sorted(names), "Help SITE command successful.")
    elif f"SITE {wanted}" in VERBS:
        session.say(214, f"Syntax: {VERBS[f'SITE {wanted}'].help}")
    else:
        session.say(501, "Unrecognized SITE command.")


_NONE, _MAY, _MUST = Takes.NONE, Takes.MAY, Takes.MUST
VERBS: dict[str, Verb] = {
    "ABOR": _verb(ftp_said.abor, _NONE, "ABOR (abort the transfer)", now=True),
    "ACCT": _before_login(ftp_access.account, _MAY, "ACCT <SP> account (superfluous)"),
    "ALLO": _verb(ftp_said.allo, _MUST, "ALLO <SP> bytes (the size of the next upload)"),
    "APPE": _verb(ftp_files.appe, _MUST, "APPE <SP> file-name (append to a file)"),
    "AUTH": _before_login(ftp_access.auth, _MUST, "AUTH <SP> TLS|SSL (begin TLS)"),
    "CDUP": _verb(ftp_files.cdup, _NONE, "CDUP (go to the folder above)"),
    "CLNT": _before_login(ftp_said.clnt, _MAY, "CLNT <SP> name (of the client's program)"),
    "CWD": _verb(ftp_files.cwd, _MAY, "CWD [<SP> folder]"),
    "DELE": _verb(ftp_files.dele, _MUST, "DELE <SP> file-name (withdraw an upload, delete an answer)"),
    "EPRT": _verb(ftp_ways.eprt, _MUST, "EPRT <SP> |protocol|address|port| (active data connection)"),
    "EPSV": _verb(ftp_ways.epsv, _MAY, "EPSV [<SP> 1|2|ALL] (extended passive data connection)"),
    "FEAT": _before_login(ftp_said.feat, _NONE, "FEAT (list the extensions)"),
    "HELP": _before_login(_help, _MAY, "HELP [<SP> verb]"),
    "LIST": _verb(ftp_files.list_, _MAY, "LIST [<SP> path] (list in the way of ls -l)"),
    "MDTM": _verb(ftp_files.mdtm, _MUST, "MDTM <SP> file-name (its time)"),
    "MFMT": _verb(ftp_files.mfmt, _MUST, "MFMT <SP> YYYYMMDDHHMMSS <SP> file-name (taken, and means nothing)"),
    "MKD": _verb(ftp_files.mkd, _MUST, "MKD <SP> folder (only for one that is there)"),
    "MLSD": _verb(ftp_files.mlsd, _MAY, "MLSD [<SP> folder] (list in facts)"),
    "MLST": _verb(ftp_files.mlst, _MAY, "MLST [<SP> path] (the facts of one name)"),
    "MODE": _verb(ftp_said.mode, _MUST, "MODE <SP> S"),
    "NLST": _verb(ftp_files.nlst, _MAY, "NLST [<SP> path] (list names)"),
    "NOOP": _before_login(ftp_said.noop, _NONE, "NOOP (do nothing)", now=True),
    "OPTS": _verb(ftp_said.opts, _MUST, "OPTS <SP> MLST|UTF8 [<SP> options]"),
    "PASS": _before_login(ftp_access.password, _MAY, "PASS <SP> password"),
    "PASV": _verb(ftp_ways.pasv, _NONE, "PASV (passive data connection)"),
    "PBSZ": _before_login(ftp_access.pbsz, _MAY, "PBSZ <SP> 0"),
    "PORT": _verb(ftp_ways.port, _MUST, "PORT <SP> h1,h2,h3,h4,p1,p2 (active data connection)"),
    "PROT": _before_login(ftp_access.prot, _MUST, "PROT <SP> P|C (protect data connections)"),
    "PWD": _verb(ftp_files.pwd, _NONE, "PWD (the current folder)"),
    "QUIT": _before_login(ftp_access.quit_, _NONE, "QUIT", now=True),
    "REIN": _verb(ftp_access.rein, _NONE, "REIN (begin anew)", now=True),
    "REST": _verb(ftp_said.rest, _MUST, "REST <SP> position (where the next transfer goes on)"),
    "RETR": _verb(ftp_files.retr, _MUST, "RETR <SP> file-name"),
    "RMD": _verb(ftp_files.rmd, _MUST, "RMD <SP> folder (refused: folders stay)"),
    "RNFR": _verb(ftp_files.rnfr, _MUST, "RNFR <SP> file-name (rename it; RNTO follows)"),
    "RNTO": _verb(ftp_files.rnto, _MUST, "RNTO <SP> file-name"),
    "SITE": _before_login(ftp_said.site, _MUST, "SITE <SP> HELP"),
    "SITE CHMOD": _verb(ftp_said.site_chmod, _MUST, "SITE CHMOD <SP> mode <SP> path (taken, and means nothing)"),
    "SITE HELP": _before_login(_site_help, _MAY, "SITE HELP [<SP> verb]"),
    "SITE UMASK": _verb(ftp_said.site_ignored, _MAY, "SITE UMASK [<SP> mask] (taken, and means nothing)"),
    "SITE UTIME": _verb(ftp_said.site_ignored, _MAY, "SITE UTIME <SP> … (taken, and means nothing)"),
    "SIZE": _verb(ftp_files.size, _MUST, "SIZE <SP> file-name (its bytes)"),
    "STAT": _before_login(ftp_said.stat, _MAY, "STAT [<SP> path]", now=True),
    "STOR": _verb(ftp_files.stor, _MUST, "STOR <SP> file-name"),
    "STOU": _verb(ftp_files.stou, _MAY, "STOU (store under a name that is free)"),
    "STRU": _verb(ftp_said.stru, _MUST, "STRU <SP> F"),
    "SYST": _before_login(ftp_said.syst, _NONE, "SYST"),
    "TYPE": _verb(ftp_said.type_, _MUST, "TYPE <SP> A|I|L 8"),
    "USER": _before_login(ftp_access.user, _MUST, "USER <SP> user-name", now=True),
    "XCUP": _verb(ftp_files.cdup, _NONE, "XCUP (as CDUP)"),
    "XCWD": _verb(ftp_files.cwd, _MAY, "XCWD [<SP> folder] (as CWD)"),
    "XMKD": _verb(ftp_files.mkd, _MUST, "XMKD <SP> folder (as MKD)"),
    "XPWD": _verb(ftp_files.pwd, _NONE, "XPWD (as PWD)"),
    "XRMD": _verb(ftp_files.rmd, _MUST, "XRMD <SP> folder (as RMD)"),
}

"""The verbs by which a client proves itself and protects what it says (RFC 959, RFC 2228, RFC 4217).

What lives here: USER and PASS, AUTH, PBSZ and PROT, REIN and QUIT. Whether a password is right is asked of
``intake.logins``, which asks the defender.
"""

from mailgate.observe import get_logger
from models.faults import MailgateError, TemporaryError
from transfer.ftp_session import Session

log = get_logger("ftp")
TLS_FIRST = "TLS is required before the login: send AUTH TLS first."
_MECHANISMS = frozenset({"TLS", "TLS-C", "SSL", "TLS-P"})


async def user(session: Session, name: str) -> None:
    """Take a user name; who was logged in is not any more."""
    if not _may_speak_openly(session):
        return
    await session.log_out()
    session.username = name
    session.say(331, "User name ok, send the password.")


def _may_speak_openly(session: Session) -> bool:
    if session.desk.settings.ftp.tls != "required" or session.wire.protected:
        return True
    session.say(530, TLS_FIRST)
    return False


async def password(session: Session, word: str) -> None:
    """Take a password; every user name is answered alike."""
    company, limits = session.desk.company, session.desk.settings.limits
    if session.login is not None:
        session.say(503, "User already authenticated.")
        return
    if not session.username:
        session.say(503, "Login with USER first.")
        return
    try:
        login = await company.logins.by_password(session.username, word, session.address)
    except TemporaryError as error:
        log.warning("a password cannot be checked now", reason=str(error))
        session.say_goodbye("passwords cannot be checked now, please try again")
        return
    if login is None:
        log.warning("login refused", peer=session.address, username=session.username[:100])
        session.failures += 1
        if company.logins.defender.banned(session.address):
            session.say_goodbye("too many failed logins from your address, please come back later")
        elif session.failures >= limits.ftp_login_attempts:
            session.say_goodbye("authentication failed: too many wrong passwords", code=530)
        else:
            session.say(530, "Authentication failed.")
        session.username = ""
        return
    session.login = login
    if refusal := company.admit(session):
        log.warning("turned away", reason=refusal, **session.who)
        session.say_goodbye(refusal)
        return
    await _enter(session)


async def _enter(session: Session) -> None:
    assert session.login is not None
    try:
        session.visit = await session.desk.folders.enter(
            session.login.credential, door="ftp", peer=session.address
        )  # fmt: skip
    except MailgateError as error:
        log.warning("no visit", reason=str(error), **session.who)
        session.say_goodbye("this cannot be done now, please try again")
        return
    log.info("login", tls=session.wire.info(), **session.who)
    session.heard()
    session.say(230, "Login successful.")


async def account(session: Session, _: str) -> None:
    """Say that nobody needs it."""
    if not _may_speak_openly(session):
        return
    session.say(202, "ACCT is superfluous here.")


async def auth(session: Session, mechanism: str) -> None:
    """Begin TLS. Bytes that came behind the command were sent by whoever is in between: they end the session."""
    if session.wire.protected:
        session.say(503, "Already using TLS.")
    elif session.desk.certificate is None:
        session.say(502, "TLS is not offered here.")
    elif mechanism.strip().upper() not in _MECHANISMS:
        session.say(504, "Unrecognized mechanism; send AUTH TLS.")
    elif session.lines.pending or session.wire.unread:
        log.warning("bytes behind AUTH", peer=session.address)
        session.say_goodbye("bytes came behind AUTH, before TLS")
    else:
        await session.log_out()  # what was said before TLS does not count after it
        session.tls = session.desk.certificate.context()
        session.say(234, "AUTH ok, begin TLS.")
        session.wire.begin_tls(session.tls, tickets=True)
        if not await session.wire.shaken():
            session.leaving = True


async def pbsz(session: Session, _: str) -> None:
    """Say that TLS needs no buffer (RFC 4217 section 8)."""
    if session.wire.protected:
        session.say(200, "PBSZ=0 successful.")
    else:
        session.say(503, "PBSZ not allowed on insecure control connection.")


async def prot(session: Session, level: str) -> None:
    """Take the level of protection of data connections."""
    level = level.strip().upper()
    if not session.wire.protected:
        session.say(503, "PROT not allowed on insecure control connection.")
    elif level == "P":
        session.protect = True
        session.say(200, "Protection set to Private.")
    elif level == "C" and session.desk.settings.ftp.tls == "required":
        session.say(534, "Data connections in clear are not allowed here.")
    elif level == "C":
        session.protect = False
        session.say(200, "Protection set to Clear.")
    elif level in ("S", "E"):
        session.say(536, f"PROT {level} unsupported, use P.")
    else:
        session.say(504, "Unrecognized PROT type, use P.")


async def rein(session: Session, _: str) -> None:
    """Begin anew, as after the connection; TLS stays."""
    await session.log_out()
    session.say(230, "Ready for new user.")


async def quit_(session: Session, _: str) -> None:
    """Say goodbye; a transfer under way goes on to its end before the connection is closed."""
    session.leaving = True
    session.say(221, "Goodbye." if not session.transferring else "Goodbye, once the transfer has ended.")

"""The conversation over one control connection: one command after the other, and what may be said in between.

What lives here: the loop. During a transfer the few verbs that mean the transfer are answered at once, the others wait
for its end in their order.
"""

import asyncio
from collections import deque

from mailgate.observe import get_logger
from models.faults import MailgateError
from transfer.ftp_line import Command, Endless, LineTooLong, NotUtf8, parse
from transfer.ftp_session import Session
from transfer.ftp_verbs import VERBS, Takes, Verb
from transfer.ftp_words import refusal

log = get_logger("ftp")
GREETING = "mailgate ready."
LOG_IN = "Log in with USER and PASS first."
_WAITING = 50  # commands that may wait for the end of a transfer; then the client's next bytes wait


async def talk(session: Session) -> None:
    """Serve a session from its greeting to its end."""
    if session.implicit and not await session.wire.shaken():
        return
    session.say(220, GREETING)
    waiting: deque[bytes] = deque()
    reading: asyncio.Task[bytes | None] | None = None
    try:
        while not session.wire.closing:
            if not session.transferring and (waiting or session.leaving):
                if session.leaving:
                    return
                await _obey(session, waiting.popleft())
                continue
            reading = reading or asyncio.create_task(_line(session))
            full = len(waiting) >= _WAITING
            if full or not reading.done():
                await _wait(session, None if full else reading)
                if full or not reading.done():
                    continue
            line, reading = reading.result(), None
            if line is None:
                return
            session.heard()
            if session.leaving:
                continue
            if session.transferring and not _may_go_now(session, line):
                waiting.append(line)
            else:
                await _obey(session, line)
    finally:
        if reading is not None:
            reading.cancel()


async def _wait(session: Session, reading: "asyncio.Task[bytes | None] | None") -> None:
    """Wait for a line, or for the end of the transfer."""
    transfer = session.transfer if session.transferring else None
    await asyncio.wait([one for one in (reading, transfer) if one is not None], return_when=asyncio.FIRST_COMPLETED)


async def _line(session: Session) -> bytes | None:
    """Give the next line; None at the end of the connection."""
    while True:
        try:
            line = session.lines.take()
        except LineTooLong:
            session.say(500, "Command too long.")
            continue
        except Endless:
            session.say_goodbye("a command without end")
            return None
        if line is not None:
            return line
        data = await session.wire.read()
        if not data:
            return None
        session.lines.feed(data)


def _may_go_now(session: Session, line: bytes) -> bool:
    try:
        command, verb = _find(parse(line))
    except NotUtf8:
        return False
    if verb is None:
        return False
    if command.verb == "STAT" and command.argument:
        return session.login is None
    return verb.now or (verb.login and session.login is None)


def _find(command: Command) -> tuple[Command, Verb | None]:
    """Give the verb of a command; those of SITE have two words."""
    if command.verb == "SITE":
        head, _, rest = command.argument.partition(" ")
        longer = f"SITE {head.upper()}"
        if head and longer in VERBS:
            return Command(verb=longer, argument=rest), VERBS[longer]
    return command, VERBS.get(command.verb)


async def _obey(session: Session, line: bytes) -> None:
    """Do what a line asks; whatever goes wrong is said, and the session goes on."""
    try:
        command, verb = _find(parse(line))
    except NotUtf8 as error:
        session.say(501, f"NAME_INVALID: names are UTF-8, and what stands behind {error.verb} is not.")
        return
    refused = _refuse(session, command, verb)
    if refused is not None:
        session.say(*refused)
        return
    assert verb is not None
    argument = "" if verb.takes is Takes.NONE else command.argument
    try:
        await verb.call(session, argument)
    except MailgateError as error:
        code, words = refusal(error)
        log.info("refused", verb=command.verb, code=code, reason=words, **session.who)
        session.say(code, words)
    except Exception as error:
        log.exception("an FTP command failed", verb=command.verb, **session.who)
        session.say(*refusal(error))
    await session.wire.drain()


def _refuse(session: Session, command: Command, verb: Verb | None) -> tuple[int, str] | None:
    """Give the reply for a command that is not obeyed."""
    blank = not command.argument.strip(" ")
    if verb is None:
        return 500, f'Command "{command.verb[:20]}" not understood.'
    if verb.login and session.login is None:
        return 530, LOG_IN
    if command.verb == "STAT" and not blank and session.login is None:
        return 530, LOG_IN
    if verb.takes is Takes.MUST and blank:
        return 501, "Syntax error: command needs an argument."
    if verb.takes is Takes.NONE and not blank:
        return 501, "Syntax error: command does not accept arguments."
    return None

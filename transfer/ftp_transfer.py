"""Transfers: files and listings over a data connection, and the word at the end of each.

What lives here: the order of things. 150, the bytes, and then one reply: 226 only when the file is durable, or what
came of it instead.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from mailgate.observe import get_logger
from models.codes import Code
from models.faults import MailgateError
from transfer.ftp_completion import Came, Pace, why_not_whole
from transfer.ftp_data import Channel
from transfer.ftp_session import Doing, Session
from transfer.ftp_wire import Wire
from transfer.ftp_words import refusal
from transfer.view import Begin, Reader, Stored, TooLarge, Visit, Writer

log = get_logger("ftp")
_BLOCK = 1024 * 1024
NO_CHANNEL = "Use PASV or EPSV first."
UNPROTECTED = "The data connection must be protected: send PBSZ 0 and PROT P first."


class Cut(Exception):
    """Say why a transfer ended before its end (426)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """An upload that was asked for."""

    path: str
    begin: Begin
    start: int = 0
    allocated: int | None = None
    ascii: bool = False
    lenient: bool = False
    opening: str  #: what stands behind 150


def channel_for(session: Session) -> Channel | None:
    """Give the data connection for a transfer; None where there is none, and the client has been told."""
    channel = session.take_channel()
    if channel is None:
        session.say(425, NO_CHANNEL)
    elif session.desk.settings.ftp.tls == "required" and not session.protect:
        channel.close()
        session.say(521, UNPROTECTED)
        return None
    return channel


def stored_lines(stored: Stored) -> list[str]:
    """Give the words for a file that is durable, the reason before them where there is one."""
    why = f"{stored.code}: {stored.reason}" if stored.code is not None else stored.reason
    word = f"stored {stored.trace_id}" if stored.trace_id else "stored"
    return [why, word] if why else [word]


# --- uploads


async def take_file(session: Session, visit: Visit, channel: Channel, order: Order, doing: Doing) -> None:
    """Take an upload and say what came of it."""
    limits = session.desk.settings.limits
    try:
        if order.allocated is not None and order.allocated > limits.max_file_bytes:
            raise TooLarge(
                f"{order.allocated:,} bytes were announced, and {limits.max_file_bytes:,} are the most we take",
                Code.FILE_TOO_LARGE,
            )
        writer = await _open(visit, order)
    except BaseException:
        channel.close()
        raise
    await _take_into(session, channel, order, doing, writer)


async def _open(visit: Visit, order: Order) -> Writer:
    """Begin an upload; one that is aborted just then does not stay open."""
    opening = asyncio.ensure_future(visit.write(order.path, order.begin))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if not opening.cancelled() and opening.exception() is None:
            await opening.result().break_off()
        raise


async def _take_into(session: Session, channel: Channel, order: Order, doing: Doing, writer: Writer) -> None:
    wire: Wire | None = None
    try:
        session.say(150, order.opening)
        wire = await _connect(channel)
        if order.begin is Begin.RESUME and order.start < writer.size:
            await writer.truncate(order.start)
        await _take_bytes(session, wire, order, doing, writer)
        wire.close()
        _check_whole(wire, order, doing)
        doing.committing = True
        stored = await writer.close(alive=session.alive)
    except BaseException:
        _abandon(channel, wire)
        if not doing.committing:  # close has ended it, one way or the other
            doing.kept = writer.size
            await writer.break_off()
        raise
    log.info("stored", trace_id=stored.trace_id, state=stored.state, path=order.path, **session.who)
    session.say(226, *stored_lines(stored))


async def _take_bytes(session: Session, wire: Wire, order: Order, doing: Doing, writer: Writer) -> None:
    """Write what comes; what is refused half-way is read to its end first, so that the client hears why."""
    offset, most = order.start, session.desk.settings.limits.max_file_bytes
    refused: MailgateError | None = None
    pace = _pace(session)
    while data := await _receive(session, wire, pace):
        if refused is not None:
            most -= len(data)
            if most < 0:
                break
            continue
        try:
            await writer.write(offset, data)
        except MailgateError as error:
            refused = error
        offset += len(data)
        doing.bytes += len(data)
    if refused is not None:
        raise refused


async def _receive(session: Session, wire: Wire, pace: Pace) -> bytes:
    idle = session.desk.settings.limits.ftp_data_idle.total_seconds()
    try:
        async with asyncio.timeout(idle):
            data = await wire.read()
    except TimeoutError:
        raise Cut(f"nothing came for {idle:.0f} seconds") from None
    session.heard()
    if data and pace.too_slow(len(data), session.last_heard):
        raise Cut("the transfer is too slow")
    return data


def _check_whole(wire: Wire, order: Order, doing: Doing) -> None:
    why = why_not_whole(
        Came(
            ending=wire.ending, got=doing.bytes, start=order.start, allocated=order.allocated, ascii=order.ascii,
            lenient=order.lenient,
        )
    )  # fmt: skip
    if why:
        raise Cut(why)


# --- downloads


async def send_file(
    session: Session, visit: Visit, channel: Channel, path: str, start: int, doing: Doing
) -> None:  # fmt: skip
    """Send a file from a place in it."""
    try:
        reader = await visit.read(path)
    except BaseException:
        channel.close()
        raise
    try:
        if start > reader.size:
            channel.close()
            session.say(554, f"Invalid REST parameter: position {start} > file size {reader.size}.")
            return
        opening = f"Opening BINARY mode data connection for {path.rpartition('/')[2]} ({reader.size} bytes)."
        await _send(session, channel, opening, _blocks(reader, start), doing)
    finally:
        await reader.close()


async def send_lines(session: Session, channel: Channel, lines: list[str], doing: Doing) -> None:
    """Send a listing, as UTF-8."""

    async def blocks() -> AsyncGenerator[bytes]:
        if lines:
            yield "".join(f"{line}\r\n" for line in lines).encode()

    await _send(session, channel, "Here comes the listing.", blocks(), doing)


async def _blocks(reader: Reader, offset: int) -> AsyncGenerator[bytes]:
    """Read the next block while the one before it is sent."""
    ahead = asyncio.ensure_future(reader.read(offset, _BLOCK))
    try:
        while block := await asyncio.shield(ahead):
            offset += len(block)
            ahead = asyncio.ensure_future(reader.read(offset, _BLOCK))
            yield block
    finally:
        await asyncio.wait([ahead])  # the file is not let go of while somebody reads it
        ahead.exception()


async def _send(session: Session, channel: Channel, opening: str, blocks: AsyncGenerator[bytes], doing: Doing) -> None:
    wire: Wire | None = None
    pace = _pace(session)
    try:
        session.say(150, opening)
        wire = await _connect(channel)
        try:
            async with contextlib.aclosing(blocks):
                async for block in blocks:
                    wire.send(block)
                    await _moving(session, wire, wire.drained)
                    doing.bytes += len(block)
                    session.heard()
                    if pace.too_slow(len(block), session.last_heard):
                        raise Cut("the transfer is too slow")
            wire.close()
            await _moving(session, wire, wire.finished)
        except OSError:
            raise Cut("the data connection was cut off") from None
    except BaseException:
        _abandon(channel, wire)
        raise
    session.say(226, "Transfer complete.")


async def _moving(session: Session, wire: Wire, done: Callable[[], Awaitable[None]]) -> None:
    """Wait for a peer that reads, however slowly; raises Cut for one that has read nothing for too long."""
    idle = session.desk.settings.limits.ftp_data_idle.total_seconds()
    while True:
        unsent = wire.unsent
        try:
            async with asyncio.timeout(idle) as limit:
                await done()
            return
        except TimeoutError:
            if not limit.expired():
                raise  # of the connection itself
            if wire.unsent >= unsent:
                raise Cut(f"nothing was read for {idle:.0f} seconds") from None
        session.heard()


# --- what both need


class _NoConnection(Exception):
    """Say that the data connection did not come to be (425)."""


async def _connect(channel: Channel) -> Wire:
    try:
        return await channel.wire()
    except TimeoutError:
        raise _NoConnection("nobody connected to it in time") from None
    except OSError as error:
        raise _NoConnection(str(error)) from None


def _abandon(channel: Channel, wire: Wire | None) -> None:
    channel.close()
    if wire is not None:
        wire.abort()


def _pace(session: Session) -> Pace:
    limits = session.desk.settings.limits
    now = asyncio.get_running_loop().time()
    return Pace(now, minimum_rate=limits.ftp_minimum_rate, window=limits.ftp_rate_window.total_seconds())


async def told(session: Session, path: str, doing: Doing, work: Awaitable[None]) -> None:
    """Await a transfer, and say why where it ends early."""
    try:
        await work
        return
    except asyncio.CancelledError:
        code, words = 426, "Connection closed; transfer aborted."
    except Cut as cut:
        code, words = 426, f"Connection closed: {cut}."
    except _NoConnection as fault:
        code, words = 425, f"Can't open the data connection: {fault}."
    except MailgateError as error:
        code, words = refusal(error)
    except Exception as error:
        log.exception("a transfer failed", path=path, **session.who)
        code, words = refusal(error)
    if doing.kept and code == 426:
        words += f" {doing.kept} bytes are kept, incomplete: go on with REST or APPE."
    log.info("transfer ended early", code=code, reason=words, path=path, **session.who)
    session.say(code, words)

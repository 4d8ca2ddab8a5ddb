"""One mail between socket and spool: what happens while the thread that writes is behind."""

import asyncio
import threading
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from intake.spool import Spool
from mailgate.smtp.stream import DataStream, Ending
from models.codes import Code
from tests.house import eventually

MEGABYTE = b"x" * 998 + b"\r\n"
PIECE = MEGABYTE * 1049  # a little more than is handed over at once


class SlowSpool(Spool):
    """Write only when told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.writing = threading.Event()
        self.may_write = threading.Event()
        self.failure: OSError | None = None

    def append(self, chunks: Iterable[bytes]) -> None:
        self.writing.set()
        assert self.may_write.wait(30)
        if self.failure is not None:
            raise self.failure
        super().append(chunks)


class Socket:
    """Note whether reading is paused."""

    def __init__(self) -> None:
        self._paused = False

    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False


def stream(spool: Spool, socket: Socket, *, most: int = 100_000_000) -> DataStream:
    return DataStream(
        spool, most=most, minimum_rate=1, rate_window=60.0, pause=socket.pause, resume=socket.resume
    )  # fmt: skip


async def test_reading_pauses_while_the_disk_is_behind_and_goes_on_after(tmp_path: Path) -> None:
    spool, socket = SlowSpool(tmp_path), Socket()
    data = stream(spool, socket)
    data.feed(PIECE)
    await asyncio.to_thread(spool.writing.wait, 30)
    assert not socket.paused()
    data.feed(PIECE)
    assert socket.paused()
    spool.may_write.set()
    await eventually(lambda: not socket.paused())
    data.feed(b"end\r\n.\r\n")
    await data.finish()
    assert await data.ended is Ending.DOT
    assert spool.hexdigest() == sha256(PIECE * 2 + b"end\r\n").hexdigest()
    spool.close()
    assert list(tmp_path.iterdir()) == []


async def test_reading_goes_on_after_a_write_that_failed(tmp_path: Path) -> None:
    spool, socket = SlowSpool(tmp_path), Socket()
    spool.failure = OSError(28, "No space left on device")
    data = stream(spool, socket)
    data.feed(PIECE)
    await asyncio.to_thread(spool.writing.wait, 30)
    data.feed(PIECE)
    assert socket.paused()
    spool.may_write.set()
    await eventually(lambda: not socket.paused())  # the sender must get to its dot, and to the 452 behind it
    data.feed(PIECE)
    data.feed(b".\r\n")
    assert await data.ended is Ending.DOT
    with pytest.raises(OSError, match="No space"):
        await data.finish()


async def test_the_end_of_a_mail_that_comes_while_paused_lets_the_session_go_on(tmp_path: Path) -> None:
    spool, socket = SlowSpool(tmp_path), Socket()
    data = stream(spool, socket)
    data.feed(PIECE)
    await asyncio.to_thread(spool.writing.wait, 30)
    data.feed(PIECE)
    assert socket.paused()
    data.feed(b".\r\nQUIT\r\n")  # a TLS layer may hand over what it has still
    assert not socket.paused()
    spool.may_write.set()
    await data.finish()
    assert spool.size == 2 * len(PIECE)
    assert data.framing.rest == b"QUIT\r\n"


async def test_a_mail_that_is_given_up_is_forgotten_only_after_the_last_write(tmp_path: Path) -> None:
    spool, socket = SlowSpool(tmp_path), Socket()
    data = stream(spool, socket)
    data.feed(PIECE)
    await asyncio.to_thread(spool.writing.wait, 30)
    data.feed(PIECE)
    data.discard()
    assert data.ended.cancelled()
    spool.may_write.set()
    await eventually(lambda: spool._path is None and spool._descriptor < 0 and spool._bytes is None)
    assert list(tmp_path.iterdir()) == []
    assert spool.size < len(PIECE) + 1  # what still waited was not written


async def test_bytes_that_are_being_written_count_towards_the_limit(tmp_path: Path) -> None:
    spool, socket = SlowSpool(tmp_path), Socket()
    data = stream(spool, socket, most=len(PIECE) + 1000)
    data.feed(PIECE)
    await asyncio.to_thread(spool.writing.wait, 30)
    data.feed(MEGABYTE + b"y\r\n.\r\n")
    spool.may_write.set()
    await data.finish()
    assert data.fault is not None
    assert data.fault.code is Code.FILE_TOO_LARGE


async def test_more_than_twice_the_limit_is_endless(tmp_path: Path) -> None:
    data = stream(Spool(tmp_path), Socket(), most=1000)
    while not data.ended.done():
        assert data.received < 10_000_000
        data.feed(PIECE)
    assert await data.ended is Ending.ENDLESS
    assert data.spool.size <= 2 * len(PIECE)
    data.discard()


async def test_what_is_wrong_with_the_bytes_is_said(tmp_path: Path) -> None:
    for body, words in ((b"a\nb", "line end"), (b"a\rb", "line end"), (b"a\0b", "NUL")):
        data = stream(Spool(tmp_path), Socket())
        data.feed(body + b"\r\n.\r\n")
        assert data.fault is not None
        assert data.fault.code is Code.MESSAGE_MALFORMED
        assert words in data.fault.message


def test_a_spool_reads_the_same_from_memory_and_from_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    for in_memory in (0, 100, 10**6):
        spool = Spool(tmp_path, in_memory=in_memory)
        spool.append([content[:50], content[50:5000]])
        spool.append([content[5000:]])
        assert spool.size == len(content)
        assert spool.hexdigest() == sha256(content).hexdigest()
        assert spool.read(0, len(content) + 10) == content
        assert spool.read(100, 7) == content[100:107]
        assert spool.read(len(content) - 3, 100) == content[-3:]
        assert spool.read(len(content), 1) == b""
        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == ([0o600] if in_memory < 10**6 else [])
        spool.close()
        spool.close()
        assert list(tmp_path.iterdir()) == []

"""One file on its way in: random writes, reads and cuts against bytes in memory, and what the disk says at the end."""

import asyncio
import contextlib
import hashlib
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.under_way import UnderWay
from transfer.view import NotAllowed

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 400_000), st.integers(0, 200_000)),
        st.tuples(st.just("append"), st.just(0), st.integers(1, 200_000)),
        st.tuples(st.just("truncate"), st.integers(0, 500_000), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 500_000), st.integers(0, 100_000)),
        st.tuples(st.just("seal"), st.just(0), st.just(0)),
    ),
    max_size=14,
)


def pattern(size: int, seed: int) -> bytes:
    return bytes((index * 31 + seed) % 251 for index in range(size)) if size < 300 else bytes([seed % 251 + 1]) * size


class Model:
    """The same file in memory, with which of its bytes were ever written."""

    def __init__(self) -> None:
        self.data, self.there = bytearray(), bytearray()

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if data and end > len(self.data):
            grown = end - len(self.data)
            self.data += bytes(grown)
            self.there += bytes(grown)
        self.data[offset:end] = data
        self.there[offset:end] = b"\1" * len(data)

    def truncate(self, size: int) -> None:
        grown = max(0, size - len(self.data))
        self.data += bytes(grown)
        self.there += b"\1" * grown
        del self.data[size:], self.there[size:]

    @property
    def whole(self) -> bool:
        return 0 not in self.there


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_random_writes(steps: list[tuple[str, int, int]]) -> None:
    async def run(path: Path) -> None:
        file, model = UnderWay(path, most=10**9, room=10**9, reserve=0), Model()
        await file.open()
        for seed, (what, offset, size) in enumerate(steps):
            if what in ("write", "append"):
                offset = file.size if what == "append" else offset
                data = pattern(size, seed)
                await file.write(offset, data)
                model.write(offset, data)
            elif what == "truncate":
                await file.truncate(offset)
                model.truncate(offset)
            elif what == "read":
                assert await file.read(offset, size) == bytes(model.data[offset : offset + size])
            elif model.whole:
                assert await file.seal() == hashlib.sha256(model.data).hexdigest()
            else:
                with pytest.raises(NotAllowed, match="never came"):
                    await file.seal()
            assert file.size == len(model.data)
        first_hole = model.there.find(0)
        kept = await file.keep()
        assert kept == (len(model.data) if first_hole < 0 else first_hole)
        await file.shut()
        assert path.read_bytes() == model.data[:kept]

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "x"))


async def test_too_many_holes(tmp_path: Path) -> None:
    file = UnderWay(tmp_path / "x", most=10**9, room=10**9, reserve=0)
    await file.open()
    for block in range(1, 1001):
        await file.write(block * 10, b"x")
    with pytest.raises(NotAllowed, match="too far out of order"):
        await file.write(20_000, b"x")
    await file.shut()


async def test_going_on_hashes_the_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    file = UnderWay(tmp_path / "x", size=3, most=10**9, room=10**9, reserve=0)
    await file.open()
    await file.write(3, b"def")
    assert await file.seal() == hashlib.sha256(b"abcdef").hexdigest()
    await file.write(6, b"g")
    assert await file.seal() == hashlib.sha256(b"abcdefg").hexdigest()
    await file.shut()


async def test_a_caller_that_gives_up_leaves_the_bytes_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write is cancelled while a thread is still at work: the next one waits for it."""
    go_on, put, at_work = threading.Event(), UnderWay._put, [0]

    def slow(self: UnderWay, pieces: list[bytes], offset: int) -> None:
        at_work[0] += 1
        assert at_work[0] == 1, "two threads write one file"
        go_on.wait(10)
        put(self, pieces, offset)
        at_work[0] -= 1

    monkeypatch.setattr(UnderWay, "_put", slow)
    file = UnderWay(tmp_path / "x", most=10**9, room=10**9, reserve=0)
    await file.open()
    block = b"x" * 200_000
    await file.write(0, block)
    waiting = asyncio.create_task(file.write(200_000, block))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    keeping = asyncio.create_task(file.keep())
    await asyncio.sleep(0)
    go_on.set()
    kept = await keeping
    await file.shut()
    assert (tmp_path / "x").read_bytes() == b"x" * kept
    assert kept in (200_000, 400_000)

"""Blobs made durable in groups: nobody waits for a round that is over."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from intake.durable import DurableBlobs
from storage.blobs import Blobs, BlobWriter


class Disk:
    """Blobs at their seam: they only count what they were handed, and fail when told to."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.failure: Exception | None = None

    def commit(self, writers: Sequence[BlobWriter]) -> None:
        self.groups.append(len(writers))
        if self.failure is not None:
            raise self.failure


def durable(disk: Disk) -> DurableBlobs:
    return DurableBlobs(cast(Blobs, disk))


ONE = cast(Any, ["a writer"])


async def test_who_comes_in_the_moment_a_round_ends_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """With three rounds it takes three that end at once; with one it is every time."""
    monkeypatch.setattr("intake.durable._ROUNDS", 1)
    disk = Disk()
    blobs = durable(disk)
    async with asyncio.timeout(20):
        for _ in range(10):
            await blobs.commit(ONE)
    assert disk.groups == [1] * 10


async def test_those_who_come_together_share_a_round() -> None:
    disk = Disk()
    blobs = durable(disk)
    async with asyncio.timeout(20):
        await asyncio.gather(*(blobs.commit(ONE) for _ in range(50)))
        await blobs.commit([])
    assert sum(disk.groups) == 50
    assert len(disk.groups) <= 4


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("a fault of ours")])
async def test_a_round_that_fails_is_told_to_all_who_wait_and_to_nobody_else(failure: Exception) -> None:
    disk = Disk()
    disk.failure = failure
    blobs = durable(disk)
    async with asyncio.timeout(20):
        told = await asyncio.gather(*(blobs.commit(ONE) for _ in range(5)), return_exceptions=True)
        assert told == [failure] * 5
        disk.failure = None
        await blobs.commit(ONE)

"""The fixtures of this folder."""

from collections.abc import Iterator

import pytest

from imports.workers import ParsePool
from tests.storage.fixtures import on_both as pytest_generate_tests
from tests.storage.fixtures import sqlite_template, store, template

__all__ = ["pytest_generate_tests", "sqlite_template", "store", "template"]


@pytest.fixture(scope="session")
def pool() -> Iterator[ParsePool]:
    """Give a pool with one real worker."""
    made = ParsePool(workers=1, memory_bytes=1_000_000_000, seconds=60)
    yield made
    made.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let an importer's waits between two tries pass at once; gives their seconds."""
    seconds: list[float] = []

    async def passed(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr("imports.perform.asyncio.sleep", passed)
    return seconds

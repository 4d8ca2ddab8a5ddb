"""The fixtures of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.storage.fixtures import on_both as pytest_generate_tests
from tests.storage.fixtures import sqlite_template, store, template
from tests.storage.support import Store
from tests.transfer.support import Both, House, LedgerBoth, MemoryBoth

__all__ = ["house", "pytest_generate_tests", "sqlite_template", "store", "template"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the double of the folder on a second database: it has none."""
    items[:] = [item for item in items if not _is_double_on_postgres(item)]


def _is_double_on_postgres(item: pytest.Item) -> bool:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return params.get("both") == "memory" and params.get("template") == "postgres"


@pytest.fixture
async def house(store: Store) -> House:
    """Give a folder over a real ledger, with one connection."""
    made = House(store)
    made.connect()
    await made.folders.open()
    return made


@pytest.fixture(params=["ledger", "memory"])
async def both(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Both]:
    """Give the real folder and its double, one after the other."""
    made: Both = LedgerBoth(store) if request.param == "ledger" else MemoryBoth(store.clock)
    await made.open()
    yield made
    for visit in made.visits:
        await visit.leave()

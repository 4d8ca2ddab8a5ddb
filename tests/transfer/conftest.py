"""The fixtures of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.storage.fixtures import store, template
from tests.storage.support import Store
from tests.transfer.support import Both, House, LedgerBoth, MemoryBoth

__all__ = ["house", "store", "template"]


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

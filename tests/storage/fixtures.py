"""The fixtures of the tests that need a ledger; a folder's ``conftest.py`` takes them from here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.support import Store, make_template, open_store


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated database that is copied, never opened."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[Store]:
    """Give an empty ledger with blobs and a clock that stands still."""
    with open_store(tmp_path / "data", template) as opened:
        yield opened

"""The fixtures of the tests that need a ledger; a folder's ``conftest.py`` takes them from here.

With ``on_both`` as the folder's ``pytest_generate_tests`` its tests run on SQLite and on Postgres, except those of
modules that say ``DATABASES = ["sqlite"]``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import server
from tests.storage.support import POSTGRES, Store, make_template, open_store


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated SQLite file that is copied, never opened."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def template(request: pytest.FixtureRequest, sqlite_template: Path) -> Path:
    """Give what ``open_store`` makes a database from: a file to copy, or POSTGRES."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return sqlite_template
    server()
    return POSTGRES


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[Store]:
    """Give an empty ledger with blobs and a clock that stands still."""
    with open_store(tmp_path / "data", template) as opened:
        yield opened


def on_both(metafunc: pytest.Metafunc) -> None:
    """Run the tests that need a ledger on both databases."""
    if "template" in metafunc.fixturenames:
        databases = getattr(metafunc.module, "DATABASES", ["sqlite", "postgres"])
        metafunc.parametrize("template", databases, indirect=True, scope="session")

"""One house per module: tests tell their mails apart by content, never by being alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import CONNECTION, Inside, RunningService, inside, running_service

CONNECTIONS = (
    CONNECTION
    + """
[[connection]]
name = "acme-emails"
account = "acme"
data_type = "email-list"
pattern = "*.csv"
credential = "acme-batch"
address = "acme-emails-y8"
"""
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A house in this process, with two connections and no worker."""
    with inside(tmp_path_factory.mktemp("house"), CONNECTIONS) as opened:
        yield opened


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service process with two connections."""
    with running_service(tmp_path_factory.mktemp("service"), CONNECTIONS) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a house that a test opens by itself."""
    return tmp_path / "house"

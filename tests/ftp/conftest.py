"""Two services for all tests of the FTP door: one whose files stand still, one that imports them at once."""

from collections.abc import Iterator

import pytest

from tests.ftp.served import QUICK, Served, served


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door alone; what is uploaded stays in its folder."""
    with served(tmp_path_factory.mktemp("still")) as one:
        yield one


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door and a worker; what is uploaded is imported half a second later."""
    with served(tmp_path_factory.mktemp("quick"), roles="ftp,worker", **QUICK) as one:
        yield one

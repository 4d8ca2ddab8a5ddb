"""The services that the tests of the FTP door share: each takes seconds to start."""

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


@pytest.fixture(scope="session")
def active(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door alone that connects to its clients, too, and has few passive ports."""
    with served(tmp_path_factory.mktemp("active"), ports=30, FTP__ACTIVE="true") as one:
        yield one


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The default: TLS is required. Short limits."""
    limits = {
        "LIMITS__FTP_LOGIN_TIME": "5s", "LIMITS__FTP_IDLE": "5s", "LIMITS__FTP_DATA_WAIT": "3s",
        "LIMITS__FTP_DATA_IDLE": "3s", "LIMITS__MAX_FILE_BYTES": "40000000", "FTP__TLS": "required",
        "FTP__PUBLIC_ADDRESS": "203.0.113.7",
    }  # fmt: skip
    with served(tmp_path_factory.mktemp("strict"), **limits) as one:
        yield one

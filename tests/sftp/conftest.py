"""One door per module; each test begins with an empty folder."""

from collections.abc import Iterator

import pytest

from tests.sftp.support import Door, door_in_thread


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door in a thread."""
    with door_in_thread(tmp_path_factory.mktemp("door")) as door:
        yield door


@pytest.fixture
def door(opened: Door) -> Door:
    """The module's door, its folder emptied."""
    opened.folders.files.clear()
    opened.folders.events.clear()
    opened.folders.fails = ""
    opened.folders.most = 100_000_000
    return opened

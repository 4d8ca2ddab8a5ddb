"""The fixtures of tests that need an S3; a folder's ``conftest.py`` takes them from here."""

import itertools
from collections.abc import Iterator

import pytest

from tests.s3 import Bucket, open_bucket, open_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run one server for all."""
    with open_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_server: str) -> Iterator[Bucket]:
    """Give an empty bucket of its own."""
    with open_bucket(s3_server, f"bucket-{next(_numbers)}") as made:
        yield made

"""The fixtures of this folder: one Dovecot for each set of capabilities, a fresh ledger for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import cli, ready_house
from tests.imap.dovecot import NO_IDLE, NO_MOVE, NO_UIDPLUS, Dovecot, open_dovecot
from tests.imap.support import Rig, open_rig
from tests.storage.fixtures import sqlite_template, template

__all__ = ["cli", "ready_house", "sqlite_template", "template"]
_users = itertools.count(1)


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A server that can do everything."""
    with open_dovecot() as server:
        yield server


@pytest.fixture(scope="session")
def without_move() -> Iterator[Dovecot]:
    with open_dovecot(NO_MOVE) as server:
        yield server


@pytest.fixture(scope="session")
def without_uidplus() -> Iterator[Dovecot]:
    with open_dovecot(NO_UIDPLUS) as server:
        yield server


@pytest.fixture(scope="session")
def without_idle() -> Iterator[Dovecot]:
    with open_dovecot(NO_IDLE) as server:
        yield server


@pytest.fixture
def user() -> str:
    """A mailbox that no other test has."""
    return f"user{next(_users)}"


@pytest.fixture
def rig(tmp_path: Path, template: Path) -> Iterator[Rig]:
    """A ledger with an intake."""
    with open_rig(tmp_path / "data", template) as opened:
        yield opened

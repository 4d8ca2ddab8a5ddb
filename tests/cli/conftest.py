"""The fixtures of this folder: a house that was set up once and is copied for each test."""

import shutil
from pathlib import Path

import pytest

from mailgate.house import create_database
from mailgate.settings import load_settings
from mailgate.tls import write_local_certificate
from tests.cli.support import Cli
from tests.imports.conftest import pool

__all__ = ["pool"]


@pytest.fixture(scope="session")
def ready_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ready")
    (folder / "mailgate.toml").write_text(
        'support_contact = "help@intake.test"\n[smtp]\nport = 0\n[metrics]\nport = 0\n'
        "[limits]\nminimum_free_bytes = 1000\n"
    )
    settings = load_settings(folder / "mailgate.toml")
    create_database(settings)
    write_local_certificate(settings.certificate_path, settings.key_path, settings.domain)
    return folder


@pytest.fixture
def cli(
    tmp_path: Path, ready_house: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """Give the command line of a fresh house without a connection."""
    folder = tmp_path / "house"
    shutil.copytree(ready_house, folder)
    monkeypatch.chdir(tmp_path)
    return Cli(folder, capsysbinary, monkeypatch)


@pytest.fixture
def acme(cli: Cli) -> Cli:
    """Give the command line of a house with one connection."""
    assert cli.apply().code == 0
    return cli

"""A backup made under load, restored elsewhere: everything that it lists is there, and the service goes on from it."""

import shutil
import smtplib
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storage.ledger import holding
from tests.house import CONNECTION, RunningService, conversions, digest, mail, rows_of, unique, wait_until
from tests.postgres import program, server
from tests.storage.fixtures import on_both as pytest_generate_tests
from tests.storage.fixtures import sqlite_template, store, template
from tests.storage.support import POSTGRES, Store

__all__ = ["pytest_generate_tests", "sqlite_template", "store", "template"]


@pytest.fixture
def service(tmp_path: Path, template: Path) -> Iterator[RunningService]:
    made = RunningService(tmp_path / "service")
    made.set_up("")
    if template is not POSTGRES:
        made.apply(CONNECTION)
        yield made
        made.stop()
        return
    with server().lend() as url:
        use(made, url)
        made.apply(CONNECTION)
        yield made
        made.stop()


def use(service: RunningService, url: str) -> None:
    config = service.folder / "mailgate.toml"
    lines = [line for line in config.read_text().splitlines() if not line.startswith("database_url")]
    config.write_text("\n".join([f'database_url = "{url}"', *lines]) + "\n")


def database(service: RunningService) -> Path | str:
    text = (service.folder / "mailgate.toml").read_text()
    return text.split('"')[1] if text.startswith("database_url") else service.data / "mailgate.sqlite3"


def send(service: RunningService, told: list[str], ending: threading.Event) -> None:
    with smtplib.SMTP("127.0.0.1", service.port, timeout=20) as client:
        client.ehlo()
        while not ending.wait(0.1):  # so many that the backup is under load, and the restored has not much to do
            client.mail("batch@acme.example")
            client.rcpt("acme-conversions-x7@intake.localhost")
            code, text = client.data(mail([(f"Conversions_2026_{unique()}.csv", conversions(3))]))
            assert code == 250
            told.append(text.decode().split()[2])


def restore(backup: Path, into: RunningService, fresh: str | None) -> None:
    """Do what docs/operations.md says."""
    into.folder.mkdir()
    into.data.mkdir(mode=0o700)
    shutil.copyfile(backup / "mailgate.toml", into.folder / "mailgate.toml")
    for part in ("blobs", "uploads", "keys", "data-types", "mailgate.sqlite3"):
        if (backup / part).is_dir():
            shutil.copytree(backup / part, into.data / part)
        elif (backup / part).exists():
            shutil.copyfile(backup / part, into.data / part)
    if fresh is not None:
        use(into, fresh)
        words = [program("pg_restore"), "--no-owner", f"--dbname={fresh}", str(backup / "ledger.dump")]
        subprocess.run(words, check=True, timeout=60)
    into.mailgate("migrate")


def test_a_backup_under_load_is_restored(service: RunningService, tmp_path: Path, template: Path) -> None:
    told: list[str] = []
    ending = threading.Event()
    service.start(roles="smtp,worker")
    sender = threading.Thread(target=send, args=(service, told, ending))
    sender.start()
    try:
        wait_until(lambda: len(told) >= 10)
        before = list(told)
        made = service.mailgate("backup", str(tmp_path / "backup"))
        wait_until(lambda: len(told) >= len(before) + 5)
    finally:
        ending.set()
        sender.join(30)
    assert made["missing"] == []
    assert made["blobs"] >= len(before)
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    assert service.mailgate("backup", str(tmp_path / "backup"), code=1) is None  # it is there already
    assert not rows_of(database(service), "SELECT name FROM lease WHERE name LIKE ?", "backup:%")
    restored = RunningService(tmp_path / "restored")
    run = _restored_on_postgres if template is POSTGRES else _restored_on_sqlite
    run(tmp_path / "backup", restored, before)


def _restored_on_sqlite(backup: Path, restored: RunningService, before: list[str]) -> None:
    restore(backup, restored, None)
    _check(restored, before)


def _restored_on_postgres(backup: Path, restored: RunningService, before: list[str]) -> None:
    with server().clone("template0") as fresh:
        restore(backup, restored, fresh)
        _check(restored, before)


def _check(restored: RunningService, before: list[str]) -> None:
    try:
        restored.start(roles="smtp,worker")
        rows = database(restored)
        assert set(before) <= {row[0] for row in rows_of(rows, "SELECT id FROM upload")}
        wait_until(lambda: not rows_of(rows, "SELECT 1 FROM attempt WHERE status <> 'completed'"), 60)
        for blob, sha in rows_of(rows, "SELECT blob, sha256 FROM upload"):  # the bytes of every row
            assert digest((restored.data / "blobs" / blob[:8] / blob).read_bytes()) == sha
        told: list[str] = []
        ending = threading.Event()
        sender = threading.Thread(target=send, args=(restored, told, ending))
        sender.start()
        wait_until(lambda: told)
        ending.set()
        sender.join(30)
        assert rows_of(rows, "SELECT 1 FROM upload WHERE id = ?", told[0])
    finally:
        restored.stop()


def test_a_hold_ends_with_its_backup_and_each_has_its_own(store: Store) -> None:
    def clock(_session: object) -> datetime:
        return store.clock()

    def ask() -> bool:
        return store.ledger.read_now(holding.is_held, clock)

    assert not ask()
    store.ledger.write_now(holding.hold, "a", timedelta(minutes=10), clock)
    store.ledger.write_now(holding.hold, "b", timedelta(minutes=5), clock)
    store.ledger.write_now(holding.release, "a")
    assert ask()
    store.clock.forward(minutes=5)
    assert not ask()  # a backup that was killed holds nothing up for ever
    store.ledger.write_now(holding.hold, "b", timedelta(minutes=5), clock)
    assert ask()

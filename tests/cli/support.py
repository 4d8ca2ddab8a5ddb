"""What the tests of the command line share: a command run in this process, and a house with a history."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imports.workers import ParsePool
from mailgate.cli import main
from mailgate.cli.state import State, state
from mailgate.settings import load_settings
from storage.blobs import DiskBlobs
from storage.engine import database_url, make_engine
from storage.ledger import Ledger
from storage.ledger.connections import by_name
from tests.imports.support import importer
from tests.storage.support import Clock, Queue, Store, in_loop

APPLY = """\
[[account]]
name = "acme"

[[credential]]
name = "acme-batch"
account = "acme"
username = "acme"
return_address = "batch@acme.example"

[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
pattern = "Conversions_*.csv"
credential = "acme-batch"
address = "acme-conversions-x7"
"""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command came to."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Cli:
    """Run commands in this process, with the configuration of a folder."""

    folder: Path
    capture: pytest.CaptureFixture[bytes]
    monkeypatch: pytest.MonkeyPatch
    open_sockets: list[socket.socket] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "mailgate.toml"

    def __call__(self, *words: object) -> Ran:
        return self.plain("--config", self.config, *words)

    def json(self, *words: object) -> Any:
        """Run a command that must be done, and give its JSON."""
        ran = self("--json", *words)
        assert (ran.code, ran.err) == (0, "")
        return ran.json

    def plain(self, *words: object) -> Ran:
        """Run a command without naming a configuration."""
        vars(state).update(vars(State()))
        self.monkeypatch.setattr(sys, "argv", ["mailgate", *map(str, words)])
        # The real one would hand this test's captured stderr to loggers that outlive it.
        self.monkeypatch.setattr("mailgate.observe.configure_logging", lambda **_more: None)
        self.capture.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = self.capture.readouterr()
        code = stop.value.code
        assert isinstance(code, int)
        return Ran(code=code, raw=captured.out, err=captured.err.decode())

    def apply(self, text: str = APPLY) -> Ran:
        path = self.folder / "acme.toml"
        path.write_text(text)
        return self("connection", "apply", path)


@contextmanager
def rooms(cli: Cli) -> Iterator[Store]:
    """Open the ledger and blobs of a house, as intake and importer have them."""
    settings = load_settings(cli.config)
    ledger = Ledger(make_engine(database_url(settings.database_path)))
    try:
        yield Store(settings, ledger, DiskBlobs(settings.blob_dir), Clock(), Queue())
    finally:
        ledger.close()


def deliver(cli: Cli, *data: bytes, name: str = "Conversions_1.csv", pool: ParsePool | None = None, **more: Any) -> str:
    """Have a mail of some files taken in, and imported where there is a pool; gives its trace id."""
    with rooms(cli) as store:
        ref = store.ledger.read_now(by_name, "acme-conversions")
        assert ref is not None
        trace_id = store.deliver(ref, *(store.file(one, name) for one in data), **more).trace_id
        for upload, number in store.queue.jobs if pool is not None else []:
            in_loop(importer(store, pool).run(upload, number))
    return trace_id

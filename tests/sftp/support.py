"""The SFTP door over a folder in memory, in this process, and the real clients that drive it."""

import asyncio
import contextlib
import functools
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paramiko

from intake.defender import Defender
from intake.logins import Logins
from intake.provisioning import plan_file
from mailgate.house import House, open_house
from mailgate.settings import Limits, Settings, Sftp
from storage.ledger.applying import apply_plan
from tests.house import UNDEFENDED, InThread, database_once
from tests.sftp.double import DoubleFolders
from transfer.sftp import SftpDoor
from transfer.sftp_keys import host_key_fingerprints, make_host_keys

INBOX = "/upload/conversions"
PASSWORD = "correct horse"
USER = "acme"
CREDENTIALS = """
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
username = "acme"
password = "correct horse"
ssh_keys = [{keys}]
[[credential]]
name = "acme-other"
account = "acme"
username = "other"
password = "battery staple"
"""


@functools.cache
def keys_once() -> Path:
    """Give a folder with the private keys ``ed25519``, ``rsa`` and ``stranger``, and host keys."""
    folder = database_once() / "keys"
    for name, words in {"ed25519": ["-t", "ed25519"], "rsa": ["-t", "rsa", "-b", "3072"], "stranger": []}.items():
        words = words or ["-t", "ed25519"]
        subprocess.run(["ssh-keygen", "-q", *words, "-N", "", "-C", "acme", "-f", str(folder / name)], check=True)
    make_host_keys([folder / f"ssh_host_{kind}_key" for kind in ("ed25519", "rsa")])
    return folder


@dataclass(kw_only=True)
class Door:
    """An open SFTP door."""

    port: int
    house: House
    folders: DoubleFolders
    sftp: SftpDoor
    defender: Defender
    folder: Path  #: for the client's own files

    @property
    def files(self) -> dict[str, bytearray]:
        """Give the files of the client, by path."""
        return self.folders.files.setdefault("acme-batch", {})

    def openssh(self, program: str, *words: str, key: str = "ed25519", ok: bool = True, text: str = "") -> Any:
        """Run ``sftp`` or ``scp`` of OpenSSH with a key and the pinned host key."""
        done = subprocess.run(
            [program, *self.options(key), *words], input=text, capture_output=True, text=True, timeout=120, check=False
        )
        assert not ok or done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr}"
        return done

    def batch(self, *lines: str, ok: bool = True, key: str = "ed25519") -> Any:
        """Run lines in OpenSSH's sftp; the first that fails ends it."""
        return self.openssh("sftp", "-b", "-", f"{USER}@127.0.0.1", text="\n".join(lines) + "\n", ok=ok, key=key)

    def options(self, key: str = "ed25519") -> list[str]:
        """Give OpenSSH's options: only this key, no file of the user's, and our host key alone."""
        known = self.folder / "known_hosts"
        if not known.exists():
            public = (keys_once() / "ssh_host_ed25519_key").with_suffix("")
            line = subprocess.run(
                ["ssh-keygen", "-y", "-f", str(public)], capture_output=True, text=True, check=True
            ).stdout
            known.write_text(f"[127.0.0.1]:{self.port} {line}")
        return [
            "-F", "none", "-P", str(self.port), "-i", str(keys_once() / key), "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
        ]  # fmt: skip

    @contextlib.contextmanager
    def paramiko(self, **login: Any) -> Iterator[paramiko.SFTPClient]:
        """Connect with paramiko, by password unless told otherwise."""
        transport = paramiko.Transport(("127.0.0.1", self.port))
        try:
            transport.connect(**(login or {"username": USER, "password": PASSWORD}))
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            yield client
        finally:
            transport.close()

    def local(self, name: str, data: bytes) -> Path:
        """Write a file of the client's."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def fingerprints(self) -> dict[str, str]:
        return host_key_fingerprints([keys_once() / f"ssh_host_{kind}_key" for kind in ("ed25519", "rsa")])

    def apply(self, text: str) -> None:
        """Apply a file of credentials."""
        plan = plan_file(text, domain="intake.localhost", data_types={}, known_hashes={}).plan
        self.house.ledger.write_now(apply_plan, plan, datetime.now(UTC))

    def connect(self) -> socket.socket:
        """Open a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def credentials(*keys: str) -> str:
    """Give the file of credentials with these keys."""
    lines = ", ".join(f'"{(keys_once() / f"{key}.pub").read_text().strip()}"' for key in keys)
    return CREDENTIALS.format(keys=lines)


@contextlib.asynccontextmanager
async def open_door(
    folder: Path, *, limits: dict[str, Any] | None = None, folders: DoubleFolders | None = None,
    sftp: dict[str, Any] | None = None,
) -> AsyncIterator[Door]:  # fmt: skip
    """Open a door in this event loop; its ledger is real, its folder is in memory."""
    await asyncio.to_thread(keys_once)
    data = folder / "data"
    await asyncio.to_thread(shutil.copytree, database_once(), data)
    settings = Settings.model_construct(
        data_dir=data, sftp=Sftp(**{"port": 0, **(sftp or {})}), limits=Limits(**{**UNDEFENDED, **(limits or {})})
    )
    with open_house(settings) as house:
        defender = Defender(house.ledger, settings.limits)
        double = folders or DoubleFolders()
        opened = SftpDoor(settings, Logins(house.ledger, defender, settings.limits), double)
        ((_, _, port),) = await opened.open()
        try:
            own = folder / "client"
            own.mkdir()
            door = Door(port=port, house=house, folders=double, sftp=opened, defender=defender, folder=own)
            await asyncio.to_thread(door.apply, credentials("ed25519", "rsa"))
            yield door
        finally:
            await opened.close()


@contextlib.contextmanager
def door_in_thread(folder: Path, **options: Any) -> Iterator[Door]:
    """Open a door whose event loop runs in a thread."""
    life = InThread(functools.partial(open_door, folder, **options))
    try:
        yield life.open()
    finally:
        life.close()

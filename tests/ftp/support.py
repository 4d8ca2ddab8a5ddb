"""The FTP door over a folder in memory, in this process, and a client that speaks the protocol word by word."""

import asyncio
import contextlib
import functools
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from intake.defender import Defender
from intake.logins import Logins
from intake.provisioning import plan_file
from mailgate.house import House, open_house
from mailgate.settings import Ftp, Limits, Settings
from storage.ledger.applying import apply_plan
from tests.house import UNDEFENDED, InThread, database_once
from tests.sftp.double import NOW, DoubleFolders
from transfer.ftp import FtpDoor

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
[[credential]]
name = "acme-other"
account = "acme"
username = "other"
password = "battery staple"
"""


@dataclass(kw_only=True)
class Door:
    """An open FTP door."""

    port: int
    implicit_port: int  #: 0: there is none
    house: House
    settings: Settings
    folders: DoubleFolders
    ftp: FtpDoor
    defender: Defender
    folder: Path  #: for the client's own files

    @property
    def files(self) -> dict[str, bytearray]:
        """Give the files of the client, by path."""
        return self.folders.files.setdefault("acme-batch", {})

    @property
    def certificate(self) -> Path:
        """Name the certificate; it is its own authority."""
        return self.settings.certificate_path

    def context(self) -> ssl.SSLContext:
        """Give the TLS of a client that trusts this door and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def apply(self, text: str) -> None:
        """Apply a file of credentials."""
        plan = plan_file(text, domain="intake.localhost", data_types={}, known_hashes={}).plan
        self.house.ledger.write_now(apply_plan, plan, datetime.now(UTC))

    def local(self, name: str, data: bytes) -> Path:
        """Write a file of the client's."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    async def client(self, *, tls: bool = True, login: bool = True, implicit: bool = False) -> "Client":
        """Connect, under TLS unless told otherwise, log in and protect the data."""
        context = self.context() if implicit else None
        port = self.implicit_port if implicit else self.port
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost" if implicit else None
        )
        client = Client(self, reader, writer)
        assert await client.reply() == ["220 mailgate ready."]
        if tls and not implicit:
            await client.begin_tls()
        if login:
            assert (await client.ask(f"USER {USER}")).startswith("331")
            assert (await client.ask(f"PASS {PASSWORD}")).startswith("230")
            if tls:
                await client.ask("PBSZ 0")
                assert (await client.ask("PROT P")).startswith("200")
                client.protect = True
            await client.ask("TYPE I")
        return client


@dataclass
class Client:
    """A control connection of a client, and what it says and hears."""

    door: Door
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protect: bool = False
    heard: list[str] = field(default_factory=list)

    async def begin_tls(self) -> None:
        """Send AUTH TLS and shake hands."""
        assert (await self.ask("AUTH TLS")).startswith("234")
        await self.writer.start_tls(self.door.context(), server_hostname="localhost")

    def say(self, line: str | bytes) -> None:
        """Send a line."""
        self.writer.write((line if isinstance(line, bytes) else line.encode()) + b"\r\n")

    async def reply(self) -> list[str]:
        """Read one reply, all its lines; none at the end of the connection."""
        lines: list[str] = []
        while line := (await asyncio.wait_for(self.reader.readline(), 20)).decode():
            lines.append(line.removesuffix("\r\n"))
            if len(lines[-1]) > 3 and lines[-1][:3].isdecimal() and lines[-1][3] == " ":
                break
        self.heard += lines
        return lines

    async def ask(self, line: str | bytes) -> str:
        """Send a line and give the reply, its lines joined; empty at the end of the connection."""
        self.say(line)
        return "\n".join(await self.reply())

    async def passive(self) -> int:
        """Ask for a passive port."""
        answer = await self.ask("EPSV")
        assert answer.startswith("229"), answer
        return int(answer.split("|||")[1].split("|")[0])

    async def data(self, *, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a data connection, under TLS where the data are protected."""
        port = await self.passive()
        return await self.connect(port, source=source)

    async def connect(
        self, port: int, *, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a passive port."""
        context = self.door.context() if self.protect else None
        return await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost" if context else None, local_addr=(source, 0)
        )

    async def store(self, path: str, data: bytes, verb: str = "STOR") -> str:
        """Upload, and give the last reply."""
        _, writer = await self.data()
        answer = await self.ask(f"{verb} {path}".strip())
        if not answer.startswith("150"):
            writer.close()
            return answer
        writer.write(data)
        await writer.drain()
        writer.close()
        return "\n".join(await self.reply())

    async def fetch(self, command: str) -> tuple[bytes, str]:
        """Download a file or a listing; gives the bytes and the last reply."""
        reader, writer = await self.data()
        answer = await self.ask(command)
        if not answer.startswith("150"):
            writer.close()
            return b"", answer
        data = await asyncio.wait_for(reader.read(-1), 20)
        writer.close()
        return data, "\n".join(await self.reply())

    async def close(self) -> None:
        """Leave without a word."""
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


def free_port() -> int:
    """Give a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def open_door(
    folder: Path, *, limits: dict[str, Any] | None = None, folders: Any = None, implicit: bool = False, **ftp: Any
) -> AsyncIterator[Door]:
    """Open a door in this event loop; its ledger is real, its folder is in memory. Keywords are those of ``[ftp]``."""
    data = folder / "data"
    await asyncio.to_thread(shutil.copytree, database_once(), data)
    options = {"port": 0, "passive_ports": "0", "implicit_port": free_port() if implicit else 0, **ftp}
    settings = Settings.model_construct(
        data_dir=data, ftp=Ftp(**options), limits=Limits(**{**UNDEFENDED, **(limits or {})})
    )
    with open_house(settings) as house:
        defender = Defender(house.ledger, settings.limits)
        double = folders or DoubleFolders()
        logins = Logins(house.ledger, defender, settings.limits)
        door_ = FtpDoor(settings, logins, double, clock=lambda: NOW, token=lambda: "token")
        ports = {name: port for name, _, port in await door_.open()}
        try:
            own = folder / "client"
            own.mkdir()
            door = Door(
                port=ports["ftp"], implicit_port=ports.get("ftps", 0), house=house, settings=settings, folders=double,
                ftp=door_, defender=defender, folder=own,
            )  # fmt: skip
            await asyncio.to_thread(door.apply, CREDENTIALS)
            yield door
        finally:
            await door_.close()


@contextlib.contextmanager
def door_in_thread(folder: Path, **options: Any) -> Iterator[Door]:
    """Open a door whose event loop runs in a thread, for clients that block."""
    life = InThread(functools.partial(open_door, folder, **options))
    try:
        yield life.open()
    finally:
        life.close()

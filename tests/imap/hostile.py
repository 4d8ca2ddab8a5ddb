"""A scripted IMAP server that may lie, stall, flood and hang up.

It speaks just enough IMAP to be logged in to. A scenario overrides single commands; what it does not override is
answered as an honest server would, from ``mails``. It listens on loopback in a thread.
"""

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Send = Callable[[bytes], None]
Override = Callable[["Talk", str, str], bool]  # gives True when it has answered


class HangUp(Exception):
    """End the connection now."""


@dataclass
class Talk:
    """One connection."""

    server: "Scripted"
    plug: socket.socket

    def send(self, data: bytes) -> None:
        self.plug.sendall(data)

    def line(self, text: str) -> None:
        self.send(text.encode("latin-1") + b"\r\n")


@dataclass
class Scripted:
    """What the server holds and how it misbehaves."""

    mails: dict[int, bytes] = field(default_factory=dict)
    uidvalidity: str = "1"
    capabilities: str = "IMAP4rev1 UIDPLUS MOVE IDLE"
    overrides: dict[str, Override] = field(default_factory=dict)
    greeting: bytes | None = b"* OK hello\r\n"
    port: int = 0
    sessions: int = 0
    commands: list[str] = field(default_factory=list)
    moved: dict[int, str] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    def talk(self, talk: Talk) -> None:
        self.sessions += 1
        if self.greeting is None:
            self.stopping.wait(30)
            return
        talk.send(self.greeting)
        reader = talk.plug.makefile("rb")
        while True:
            line = reader.readline()
            if not line:
                return
            tag, _, rest = line.decode("latin-1").rstrip("\r\n").partition(" ")
            words = rest.split(" ")
            name = " ".join(words[:2]).upper() if words[0].upper() == "UID" else words[0].upper()
            self.commands.append(rest)
            override = self.overrides.get(name)
            if override is not None and override(talk, tag, rest):
                continue
            self.honest(talk, tag, name, rest, reader)

    def honest(self, talk: Talk, tag: str, name: str, rest: str, reader: Any) -> None:
        if name == "CAPABILITY":
            talk.line(f"* CAPABILITY {self.capabilities}")
        elif name == "SELECT":
            talk.line(f"* {len(self.mails)} EXISTS")
            talk.line("* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] ok")
            if self.uidvalidity:
                talk.line(f"* OK [UIDVALIDITY {self.uidvalidity}] ok")
        elif name == "UID SEARCH":
            talk.line("* SEARCH " + " ".join(map(str, self.found(rest))))
        elif name == "UID FETCH":
            self.fetch(talk, rest)
        elif name == "UID MOVE":
            uids, folder = re.match(r"UID MOVE ([\d,]+) (.*)", rest).groups()  # type: ignore[union-attr]
            for uid in map(int, uids.split(",")):
                self.mails.pop(uid, None)
                self.moved[uid] = folder.strip('"')
        elif name == "IDLE":
            talk.line("+ idling")
            reader.readline()
        elif name == "LOGOUT":
            talk.line("* BYE")
        talk.line(f"{tag} OK done")
        if name == "LOGOUT":
            raise HangUp

    def found(self, rest: str) -> list[int]:
        match = re.search(r"UID (\d+):\*", rest.removeprefix("UID SEARCH"))
        return [uid for uid in self.mails if match is None or uid >= int(match[1])]

    def fetch(self, talk: Talk, rest: str) -> None:
        uids, items = re.match(r"UID FETCH ([\d,]+) \((.*)\)", rest).groups()  # type: ignore[union-attr]
        for uid in map(int, uids.split(",")):
            mail = self.mails.get(uid)
            if mail is None:
                continue
            if items == "RFC822.SIZE":
                talk.line(f"* {uid} FETCH (UID {uid} RFC822.SIZE {len(mail)})")
                continue
            offset, length = map(int, re.search(r"<(\d+)\.(\d+)>", items).groups())  # type: ignore[union-attr]
            self.body(talk, uid, offset, mail[offset : offset + length])

    @staticmethod
    def body(talk: Talk, uid: int, offset: int, data: bytes) -> None:
        talk.send(f"* {uid} FETCH (UID {uid} BODY[]<{offset}> {{{len(data)}}}\r\n".encode() + data + b")\r\n")


@contextmanager
def scripted(mails: dict[int, bytes] | None = None, **more: Any) -> Iterator[Scripted]:
    """Run a scripted server."""
    script = Scripted(mails=dict(mails or {}), **more)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(HangUp, OSError):
                script.talk(Talk(script, self.request))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        script.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield script
        finally:
            script.stopping.set()
            server.shutdown()
            thread.join()

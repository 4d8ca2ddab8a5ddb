"""Python's ftplib, plain and under TLS: each call that scripts make."""

import contextlib
import ftplib
import io
import os
import re
from collections.abc import Callable

import pytest

from tests.ftp.served import INBOX, PASSWORD, USER, Served
from tests.house import conversions, digest, wait_until

DATA = os.urandom(1_000_000)
Login = Callable[[], contextlib.AbstractContextManager[ftplib.FTP]]


@pytest.fixture(params=["plain", "explicit", "implicit"])
def login(still: Served, request: pytest.FixtureRequest) -> Login:
    """Give a way to log in."""
    if request.param == "plain":
        return still.ftp
    if request.param == "explicit":
        return still.tls
    return lambda: implicit(still)


class Implicit(ftplib.FTP_TLS):
    """ftplib has no implicit TLS; scripts write this."""

    def connect(self, host: str = "", port: int = 0, *_: object) -> str:  # type: ignore[override]
        import socket

        self.host, self.port = host, port
        self.sock = self.context.wrap_socket(socket.create_connection((host, port), 30))
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome


@contextlib.contextmanager
def implicit(door: Served):  # type: ignore[no-untyped-def]
    client = Implicit(timeout=30, context=door.context())
    try:
        client.connect("127.0.0.1", door.implicit_port)
        ftplib.FTP.login(client, USER, PASSWORD)
        client.prot_p()
        yield client
    finally:
        client.close()


def put(client: ftplib.FTP, path: str, data: bytes, rest: int | None = None) -> str:
    return client.storbinary(f"STOR {path}", io.BytesIO(data), rest=rest)


def get(client: ftplib.FTP, path: str, rest: int | None = None) -> bytes:
    pieces: list[bytes] = []
    client.retrbinary(f"RETR {path}", pieces.append, rest=rest)
    return b"".join(pieces)


def test_a_session_of_everything(still: Served, login: Login) -> None:
    name, other = still.name(), still.name()
    with login() as client:
        assert client.pwd() == "/"
        client.cwd(INBOX)
        assert client.pwd() == INBOX
        said = put(client, name, DATA)
        assert re.fullmatch(r"226 stored [0-9A-HJKMNP-TV-Z]{26}", said), said
        assert client.size(name) == len(DATA)
        assert get(client, name) == DATA
        assert get(client, name, 999_000) == DATA[999_000:]
        assert name in client.nlst()
        facts = dict(client.mlsd(facts=["type", "size", "modify"]))
        assert facts[name]["type"] == "file"
        assert facts[name]["size"] == str(len(DATA))
        assert re.fullmatch(r"\d{14}(\.\d+)?", facts[name]["modify"])
        assert facts["results"]["type"] == "dir"
        lines: list[str] = []
        client.dir(lines.append)
        assert [line for line in lines if line.endswith(f" {name}") and f" {len(DATA)} " in line]
        assert client.sendcmd(f"MDTM {name}").startswith("213 20")
        renamed = client.rename(name, other)
        assert re.fullmatch(r"250 stored [0-9A-HJKMNP-TV-Z]{26}", renamed), renamed
        with pytest.raises(ftplib.error_perm, match="550"):
            client.size(name)
        client.delete(other)
        assert other not in client.nlst()
        client.cwd("..")
        assert client.pwd() == "/upload"
        client.cwd("/")
        assert client.quit().startswith("221")


def test_lines_keep_their_ends(still: Served, login: Login) -> None:
    """The contract: TYPE A keeps bytes as sent; ftplib itself writes CRLF."""
    name = still.name()
    with login() as client:
        client.storlines(f"STOR {INBOX}/{name}", io.BytesIO(b"a,b\n1,2\r\n3,4"))
        assert get(client, f"{INBOX}/{name}") == b"a,b\r\n1,2\r\n3,4\r\n"
        lines: list[str] = []
        client.retrlines(f"RETR {INBOX}/{name}", lines.append)
        assert lines == ["a,b", "1,2", "3,4"]


def test_an_abort_leaves_what_can_be_resumed(still: Served, login: Login) -> None:
    name = still.name()
    with login() as client:
        client.voidcmd("TYPE I")
        data = client.transfercmd(f"STOR {INBOX}/{name}")
        data.sendall(DATA[:500_000])
        wait_until(lambda: still.states(name) == ["receiving"])
        client.putcmd("ABOR")
        said = client.getmultiline()
        assert said.startswith("426"), said
        assert client.getmultiline().startswith("226")
        data.close()
        client.voidcmd("NOOP")
        there = client.size(f"{INBOX}/{name}")
        assert there is not None
        assert 0 < there <= 500_000
        assert still.states(name) == ["incomplete"]
        put(client, f"{INBOX}/{name}", DATA[there:], rest=there)
        assert digest(get(client, f"{INBOX}/{name}")) == digest(DATA)


def test_append_unique_and_empty(still: Served, login: Login) -> None:
    name = still.name()
    with login() as client:
        client.cwd(INBOX)
        put(client, name, b"")
        assert client.size(name) == 0
        client.storbinary(f"APPE {name}", io.BytesIO(b"a,b\n"))
        client.storbinary(f"APPE {name}", io.BytesIO(b"1,2\n"))
        assert get(client, name) == b"a,b\n1,2\n"
        before = set(client.nlst())
        client.storbinary("STOU", io.BytesIO(b"one\n"))
        client.storbinary("STOU", io.BytesIO(b"two\n"))
        new = set(client.nlst()) - before
        assert sorted(get(client, one) for one in new) == [b"one\n", b"two\n"]


def test_what_is_refused_is_said_and_the_session_lives(still: Served, login: Login) -> None:
    name = still.name()
    with login() as client:
        for call in (
            lambda: put(client, "/samples/x.csv", b"x"), lambda: put(client, f"/nowhere/{name}", b"x"),
            lambda: client.mkd("/new"), lambda: client.rmd("/samples"), lambda: client.delete("/samples/none"),
            lambda: client.cwd("/nowhere"), lambda: get(client, f"{INBOX}/{name}"),
            lambda: client.rename(f"{INBOX}/{name}", f"{INBOX}/x.csv"), lambda: client.sendcmd("XYZZY"),
        ):  # fmt: skip
            with pytest.raises(ftplib.error_perm):
                call()
        put(client, f"{INBOX}/{name}", b"x")
        assert client.size(f"{INBOX}/{name}") == 1


def test_samples_can_be_read(still: Served, login: Login) -> None:
    with login() as client:
        names = [name for name, facts in client.mlsd("/samples") if facts["type"] == "file"]
        assert names
        assert get(client, f"/samples/{names[0]}")


def test_one_session_uploads_many(still: Served, login: Login) -> None:
    names = [still.name() for _ in range(30)]
    with login() as client:
        for name in names:
            put(client, f"{INBOX}/{name}", name.encode())
        assert set(names) <= {name.rpartition("/")[2] for name in client.nlst(INBOX)}
        assert all(get(client, f"{INBOX}/{name}") == name.encode() for name in names)


@pytest.mark.parametrize("secure", [False, True])
def test_a_file_is_imported_and_its_result_is_read_back(quick: Served, secure: bool) -> None:
    name, data = quick.name(), conversions()
    with (quick.tls if secure else quick.ftp)() as client:
        trace_id = put(client, f"{INBOX}/{name}", data).split()[-1]
        quick.await_result(name)
        assert f"result_{name}.json" in [one.rpartition("/")[2] for one in client.nlst(f"{INBOX}/results")]
        assert trace_id in get(client, f"{INBOX}/results/result_{name}.json").decode()
        client.delete(f"{INBOX}/results/result_{name}.json")
    assert quick.imports(name) == [digest(data)]


def test_a_dry_run_is_answered_and_imports_nothing(quick: Served) -> None:
    name = quick.name()
    with quick.tls() as client:
        put(client, f"{INBOX}/dryrun/{name}", conversions())
    quick.await_result(name)
    assert quick.result(name)["successful_rows"] == 2


def test_one_tenant_sees_nothing_of_another(still: Served) -> None:
    name = still.name()
    with still.ftp() as mine, still.ftp("other", "battery staple") as theirs:
        put(mine, f"{INBOX}/{name}", b"mine")
        assert name not in theirs.nlst(INBOX)
        for call in (theirs.size, theirs.delete, lambda path: get(theirs, path)):
            with pytest.raises(ftplib.error_perm):
                call(f"{INBOX}/{name}")
        put(theirs, f"{INBOX}/{name}", b"theirs")
        assert get(mine, f"{INBOX}/{name}") == b"mine"
        theirs.delete(f"{INBOX}/{name}")

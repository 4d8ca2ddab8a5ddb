"""What a session may do and in which order, and what becomes of an upload that does not end as it should."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mailgate.tls import write_local_certificate
from models.codes import Code
from tests.ftp.support import INBOX, PASSWORD, USER, Client, Door, open_door
from tests.house import eventually
from tests.sftp.double import DoubleFolders, DoubleVisit, DoubleWriter
from transfer.ftp_session import Session
from transfer.ftp_verbs import VERBS
from transfer.view import Begin, NoRoom, Stored

A = f"{INBOX}/a.csv"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path, tls="optional") as opened:
        yield opened


# --- a file is whole, or it is not


async def torn(client: Client, path: str, data: bytes, *before: str) -> str:
    """Upload under TLS and end without close_notify; gives the reply."""
    for line in before:
        assert (await client.ask(line))[0] in "23", line
    reader, writer = await client.data()
    assert (await client.ask(f"STOR {path}")).startswith("150")
    writer.write(data)
    await writer.drain()
    raw = writer.get_extra_info("socket")
    raw.shutdown(socket.SHUT_WR)  # a FIN, and no word of TLS before it
    answer = "\n".join(await client.reply())
    with contextlib.suppress(OSError, ssl.SSLError):
        await reader.read()
    writer.transport.abort()
    return answer


async def test_an_end_without_close_notify_is_no_end_of_the_file(door: Door) -> None:
    client = await door.client()
    answer = await torn(client, A, b"x" * 70_000)
    assert answer.startswith("426 Connection closed: the data connection ended without TLS close_notify. 70000 bytes")
    assert door.folders.events == [("broken off", A)]
    assert await client.ask(f"SIZE {A}") == "213 70000"
    await client.ask("REST 70000")
    assert (await client.store(A, b"y" * 10)).startswith("226 stored")
    assert bytes(door.files[A]) == b"x" * 70_000 + b"y" * 10


async def test_a_size_that_agrees_makes_up_for_it(door: Door) -> None:
    client = await door.client()
    assert (await torn(client, A, b"x" * 70_000, "ALLO 70000")).startswith("226 stored")
    assert (await torn(client, A, b"x" * 70_000, "ALLO 80000")).startswith("426 Connection closed: ALLO announced")
    assert (await torn(client, A, b"x" * 70_000)).startswith("426"), "ALLO is for one upload"


async def test_a_lenient_credential_is_believed(door: Door) -> None:
    text = f'[[account]]\nname = "acme"\n[[credential]]\nname = "acme-batch"\naccount = "acme"\nusername = "{USER}"\n'
    await asyncio.to_thread(door.apply, text + f'password = "{PASSWORD}"\nlenient = true\n')
    client = await door.client()
    assert (await torn(client, A, b"x" * 70_000)).startswith("226 stored")
    assert (await torn(client, A, b"x" * 70_000, "ALLO 80000")).startswith("426")


@pytest.mark.parametrize("tls", [True, False])
async def test_the_end_of_a_dead_client_is_no_end_of_the_file(door: Door, tls: bool) -> None:
    client = await door.client(tls=tls)
    _, writer = await client.data()
    assert (await client.ask(f"STOR {A}")).startswith("150")
    writer.write(b"x" * 1000)
    await writer.drain()
    await client.close()
    writer.close()
    await eventually(lambda: door.folders.events)
    assert door.folders.events == [("broken off", A)]


async def test_the_client_is_asked_for_once_more_when_the_bytes_are_durable(tmp_path: Path) -> None:
    """It may die while they are brought to the disk."""
    client: Client

    class Slow(DoubleFolders):
        async def enter(self, credential: str, *, door: str, peer: str) -> DoubleVisit:
            return SlowVisit(self, self.files.setdefault(credential, {}))

    class SlowVisit(DoubleVisit):
        async def write(self, path: str, begin: Begin) -> DoubleWriter:
            made = await super().write(path, begin)
            return SlowWriter(self, path, made.data, appends=made.appends)

    class SlowWriter(DoubleWriter):
        async def close(self, *, alive: Any = lambda: True) -> Stored:
            assert alive()
            await client.close()
            await eventually(lambda: not alive())
            return await super().close(alive=alive)

    async with open_door(tmp_path, folders=Slow()) as door:
        client = await door.client()
        _, writer = await client.data()
        assert (await client.ask(f"STOR {A}")).startswith("150")
        writer.close()
        await eventually(lambda: door.folders.events)
        assert door.folders.events == [("broken off", A)]


async def test_allo_beyond_the_limit_is_refused_before_a_byte_is_sent(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"max_file_bytes": 1000}) as door:
        client = await door.client()
        await client.ask("ALLO 1001")
        assert (await client.store(A, b"")).startswith("552 FILE_TOO_LARGE")
        assert door.folders.events == []
        await client.ask("ALLO 1000")
        assert (await client.store(A, b"x" * 1000)).startswith("226")


@pytest.mark.parametrize("size", [2_000, 900_000])
async def test_too_large_is_said_when_the_client_has_sent_all(door: Door, size: int) -> None:
    door.folders.most = 1000
    client = await door.client()
    answer = await client.store(A, b"x" * size)
    assert answer.startswith(f"552 {Code.FILE_TOO_LARGE}: over 1,000 bytes")
    assert A not in door.files
    assert (await client.ask("NOOP")).startswith("200")


@pytest.mark.parametrize(
    ("fails", "answer"),
    [
        ("open", "451 this cannot be done now, please try again: the disk is full"),
        ("write", "451 this cannot be done now, please try again: the disk is full"),
        ("close", "451 this cannot be done now, please try again: the disk is full"),
        ("!open", "451 this cannot be done now, please try again"),
        ("!write", "451 this cannot be done now, please try again"),
        ("!close", "451 this cannot be done now, please try again"),
    ],
)
async def test_what_fails_is_said_and_a_secret_is_not(door: Door, fails: str, answer: str) -> None:
    client = await door.client()
    door.folders.fails = fails
    assert await client.store(A, b"x" * 1000) == answer
    door.folders.fails = ""
    assert (await client.store(A, b"x" * 1000)).startswith("226")


async def test_no_room_is_452(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def write(self: DoubleVisit, path: str, begin: Begin) -> DoubleWriter:
        raise NoRoom("no space: try again later")

    monkeypatch.setattr(DoubleVisit, "write", write)
    client = await door.client()
    assert await client.store(A, b"x") == "452 no space: try again later"


# --- resuming


async def test_rest_and_appe(door: Door) -> None:
    client = await door.client()
    await client.store(A, b"0123456789")
    await client.ask("REST 4")
    assert (await client.store(A, b"abc")).startswith("226")
    assert bytes(door.files[A]) == b"0123abc", "what stood behind goes: the file ends where the client ends"
    assert (await client.store(A, b"!", "APPE")).startswith("226")
    await client.ask("REST 2")
    assert await client.fetch(f"RETR {A}") == (b"23abc!", "226 Transfer complete.")
    await client.ask("REST 99")
    assert (await client.store(A, b"x")).startswith("554")
    await client.ask("REST 99")
    assert (await client.fetch(f"RETR {A}"))[1].startswith("554")
    await client.ask("REST 3")
    assert (await client.store(f"{INBOX}/none.csv", b"x")).startswith("550 No such file")
    assert (await client.store(A, b"new")).startswith("226"), "REST is for one transfer"
    assert bytes(door.files[A]) == b"new"


async def test_stou(door: Door) -> None:
    client = await door.client()
    await client.ask(f"CWD {INBOX}")
    await client.store("a.csv", b"1")
    for name in ("a.1.csv", "a.2.csv"):
        assert (await client.store("a.csv", b"2", "STOU")).startswith("226")
        assert client.heard[-2] == f"150 FILE: {name}"
    assert (await client.store("", b"3", "STOU")).startswith("226")
    assert client.heard[-2] == "150 FILE: upload_20261126080000_token.csv"


# --- order


async def test_commands_wait_for_the_transfer_and_keep_their_order(door: Door) -> None:
    client = await door.client()
    _, writer = await client.data()
    for line in (f"STOR {A}", f"SIZE {A}", "TYPE A", f"SIZE {A}", "TYPE I", f"SIZE {A}"):
        client.say(line)
    assert (await client.reply())[0].startswith("150")
    assert (await client.ask("NOOP")).startswith("200"), "it means no file"
    status = await client.ask("STAT")
    assert f" Receiving {A}: 0 bytes so far." in status
    writer.write(b"x" * 10)
    writer.close()
    heard = [(await client.reply())[0][:3] for _ in range(6)]
    assert heard == ["226", "213", "200", "550", "200", "213"]


async def test_a_flood_of_waiting_commands_waits_on_the_wire(door: Door) -> None:
    client = await door.client()
    _, writer = await client.data()
    client.say(f"STOR {A}")
    for _ in range(500):
        client.say("PWD")
    assert (await client.reply())[0].startswith("150")
    writer.close()
    assert (await client.reply())[0].startswith("226")
    for _ in range(500):
        assert (await client.reply())[0].startswith("257")


@pytest.mark.parametrize("abort", [b"ABOR", b"\xff\xf4\xff\xf2ABOR"])
async def test_abor(door: Door, abort: bytes) -> None:
    client = await door.client()
    _, writer = await client.data()
    assert (await client.ask(f"STOR {A}")).startswith("150")
    writer.write(b"x" * 5000)
    await writer.drain()
    while "Receiving" in (status := await client.ask("STAT")) and " 5000 bytes" not in status:
        await asyncio.sleep(0)
    assert (await client.ask(abort)).startswith("426 Connection closed; transfer aborted. 5000 bytes are kept")
    assert (await client.reply())[0].startswith("226")
    assert door.folders.events == [("broken off", A)]
    assert await client.ask(abort) == "225 No transfer to abort."
    writer.close()


async def test_abor_comes_too_late_for_a_file_that_is_being_stored(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    storing, asked, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    close, abort = DoubleWriter.close, Session.abort_transfer

    async def slow(self: DoubleWriter, **options: Any) -> Stored:
        storing.set()
        await go_on.wait()
        return await close(self, **options)

    def note(self: Session) -> bool:
        asked.set()
        return abort(self)

    monkeypatch.setattr(DoubleWriter, "close", slow)
    monkeypatch.setattr(Session, "abort_transfer", note)
    client = await door.client()
    _, writer = await client.data()
    assert (await client.ask(f"STOR {A}")).startswith("150")
    writer.close()
    await storing.wait()
    client.say("ABOR")
    await asked.wait()
    go_on.set()
    heard = [(await client.reply())[0] for _ in range(2)]
    assert heard[0].startswith("226 stored")
    assert heard[1] == "226 Nothing left to abort."
    assert door.folders.events == [("closed", A)]


async def test_quit_waits_for_the_transfer(door: Door) -> None:
    client = await door.client()
    _, writer = await client.data()
    assert (await client.ask(f"STOR {A}")).startswith("150")
    assert (await client.ask("QUIT")).startswith("221")
    client.say("DELE /samples/conversions.csv")
    writer.write(b"x")
    writer.close()
    assert (await client.reply())[0].startswith("226 stored")
    assert await client.reply() == []
    assert "/samples/conversions.csv" in door.files


async def test_rein_lets_the_transfer_end_and_forgets_the_login(door: Door) -> None:
    client = await door.client()
    _, writer = await client.data()
    assert (await client.ask(f"STOR {A}")).startswith("150")
    assert (await client.ask("REIN")).startswith("230")
    assert (await client.ask("PWD")).startswith("530")
    writer.close()
    assert (await client.reply())[0].startswith("226 stored")
    assert (await client.ask(f"SIZE {A}")).startswith("530")
    await eventually(lambda: door.folders.visits == 0)


# --- logins and TLS


async def test_bytes_behind_auth_end_the_session(door: Door) -> None:
    client = await door.client(tls=False, login=False)
    client.writer.write(b"AUTH TLS\r\nUSER acme\r\n")
    assert (await client.reply())[0].startswith("421 Bytes came behind AUTH")
    assert await client.reply() == []


async def test_what_was_said_before_tls_does_not_count(door: Door) -> None:
    client = await door.client(tls=False)
    await client.begin_tls()
    assert (await client.ask("PWD")).startswith("530")


async def test_files_and_listings_need_protection_where_tls_is_required(tmp_path: Path) -> None:
    async with open_door(tmp_path) as door:
        client = await door.client()
        assert (await client.ask("PROT C")).startswith("534")
    async with open_door(tmp_path / "2") as door:
        client = await door.client(login=False)
        await client.ask(f"USER {USER}")
        await client.ask(f"PASS {PASSWORD}")
        for command in (f"STOR {A}", "LIST", f"RETR {A}", "MLSD"):
            await client.passive()
            assert (await client.ask(command)).startswith("521")
        assert door.folders.events == []


async def test_the_certificate_is_read_anew(door: Door) -> None:
    async def shown() -> bytes:
        client = await door.client(login=False)
        seen = client.writer.get_extra_info("ssl_object").getpeercert(True)
        await client.close()
        assert isinstance(seen, bytes)
        return seen

    first = await shown()
    assert await shown() == first
    key = door.settings.key_path
    await asyncio.to_thread(write_local_certificate, door.certificate, key, "new.example")
    second = await shown()
    assert second != first
    sound = door.certificate.read_bytes()
    door.certificate.write_text("half a certificate")
    client = await door.client(tls=False, login=False)
    assert (await client.ask("AUTH TLS")).startswith("234"), "the former one stays"
    door.certificate.write_bytes(sound)
    assert await shown() == second


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_session_of_the_control_connection_is_taken_up(door: Door, version: ssl.TLSVersion) -> None:
    def talk() -> list[bool]:
        import ftplib

        class Reusing(ftplib.FTP_TLS):
            def ntransfercmd(self, cmd: str, rest: Any = None) -> Any:
                conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
                conn = self.context.wrap_socket(conn, server_hostname="localhost", session=self.sock.session)  # type: ignore[union-attr]
                reused.append(bool(conn.session_reused))
                return conn, size

        reused: list[bool] = []
        context = door.context()
        context.maximum_version = version
        with Reusing(context=context) as client:
            client.connect("localhost", door.port)
            client.login(USER, PASSWORD)
            client.prot_p()
            for _ in range(3):
                client.retrlines("LIST", lambda line: None)
        return reused

    assert await asyncio.to_thread(talk) == [True] * 3


async def test_implicit_tls(tmp_path: Path) -> None:
    async with open_door(tmp_path, implicit=True) as door:
        client = await door.client(implicit=True)
        assert (await client.store(A, b"x")).startswith("226")
        assert (await client.ask("AUTH TLS")).startswith("503")
        silent = await asyncio.open_connection("127.0.0.1", door.implicit_port)
        silent[1].write(b"USER acme\r\n")
        assert b"220" not in await silent[0].read()


async def test_a_ban_says_421(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"login_points": 2, "login_ban_points": 4}) as door:
        for expected in ("530", "421"):
            client = await door.client(login=False)
            await client.ask(f"USER {USER}")
            assert (await client.ask("PASS wrong")).startswith(expected)
        client = await door.client(login=False)
        await client.ask(f"USER {USER}")
        assert (await client.ask(f"PASS {PASSWORD}")).startswith("421 Too many failed logins from your address")
        assert await client.reply() == []


async def test_wrong_passwords_end_the_connection(door: Door) -> None:
    client = await door.client(login=False)
    for expected in ("530", "530", "530"):
        await client.ask(f"USER {USER}")
        assert (await client.ask("PASS wrong")).startswith(expected)
    assert await client.reply() == []


async def test_a_login_has_so_many_connections(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"ftp_connections_per_credential": 1}) as door:
        first = await door.client()
        second = await door.client(login=False)
        await second.ask(f"USER {USER}")
        assert (await second.ask(f"PASS {PASSWORD}")).startswith("421 At most 1 connections")
        await first.ask("REIN")
        await door.client()


# --- time


async def test_who_does_not_log_in_must_go(tmp_path: Path) -> None:
    async with open_door(tmp_path, implicit=True, limits={"ftp_login_time": "1s"}) as door:
        client = await door.client(login=False)
        silent = await asyncio.open_connection("127.0.0.1", door.implicit_port)  # and shakes no hands
        assert (await client.reply())[0] == "421 The login took too long."
        assert await client.reply() == []
        assert await silent[0].read() == b""


async def test_who_is_silent_must_go(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"ftp_idle": "1s"}) as door:
        client = await door.client()
        assert (await client.reply())[0] == "421 Silent for too long."


async def test_data_connections_that_do_not_come_or_do_not_move(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"ftp_data_wait": "1s", "ftp_data_idle": "1s"}) as door:
        client = await door.client()
        port = await client.passive()
        assert (await client.ask(f"STOR {A}")).startswith("150")
        assert (await client.reply())[0].startswith("425 Can't open the data connection: nobody connected")
        assert door.folders.events.pop() == ("broken off", A)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        _, writer = await client.data()
        assert (await client.ask(f"STOR {A}")).startswith("150")
        assert (await client.reply())[0].startswith("426 Connection closed: nothing came for 1 seconds.")
        writer.transport.abort()
        assert (await client.ask("NOOP")).startswith("200")
        port = await client.passive()
        await eventually(lambda: _is_shut(port), 5)


def _is_shut(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_slow_transfer_is_ended(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"ftp_minimum_rate": 10_000, "ftp_rate_window": "1s"}) as door:
        client = await door.client()
        _, writer = await client.data()
        assert (await client.ask(f"STOR {A}")).startswith("150")
        ended = asyncio.ensure_future(client.reply())
        while not ended.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert (await ended)[0].startswith("426 Connection closed: the transfer is too slow.")
        writer.transport.abort()


async def test_who_reads_slowly_gets_all_and_who_does_not_read_is_cut(tmp_path: Path) -> None:
    """One block takes longer than nothing may move."""
    async with open_door(tmp_path, tls="optional", limits={"ftp_data_idle": "1s"}) as door:
        door.files[A] = bytearray(8_000_000)  # more than the sockets hold
        client = await door.client(tls=False)
        for reads in (True, False):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)  # else the kernel reads for us
            sock.connect(("127.0.0.1", await client.passive()))
            reader, writer = await asyncio.open_connection(sock=sock)
            assert (await client.ask(f"RETR {A}")).startswith("150")
            got = 0
            while reads and (some := await reader.read(30_000)):
                got += len(some)
                if got < 750_000:
                    await asyncio.sleep(0.1)
            assert (await client.reply())[0][:3] == ("226" if reads else "426")
            assert got == (8_000_000 if reads else 0)
            writer.transport.abort()


# --- strangers


async def test_a_stranger_at_the_passive_port_is_dropped_and_the_client_served(door: Door) -> None:
    door.files[A] = bytearray(b"secret")
    client = await door.client(tls=False)
    port = await client.passive()
    thief, thiefs = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.9", 0))
    assert await thief.read() == b""
    thiefs.close()
    reader, writer = await client.connect(port)
    assert (await client.ask(f"RETR {A}")).startswith("150")
    assert await reader.read() == b"secret"
    writer.close()
    assert (await client.reply())[0].startswith("226")
    with pytest.raises(ConnectionRefusedError):
        await client.connect(port)


async def test_a_port_takes_one_connection(door: Door) -> None:
    client = await door.client(tls=False)
    port = await client.passive()
    _, writer = await client.connect(port)
    await eventually(lambda: _is_shut(port))
    writer.close()


async def test_pasv_tells_the_public_address_and_a_port_of_the_range(tmp_path: Path) -> None:
    async with open_door(tmp_path, public_address="198.51.100.7", passive_ports="21700-21719") as door:
        client = await door.client()
        seen = set()
        for _ in range(15):
            answer = await client.ask("PASV")
            assert answer.startswith("227 Entering passive mode (198,51,100,7,84,"), answer
            seen.add(answer)
        assert len(seen) > 3, "random, not one after the other"


async def test_active_mode_is_off(door: Door) -> None:
    client = await door.client()
    assert (await client.ask("PORT 127,0,0,1,200,1")).startswith("502")
    assert (await client.ask("EPRT |1|127.0.0.1|51201|")).startswith("502")
    assert "EPRT" not in await client.ask("FEAT")


# --- whatever is said


ODD = [
    "",
    "x",
    "-1",
    "/",
    "..",
    "a\rb",
    "a\x07b",
    "é" * 300,
    "\u202ex",
    "*",
    "?",
    '"',
    "%s%n",
    "|||",
    "1,2,3,4,5,6",
    "A" * 4000,
]


async def test_every_verb_answers_whatever_stands_behind_it(door: Door) -> None:
    client = await door.client()
    for verb in sorted(VERBS):
        if verb in ("QUIT", "REIN", "AUTH", "USER", "PASS"):
            continue
        for odd in ODD:
            answer = await client.ask(f"{verb} {odd}".rstrip(" ") if not odd else f"{verb} {odd}")
            assert answer[:3].isdecimal(), (verb, odd, answer)
            assert not answer.startswith("451"), (verb, odd, answer)
            while answer.startswith("150"):
                answer = (await client.reply())[0]
        await client.ask("ABOR")
    assert (await client.ask("NOOP")).startswith("200")


async def test_a_name_cannot_add_a_line_to_a_reply(door: Door) -> None:
    client = await door.client()
    assert await client.ask("CWD a\r226 stored X") == ("550 No such file or directory: there is no /a\\r226 stored X")


# --- the end


async def test_closing_says_goodbye_and_lets_an_upload_end(tmp_path: Path) -> None:
    async with open_door(tmp_path) as door:
        idle, busy = await door.client(), await door.client()
        _, writer = await busy.data()
        assert (await busy.ask(f"STOR {A}")).startswith("150")
        closing = asyncio.ensure_future(door.ftp.close())
        assert (await idle.reply())[0] == "421 Closing for now, please come back."
        assert not closing.done()
        writer.write(b"x")
        writer.close()
        assert (await busy.reply())[0].startswith("226 stored")
        assert (await busy.reply())[0].startswith("421")
        await closing
        assert door.folders.visits == 0

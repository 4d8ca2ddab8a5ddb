"""What no honest client does, spoken on the wire: odd channels, too many of everything, silence, hang-ups."""

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import String, UInt32, UInt64

from tests.house import eventually
from tests.sftp.double import TREE
from tests.sftp.support import INBOX, PASSWORD, USER, Door, keys_once, open_door

CORPORA = Path(__file__).parents[3] / "shared" / "corpora" / "names"


async def connect(door: Door, **options: Any) -> asyncssh.SSHClientConnection:
    login = {"username": USER, "client_keys": [str(keys_once() / "ed25519")], **options}
    return await asyncssh.connect("127.0.0.1", door.port, known_hosts=None, config=None, **login)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as opened:
        yield opened


@contextlib.asynccontextmanager
async def session(door: Door, **options: Any) -> AsyncIterator[asyncssh.SFTPClient]:
    async with await connect(door, **options) as connection, connection.start_sftp_client() as client:
        yield client


# --- what may be opened


@pytest.mark.parametrize(
    "kind", ["x11", "direct-tcpip", "forwarded-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com",
             "auth-agent@openssh.com", "session-but-not", "forwarded-streamlocal@openssh.com"],
)  # fmt: skip
async def test_other_channels_are_refused(door: Door, kind: str) -> None:
    async with await connect(door) as connection:
        channel = asyncssh.SSHClientChannel(connection, connection._loop, "strict", None, "strict", 65536, 32768)
        where = String("127.0.0.1") + UInt32(22)
        with pytest.raises(asyncssh.ChannelOpenError):
            await channel._open(kind.encode(), where, where)


@pytest.mark.parametrize(
    "request_", [b"shell", b"exec", b"subsystem", b"pty-req", b"x11-req", b"auth-agent-req@openssh.com", b"env"]
)
async def test_other_requests_are_refused(door: Door, request_: bytes) -> None:
    string, number = String, UInt32
    more = {
        b"shell": b"", b"exec": string("scp -t ."), b"subsystem": string("netconf"), b"env": string("A") + string("b"),
        b"pty-req": string("vt100") + number(80) + number(24) + number(0) + number(0) + string(b"\0"),
        b"x11-req": b"\0" + string("MIT-MAGIC-COOKIE-1") + string("00" * 16) + number(0),
        b"auth-agent-req@openssh.com": b"",
    }[request_]  # fmt: skip
    async with await connect(door) as connection:
        channel = asyncssh.SSHClientChannel(connection, connection._loop, "strict", None, "strict", 65536, 32768)
        channel._session = asyncssh.SSHClientSession()
        packet = await channel._open(b"session")
        packet.check_end()
        assert await channel._make_request(request_, more) is False


async def test_global_forwarding_is_refused(door: Door) -> None:
    async with await connect(door) as connection:
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1)


# --- what is offered


async def test_the_ciphers_are_fast_ones_where_the_client_has_them(door: Door) -> None:
    async with await connect(door, encryption_algs=["aes256-ctr", "aes128-gcm@openssh.com"]) as connection:
        assert connection.get_extra_info("recv_cipher") == "aes128-gcm@openssh.com"
    async with await connect(door, encryption_algs=["aes256-ctr"]) as connection:
        assert connection.get_extra_info("recv_cipher") == "aes256-ctr"
    with pytest.raises(asyncssh.KeyExchangeFailed):
        await connect(door, encryption_algs=["aes128-cbc"])


@pytest.mark.parametrize(
    "weak",
    [
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"kex_algs": ["diffie-hellman-group-exchange-sha256"]},
        {"mac_algs": ["hmac-sha1"], "encryption_algs": ["aes128-ctr"]},
        {"server_host_key_algs": ["ssh-rsa"]},
        {"compression_algs": ["zlib@openssh.com"]},
    ],
)
async def test_weak_algorithms_are_not_offered(door: Door, weak: dict[str, Any]) -> None:
    with pytest.raises(asyncssh.KeyExchangeFailed):
        await connect(door, **weak)


async def test_a_client_that_waits_for_our_offer_gets_it(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    assert await reader.readline() == b"SSH-2.0-mailgate\r\n"
    writer.write(b"SSH-2.0-patient\r\n")
    offer = await reader.readexactly(200)
    assert b"mlkem768x25519-sha256,curve25519-sha256" in offer or b"curve25519-sha256" in offer
    writer.close()


async def test_an_auditor_finds_no_failure_outside_the_nist_curves(door: Door) -> None:
    audit = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ssh_audit", "--json", "--skip-rate-test", "-p", str(door.port), "127.0.0.1",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await audit.communicate()
    report = json.loads(output)
    assert report["banner"]["raw"] == "SSH-2.0-mailgate"
    failed = {
        entry["algorithm"]
        for kind in ("kex", "key", "enc", "mac")
        for entry in report[kind]
        if entry.get("notes", {}).get("fail")
    }
    assert {name for name in failed if "nistp" not in name} == set()
    assert {entry["algorithm"] for entry in report["key"]} == {"ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512"}
    assert report["cves"] == []


# --- how often, how many, how long


async def test_a_connection_is_cut_at_six_failures(door: Door) -> None:
    tried = 0

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            nonlocal tried
            tried += 1
            return f"guess {tried}"

    with pytest.raises(asyncssh.DisconnectError, match="too many failed logins"):
        await asyncssh.connect(
            "127.0.0.1", door.port, known_hosts=None, config=None, username=USER, client_keys=None,
            client_factory=Guesser, preferred_auth="password",
        )  # fmt: skip
    assert tried == 6


async def test_keys_that_do_not_fit_are_cut_too(door: Door) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(10)]
    with pytest.raises(asyncssh.DisconnectError, match="too many failed logins"):
        await connect(door, client_keys=keys)
    async with session(door, client_keys=[*keys[:5], str(keys_once() / "ed25519")]) as client:
        assert await client.realpath(".") == "/"


async def test_a_ban_stops_passwords_and_no_key(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"login_ban_points": 14}) as door:
        for _ in range(7):
            with pytest.raises(asyncssh.PermissionDenied):
                await connect(door, client_keys=None, password="wrong")
        with pytest.raises(asyncssh.PermissionDenied):
            await connect(door, client_keys=None, password=PASSWORD)
        async with session(door) as client:
            assert await client.listdir("/") == [".", "..", "samples", "upload"]


async def test_unauthenticated_connections_are_few_and_the_greedy_make_room(tmp_path: Path) -> None:
    limits = {"sftp_unauthenticated": 5, "sftp_unauthenticated_per_address": 5}
    async with open_door(tmp_path, limits=limits) as door:
        silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(5)]
        for reader, _ in silent:
            assert (await reader.readline()).startswith(b"SSH-2.0-")
        with pytest.raises((asyncssh.DisconnectError, OSError)):
            await connect(door)
        async with session(door, local_addr=("127.0.0.9", 0)) as client:  # from another address
            assert await client.realpath(".") == "/"
        assert await silent[0][0].read() != b"", "the oldest of the greedy address heard why"
        for _, writer in silent:
            writer.close()


async def test_a_login_has_its_time(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"sftp_login_time": "1s"}) as door:
        reader, _writer = await asyncio.open_connection("127.0.0.1", door.port)
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"SSH-2.0-")


async def test_sessions_handles_and_connections_have_a_number(tmp_path: Path) -> None:
    limits = {"sftp_channels": 2, "sftp_handles": 3, "sftp_connections_per_credential": 2}
    async with open_door(tmp_path, limits=limits) as door, await connect(door) as connection:
        async with connection.start_sftp_client() as one, connection.start_sftp_client():
            with pytest.raises(asyncssh.ChannelOpenError, match="at most 2 sessions"):
                await connection.start_sftp_client()
            files = [await one.open(f"{INBOX}/{n}.csv", "wb") for n in range(3)]
            for call in (one.open(f"{INBOX}/x.csv", "wb"), one.listdir("/")):
                with pytest.raises(asyncssh.SFTPFailure, match="at most 3 files"):
                    await call
            await files[0].close()
            await one.listdir("/")
        async with session(door):
            with pytest.raises((asyncssh.Error, OSError)):
                async with session(door):
                    pass
        async with session(door) as again:
            assert await again.realpath(".") == "/"


async def test_who_is_silent_has_to_leave_and_its_upload_is_broken_off(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits={"sftp_idle": "1s"}) as door, await connect(door) as connection:
        client = await connection.start_sftp_client()
        file = await client.open(f"{INBOX}/a.csv", "wb")
        await file.write(b"half")
        async with asyncio.timeout(10):
            await connection.wait_closed()
        await eventually(lambda: door.folders.events)
        assert door.folders.events == [("broken off", f"{INBOX}/a.csv")]


async def test_a_revoked_login_ends_its_sessions(door: Door) -> None:
    from datetime import UTC, datetime

    from storage.ledger.credentials import revoke

    async with await connect(door) as mine, await connect(door, username="other", client_keys=None,
                                                          password="battery staple") as other:  # fmt: skip
        await door.house.ledger.write(revoke, "acme-batch", datetime.now(UTC))
        async with asyncio.timeout(10):
            await mine.wait_closed()
        client = await other.start_sftp_client()
        assert await client.realpath(".") == "/"
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(door)


async def test_the_door_closes_in_order(tmp_path: Path) -> None:
    async with open_door(tmp_path) as door, await connect(door) as busy, await connect(door) as idle:
        client = await busy.start_sftp_client()
        file = await client.open(f"{INBOX}/a.csv", "wb")
        await file.write(b"whole")
        closing = asyncio.create_task(door.sftp.close())
        async with asyncio.timeout(10):
            await idle.wait_closed()
            await file.close()  # an upload under way may finish
            await busy.wait_closed()
            await closing
        with pytest.raises(OSError, match="Connect"):
            await connect(door)
        assert door.folders.events == [("closed", f"{INBOX}/a.csv")]


# --- slow readers, floods, nonsense


async def test_a_client_that_does_not_read_fills_no_memory(door: Door) -> None:
    door.files[f"{INBOX}/big.csv"] = bytearray(50_000_000)
    async with await connect(door, window=0x7FFFFFFF) as connection:
        client = await connection.start_sftp_client()
        file = await client.open(f"{INBOX}/big.csv", "rb")
        assert connection._transport is not None
        connection._transport.pause_reading()
        handler: Any = client._handler
        before = door.sftp._company.visitors.copy()
        for number in range(400):
            handler.send_packet(
                5, None, UInt32(number), String(file._handle),
                UInt64(0), UInt32(4_000_000),
            )  # fmt: skip
        (guest,) = before
        served: Any = guest._connection

        def waiting() -> int:
            buffered = sum(len(channel._send_buf and b"".join(bytes(one[0]) for one in channel._send_buf))
                           for channel in served._channels.values())  # fmt: skip
            return buffered + int(served._transport.get_write_buffer_size())

        await eventually(lambda: not served._writable.is_set() or waiting() > 1_000_000)
        for _ in range(50):
            await asyncio.sleep(0)
        assert waiting() < 4_000_000
        connection.abort()
    await eventually(lambda: door.folders.visits == 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\x01", b"\x00\x04\x10\x00" + b"x" * 1000,
        b"\x00\x00\x00\x05\x01\x00\x00\x00\x03" + b"\x00\x00\x00\x01\x05",
        b"\x00\x00\x00\x05\x01\x00\x00\x00\x03" + b"\x00\x00\x00\x09\x04\x00\x00\x00\x01\xff\xff\xff\xff",
        b"\x00\x00\x00\x05\x01\x00\x00\x00\x03" + b"\xff\xff\xff\xff",
    ],
)  # fmt: skip
async def test_nonsense_ends_or_is_answered_and_the_door_goes_on(door: Door, sent: bytes) -> None:
    async with await connect(door) as connection:
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(20):
            await reader.read()
    await eventually(lambda: door.folders.visits == 0)
    async with session(door) as client:
        assert await client.realpath(".") == "/"


async def test_unknown_calls_and_a_wrong_handle_are_answered(door: Door) -> None:
    async with session(door) as client:
        handler: Any = client._handler
        with pytest.raises(asyncssh.SFTPOpUnsupported):
            await handler._make_request(99, b"")
        with pytest.raises(asyncssh.SFTPError, match="handle"):
            await handler._make_request(4, String(b"none"))
        with pytest.raises(asyncssh.SFTPBadMessage):
            await handler._make_request(17, b"")
        limits = client.limits
        assert (limits.max_read_len, limits.max_write_len) == (261_120, 261_120)


async def test_a_listing_does_not_change_while_it_is_read(door: Door) -> None:
    async with session(door) as client:
        for number in range(250):
            door.files[f"{INBOX}/f{number:03}.csv"] = bytearray()
        handler: Any = client._handler
        handle = await handler.opendir(INBOX.encode())
        names, _ = await handler.readdir(handle)
        door.files.clear()
        with contextlib.suppress(asyncssh.SFTPEOFError):
            while True:
                more, _ = await handler.readdir(handle)
                names += more
        assert len({name.filename for name in names}) == 250 + 4


# --- cuts


@pytest.mark.parametrize("how", ["rst", "fin", "kill"])
@pytest.mark.parametrize("percent", [0, 1, 50, 99, 100])
async def test_a_cut_upload_is_not_taken_and_a_resumed_one_is_whole(door: Door, how: str, percent: int) -> None:
    data = os.urandom(300_000)
    part = data[: len(data) * percent // 100]
    if how == "kill":
        await _upload_and_be_killed(door, part)
    else:
        connection = await connect(door)
        client = await connection.start_sftp_client()
        file = await client.open(f"{INBOX}/a.csv", "wb")
        await file.write(part)
        sock: Any = connection.get_extra_info("socket")
        if how == "rst":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection._transport.abort()  # type: ignore[union-attr]
    await eventually(lambda: door.folders.events)
    assert door.folders.events == [("broken off", f"{INBOX}/a.csv")]
    assert door.files[f"{INBOX}/a.csv"] == part
    async with session(door) as client:
        size = (await client.stat(f"{INBOX}/a.csv")).size
        async with client.open(f"{INBOX}/a.csv", asyncssh.FXF_WRITE | asyncssh.FXF_CREAT, encoding=None) as file:
            assert size is not None
            await file.write(data[size:], size)
    assert door.files[f"{INBOX}/a.csv"] == data
    assert door.folders.of("closed") == [f"{INBOX}/a.csv"]


async def _upload_and_be_killed(door: Door, part: bytes) -> None:
    local = door.local("part", part)
    script = (
        "import sys, paramiko, os, signal\n"
        f"t = paramiko.Transport(('127.0.0.1', {door.port})); t.connect(username={USER!r}, password={PASSWORD!r})\n"
        f"f = paramiko.SFTPClient.from_transport(t).open({INBOX + '/a.csv'!r}, 'w', bufsize=0)\n"
        f"f.write(open({str(local)!r}, 'rb').read())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await client.wait() == -9


# --- names


def _names() -> list[str]:
    names = [line for line in (CORPORA / "traversal.txt").read_text(errors="surrogateescape").splitlines() if line]
    return names + json.loads((CORPORA / "naughty-strings.json").read_text())


async def test_odd_names_lead_nowhere_and_every_refusal_has_a_reason(door: Door) -> None:
    if not CORPORA.is_dir():
        pytest.skip(f"no collection of names at {CORPORA}")
    reasons: dict[bytes, str] = {}
    async with session(door) as client:
        for name in _names():
            raw = name.encode("utf-8", "surrogateescape")
            for path in {raw, INBOX.encode() + b"/" + raw}:
                try:
                    async with client.open(path, "wb") as file:
                        await file.write(b"x")
                except asyncssh.SFTPError as error:
                    reasons[path] = error.reason
    assert len(reasons) > 1000
    assert {path: why for path, why in reasons.items() if not re.search(r"\w{2,} \w", why)} == {}
    for path in door.files:
        assert path.rpartition("/")[0] in TREE, path
    own = {entry.name for entry in (door.house.settings.data_dir).iterdir()}
    assert (
        not own
        - {"blobs", "spool", "outbox", "keys", "uploads", "service.lock"}
        - {name for name in own if name.startswith("mailgate.sqlite3")}
    )


# --- the names that are asyncssh's own


def test_the_private_names_of_asyncssh_that_the_door_uses() -> None:
    import inspect

    from asyncssh.connection import SSHConnection, SSHServerConnection
    from asyncssh.sftp import SFTPServerHandler
    from asyncssh.stream import SSHServerStreamSession

    for name in (
        "_cleanup", "_process_packet", "_process_open", "_process_opendir", "_process_readdir", "_process_limits",
        "_packet_handlers", "_extensions", "_get_next_handle",
    ):  # fmt: skip
        assert hasattr(SFTPServerHandler, name), name
    source = inspect.getsource(SFTPServerHandler.__init__)
    assert "self._file_handles" in source
    assert "self._dir_handles" in source
    for name in ("_send", "_force_close", "_send_kexinit", "_process_kexinit", "_packet_handlers", "send_packet",
                 "_update_recv_pktlen", "send_userauth_failure", "pause_writing", "resume_writing"):  # fmt: skip
        assert hasattr(SSHServerConnection, name), name
    source = inspect.getsource(SSHConnection.__init__) + inspect.getsource(SSHServerConnection.__init__)
    for name in ("_enc_algs", "_protocol_factory", "_transport", "_window", "_max_pktsize"):
        assert f"self.{name}" in source, name
    assert "await self._cleanup" in inspect.getsource(SFTPServerHandler.recv_packets)
    channel = list(inspect.signature(asyncssh.SSHServerChannel.__init__).parameters)
    assert channel == [
        "self", "conn", "loop", "allow_pty", "line_editor", "line_echo", "line_history", "max_line_length",
        "encoding", "errors", "window", "max_pktsize",
    ]  # fmt: skip
    assert hasattr(asyncssh.SSHServerChannel, "_process_env_request")
    assert issubclass(SSHServerStreamSession, asyncssh.SSHServerSession)
    assert "MSG_IGNORE" in inspect.getsource(SSHConnection.send_packet)

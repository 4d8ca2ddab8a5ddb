"""The SFTP door behind a balancer: who is recorded, limited and banned is the client that its PROXY header names."""

import contextlib
import socket
from collections.abc import Iterator

import paramiko
import pytest

from tests.house import wait_until
from tests.sftp.support import INBOX, PASSWORD, USER, Door, door_in_thread
from tests.smtp.test_proxied import LOCAL, v1, v2

PROXY = "127.0.0.2"
LIMITS = {
    "proxy_header_time": "1s", "login_ban_points": 4, "login_guard_points": 1_000_000,
    "sftp_connections_per_address": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door that lets the balancer at 127.0.0.2 speak for its clients."""
    folder = tmp_path_factory.mktemp("door")
    with door_in_thread(folder, limits=LIMITS, sftp={"proxy_protocol_from": [f"{PROXY}/32"]}) as opened:
        yield opened


def connect(door: Door, before: bytes, source: str = PROXY) -> paramiko.Transport:
    """Connect through the balancer, without a login."""
    raw = socket.create_connection(("127.0.0.1", door.port), 30, source_address=(source, 0))
    raw.sendall(before)
    return paramiko.Transport(raw)


def logs_in(door: Door, before: bytes, password: str = PASSWORD, source: str = PROXY) -> bool:
    transport = connect(door, before, source)
    try:
        transport.connect(username=USER, password=password)
    except paramiko.AuthenticationException:
        return False
    finally:
        transport.close()
    return True


@pytest.mark.parametrize("header", [v1("192.0.2.1"), v1("2001:db8::1"), v2("192.0.2.1"), LOCAL])
def test_a_file_comes_in_and_its_client_is_named(door: Door, header: bytes) -> None:
    transport = connect(door, header)
    transport.connect(username=USER, password=PASSWORD)
    client = paramiko.SFTPClient.from_transport(transport)
    assert client is not None
    with client.open(f"{INBOX}/Conversions_2026_a.csv", "w") as file:
        file.write(b"a\n")
    transport.close()
    named = "2001:db8::1" if b"2001" in header else PROXY if header == LOCAL else "192.0.2.1"
    assert door.folders.peers[-1] == named


def refused_by_name(door: Door, header: bytes) -> bool:
    """Tell whether a login is refused; one that finds the places of earlier ones still taken says nothing."""
    try:
        return not logs_in(door, header)
    except paramiko.SSHException:
        return False


def test_a_ban_and_a_limit_are_the_clients(door: Door) -> None:
    assert not any(logs_in(door, v1("192.0.2.66"), "wrong") for _ in range(2))
    wait_until(lambda: refused_by_name(door, v2("192.0.2.66")))  # banned
    assert logs_in(door, v1("192.0.2.67"))
    assert logs_in(door, LOCAL)
    assert logs_in(door, b"", source="127.0.0.1")
    inside = [connect(door, v1("192.0.2.68")) for _ in range(2)]
    for one in inside:
        one.connect(username=USER, password=PASSWORD)
    with pytest.raises((paramiko.SSHException, EOFError, ConnectionError)):
        logs_in(door, v1("192.0.2.68"))
    assert logs_in(door, v1("192.0.2.69"))
    for one in inside:
        one.close()


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"PROXY TCP4 nonsense\r\n", b""])
def test_a_balancer_without_a_header_is_dropped(door: Door, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", door.port), 30, source_address=(PROXY, 0)) as raw:
        raw.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(100) == b""  # not even our version line


def test_from_anybody_else_no_header_is_read(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port), 30) as raw:
        raw.sendall(v1("192.0.2.1"))
        assert raw.recv(8) == b"SSH-2.0-"


def test_who_is_one_too_many_hears_why(door: Door) -> None:
    """Said before the key exchange, and understood by OpenSSH."""
    inside = [connect(door, b"", source="127.0.0.1") for _ in range(2)]
    for one in inside:
        one.connect(username=USER, password=PASSWORD)
    said = door.batch("ls", ok=False)
    assert said.returncode != 0
    assert "too many connections from your address" in said.stderr
    for one in inside:
        one.close()

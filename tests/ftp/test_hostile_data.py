"""Strangers on the passive port, and a server that is asked to connect elsewhere (threat T15)."""

import contextlib
import os
import random
import socket
from collections.abc import Callable

import pytest

from tests.ftp.raw import Raw, cut, drain, finish, reset
from tests.ftp.served import INBOX, Served
from tests.house import digest

THIEF = "127.0.0.9"
DATA = os.urandom(200_000)


def steal(port: int, *, sends: bytes = b"") -> bytes:
    """Connect as a stranger, send what is to be smuggled in, and give what was served."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(THIEF, 0)) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(sends)
                sock.shutdown(socket.SHUT_WR)
            return drain(sock)
    except OSError:
        return b""


def linger(port: int) -> socket.socket:
    """Connect as a stranger and stay."""
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(THIEF, 0))


def good_upload(raw: Raw, port: int, path: str) -> None:
    data = raw.connect(port)
    raw.must(f"STOR {path}", "150")
    data = raw.context.wrap_socket(data) if raw.secured else data
    data.sendall(DATA)
    finish(data)
    raw.must_hear("226 stored")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("rounds", [10])
def test_a_thief_before_the_client_gets_nothing(still: Served, tls: bool, rounds: int) -> None:
    with still.raw(tls=tls) as raw:
        path = f"{INBOX}/{still.name()}"
        good_upload(raw, raw.passive(), path)
        for number in range(rounds):
            port = raw.passive("PASV" if number % 2 else "EPSV")
            early = linger(port)
            data = raw.connect(port)
            raw.must(f"RETR {path}", "150")
            data = raw.context.wrap_socket(data) if tls else data
            assert digest(drain(data)) == digest(DATA)
            finish(data)
            raw.must_hear("226")
            assert drain(early) == b""
            early.close()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_a_thief_smuggles_nothing_in(still: Served, tls: bool, begun: bool) -> None:
    with still.raw(tls=tls) as raw:
        for number in range(10):
            name = still.name()
            port = raw.passive("PASV" if number % 2 else "EPSV")
            if begun:  # the command waits for its data connection when the thief comes
                raw.send(f"STOR {INBOX}/{name}\r\n".encode())
                assert steal(port, sends=b"a,b\n9,9\n") == b""
                data = raw.connect(port)
                raw.must_hear("150")
                data = raw.context.wrap_socket(data) if tls else data
                data.sendall(DATA)
                finish(data)
                raw.must_hear("226 stored")
            else:
                assert steal(port, sends=b"a,b\n9,9\n") == b""
                good_upload(raw, port, f"{INBOX}/{name}")
            assert digest(still.read(name)) == digest(DATA)


def test_a_thief_behind_the_client_finds_the_port_closed(still: Served) -> None:
    with still.raw() as raw:
        for number in range(10):
            name = still.name()
            port = raw.passive("PASV" if number % 2 else "EPSV")
            data = raw.connect(port)
            assert steal(port, sends=b"x") == b""
            raw.must(f"STOR {INBOX}/{name}", "150")
            assert steal(port, sends=b"x") == b""
            data.sendall(DATA)
            assert steal(port, sends=b"x") == b""
            finish(data)
            raw.must_hear("226 stored")
            with pytest.raises(ConnectionRefusedError):
                linger(port).close()
            assert digest(still.read(name)) == digest(DATA)


def test_a_crowd_of_thieves_keeps_nobody_out(still: Served) -> None:
    with still.raw() as raw:
        name = still.name()
        port = raw.passive()
        with contextlib.ExitStack() as crowd:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    crowd.enter_context(linger(port))
            good_upload(raw, port, f"{INBOX}/{name}")
        assert digest(still.read(name)) == digest(DATA)


def test_a_thief_who_logged_in_elsewhere_gets_nothing(still: Served) -> None:
    """The address counts, and so does the session: another session's port serves its own file only."""
    with still.raw() as raw, still.raw(source=THIEF) as other:
        name, path = still.name(), f"{INBOX}/{still.name()}"
        good_upload(raw, raw.passive(), path)
        port = raw.passive()
        theirs = other.passive()
        assert port != theirs
        assert steal(port) == b""
        other.connect(theirs).close()
        good_upload(raw, port, f"{INBOX}/{name}")


def test_one_port_to_a_transfer_and_none_left(still: Served) -> None:
    with still.raw() as raw:
        first = raw.passive("PASV")
        second = raw.passive("EPSV")  # the next one closes the first
        assert {first, second} <= set(still.passive_ports)
        with pytest.raises(ConnectionRefusedError):
            raw.connect(first)
        raw.must("ABOR", "225")
        with pytest.raises(ConnectionRefusedError):
            raw.connect(second)
        third = raw.passive()
        raw.must("QUIT", "221")
        assert raw.at_end()
        with pytest.raises(ConnectionRefusedError):
            raw.connect(third)


def test_a_port_is_closed_when_its_session_dies(still: Served) -> None:
    with still.raw() as raw:
        port = raw.passive()
        reset(raw.sock)
        for _ in range(1000):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                    assert drain(sock) == b""
            except ConnectionRefusedError:
                return
        raise AssertionError("the port of a dead session stays open")


def test_a_full_range_of_ports_is_said_and_passes(active: Served) -> None:
    """More sessions wait than there are ports: the last ones hear so, and get one when others are done."""
    with contextlib.ExitStack() as stack:
        waiting: list[Raw] = []
        said = ""
        for _ in range(len(active.passive_ports) + 1):
            raw = stack.enter_context(active.raw())
            waiting.append(raw)
            said = raw.ask("EPSV")
            if not said.startswith("229"):
                break
        assert said[:3] in ("425", "421"), said
        waiting[0].must("ABOR", "225")
        name = active.name()
        good_upload(waiting[-1], waiting[-1].passive(), f"{INBOX}/{name}")


# --- active mode


BOUNCES = [
    "PORT 127,0,0,9,200,1", "PORT 10,0,0,1,200,1", "PORT 0,0,0,0,200,1", "PORT 255,255,255,255,200,1",
    "PORT 127,0,0,1,0,25", "PORT 127,0,0,1,3,255", "PORT 127,0,0,1,0,0", "PORT 127,0,0,1,256,1", "PORT 1,2,3",
    "PORT 127,0,0,1,-1,80", "EPRT |1|127.0.0.9|40000|", "EPRT |1|127.0.0.1|25|", "EPRT |1|127.0.0.1|1023|",
    "EPRT |1|127.0.0.1|0|", "EPRT |1|127.0.0.1|65536|", "EPRT |2|::1|40000|", "EPRT |2|::ffff:127.0.0.9|40000|",
    "EPRT |1|localhost|40000|", "EPRT |1|0x7f000001|40000|", "EPRT |1|127.1|40000|", "EPRT |1|2130706433|40000|",
    "EPRT nonsense",
]  # fmt: skip


def test_no_bounce(active: Served) -> None:
    with active.raw() as raw:
        for command in BOUNCES:
            raw.must(command, "5")
            said = raw.ask("LIST")
            assert said.startswith("425"), f"{command} leaves no address behind: {said}"


@pytest.mark.parametrize("command", ["PORT 127,0,0,1,200,1", "EPRT |1|127.0.0.1|51201|", *BOUNCES[:3]])
def test_active_mode_is_off_unless_set(still: Served, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, still.raw() as raw:
        port = listener.getsockname()[1]
        raw.must(f"EPRT |1|127.0.0.1|{port}|", "5")
        raw.must(command, "5")
        assert raw.ask("LIST").startswith("425")
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()
        raw.must("NOOP")


@pytest.mark.parametrize("word", ["PORT", "EPRT"])
@pytest.mark.parametrize("tls", [False, True])
def test_active_mode_goes_to_its_own_client(active: Served, word: str, tls: bool) -> None:
    name = active.name()
    with socket.create_server(("127.0.0.1", 0)) as listener, active.raw(tls=tls) as raw:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        where = f"PORT 127,0,0,1,{port // 256},{port % 256}" if word == "PORT" else f"EPRT |1|127.0.0.1|{port}|"
        raw.must(where)
        raw.send(f"STOR {INBOX}/{name}\r\n".encode())
        data, _ = listener.accept()
        raw.must_hear("150")
        data = raw.context.wrap_socket(data) if tls else data
        data.sendall(DATA)
        finish(data)
        raw.must_hear("226 stored")
        assert raw.ask("LIST").startswith("425"), "an address is for one transfer"
    assert digest(active.read(name)) == digest(DATA)


def test_an_active_client_that_does_not_listen(active: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with active.raw() as raw:
        raw.must(f"PORT 127,0,0,1,{port // 256},{port % 256}")
        said = raw.ask("LIST")
        if said.startswith("150"):
            said = raw.reply()
        assert said.startswith("425"), said
        raw.must("NOOP")


# --- a transfer that is no transfer


@pytest.mark.parametrize("end", [cut, reset, finish], ids=lambda one: one.__name__)
def test_a_data_connection_that_comes_and_goes(still: Served, end: Callable[[socket.socket], None]) -> None:
    """The client leaves the port before it says what it wants."""
    with still.raw() as raw:
        for _ in range(5):
            data = raw.connect(raw.passive())
            end(data)
            said = raw.ask("LIST")
            if said.startswith("1"):
                said = raw.reply()
            assert said[:3] in ("226", "425", "426", "450", "451"), said
        raw.must("NOOP")


def test_garbage_instead_of_a_tls_handshake_on_the_data_connection(still: Served) -> None:
    with still.raw(tls=True) as raw:
        for number in range(5):
            name = still.name()
            data = raw.connect(raw.passive())
            raw.send(f"STOR {INBOX}/{name}\r\n".encode())
            with contextlib.suppress(OSError):
                data.sendall(random.Random(number).randbytes(2000))
                data.shutdown(socket.SHUT_WR)
            said = raw.reply()
            if said.startswith("1"):
                said = raw.reply()
            assert said[:3] in ("425", "426", "450", "451", "522", "535"), said
            drain(data)
            data.close()
            raw.must("NOOP")
            assert "settling" not in still.states(name)


def test_a_protected_session_takes_no_bytes_in_the_clear(still: Served) -> None:
    name = still.name()
    with still.raw(tls=True) as raw:
        data = raw.connect(raw.passive())
        raw.send(f"STOR {INBOX}/{name}\r\n".encode())
        with contextlib.suppress(OSError):
            data.sendall(b"a,b\n1,2\n")
            data.shutdown(socket.SHUT_WR)
        said = raw.reply()
        said = raw.reply() if said.startswith("1") else said
        assert said.startswith(("4", "5")), said
        data.close()
    assert "settling" not in still.states(name)

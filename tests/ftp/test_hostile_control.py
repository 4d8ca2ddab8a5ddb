"""What arrives on the control connection when nobody means well: injection, floods, silence, odd bytes (T16, T17)."""

import contextlib
import ftplib
import os
import socket
import ssl
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailgate.tls import write_local_certificate
from tests.ftp.raw import Gone, Raw, drain, finish
from tests.ftp.served import INBOX, PASSWORD, USER, Served
from tests.house import digest, wait_until

DATA = os.urandom(100_000)


def upload(raw: Raw, path: str, data: bytes = DATA) -> None:
    sock = raw.begin(f"STOR {path}")
    sock.sendall(data)
    finish(sock)
    raw.must_hear("226 stored")


# --- TLS


INJECTED = [b"NOOP\r\n", b"USER acme\r\nPASS correct horse\r\n", b"\r\n", b"x", b"FEAT\r\n" * 50]


@pytest.mark.parametrize("behind", INJECTED)
def test_bytes_behind_auth_end_the_session(still: Served, behind: bytes) -> None:
    """Whatever stands in the clear behind AUTH was put there by someone in the middle (CVE-2011-0411 and its kin)."""
    with still.raw(login=False) as raw:
        raw.send(b"AUTH TLS\r\n" + behind)
        heard = raw.to_the_end()
        assert not {line[:3] for line in heard.split(b"\r\n")} - {b"", b"234", b"421", b"500", b"501", b"503"}, heard


def test_bytes_that_come_while_auth_is_answered_are_not_obeyed(still: Served) -> None:
    with still.raw(login=False) as raw:
        raw.must("AUTH TLS", "234")
        raw.send(b"USER acme\r\n")  # in the clear, where a handshake should be
        assert b"331" not in raw.to_the_end()


@pytest.mark.parametrize("command", ["USER acme", "PASS correct horse", "LIST", "PASV", "STOR x", "REIN"])
def test_nothing_of_a_login_is_taken_in_the_clear(strict: Served, command: str) -> None:
    with strict.raw(login=False) as raw:
        said = raw.ask(command)
        assert said.startswith(("5", "4")), said
        raw.must("PASS correct horse", "5")
        raw.must("AUTH TLS", "234")


def test_a_client_that_asks_first_sends_no_password(strict: Served) -> None:
    with pytest.raises(ftplib.error_perm), strict.ftp():
        pass


def test_data_in_the_clear_is_refused_where_tls_is_required(strict: Served) -> None:
    with strict.raw(login=False) as raw:
        raw.must("AUTH TLS", "234")
        raw.sock = raw.context.wrap_socket(raw.plain)
        raw.log_in(USER, PASSWORD)
        raw.must("PBSZ 0")
        said = raw.ask("PROT C")
        if said.startswith("2"):
            port = raw.passive()
            with contextlib.suppress(OSError):
                raw.connect(port).close()
            assert raw.ask("LIST").startswith("5")
        else:
            assert said[:3] in ("534", "536", "504", "521", "550"), said
        raw.must("CCC", "5")


def test_tls_is_modern_and_its_session_may_be_used_again(strict: Served) -> None:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = strict.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = version
            context.maximum_version = version
        with strict.raw(login=False) as raw:
            raw.must("AUTH TLS", "234")
            with pytest.raises((ssl.SSLError, OSError)):
                context.wrap_socket(raw.plain)
    context = strict.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Raw(strict.port, context) as raw:
        raw.secure()
        raw.log_in(USER, PASSWORD)
        data = raw.connect(raw.passive())
        raw.must("LIST", "150")
        assert isinstance(raw.sock, ssl.SSLSocket)
        again = context.wrap_socket(data, session=raw.sock.session)
        drain(again)
        assert again.session_reused
        raw.must_hear("226")


def test_the_implicit_port_says_nothing_in_the_clear(still: Served) -> None:
    with socket.create_connection(("127.0.0.1", still.implicit_port), timeout=10) as sock:
        sock.sendall(b"USER acme\r\nPASS correct horse\r\n")
        assert b"220" not in drain(sock)


def test_a_new_certificate_is_used_without_a_restart(active: Served) -> None:
    def shown() -> bytes | None:
        loose = ssl.create_default_context()
        loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", active.implicit_port), timeout=10) as sock, \
                loose.wrap_socket(sock) as secured:  # fmt: skip
            return secured.getpeercert(binary_form=True)

    before = shown()
    with active.tls() as client:
        write_local_certificate(active.certificate, active.certificate.with_suffix(".key"), "renewed.localhost")
        wait_until(lambda: shown() != before)
        assert client.voidcmd("NOOP").startswith("2")
    with active.tls() as client:
        assert client.pwd() == "/"


# --- lines


def test_a_line_without_end_is_not_kept(still: Served) -> None:
    with still.raw() as raw:
        before = resident_bytes(still)
        with contextlib.suppress(OSError):
            raw.send(b"NOOP ")
            for _ in range(500):
                raw.send(b"A" * 65536)
        assert {reply[:3] for reply in raw.rest()} <= {"500", "421"}
        assert resident_bytes(still) - before < 15_000_000


def resident_bytes(door: Served) -> int:
    pages = int(Path(f"/proc/{door.service.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("length", [500, 1000, 4000])
def test_a_long_line_is_refused_and_the_session_goes_on_or_ends(still: Served, length: int) -> None:
    with still.raw() as raw:
        raw.send(b"STOR " + b"a" * length + b"\r\n")
        said = raw.reply()
        assert said.startswith(("5", "4")), said
        with contextlib.suppress(Gone, OSError):
            raw.must("NOOP")


ODD = [
    b"\x00", b"STOR a\x00b.csv", b"STOR a\rb.csv", b"\r", b"STOR \xff\xf4\xff\xf2a.csv", b"\xff\xf4\xff\xf2NOOP",
    b"\xff\xfb\x01", b"STOR \xff\xfe\xfd.csv", b"STOR a\tb.csv", b"STOR a\x1b[2Jb.csv", b"STOR", b"STOR ", b" ",
    b"STOR  ", b"\xf0\x9f\x92\xa9", b"USER", b"PASS", b"PORT", b"OPTS", b"SITE", b"REST", b"MODE", b"STRU", b"TYPE",
    b"REST 99999999999999999999999999", b"REST -1", b"REST 1e3", b"ALLO -1", b"ALLO x", b"ALLO 99999999999999999999",
    b"SIZE", b"MDTM", b"MFMT 1", b"MFMT x y", b"OPTS UTF8", b"OPTS MLST type;", b"EPSV 9", b"EPSV x", b"PROT X",
    b"PBSZ x", b"STAT \x00", b"LIST \x00", b"NLST ../../../..", b"HELP \x00", b"AUTH NONSENSE", b"RNTO x", b"%s%n%x",
    b"STOU \x00", b"APPE \x00", b"DELE \x00", b"CWD \x00", b"MKD \x00", b"MLSD \x00", b"MLST \x00",
]  # fmt: skip


def test_odd_lines_are_answered_once_and_the_session_goes_on(still: Served) -> None:
    before = set(still.names())
    with still.raw() as raw:
        for line in ODD:
            raw.send(line + b"\r\n")
            raw.send(b"NOOP\r\n")
            said = raw.reply()
            assert said[:1] in "2345", (line, said)
            assert raw.reply().startswith("2"), line
            raw.ask("CWD /")
    assert set(still.names()) - before == set()


def test_bare_line_feeds_and_one_byte_at_a_time(still: Served) -> None:
    with still.raw() as raw:
        raw.send(b"NOOP\n")
        raw.must_hear("2")
        for byte in b"noop\r\n":
            raw.send(bytes([byte]))
        raw.must_hear("2")


def test_pipelined_commands_are_answered_in_their_order(still: Served) -> None:
    with still.raw() as raw:
        raw.send(b"PWD\r\nNOOP\r\nCWD /samples\r\nPWD\r\nXYZZY\r\nTYPE I\r\nSYST\r\n" * 20)
        said = [raw.reply()[:3] for _ in range(140)]
        assert said[:7] == ["257", said[1], "250", "257", said[4], "200", "215"]
        assert said[1].startswith("2")
        assert said[4].startswith("5")
        assert said[7:14] == said[:7]


def test_commands_behind_a_transfer_wait_for_it(still: Served) -> None:
    name, other = still.name(), still.name()
    with still.raw() as raw:
        data = raw.connect(raw.passive())
        raw.send(
            f"STOR {INBOX}/{name}\r\nRNFR {INBOX}/{name}\r\nRNTO {INBOX}/{other}\r\nSIZE {INBOX}/{other}\r\n".encode()
        )
        raw.must_hear("150")
        data.sendall(DATA)
        finish(data)
        raw.must_hear("226 stored")
        raw.must_hear("350")
        raw.must_hear("250 stored")
        raw.must_hear(f"213 {len(DATA)}")
    assert digest(still.read(other)) == digest(DATA)


def test_a_flood_of_commands_fills_no_memory(still: Served) -> None:
    """A client that reads no reply is no longer read either."""
    with still.raw() as raw:
        raw.sock.settimeout(1)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 100_000_000:
                raw.send(b"HELP\r\n" * 10_000)
                sent += 60_000
        assert sent < 100_000_000, "it took everything"
    with still.ftp() as client:
        assert client.pwd() == "/"


# --- time: each of these waits for a limit, and all wait at once


def silence_before_the_login_ends(strict: Served) -> None:
    with strict.raw(login=False) as raw:
        assert {reply[:3] for reply in raw.rest()} <= {"421"}


def dripping_bytes_before_the_login_ends_too(strict: Served) -> None:
    def drip() -> None:
        for _ in range(1500):
            raw.send(b"N")
            time.sleep(0.02)  # a client that is slow on purpose

    with strict.raw(login=False) as raw, pytest.raises(ConnectionError):
        drip()


def a_handshake_that_does_not_come_ends(strict: Served) -> None:
    with strict.raw(login=False) as raw:
        raw.must("AUTH TLS", "234")
        raw.to_the_end()
    with socket.create_connection(("127.0.0.1", strict.implicit_port), timeout=20) as sock:
        assert b"220" not in drain(sock)


def silence_in_a_session_ends_and_says_why(strict: Served) -> None:
    with strict.raw(tls=True) as raw:
        assert [reply[:3] for reply in raw.rest()] == ["421"]


def a_data_connection_that_does_not_come(strict: Served) -> None:
    with strict.raw(tls=True) as raw:
        raw.passive()
        said = raw.ask("LIST")
        said = raw.reply() if said.startswith("1") else said
        assert said.startswith("425"), said
        raw.must("NOOP")


def a_data_connection_without_its_handshake(strict: Served) -> None:
    with strict.raw(tls=True) as raw:
        data = raw.connect(raw.passive())
        said = raw.ask("LIST")
        said = raw.reply() if said.startswith("1") else said
        assert said[:3] in ("425", "426", "522"), said
        assert drain(data) is not None
        raw.must("NOOP")


def an_upload_that_stands_still_is_broken_off(strict: Served) -> None:
    name = strict.name()
    with strict.raw(tls=True) as raw:
        data = raw.begin(f"STOR {INBOX}/{name}")
        data.sendall(DATA)
        said = raw.reply()
        assert said[:3] in ("426", "421", "451"), said
        data.close()
    wait_until(lambda: strict.states(name) == ["incomplete"])


def a_download_that_nobody_reads_ends(strict: Served) -> None:
    name = strict.name()
    with strict.raw(tls=True) as raw:
        upload(raw, f"{INBOX}/{name}", os.urandom(30_000_000))
    with strict.raw(tls=True) as raw:
        data = raw.begin(f"RETR {INBOX}/{name}")
        said = raw.reply()
        assert said[:3] in ("426", "421"), said
        data.close()


def a_long_transfer_outlives_the_idle_time(strict: Served) -> None:
    """Silence on the control connection is no silence while bytes move."""
    name = strict.name()
    with strict.raw(tls=True) as raw:
        data = raw.begin(f"STOR {INBOX}/{name}")
        end = time.monotonic() + 6
        sent = 0
        while time.monotonic() < end:
            data.sendall(b"x" * 5000)
            sent += 5000
            time.sleep(0.1)
        finish(data)
        raw.must_hear("226 stored")
        assert raw.ask(f"SIZE {INBOX}/{name}") == f"213 {sent}"


SILENCES = [
    silence_before_the_login_ends, dripping_bytes_before_the_login_ends_too, a_handshake_that_does_not_come_ends,
    silence_in_a_session_ends_and_says_why, a_data_connection_that_does_not_come,
    a_data_connection_without_its_handshake, an_upload_that_stands_still_is_broken_off,
    a_download_that_nobody_reads_ends, a_long_transfer_outlives_the_idle_time,
]  # fmt: skip


def test_every_kind_of_silence_ends_and_says_why(strict: Served) -> None:
    with ThreadPoolExecutor(len(SILENCES)) as threads:
        running = {one.__name__: threads.submit(one, strict) for one in SILENCES}
    for name, done in running.items():
        error = done.exception()
        assert error is None, f"{name}: {error!r}"


def test_what_is_too_large_is_said_and_not_kept(strict: Served) -> None:
    names = [strict.name(), strict.name()]
    with strict.raw(tls=True) as raw:
        raw.ask("ALLO 40000001")
        sock = raw.begin_or_none(f"STOR {INBOX}/{names[0]}")
        assert sock is None
        raw.must("ALLO 4")
        sock = raw.begin(f"STOR {INBOX}/{names[1]}")
        with contextlib.suppress(OSError):
            sock.sendall(bytes(40_000_001))
            finish(sock)
        raw.must_hear("552")
        raw.must("NOOP")
        for name in names:
            raw.must(f"SIZE {INBOX}/{name}", "550")


def test_the_public_address_is_told_to_those_behind_nat(strict: Served) -> None:
    with strict.raw(tls=True) as raw:
        raw.must("PASV", "227 Entering passive mode (203,0,113,7,")
        assert raw.passive("EPSV") in strict.passive_ports


# --- how many


def test_three_hundred_idle_ones_beside_a_good_client(still: Served) -> None:
    """Those that are silent before the login are few per address and cost the others nothing."""
    before = descriptors(still)
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection(("127.0.0.1", still.port), 5, ("127.0.0.7", 0)))
        for _ in range(5):
            with still.raw() as raw:
                upload(raw, f"{INBOX}/{still.name()}")
        some = [stack.enter_context(still.raw()) for _ in range(50)]
        with still.raw() as raw:
            upload(raw, f"{INBOX}/{still.name()}")
        assert all(one.ask("NOOP").startswith("2") for one in some)
    wait_until(lambda: descriptors(still) <= before + 5)


def descriptors(door: Served) -> int:
    return len(os.listdir(f"/proc/{door.service.process.pid}/fd"))


def test_wrong_passwords_are_few_to_a_connection(still: Served) -> None:
    with still.raw(login=False) as raw:
        tried = 0
        with contextlib.suppress(Gone, OSError):
            while tried < 50:
                raw.ask(f"USER {USER}")
                raw.ask("PASS wrong")
                tried += 1
        assert 1 <= tried <= 10


def test_an_unknown_user_is_asked_for_a_password_all_the_same(still: Served) -> None:
    with still.raw(login=False) as raw:
        known = raw.ask(f"USER {USER}")
        wrong = raw.ask("PASS wrong")
        unknown = raw.ask("USER nobody")
        assert known.replace(USER, "nobody") == unknown
        assert raw.ask("PASS wrong") == wrong

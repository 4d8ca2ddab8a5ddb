"""The SMTP door behind a balancer that says in a PROXY header whom it passes on: its word counts, nobody else's."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailgate.authenticity import Checker
from mailgate.listening import listener
from mailgate.listening.header import SIGNATURE
from tests.authenticity.support import Zone
from tests.house import ADDRESS, SENDER, Inside, conversions, inside, mail
from tests.smtp.test_logins import CONNECTIONS as WITH_LOGINS
from tests.smtp.test_logins import GOOD, INVALID
from tests.smtp.wire import Wire, free_port, wire

NAME = "Conversions_2026_a.csv"
PROXY = "127.0.0.2"
PASSED = b"Authentication-Results: mx.acme-relay.example; dmarc=pass header.from=acme.example\r\n"
RECORDS: dict[tuple[str, str], Any] = {("acme.example", "TXT"): "v=spf1 ip4:192.0.2.1 -all"}


def v1(client: str) -> bytes:
    kind = "TCP6" if ":" in client else "TCP4"
    return f"PROXY {kind} {client} {'::1' if ':' in client else '127.0.0.1'} 40000 25\r\n".encode()


def v2(client: str, *, more: bytes = b"") -> bytes:
    body = socket.inet_aton(client) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40000, 25) + more
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(body)) + body


LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)


def options(**more: Any) -> dict[str, Any]:
    return {
        "tls_port": free_port(), "lmtp_port": free_port(), "proxy_protocol_from": [f"{PROXY}/32", "::1/128"],
        "trusted_proxies": ["192.0.2.99/32"], "trusted_authserv": ["mx.acme-relay.example"], **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A house that lets the balancer at 127.0.0.2 speak for its clients, at three ports."""
    folder = tmp_path_factory.mktemp("house")
    limits = {"proxy_header_time": "1s"}
    with inside(folder, senders=Checker(Zone(RECORDS)), smtp=options(), limits=limits) as opened:
        yield opened


def delivered(client: Wire, raw: bytes | None = None) -> str:
    """Deliver a mail; gives its trace id."""
    (answer,) = client.deliver_each(raw or mail([(NAME, conversions())]), [ADDRESS])
    assert answer.startswith("250 2.0.0 accepted "), answer
    return answer.rpartition(" ")[2]


def peer_of(house: Inside, trace_id: str) -> str:
    ((peer,),) = house.rows("select peer from delivery where trace_id = ?", trace_id)
    return str(peer)


# --- who is recorded


@pytest.mark.parametrize("door", ["smtp", "smtps", "lmtp"])
@pytest.mark.parametrize("header", [v1("192.0.2.1"), v1("2001:db8::1"), v2("192.0.2.1", more=b"\x04\x00\x02ab")])
def test_the_client_is_the_one_that_the_balancer_names(house: Inside, door: str, header: bytes) -> None:
    hello = "LHLO" if door == "lmtp" else "EHLO"
    with wire(house.ports[door], source=PROXY, tls=door == "smtps", hello=hello, before=header) as client:
        trace_id = delivered(client)
    assert peer_of(house, trace_id) == ("2001:db8::1" if b"2001" in header else "192.0.2.1")


def test_the_client_is_the_same_behind_starttls(house: Inside) -> None:
    with wire(house.port, source=PROXY, before=v2("192.0.2.1")) as client:
        client.start_tls()
        client.say("EHLO client.acme.example")
        trace_id = delivered(client)
    assert peer_of(house, trace_id) == "192.0.2.1"
    assert house.detail(trace_id)["authenticity"]["spf"] == "pass"  # asked about the client, not the balancer


def test_a_header_in_pieces_and_the_first_commands_behind_it(house: Inside) -> None:
    with wire(house.port, source=PROXY, greet=False, before=v1("192.0.2.7")[:9]) as client:
        for byte in v1("192.0.2.7")[9:]:
            client.send(bytes([byte]))
        client.send(b"EHLO client.acme.example\r\nNOOP\r\n")
        assert [client.reply()[:4] for _ in range(3)] == ["220 ", "250-", "250 "]
        assert peer_of(house, delivered(client)) == "192.0.2.7"


def test_a_mail_server_of_ours_behind_the_balancer_is_trusted_as_itself(house: Inside) -> None:
    for client_address, trusted in {"192.0.2.99": "mx.acme-relay.example", "192.0.2.98": None}.items():
        with wire(house.port, source=PROXY, before=v1(client_address)) as client:
            known = house.detail(delivered(client, PASSED + mail([(NAME, conversions())])))["authenticity"]
        assert (trusted is not None) == (known["spf"] == "none"), known


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)])
def test_a_balancer_that_speaks_for_itself_is_itself(house: Inside, header: bytes) -> None:
    with wire(house.port, source=PROXY, before=header) as client:
        assert peer_of(house, delivered(client)) == PROXY


# --- who may not say so


@pytest.mark.parametrize("header", [v1("192.0.2.1"), v2("192.0.2.1")])
def test_from_anybody_else_no_header_is_read(house: Inside, header: bytes) -> None:
    with wire(house.port, greet=False, before=header) as client:
        assert client.reply().startswith("220 ")
        for word in ("500 ", "500 ", "500 ", "221 ") if header[:1] == b"\r" else ("500 ",):
            assert client.reply().startswith(
                word
            )  # to us these are commands: one in the signature of version 2 is QUIT
    with wire(house.port) as client:
        assert peer_of(house, delivered(client)) == "127.0.0.1"


@pytest.mark.parametrize("door", ["smtp", "smtps", "lmtp"])
@pytest.mark.parametrize(
    "said", [b"EHLO client.acme.example\r\n", b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\x00\xa5", b""]
)
def test_a_balancer_without_a_header_is_dropped(house: Inside, door: str, said: bytes) -> None:
    with wire(house.ports[door], source=PROXY, greet=False, before=said) as client:
        assert client.reply() == ""  # not even a greeting; one that is silent has a second here


def test_a_header_that_never_ends_is_dropped(house: Inside) -> None:
    for said in (v1("192.0.2.1")[:-1], v2("192.0.2.1")[:-1], SIGNATURE + b"\x21\x11\xff\xff" + bytes(3000)):
        with wire(house.port, source=PROXY, greet=False, before=said) as client:
            assert client.reply() == ""


def test_connections_without_a_header_are_few(house: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_WITHOUT_HEADER", 2)
    silent = [Wire(house.port, source=PROXY) for _ in range(2)]
    try:
        # Which of the three is dropped at once is theirs to race for; all are gone when the second is over.
        with wire(house.port, source=PROXY, greet=False) as over:
            assert over.reply() == ""
        assert all(one.reply() == "" for one in silent)
    finally:
        for one in silent:
            one.hang_up()
    with wire(house.port, source=PROXY, before=v1("192.0.2.1")) as client:
        assert client.say("NOOP").startswith("250 ")


def test_a_door_closes_while_a_header_is_missing(tmp_path: Path) -> None:
    with inside(tmp_path / "house", smtp=options()) as house:
        silent = Wire(house.port, source=PROXY)
    assert silent.reply() == ""
    silent.hang_up()


# --- limits and bans


def test_the_limit_of_one_address_is_the_clients(tmp_path: Path) -> None:
    limits = {"smtp_connections_per_address": 1}
    with inside(tmp_path / "house", smtp=options(), limits=limits) as house:
        for door, net in {"smtp": "192.0.2", "smtps": "198.51.100"}.items():
            port, tls = house.ports[door], door == "smtps"
            with wire(port, source=PROXY, tls=tls, before=v1(f"{net}.1")) as first:
                over = Wire(port, source=PROXY, before=v1(f"{net}.1"))
                assert over.reply() == ("" if tls else "421 4.7.0 too many connections, please try again later")
                over.hang_up()
                with wire(port, source=PROXY, tls=tls, before=v1(f"{net}.2")) as other:
                    assert other.say("NOOP").startswith("250 ")
                assert first.say("NOOP").startswith("250 ")


def test_a_ban_is_the_clients_and_never_the_balancers(tmp_path: Path) -> None:
    limits = {"login_delay": "0s", "login_ban_points": 4, "login_guard_points": 1_000_000}
    with inside(tmp_path / "house", WITH_LOGINS, smtp=options(), limits=limits) as house:
        port = house.ports["smtps"]

        def said(header: bytes, password: str) -> str:
            with wire(port, source=PROXY, tls=True, before=header) as client:
                return client.log_in("acme", password)

        assert [said(v1("192.0.2.1"), "wrong") for _ in range(2)] == [INVALID] * 2
        assert said(v1("192.0.2.1"), "correct horse") == INVALID  # banned
        assert said(v2("192.0.2.1"), "correct horse") == INVALID
        assert said(v1("192.0.2.2"), "correct horse") == GOOD
        assert said(LOCAL, "correct horse") == GOOD
        with wire(port, tls=True) as client:
            assert client.log_in("acme", "correct horse") == GOOD
        # Whom the balancer does not name is the balancer, which may earn a ban of its own: no client feels it.
        assert [said(LOCAL, "wrong") for _ in range(2)] == [INVALID] * 2
        assert said(LOCAL, "correct horse") == INVALID
        assert said(v1("192.0.2.2"), "correct horse") == GOOD


def test_a_client_that_is_named_only_by_the_header_of_a_stranger_is_not_banned(tmp_path: Path) -> None:
    limits = {"login_delay": "0s", "login_ban_points": 2, "login_guard_points": 1_000_000}
    with inside(tmp_path / "house", WITH_LOGINS, smtp=options(), limits=limits) as house:
        with wire(house.port, greet=False, before=v1("192.0.2.5")) as stranger:
            assert [stranger.reply()[:3] for _ in range(2)] == ["220", "500"]
            stranger.say("EHLO client.acme.example")
            stranger.start_tls()
            stranger.say("EHLO client.acme.example")
            assert stranger.log_in("acme", "wrong") == INVALID
        with wire(house.ports["smtps"], source=PROXY, tls=True, before=v1("192.0.2.5")) as client:
            assert client.log_in("acme", "correct horse") == GOOD
            assert client.say(f"MAIL FROM:<{SENDER}>").startswith("250 ")

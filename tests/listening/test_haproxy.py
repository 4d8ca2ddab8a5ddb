"""The running service behind a real balancer: at every door the client is recorded, and it alone is banned."""

import contextlib
import smtplib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import paramiko
import pytest

from tests.house import (
    ADDRESS,
    CONNECTION,
    SENDER,
    RunningService,
    conversions,
    digest,
    mail,
    running_service,
    wait_until,
)
from tests.listening.haproxy import SOURCE, Haproxy, Passed, haproxy
from tests.proofs.needs import need
from tests.smtp.wire import anyone, free_port

NAME = "Conversions_2026_a.csv"
CONNECTIONS = (
    CONNECTION.replace('return_address = "batch@acme.example"', 'username = "acme"\npassword = "correct horse"')
    + """
[[connection]]
name = "acme-files"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "Conversions_*.csv"
credential = "acme-batch"
folder = "/upload/conversions"
completion = "settle"
settle_seconds = 0
"""
)
SMTP_CHECK = "option smtpchk EHLO balancer.acme.example"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A service and the balancer before it."""

    service: RunningService
    balancer: Haproxy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service whose four doors stand behind a balancer, some with each version of the header."""
    need("haproxy")
    folder = tmp_path_factory.mktemp("balancer")
    variables = {
        "SMTP__TLS_PORT": str(free_port()), "SMTP__LMTP_PORT": str(free_port()),
        "SMTP__PROXY_PROTOCOL_FROM": f'["{SOURCE}"]', "SFTP__PROXY_PROTOCOL_FROM": f'["{SOURCE}"]',
        "LIMITS__LOGIN_DELAY": "0s",
    }  # fmt: skip
    with running_service(tmp_path_factory.mktemp("service"), CONNECTIONS, **variables) as service:
        to = service.ports
        doors = {
            "smtp1": Passed(target=to["smtp"], sends="send-proxy", check=SMTP_CHECK),
            "smtp2": Passed(target=to["smtp"], check=SMTP_CHECK),
            "crc": Passed(target=to["smtp"], sends="send-proxy-v2 proxy-v2-options crc32c,unique-id"),
            "smtps1": Passed(target=to["smtps"], sends="send-proxy"),
            "smtps2": Passed(target=to["smtps"]),
            "lmtp1": Passed(target=to["lmtp"], sends="send-proxy"),
            "lmtp2": Passed(target=to["lmtp"]),
            "sftp1": Passed(target=to["sftp"], sends="send-proxy"),
            "sftp2": Passed(target=to["sftp"]),
            "none": Passed(target=to["smtp"], sends=""),
        }
        with haproxy(folder, doors) as balancer:
            yield Site(service=service, balancer=balancer)


def peers(site: Site, content: bytes) -> list[tuple[str, str]]:
    """Give doors and peers of the deliveries that brought a content."""
    return site.service.rows(
        "select d.door, d.peer from delivery d join upload u using (trace_id) where u.sha256 = ?", digest(content)
    )


@pytest.mark.parametrize("door", ["smtp1", "smtp2", "crc", "smtps1", "smtps2", "lmtp1", "lmtp2"])
def test_the_client_of_a_mail_is_recorded(site: Site, door: str) -> None:
    content = conversions()
    port, source = site.balancer.ports[door], ("127.0.0.5", 0)
    if door.startswith("smtps"):
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, timeout=30, source_address=source, context=anyone())
    elif door.startswith("lmtp"):
        client = smtplib.LMTP("127.0.0.1", port, timeout=30, source_address=source)
    else:
        client = smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=source)
    with client:
        if door == "smtp2":
            client.starttls(context=anyone())
        assert client.sendmail(SENDER, [ADDRESS], mail([(NAME, content)])) == {}
    assert peers(site, content) == [("smtp", "127.0.0.5")]


@contextlib.contextmanager
def ssh(port: int, source: str) -> Iterator[paramiko.Transport]:
    raw = socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0))
    transport = paramiko.Transport(raw)
    try:
        yield transport
    finally:
        transport.close()


@pytest.mark.parametrize("door", ["sftp1", "sftp2"])
def test_the_client_of_a_file_is_recorded(site: Site, door: str) -> None:
    content = conversions()
    with ssh(site.balancer.ports[door], "127.0.0.6") as transport:
        transport.connect(username="acme", password="correct horse")
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        with client.open(f"/upload/conversions/Conversions_{door}.csv", "w") as file:
            file.write(content)
    assert wait_until(lambda: peers(site, content)) == [("sftp", "127.0.0.6")]


def test_its_looks_at_our_health_end_well(site: Site) -> None:
    """HAProxy says LOCAL, or UNKNOWN, and speaks for itself; without a header it learns that the door is shut."""
    health = wait_until(lambda: found if "" not in (found := site.balancer.health()).values() else None)
    assert {name: health[name] for name in ("smtp1", "smtp2", "sftp1")} == {
        "smtp1": "L7OK", "smtp2": "L7OK", "sftp1": "L4OK"
    }  # fmt: skip


def test_without_its_header_it_is_dropped(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.balancer.ports["none"]), 30) as raw:
        raw.sendall(b"EHLO client.acme.example\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(100) == b""
    said = [line for line in site.service.log() if line["event"] == "no PROXY header"]
    assert {(line["proxy"], line["door"]) for line in said} == {(SOURCE, "smtp")}


def login(site: Site, source: str, password: str) -> bool:
    """Log in over implicit TLS."""
    port = site.balancer.ports["smtps2"]
    with smtplib.SMTP_SSL("127.0.0.1", port, timeout=30, source_address=(source, 0), context=anyone()) as client:
        try:
            client.login("acme", password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def test_a_ban_hits_the_client_alone_and_at_every_door(site: Site) -> None:
    assert not any(login(site, "127.0.0.66", "wrong") for _ in range(7))
    assert not login(site, "127.0.0.66", "correct horse")
    banned = [line["address"] for line in site.service.log() if line["event"] == "address banned"]
    assert banned == ["127.0.0.66"]
    assert login(site, "127.0.0.67", "correct horse")
    with ssh(site.balancer.ports["sftp1"], "127.0.0.66") as transport, pytest.raises(paramiko.AuthenticationException):
        transport.connect(username="acme", password="correct horse")
    with ssh(site.balancer.ports["sftp2"], "127.0.0.67") as transport:
        transport.connect(username="acme", password="correct horse")
        assert transport.is_authenticated()


def test_nothing_failed_on_the_way(site: Site) -> None:
    assert [line for line in site.service.log() if line["level"] in ("error", "critical")] == []

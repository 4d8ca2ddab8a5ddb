"""STARTTLS, implicit TLS and AUTH: passwords only over TLS, the same words for everyone, three tries."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.ledger.credentials import revoke
from tests.house import DOMAIN, SENDER, Inside, conversions, digest, inside, mail
from tests.smtp.wire import Wire, base64, wire

NAME = "Conversions_2026_a.csv"
CONNECTIONS = """
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

[[credential]]
name = "acme-silent"
account = "acme"
username = "silent"

[[credential]]
name = "acme-fired"
account = "acme"
username = "fired"
password = "lost and found"

[[connection]]
name = "acme-fired"
account = "acme"
data_type = "conversions"
pattern = "*.csv"
credential = "acme-fired"
address = "acme-fired-x7"
authenticity = "auth"

[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
pattern = "Conversions_202?_*.csv"
credential = "acme-batch"
address = "acme-conversions-x7"
authenticity = "auth"
"""
INVALID = "535 5.7.8 Authentication credentials invalid"
GOOD = "235 2.7.0 Authentication successful"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("house"), CONNECTIONS) as opened:
        yield opened


@pytest.fixture
def client(house: Inside) -> Iterator[Wire]:
    """A session behind STARTTLS."""
    with wire(house.port) as connected:
        connected.start_tls()
        connected.say("EHLO client.acme.example")
        yield connected


def test_no_password_is_taken_in_the_clear(house: Inside) -> None:
    with wire(house.port, greet=False) as client:
        assert "AUTH" not in client.greet()
        assert client.log_in("acme", "correct horse").startswith("538 ")
        assert client.say("AUTH LOGIN").startswith("538 ")
        assert client.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 ignored NOT_AUTHENTIC ")


def test_plain_at_once(client: Wire) -> None:
    assert client.log_in("acme", "correct horse") == GOOD


def test_plain_with_a_challenge(client: Wire) -> None:
    assert client.say("AUTH PLAIN") == "334 "
    assert client.say(base64("", "acme", "correct horse")) == GOOD


def test_mechanisms_have_no_case(client: Wire) -> None:
    assert client.say(f"auth plain {base64('', 'ACME', 'correct horse')}") == GOOD


def test_login_with_challenges(client: Wire) -> None:
    assert client.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert client.say(base64("acme")) == "334 UGFzc3dvcmQ6"
    assert client.say(base64("correct horse")) == GOOD


def test_login_with_the_user_name_at_once(client: Wire) -> None:
    assert client.say(f"AUTH LOGIN {base64('acme')}") == "334 UGFzc3dvcmQ6"
    assert client.say(base64("correct horse")) == GOOD


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("acme", "wrong"),
        ("acme", ""),
        ("acme", "x" * 300),
        ("nobody", "correct horse"),
        ("acme-batch", "correct horse"),
        ("silent", ""),
        ("", ""),
        ("é", "ü"),
    ],
)
def test_every_wrong_login_is_told_the_same(client: Wire, username: str, password: str) -> None:
    assert client.log_in(username, password) == INVALID
    assert client.say("AUTH LOGIN")[:4] == "334 "
    assert client.say(base64(username))[:4] == "334 "
    assert client.say(base64(password)) == INVALID


def test_three_wrong_tries_are_all(client: Wire) -> None:
    assert [client.log_in("acme", f"guess {number}") for number in range(3)] == [INVALID] * 3
    assert client.log_in("acme", "correct horse").startswith("421 4.7.0 ")
    assert client.at_end()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("AUTH CRAM-MD5", "504"),
        ("AUTH", "501"),
        ("AUTH PLAIN !!!", "501"),
        (f"AUTH PLAIN {base64('acme', 'correct horse')}", "501"),
        ("AUTH LOGIN !!!", "501"),
        ("AUTH PLAIN a b", "501"),
    ],
)
def test_a_login_that_is_none(client: Wire, words: str, code: str) -> None:
    assert client.say(words).startswith(code)
    assert client.log_in("acme", "correct horse") == GOOD


def test_a_login_may_be_given_up(client: Wire) -> None:
    assert client.say("AUTH LOGIN")[:4] == "334 "
    assert client.say("*").startswith("501 ")
    assert client.log_in("acme", "correct horse") == GOOD
    assert client.log_in("acme", "correct horse").startswith("503 ")


def test_who_proved_the_credential_is_taken_and_nobody_else(house: Inside, client: Wire) -> None:
    content = conversions()
    raw = mail([(NAME, content)])
    assert client.deliver(raw).startswith("250 2.0.0 ignored NOT_AUTHENTIC ")
    assert client.log_in("acme", "correct horse") == GOOD
    assert client.deliver(raw).startswith("250 2.0.0 accepted ")
    new, old = house.uploads_of(digest(content))
    assert (new["status"], old["status"], old["code"]) == ("import_job_created", "ignored", "NOT_AUTHENTIC")


def test_a_login_that_was_taken_away_since_proves_nothing(house: Inside, client: Wire) -> None:
    assert client.log_in("fired", "lost and found") == GOOD
    assert house.house.ledger.write_now(revoke, "acme-fired", datetime.now(UTC)) is not None
    reply = client.deliver(mail([(NAME, conversions())]), to=[f"acme-fired-x7@{DOMAIN}"])
    assert reply.startswith("250 2.0.0 ignored NOT_AUTHENTIC ")


def test_another_credential_does_not_do(client: Wire) -> None:
    assert client.log_in("other", "battery staple") == GOOD
    assert client.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 ignored NOT_AUTHENTIC ")


def test_a_login_does_not_outlive_its_session(house: Inside) -> None:
    for password, word in (("correct horse", "accepted"), ("wrong", "ignored NOT_AUTHENTIC")):
        with wire(house.port) as client:
            client.start_tls()
            client.say("EHLO a")
            client.log_in("acme", password)
            assert client.deliver(mail([(NAME, conversions())])).startswith(f"250 2.0.0 {word} ")


def test_a_password_is_never_logged(house: Inside, client: Wire, capfd: pytest.CaptureFixture[str]) -> None:
    client.log_in("acme", "a-secret-guess")
    said = capfd.readouterr()
    assert "a-secret-guess" not in said.out + said.err
    assert base64("", "acme", "a-secret-guess") not in said.out + said.err


def test_an_implicit_tls_port(folder: Path) -> None:
    # Port 0 means off for this one, so a free one is asked for.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    content = conversions()
    with inside(folder, CONNECTIONS, smtp={"tls_port": port}) as house, wire(port, tls=True, greet=False) as client:
        assert house.ports["smtps"] == port
        offered = client.greet()
        assert "AUTH LOGIN PLAIN" in offered
        assert "STARTTLS" not in offered
        assert client.log_in("acme", "correct horse") == GOOD
        assert client.deliver(mail([(NAME, content)])).startswith("250 2.0.0 accepted ")
        assert len(house.uploads_of(digest(content))) == 1


def test_tls_can_be_required(folder: Path) -> None:
    with inside(folder, smtp={"require_tls": True}) as house, wire(house.port) as client:
        assert client.say(f"MAIL FROM:<{SENDER}>").startswith("530 ")
        assert client.say("NOOP").startswith("250 ")
        client.start_tls()
        client.say("EHLO a")
        assert client.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")
        assert client.say("STARTTLS").startswith("503 ")
        assert client.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")


def test_the_names_of_credentials_have_no_case(folder: Path) -> None:
    connections = CONNECTIONS.replace('credential = "acme-batch"\naddress', 'credential = "Acme-Batch"\naddress')
    with inside(folder, connections) as house, wire(house.port) as client:
        client.start_tls()
        client.say("EHLO a")
        assert client.log_in("acme", "correct horse") == GOOD
        assert client.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")

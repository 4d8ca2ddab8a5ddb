"""Who really sent a mail, through the door with real clients: recorded for all, demanded by one connection."""

import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dkim
import pytest

from mailgate.authenticity import Checker
from tests.authenticity.name_server import REFUSED, NameServer, name_server
from tests.authenticity.support import Zone, pem, record, rsa_key, signed
from tests.house import (
    ADDRESS,
    CONNECTION,
    DOMAIN,
    Inside,
    RunningService,
    conversions,
    digest,
    inside,
    mail,
    running_service,
)
from tests.proofs.needs import need
from tests.smtp.wire import wire

NAME = "Conversions_2026_a.csv"
PROVEN = f"acme-proven-z9@{DOMAIN}"
CONNECTIONS = (
    CONNECTION
    + """
[[connection]]
name = "acme-proven"
account = "acme"
data_type = "conversions"
pattern = "Conversions_202?_*.csv"
credential = "acme-batch"
address = "acme-proven-z9"
allowed_senders = ["*@acme.example", "*@acme-down.example"]
authenticity = "dmarc"
"""
)
RECORDS: dict[tuple[str, str], Any] = {
    ("acme.example", "TXT"): "v=spf1 ip4:192.0.2.1 -all",
    ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=reject",
    ("s._domainkey.acme.example", "TXT"): record(),
    ("evil.example", "TXT"): "v=spf1 ip4:127.0.0.0/8 -all",
    ("s._domainkey.evil.example", "TXT"): record(),
    ("_dmarc.acme-down.example", "TXT"): "trouble",
}
MX = "mx.acme-relay.example"
PASSED = f"Authentication-Results: {MX}; dmarc=pass header.from=acme.example\r\n".encode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A house whose DNS is a dict, and which trusts one server before it, at 127.0.0.2."""
    smtp = {"trusted_proxies": ["127.0.0.2/32"], "trusted_authserv": [MX]}
    with inside(tmp_path_factory.mktemp("house"), CONNECTIONS, senders=Checker(Zone(RECORDS)), smtp=smtp) as opened:
        yield opened


def sent(
    house: Inside, raw: bytes, to: str = PROVEN, sender: str = "batch@acme.example", source: str = "127.0.0.1"
) -> tuple[str, dict[str, Any]]:
    """Send a mail; gives what the door says before the trace id, and what is recorded of the sender."""
    with wire(house.port, source=source) as client:
        answer = client.deliver(raw, [to], sender)
    words, _, trace_id = answer.rpartition(" ")
    return words, house.detail(trace_id)["authenticity"] if len(trace_id) == 26 else {}


def one(**headers: str) -> bytes:
    return mail([(NAME, conversions())], **headers)


def test_a_mail_that_proves_itself_is_taken(house: Inside) -> None:
    words, known = sent(house, signed(one()))
    assert words == "250 2.0.0 accepted"
    assert known["header"] == (
        f"{DOMAIN}; spf=fail smtp.mailfrom=acme.example; dkim=pass header.d=acme.example header.s=s; "
        "dmarc=pass header.from=acme.example"
    ).replace(DOMAIN, house.settings.domain)


FORGED = {
    "no proof at all": lambda: (one(), "batch@acme.example"),
    "an envelope of the forger's own, From of another": lambda: (one(), "batch@evil.example"),
    "signed by the forger": lambda: (signed(one(), "evil.example"), "batch@acme.example"),
    "signed, then changed": lambda: (signed(one()).replace(b"See the file", b"Pay at once"), "batch@acme.example"),
    "the word of a server that nobody trusts": lambda: (
        PASSED.replace(MX.encode(), b"mx.evil.example") + one(), "batch@acme.example",
    ),
    "the word of the trusted server, from elsewhere": lambda: (PASSED + one(), "batch@acme.example"),
    "two From fields": lambda: (b"From: x@evil.example\r\n" + signed(one()), "batch@acme.example"),
    "two From addresses": lambda: (signed(one(From="batch@acme.example, x@acme.example")), "batch@acme.example"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_mail_is_ignored_recorded_and_not_answered(house: Inside, name: str) -> None:
    raw, sender = FORGED[name]()
    words, known = sent(house, raw, sender=sender)
    assert words in ("250 2.0.0 ignored NOT_AUTHENTIC", "250 2.0.0 ignored SENDER_NOT_ALLOWED")
    assert known["dmarc"] in ("fail", "permerror")
    newest = house.uploads()[0]
    assert (newest["status"], newest["authenticity"]["dmarc"]) == ("ignored", known["dmarc"])
    assert house.rows("select count(*) from answer where trace_id = ?", newest["trace_id"]) == [(0,)]


@pytest.mark.parametrize(
    ("head", "source", "words"),
    [
        (PASSED, "127.0.0.2", "accepted"),
        (PASSED, "127.0.0.1", "ignored NOT_AUTHENTIC"),
        (PASSED, "127.0.0.3", "ignored NOT_AUTHENTIC"),
        (PASSED.replace(b"pass", b"fail") + PASSED, "127.0.0.2", "ignored NOT_AUTHENTIC"),
        (b"Authentication-Results: mx.evil.example; none\r\n" + PASSED, "127.0.0.2", "ignored NOT_AUTHENTIC"),
        (b"", "127.0.0.2", "ignored NOT_AUTHENTIC"),
    ],
)
def test_the_word_of_the_server_before_us(house: Inside, head: bytes, source: str, words: str) -> None:
    said, known = sent(house, b"Received: from a by b\r\n" + head + one(), source=source)
    assert said == f"250 2.0.0 {words}"
    assert (known["trusted_server"] == MX) is (
        source == "127.0.0.2" and head.startswith(b"Authentication-Results: mx.a")
    )
    assert known["ignored_results"] == head.count(b"\n") - (known["trusted_server"] != "")
    assert (known["spf"] == "none") is (source == "127.0.0.2")  # a server of ours says nothing about the sender


def test_a_failure_of_dns_delays_only_where_proof_is_demanded(house: Inside) -> None:
    raw = one(From="batch@acme-down.example")
    words, _ = sent(house, raw, sender="batch@acme-down.example")
    assert words == "451 4.4.3 cannot ask DNS who sent this now, please try"
    words, known = sent(house, raw, ADDRESS, sender="batch@acme-down.example")
    assert (words, known["dmarc"]) == ("250 2.0.0 accepted", "temperror")
    assert "no answer for _dmarc.acme-down.example" in known["reason"]


def test_what_is_not_demanded_is_recorded(house: Inside) -> None:
    content = conversions()
    words, known = sent(house, mail([(NAME, content)], From="x@evil.example"), ADDRESS, sender="x@evil.example")
    assert words == "250 2.0.0 accepted"
    assert (known["spf"], known["dkim"], known["dmarc"]) == ("pass", "none", "none")
    assert known["reason"] == "the domain publishes no DMARC policy"
    (upload,) = house.uploads_of(digest(content))
    assert upload["authenticity"] == {"spf": "pass", "dkim": "none", "dmarc": "none"}


# --- a service process, its DNS on loopback, and real clients


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with name_server({**RECORDS, ("_dmarc.acme-down.example", "TXT"): REFUSED}) as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, server: NameServer) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("service")
    key = folder / "dkim.pem"
    key.write_bytes(pem(rsa_key()))
    key.chmod(0o600)
    with running_service(
        folder, CONNECTIONS, DNS__LOOKUPS="true", DNS__SERVERS=f'["{server.address}"]', LIMITS__DNS_TIMEOUT="1s",
        RELAY__DKIM_DOMAIN="intake.localhost", RELAY__DKIM_SELECTOR="s", RELAY__DKIM_KEY="dkim.pem",
    ) as running:  # fmt: skip
        yield running


def shown(service: RunningService, content: bytes) -> dict[str, Any]:
    """Give the delivery of a content as ``upload show`` tells of it."""
    (trace_id,) = service.rows("select trace_id from upload where sha256 = ?", digest(content))[0]
    found: dict[str, Any] = service.mailgate("upload", "show", trace_id)
    return found


def test_a_signed_mail_by_smtplib(service: RunningService) -> None:
    content = conversions()
    with smtplib.SMTP("127.0.0.1", service.port) as client:
        client.sendmail("batch@acme.example", [PROVEN], signed(mail([(NAME, content)])))
    found = shown(service, content)
    assert found["status"] == "import_job_created"
    assert found["authenticity"] == {"spf": "fail", "dkim": "pass", "dmarc": "pass"}
    assert found["delivery"]["authenticity"]["signatures"] == [
        {"result": "pass", "domain": "acme.example", "selector": "s", "reason": ""}
    ]


def test_a_forged_mail_by_swaks(service: RunningService, tmp_path: Path) -> None:
    need("swaks")
    content = conversions()
    path = tmp_path / NAME
    path.write_bytes(content)
    said = subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{service.port}", "--from", "batch@acme.example", "--to", PROVEN,
         "--attach-type", "text/csv", "--attach-name", NAME, "--attach", f"@{path}"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "250 2.0.0 ignored NOT_AUTHENTIC " in said.stdout
    found = shown(service, content)
    assert (found["status"], found["code"]) == ("ignored", "NOT_AUTHENTIC")
    assert found["message"] == (
        "DMARC fail for acme.example: SPF fail for acme.example (SPF fail - not authorized), no DKIM signature."
    )


def test_dns_that_fails_is_told_to_curl(service: RunningService, tmp_path: Path) -> None:
    need("curl")
    path = tmp_path / "mail.eml"
    path.write_bytes(mail([(NAME, conversions())], From="batch@acme-down.example"))
    done = subprocess.run(
        ["curl", "-sv", f"smtp://127.0.0.1:{service.port}", "--mail-from", "batch@acme-down.example", "--mail-rcpt",
         PROVEN, "--upload-file", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "451 4.4.3 cannot ask DNS who sent this now" in done.stderr
    assert done.returncode != 0


def test_the_answers_are_signed(service: RunningService) -> None:
    content = conversions()
    with smtplib.SMTP("127.0.0.1", service.port) as client:
        client.sendmail("batch@acme.example", [PROVEN], signed(mail([(NAME, content)])))
    from tests.house import wait_until

    (trace_id,) = service.rows("select trace_id from upload where sha256 = ?", digest(content))[0]
    paths = wait_until(lambda: sorted((service.data / "outbox").glob(f"*-{trace_id}-*.eml")) or None)
    assert dkim.verify(paths[0].read_bytes(), dnsfunc=lambda name, timeout=5: record().encode())

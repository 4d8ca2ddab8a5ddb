"""Behind Debian's Postfix, configured with the very lines that docs/behind.md shows."""

import re
import shutil
import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailgate.authenticity import Checker
from tests.authenticity.support import Zone, record, signed
from tests.house import ADDRESS, DOMAIN, SENDER, Inside, conversions, digest, inside, mail, unique, wait_until
from tests.proofs.milter import milter
from tests.proofs.needs import need
from tests.proofs.postfix import Postfix, open_postfix
from tests.smtp.test_lmtp import CONNECTIONS, EMAILS, PROVEN, STRICT, connection
from tests.smtp.wire import free_port

NAME = "Conversions_2026_a.csv"
DOC = Path(__file__).parents[2] / "docs" / "behind.md"
FRONT = "mx.example.com"  # as the page calls the server in front
MOST, A_LITTLE_LESS = 150_000, 149_000
RECORDS: dict[tuple[str, str], Any] = {
    ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=reject",
    ("s._domainkey.acme.example", "TXT"): record(),
}
#: What a test cannot wait for.
QUICK = "address_verify_poll_delay = 1s\n"


def lines_of(name: str, house: Inside, **ports: int) -> str:
    """Give the lines of main.cf that the page shows under a name, for the ports and the domain of a test."""
    (text,) = re.findall(rf"^```\n# main\.cf, {name}\n(.*?)^```", DOC.read_text(), re.MULTILINE | re.DOTALL)
    words = {
        "intake.example.com": DOMAIN, ":2424": f":{house.ports['lmtp']}", ":2525": f":{house.port}",
        "time = 1m": "time = 1s", "time = 2m": "time = 2s", "149000000": str(A_LITTLE_LESS),
        ":8893": f":{ports.get('milter', 0)}",
    }  # fmt: skip
    for shown, ours in words.items():
        text = text.replace(shown, ours)
    return text + QUICK


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A house as the page sets it up, whose DNS is a dict."""
    need("postfix", "postqueue")
    smtp = {
        "lmtp_port": free_port(), "trusted_proxies": ["127.0.0.1"], "trusted_authserv": [FRONT],
        "max_message_bytes": MOST,
    }  # fmt: skip
    with inside(tmp_path_factory.mktemp("house"), CONNECTIONS, senders=Checker(Zone(RECORDS)), smtp=smtp) as opened:
        yield opened


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a server which changes users can pass."""
    folder = Path(tempfile.mkdtemp(prefix="mailgate-postfix-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def send(postfix: Postfix, raw: bytes, *to: str) -> dict[str, tuple[int, str]]:
    """Hand a mail to the server in front; gives who was refused, and why. SMTPResponseException: all of it was."""
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as client:
        try:
            refused = client.sendmail(SENDER, list(to), raw)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
    return {address: (code, text.decode()) for address, (code, text) in refused.items()}


def verdicts(house: Inside, content: bytes) -> list[tuple[str, str]]:
    found = house.uploads_of(digest(content))
    return sorted((one["connection"], one["delivery_verdict"]) for one in found)


def test_by_lmtp_each_recipient_is_answered_and_tried_again_alone(house: Inside, open_folder: Path) -> None:
    content, unknown = conversions(), f"nobody-{unique()}@{DOMAIN}"
    raw = signed(mail([(NAME, content)]))
    key = ("s._domainkey.acme.example", "TXT")
    right, RECORDS[key] = RECORDS[key], "trouble"
    try:
        with open_postfix(open_folder, house.port, lines_of("LMTP", house)) as postfix:
            # An address of nobody is refused at the front door, and no bounce is made.
            refused = send(postfix, raw, ADDRESS, unknown, EMAILS, PROVEN)
            assert set(refused) == {unknown}
            assert refused[unknown][0] == 550
            assert "5.1.1" in refused[unknown][1]
            wait_until(lambda: postfix.log(r"status=deferred .*451 4\.4\.3 cannot ask DNS") > 0, 30)
            assert verdicts(house, content) == [("acme-conversions", "accepted"), ("acme-emails", "ignored")]
            assert postfix.log(r"relay=127\.0\.0\.1\S+, .*status=sent \(250 2\.0\.0 accepted \w{26}\)") == 1
            assert postfix.log(r"status=sent \(250 2\.0\.0 ignored NAME_NOT_MATCHED \w{26}\)") == 1
            # DNS is back: the one recipient that waited is taken, the others are not tried again.
            RECORDS[key] = right
            wait_until(lambda: postfix.flush() or postfix.waiting() == 0, 30)
            assert ("acme-proven", "accepted") in verdicts(house, content)
            assert len(verdicts(house, content)) == 3
            # A connection that is new is known when the bad answer is out of date.
            new = f"acme-new-{unique()}"
            assert set(send(postfix, mail(), f"{new}@{DOMAIN}")) == {f"{new}@{DOMAIN}"}
            house.apply(CONNECTIONS + connection(new, new, "*.csv"))
            wait_until(lambda: send(postfix, mail([(NAME, conversions())]), f"{new}@{DOMAIN}") == {}, 20)
            # Too large: said at the front door; just below the limit it fits with what Postfix adds.
            with pytest.raises(smtplib.SMTPResponseException, match=r"5\.3\.4"):
                send(postfix, mail([(NAME, b"x" * MOST)]), ADDRESS)
            fits = _of_size(A_LITTLE_LESS * 95 // 100)  # Postfix counts its queue file, which is a little larger
            assert send(postfix, fits, ADDRESS) == {}
            wait_until(lambda: postfix.log("status=sent .* accepted") == 4 and postfix.waiting() == 0, 30)
            assert postfix.log("non-delivery notification") == 0
    finally:
        RECORDS[key] = right


def _of_size(size: int) -> bytes:
    """Build a mail of so many bytes, or some hundred less."""
    content = conversions()
    raw = mail([(NAME, content)], text=("x" * 70 + "\n") * ((size - len(mail([(NAME, content)])) - 100) // 72))
    assert size - 500 < len(raw) <= size
    return raw


def test_by_smtp_all_wait_for_the_one_that_cannot_be_answered(house: Inside, open_folder: Path) -> None:
    content = conversions()
    raw = signed(mail([(NAME, content)]))
    key = ("s._domainkey.acme.example", "TXT")
    right, RECORDS[key] = RECORDS[key], "trouble"
    try:
        with open_postfix(open_folder, house.port, lines_of("SMTP", house)) as postfix:
            refused = send(postfix, raw, ADDRESS, f"nobody-{unique()}@{DOMAIN}", STRICT, PROVEN)
            assert [code for code, _ in refused.values()] == [550], refused
            wait_until(lambda: postfix.log(r"status=deferred .*451 4\.4\.3") >= 3, 30)
            assert verdicts(house, content) == []
            RECORDS[key] = right
            wait_until(lambda: postfix.flush() or postfix.waiting() == 0, 30)
            said = r"status=sent \(250 2\.0\.0 accepted \w{26}; accepted \w{26}; accepted \w{26}\)"
            assert postfix.log(said) == 3
            assert verdicts(house, content) == [
                ("acme-conversions", "accepted"), ("acme-proven", "accepted"), ("acme-strict", "accepted"),
            ]  # fmt: skip
            assert postfix.log("non-delivery notification") == 0
            # What is rejected behind the queue becomes a bounce: the page says so.
            assert send(postfix, mail([("Conversions_\x07.csv", conversions())]), ADDRESS) == {}
            wait_until(lambda: postfix.log(r"status=bounced .*550 5\.6\.0 NAME_INVALID") == 1, 30)
            wait_until(lambda: postfix.log("non-delivery notification") == 1, 30)
    finally:
        RECORDS[key] = right


def test_before_the_queue_the_client_hears_our_own_words(house: Inside, open_folder: Path) -> None:
    content = conversions()
    with open_postfix(open_folder, house.port, lines_of("before the queue", house)) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as client:
            client.ehlo()
            client.mail(SENDER)
            code, text = client.rcpt(f"nobody@{DOMAIN}")
            assert (code, text[:6]) == (550, b"5.1.1 ")
            client.rcpt(ADDRESS)
            code, text = client.data(mail([(NAME, content)]))
            assert (code, text[:15]) == (250, b"2.0.0 accepted ")
            client.mail(SENDER)
            client.rcpt(ADDRESS)
            code, text = client.data(mail([("Conversions_\x07.csv", conversions())]))
            assert (code, text[:18]) == (550, b"5.6.0 NAME_INVALID")
        assert verdicts(house, content) == [("acme-conversions", "accepted")]
        assert postfix.waiting() == 0
        assert postfix.log("non-delivery notification") == 0


def test_the_word_of_its_filter_counts_and_a_forged_one_is_removed(house: Inside, open_folder: Path) -> None:
    word = f"{FRONT}; dmarc=pass header.from=acme.example"
    forged = f"Authentication-Results: {word}\r\n".encode()
    with milter("Authentication-Results", word) as port:
        filtered = lines_of("authenticity", house, milter=port)
        for lines, raw, verdict in (
            (filtered, mail([(NAME, conversions())]), "accepted"),
            (filtered.replace("smtpd_milters", "#"), forged + mail([(NAME, conversions())]), "ignored"),
        ):
            folder = open_folder / verdict
            folder.mkdir(mode=0o711)
            with open_postfix(folder, house.port, lines_of("LMTP", house) + lines) as postfix:
                assert send(postfix, raw, PROVEN) == {}
                said = {"accepted": "accepted", "ignored": "ignored NOT_AUTHENTIC"}[verdict]
                wait_until(lambda: postfix.log(rf"status=sent \(250 2\.0\.0 {said} ") == 1, 30)  # noqa: B023

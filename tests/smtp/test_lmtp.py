"""LMTP: each recipient hears for itself, in the order of RCPT, and one's failure is nobody else's (RFC 2033)."""

import contextlib
import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailgate.authenticity import Checker
from mailgate.settings import Settings
from tests.authenticity.support import Zone, record
from tests.house import (
    ADDRESS,
    CONNECTION,
    DOMAIN,
    SENDER,
    Inside,
    conversions,
    digest,
    inside,
    mail,
    unique,
    wait_until,
)
from tests.smtp.test_smuggling import SEQUENCES, two_mails
from tests.smtp.wire import Wire, free_port, stuffed, wire

NAME = "Conversions_2026_a.csv"
EMAILS = f"acme-emails-y8@{DOMAIN}"
STRICT = f"acme-strict-s1@{DOMAIN}"
PROVEN = f"acme-proven-z9@{DOMAIN}"
MX = "mx.acme-relay.example"


def connection(name: str, address: str, pattern: str, more: str = "") -> str:
    return f"""
[[connection]]
name = "{name}"
account = "acme"
data_type = "conversions"
pattern = "{pattern}"
credential = "acme-batch"
address = "{address}"
{more}
"""


CONNECTIONS = (
    CONNECTION
    + connection("acme-emails", "acme-emails-y8", "Emails_*.csv")
    + connection("acme-strict", "acme-strict-s1", "Conversions_*.csv")
    + connection("acme-proven", "acme-proven-z9", "Conversions_*.csv", 'authenticity = "dmarc"')
)
RECORDS: dict[tuple[str, str], Any] = {
    ("acme.example", "TXT"): "v=spf1 ip4:192.0.2.1 -all",
    ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=reject",
    ("s._domainkey.acme.example", "TXT"): record(),
    ("_dmarc.acme-down.example", "TXT"): "trouble",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A house with LMTP, whose DNS is a dict, and which trusts the server at 127.0.0.2."""
    smtp = {"lmtp_port": free_port(), "trusted_proxies": ["127.0.0.2/32"], "trusted_authserv": [MX]}
    with inside(tmp_path_factory.mktemp("house"), CONNECTIONS, senders=Checker(Zone(RECORDS)), smtp=smtp) as opened:
        yield opened


@contextlib.contextmanager
def lmtp(house: Inside, source: str = "127.0.0.1") -> Iterator[Wire]:
    with wire(house.ports["lmtp"], hello="LHLO", source=source) as client:
        yield client


def words_of(answers: list[str]) -> list[str]:
    """Leave the trace ids out."""
    return [answer if (cut := answer.rpartition(" "))[2].islower() or len(cut[2]) != 26 else cut[0]
            for answer in answers]  # fmt: skip


def ids_of(answers: list[str]) -> list[str]:
    return [answer.rpartition(" ")[2] for answer in answers]


# --- the session


def test_the_words_of_a_session(house: Inside) -> None:
    with wire(house.ports["lmtp"], greet=False) as client:
        assert client.reply() == f"220 {DOMAIN} mailgate LMTP"
        assert client.say("EHLO mx.acme.example").startswith("500 5.5.2 ")
        assert client.say("HELO mx.acme.example").startswith("500 5.5.2 ")
        assert client.say(f"MAIL FROM:<{SENDER}>") == "503 5.5.1 Error: send LHLO first"
        assert client.say("LHLO").startswith("501 5.5.4 ")
        offered = {line[4:] for line in client.say("LHLO mx.acme.example").split("\n")}
        assert {DOMAIN, "PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE 150000000"} <= offered
        assert client.say("DATA").startswith("503 5.5.1 ")
        assert client.say(f"MAIL FROM:<{SENDER}>").startswith("250 2.1.0 ")
        assert client.say(f"RCPT TO:<nobody@{DOMAIN}>").startswith("550 5.1.1 ")
        assert client.say("DATA").startswith("503 5.5.1 ")  # RFC 2033 section 4.2: no recipient was taken
        for command, code in {
            "RSET": "250 2.0.0 ",
            "NOOP": "250 2.0.0 ",
            "VRFY x": "252 ",
            "EXPN x": "502 5.5.1 ",
        }.items():
            assert client.say(command).startswith(code)
        client.start_tls()
        assert "AUTH LOGIN PLAIN" in client.say("LHLO mx.acme.example")
        assert client.say("QUIT") == "221 2.0.0 Bye"


def test_every_reply_but_the_greetings_has_an_enhanced_code(house: Inside) -> None:
    said = [
        "", "FOO", "BDAT 1", "MAIL", "MAIL FROM:<a>b", "MAIL FROM:<a@b.example> X=1", "RCPT TO:<x>", "AUTH", "AUTH X",
        "AUTH PLAIN", "HELP", "HELP MAIL", "HELP X", "RSET x", "QUIT x", "NOOP", "STARTTLS x", "MAIL FROM:<é",
        "x" * 1500,
    ]  # fmt: skip
    for port, hello in ((house.port, "EHLO"), (house.ports["lmtp"], "LHLO")):
        with wire(port, hello=hello) as client:
            for line in said:
                code, rest = (answer := client.say(line))[:4], answer[4:]
                assert rest.startswith(f"{code[0]}."), (line, answer)


def test_a_client_of_the_standard_library(house: Inside) -> None:
    content = conversions()
    with smtplib.LMTP("127.0.0.1", house.ports["lmtp"], timeout=30) as client:
        client.ehlo_or_helo_if_needed()
        refused = client.sendmail(SENDER, [ADDRESS], mail([(NAME, content)]))
    assert refused == {}
    (upload,) = house.uploads_of(digest(content))
    assert (upload["status"], upload["connection"]) == ("import_job_created", "acme-conversions")
    assert house.rows("select door, peer from delivery where trace_id = ?", upload["trace_id"]) == [
        ("smtp", "127.0.0.1")
    ]


# --- one answer each


def test_each_recipient_hears_for_itself_in_the_order_of_rcpt(house: Inside) -> None:
    content = conversions()
    to = [EMAILS, ADDRESS, STRICT, PROVEN, ADDRESS.replace("@", "+tag@"), ADDRESS.replace("@", "+dryrun@")]
    with lmtp(house) as client:
        answers = client.deliver_each(mail([(NAME, content)]), to)
        assert words_of(answers) == [
            "250 2.0.0 ignored NAME_NOT_MATCHED", "250 2.0.0 accepted", "250 2.0.0 accepted",
            "250 2.0.0 ignored NOT_AUTHENTIC", "250 2.0.0 accepted", "250 2.0.0 accepted",
        ]  # fmt: skip
        assert answers[4] == answers[1]  # two addresses of one connection are one delivery
        assert len(set(ids_of(answers))) == 5
        assert client.say("NOOP").startswith("250 ")
        # Once more, by recipients that were taken and one that was not: each hears of its own first.
        again = client.deliver_each(mail([(NAME, content)]), [STRICT, ADDRESS])
        assert words_of(again) == ["250 2.0.0 duplicate", "250 2.0.0 duplicate"]
        assert not set(ids_of(again)) & set(ids_of(answers))


def test_only_recipients_that_were_taken_are_answered(house: Inside) -> None:
    with lmtp(house) as client:
        client.send(
            f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<nobody@{DOMAIN}>\r\nRCPT TO:<{ADDRESS}>\r\nRCPT TO:<x@other.example>\r\n"
            f"RCPT TO:<{STRICT}>\r\nDATA\r\n".encode()
            + stuffed(mail([(NAME, conversions())]))
            + b"NOOP\r\n"
        )
        assert [one[:9] for one in client.replies(6)] == [
            "250 2.1.0", "550 5.1.1", "250 2.1.5", "550 5.7.1", "250 2.1.5", "354 End d"
        ]  # fmt: skip
        assert words_of(client.replies(2)) == ["250 2.0.0 accepted"] * 2
        assert client.reply() == "250 2.0.0 OK"


def test_a_rejected_mail_is_rejected_for_each(house: Inside) -> None:
    with lmtp(house) as client:
        answers = client.deliver_each(mail([("Conversions_2026_\x07.csv", conversions())]), [ADDRESS, STRICT])
        assert words_of(answers) == ["550 5.6.0 NAME_INVALID"] * 2
        assert len(set(ids_of(answers))) == 2
    for trace_id in ids_of(answers):  # the server before us tells the sender: a receipt would be a second word
        assert house.rows("select count(*) from answer where trace_id = ?", trace_id) == [(0,)]


def test_a_repeat_after_a_lost_answer_is_idempotent_for_each(house: Inside) -> None:
    content = conversions()
    raw = mail([(NAME, content)], message_id=f"{unique()}@acme.example")
    with lmtp(house) as client:
        assert client.envelope([ADDRESS, STRICT, EMAILS]).startswith("354 ")
        client.send(stuffed(raw))
        client.hang_up()
    first = {one["connection"]: one["trace_id"] for one in wait_until(lambda: _three(house, content))}
    with lmtp(house) as client:
        answers = client.deliver_each(raw, [EMAILS, ADDRESS, STRICT])
    assert answers == [
        f"250 2.0.0 ignored NAME_NOT_MATCHED {first['acme-emails']}",
        f"250 2.0.0 duplicate {first['acme-conversions']}",
        f"250 2.0.0 duplicate {first['acme-strict']}",
    ]
    assert len(house.uploads_of(digest(content))) == 3


def _three(house: Inside, content: bytes) -> list[dict[str, Any]]:
    found = house.uploads_of(digest(content))
    return found if len(found) == 3 else []


# --- one failure is nobody else's


def test_who_must_be_proven_waits_and_the_others_are_taken(house: Inside) -> None:
    content = conversions()
    raw = mail([(NAME, content)], From="batch@acme-down.example", message_id=f"{unique()}@acme-down.example")
    with lmtp(house) as client:
        answers = client.deliver_each(raw, [PROVEN, ADDRESS, PROVEN], sender="batch@acme-down.example")
        assert answers[0] == answers[2] == "451 4.4.3 cannot ask DNS who sent this now, please try again"
        assert answers[1].startswith("250 2.0.0 accepted ")
        assert [one["connection"] for one in house.uploads_of(digest(content))] == ["acme-conversions"]
        # The server before us comes back for the one recipient alone.
        assert client.deliver_each(raw, [PROVEN], sender="batch@acme-down.example")[0].startswith("451 4.4.3 ")
        assert len(house.uploads_of(digest(content))) == 1


def test_a_connection_that_goes_away_meanwhile_is_nobody_elses_failure(house: Inside) -> None:
    gone = f"acme-gone-{unique()}"
    house.apply(CONNECTIONS + connection(gone, gone, "*.csv"))
    content = conversions()
    with lmtp(house) as client:
        assert client.envelope([ADDRESS, f"{gone}@{DOMAIN}", STRICT]).startswith("354 ")
        house.set_state(gone, "deleted")
        client.send(stuffed(mail([(NAME, content)])))
        answers = client.replies(3)
    assert [one[:9] for one in answers] == ["250 2.0.0", "451 4.3.0", "250 2.0.0"]
    assert {one["connection"] for one in house.uploads_of(digest(content))} == {"acme-conversions", "acme-strict"}


def test_a_connection_that_changes_meanwhile_is_judged_anew(house: Inside) -> None:
    name = f"acme-changes-{unique()}"
    house.apply(CONNECTIONS + connection(name, name, "*.csv"))
    with lmtp(house) as client:
        assert client.envelope([ADDRESS, f"{name}@{DOMAIN}"]).startswith("354 ")
        house.apply(CONNECTIONS + connection(name, name, "Other_*.csv"))
        client.send(stuffed(mail([(NAME, conversions())])))
        assert words_of(client.replies(2)) == ["250 2.0.0 accepted", "250 2.0.0 ignored NAME_NOT_MATCHED"]


def test_a_disk_without_room_refuses_all_for_now(house: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    content = conversions()
    with lmtp(house) as client:
        client.envelope([ADDRESS, STRICT])
        with monkeypatch.context() as full:
            full.setattr(type(house.house.blobs), "commit", _no_space)
            client.send(stuffed(mail([(NAME, content)])))
            assert [one[:9] for one in client.replies(2)] == ["452 4.3.1"] * 2
        assert house.uploads_of(digest(content)) == []
        assert words_of(client.deliver_each(mail([(NAME, content)]), [ADDRESS, STRICT])) == ["250 2.0.0 accepted"] * 2


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


# --- who sent it


def test_the_word_of_the_server_before_us_counts(house: Inside) -> None:
    passed = f"Authentication-Results: {MX}; dmarc=pass header.from=acme.example\r\n".encode()
    for source, word in {"127.0.0.2": "accepted", "127.0.0.3": "ignored NOT_AUTHENTIC"}.items():
        with lmtp(house, source) as client:
            (answer,) = client.deliver_each(passed + mail([(NAME, conversions())]), [PROVEN])
            assert words_of([answer]) == [f"250 2.0.0 {word}"]


def test_spf_is_not_asked_about_the_server_before_us(house: Inside) -> None:
    """Whoever speaks LMTP is no sender: the one who connects says nothing about who sent the mail."""
    with lmtp(house) as client:
        (answer,) = client.deliver_each(mail([(NAME, conversions())]), [ADDRESS])
    assert house.detail(ids_of([answer])[0])["authenticity"]["spf"] == "none"


# --- the same hardening


@pytest.mark.parametrize("name", SEQUENCES)
def test_nothing_is_smuggled(house: Inside, name: str) -> None:
    body, outer, inner = two_mails(SEQUENCES[name])
    with lmtp(house) as client:
        assert client.envelope([ADDRESS, STRICT]).startswith("354 ")
        client.send(body + b"\r\n.\r\n")
        assert words_of(client.replies(2)) == ["550 5.6.0 MESSAGE_MALFORMED"] * 2
        assert client.say("NOOP") == "250 2.0.0 OK"
    assert house.uploads_of(digest(outer)) == house.uploads_of(digest(inner)) == []


def test_too_large_is_said_to_each(tmp_path: Path) -> None:
    smtp = {"lmtp_port": free_port(), "max_message_bytes": 2000}
    with inside(tmp_path / "house", CONNECTIONS, smtp=smtp) as house, lmtp(house) as client:
        too_large = ["552 5.3.4 FILE_TOO_LARGE"] * 2
        assert client.deliver_each(mail([(NAME, b"x" * 2001)]), [ADDRESS, STRICT]) == too_large
        assert client.deliver_each(mail([(NAME, conversions(1))]), [ADDRESS])[0].startswith("250 2.0.0 accepted ")
        client.envelope([ADDRESS, STRICT])
        with contextlib.suppress(ConnectionError):
            client.send(b"x" * 1_100_000)  # and no end
        assert client.replies(3) == [*too_large, ""]


def test_the_world_cannot_keep_our_own_server_out(tmp_path: Path) -> None:
    smtp, limits = {"lmtp_port": free_port()}, {"smtp_connections": 1}
    with inside(tmp_path / "house", smtp=smtp, limits=limits) as house, wire(house.port):
        with wire(house.port, greet=False) as over:
            assert over.reply().startswith("421 4.7.0 ")
        with lmtp(house) as client, wire(house.ports["lmtp"], greet=False) as second:
            assert client.deliver_each(mail([(NAME, conversions())]))[0].startswith("250 2.0.0 accepted ")
            assert second.reply().startswith("421 4.7.0 ")


def test_require_tls_holds_here_too(tmp_path: Path) -> None:
    smtp = {"lmtp_port": free_port(), "require_tls": True}
    with inside(tmp_path / "house", smtp=smtp) as house, lmtp(house) as client:
        assert client.say(f"MAIL FROM:<{SENDER}>") == "530 5.7.0 STARTTLS first"
        client.start_tls()
        client.say("LHLO mx.acme.example")
        assert client.deliver_each(mail([(NAME, conversions())]))[0].startswith("250 2.0.0 accepted ")


def test_port_25_is_not_for_lmtp() -> None:
    with pytest.raises(ValueError, match="RFC 2033"):
        Settings.model_validate({"smtp": {"lmtp_port": 25}})

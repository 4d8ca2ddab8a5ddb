"""SMTP smuggling: nothing but CRLF.CRLF ends a mail, and no mail with a bare CR, a bare LF or a NUL is taken.

Each sequence stands where a careless server would end the mail; behind it stands a second mail.
"""

import pytest

from tests.house import ADDRESS, SENDER, Inside, conversions, digest, mail
from tests.smtp.wire import Wire, wire

SEQUENCES = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CR.CR": b"\r.\r",
    "CRLF.CR": b"\r\n.\r",
    "CRLF.LF": b"\r\n.\n",
    "CR.CRLF": b"\r.\r\n",
    "LF.CR": b"\n.\r",
    "CR.LF": b"\r.\n",
    "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "CRCRLF.CRLF": b"\r\r\n.\r\r\n",
    "CRLF NUL.CRLF": b"\r\n\0.\r\n",
    "CRLF.NUL CRLF": b"\r\n.\0\r\n",
}
HOW = ("plain", "tls", "pipelined")


def two_mails(sequence: bytes) -> tuple[bytes, bytes, bytes]:
    """Give a mail with another behind a sequence, and the files of both."""
    outer, inner = conversions(), conversions()
    first = mail([("Conversions_2026_outer.csv", outer)])
    second = mail([("Conversions_2026_inner.csv", inner)])
    commands = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{ADDRESS}>\r\nDATA\r\n".encode()
    return first.removesuffix(b"\r\n") + sequence + commands + second, outer, inner


def sent(client: Wire, body: bytes, how: str) -> str:
    """Send a body as it is, ended by the one true end; gives the reply behind it."""
    if how != "pipelined":
        assert client.envelope().startswith("354 ")
        client.send(body + b"\r\n.\r\n")
        return client.reply()
    before = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{ADDRESS}>\r\nDATA\r\n".encode()
    client.send(before + body + b"\r\n.\r\n")
    assert [one[:3] for one in client.replies(3)] == ["250", "250", "354"]
    return client.reply()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", SEQUENCES)
def test_nothing_but_the_one_true_end_ends_a_mail(house: Inside, name: str, how: str) -> None:
    body, outer, inner = two_mails(SEQUENCES[name])
    good = conversions()
    before = len(house.uploads())
    with wire(house.port) as client:
        if how == "tls":
            client.start_tls()
            client.say("EHLO client.acme.example")
        answer = sent(client, body, how)
        assert answer.startswith("550 5.6.0 MESSAGE_MALFORMED ")
        # The session is at its beginning again, and usable.
        assert client.deliver(mail([("Conversions_2026_good.csv", good)])).startswith("250 2.0.0 accepted ")
        assert client.say("QUIT").startswith("221 ")
    new = house.uploads()[: len(house.uploads()) - before]
    assert [one["delivery_verdict"] for one in new] == ["accepted", "rejected"]
    hashes = {one["sha256"] for one in new}
    assert digest(good) in hashes
    assert not {digest(outer), digest(inner)} & hashes
    assert new[1]["file_name"] is None
    assert new[1]["trace_id"] in answer


def test_a_stuffed_dot_is_only_a_dot(house: Inside) -> None:
    content = b"CampaignId\r\n.\r\n..\r\n.5\r\n" + conversions()
    raw = mail().removesuffix(b"\r\n") + b"\r\n"
    raw = raw.replace(b"Content-Type: text/plain", b'Content-Disposition: attachment; filename="Conversions_2026_d.csv"'
                      b"\r\nContent-Type: text/csv").partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + content  # fmt: skip
    with wire(house.port) as client:
        assert client.deliver(raw).startswith("250 2.0.0 accepted ")
    assert len(house.uploads_of(digest(content))) == 1


@pytest.mark.parametrize(
    "injected",
    [
        b"NOOP\r\n", b"RSET\r\n", b"EHLO evil.example\r\n", b"MAIL FROM:<evil@evil.example>\r\n", b"QUIT\r\n",
        b"VRFY x\r\n", b"HELP\r\n", b"EHLO a\r\nMAIL FROM:<a@b.example>\r\n", b"NO", b"\r\n",
    ],
)  # fmt: skip
def test_a_command_before_the_handshake_is_ignored(house: Inside, injected: bytes) -> None:
    with wire(house.port) as client:
        client.start_tls(injected=injected)
        assert client.say("NOOP") == "250 2.0.0 OK"  # the first and only reply is to our command
        assert client.say("MAIL FROM:<a@b.example>").startswith("503 ")  # EHLO is forgotten (RFC 3207 section 4.2)


def test_there_is_no_chunking_to_mix_with(house: Inside) -> None:
    with wire(house.port, greet=False) as client:
        assert "CHUNKING" not in client.greet()
        assert client.say("BDAT 5 LAST").startswith("500 ")

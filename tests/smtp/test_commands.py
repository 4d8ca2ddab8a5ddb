"""The commands of a session, over a socket that says exactly what it is told."""

import pytest

from tests.house import ADDRESS, DOMAIN, SENDER, Inside, conversions, digest, mail
from tests.smtp.wire import stuffed, wire

NAME = "Conversions_2026_a.csv"


def only_upload(house: Inside, content: bytes) -> dict[str, object]:
    (upload,) = house.uploads_of(digest(content))
    return upload


def test_what_is_advertised(house: Inside) -> None:
    with wire(house.port, greet=False) as client:
        offered = {line[4:] for line in client.greet().split("\n")[1:]}
        assert {"PIPELINING", "SIZE 150000000", "8BITMIME", "SMTPUTF8", "STARTTLS"} <= offered
        assert not any(line.startswith(("AUTH", "CHUNKING")) for line in offered)
        client.start_tls()
        offered = {line[4:] for line in client.say("EHLO client.acme.example").split("\n")[1:]}
        assert "AUTH LOGIN PLAIN" in offered
        assert "STARTTLS" not in offered


def test_all_commands_in_one_segment_and_the_next_mail_behind_the_dot(house: Inside) -> None:
    contents = [conversions() for _ in range(3)]
    one = b"".join(
        f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{ADDRESS}>\r\nDATA\r\n".encode() + stuffed(mail([(NAME, content)]))
        for content in contents
    )
    with wire(house.port, greet=False) as client:
        client.send(b"EHLO client.acme.example\r\n" + one + b"NOOP\r\nQUIT\r\n")
        assert client.reply().startswith("220 ")
        assert "PIPELINING" in client.reply()
        for _ in contents:
            assert [answer[:3] for answer in client.replies(3)] == ["250", "250", "354"]
            assert client.reply().startswith("250 2.0.0 accepted ")
        assert client.reply().startswith("250 ")
        assert client.reply().startswith("221 ")
        assert client.reply() == ""
    assert all(only_upload(house, content)["status"] == "import_job_created" for content in contents)


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_mail_in_pieces_of_one_byte(house: Inside, over_tls: bool) -> None:
    content = conversions()
    with wire(house.port) as client:
        if over_tls:
            client.start_tls()
            client.say("EHLO a")
        assert client.envelope().startswith("354 ")
        for byte in stuffed(mail([(NAME, content)])):
            client.send(bytes([byte]))
        assert client.reply().startswith("250 2.0.0 accepted ")
    assert only_upload(house, content)["bytes"] == len(content)


def test_helo_alone_is_enough(house: Inside) -> None:
    content = conversions()
    with wire(house.port, greet=False) as client:
        assert client.greet("HELO old.acme.example") == f"250 {DOMAIN}"
        assert client.deliver(mail([(NAME, content)])).startswith("250 2.0.0 accepted ")
    only_upload(house, content)


@pytest.mark.parametrize(
    "options", [" BODY=8BITMIME", " BODY=7BIT", " SIZE=1000", " SIZE=1000 BODY=8BITMIME", " AUTH=<>"]
)
def test_the_options_of_mail(house: Inside, options: str) -> None:
    with wire(house.port) as client:
        assert client.envelope(options=options).startswith("354 ")


def test_eight_bit_bytes_stay_as_they_are(house: Inside) -> None:
    content = conversions() + "2000,1,NOW,Größe,Ω,NEW,EUR,1\r\n".encode()
    raw = (
        mail().partition(b"\r\n\r\n")[0].replace(b"Content-Transfer-Encoding: 7bit", b"Content-Transfer-Encoding: 8bit")
    )
    raw = raw.replace(b"text/plain", b'text/csv; name="%s"' % NAME.encode()) + b"\r\n\r\n" + content
    with wire(house.port) as client:
        assert client.envelope(options=" BODY=8BITMIME").startswith("354 ")
        client.send(stuffed(raw))
        assert client.reply().startswith("250 2.0.0 accepted ")
    only_upload(house, content)


def test_an_address_in_utf_8(house: Inside) -> None:
    content = conversions()
    with wire(house.port) as client:
        assert client.envelope(sender="jürgen@bücher.example", options=" SMTPUTF8").startswith("354 ")
        client.send(stuffed(mail([(NAME, content)], From="jürgen@bücher.example")))
        assert client.reply().startswith("250 2.0.0 accepted ")
    trace_id = str(only_upload(house, content)["trace_id"])
    assert house.detail(trace_id)["sender"] == "jürgen@bücher.example"


@pytest.mark.parametrize("command", ["MAIL FROM:<\udcff@acme.example>", "MAIL FROM:<a@\udcc3.example> SMTPUTF8"])
def test_a_sender_that_is_no_text_is_refused_for_good(house: Inside, command: str) -> None:
    with wire(house.port) as client:
        assert client.say(command).startswith("553 5.1.3 ")
        assert client.envelope().startswith("354 ")


def test_a_recipient_that_is_no_text_is_refused_for_good(house: Inside) -> None:
    with wire(house.port) as client:
        client.say(f"MAIL FROM:<{SENDER}>")
        assert client.say(f"RCPT TO:<\udcff@{DOMAIN}>").startswith("553 5.1.3 ")
        assert client.say(f"RCPT TO:<{ADDRESS}>").startswith("250 ")


# --- whom we take mail for


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        (f"nobody-1@{DOMAIN}", "550 5.1.1 "),
        (f"nobody-1+acme-conversions-x7@{DOMAIN}", "550 5.1.1 "),
        (f"postmaster%elsewhere.example@{DOMAIN}", "550 5.1.1 "),  # the percent hack is a local part like others
        (f"acme-conversions-x7%elsewhere.example@{DOMAIN}", "550 5.1.1 "),
        (f'"someone@elsewhere.example"@{DOMAIN}', "550 5.1.1 "),
        (f"elsewhere.example!someone@{DOMAIN}", "550 5.1.1 "),
        ("someone@elsewhere.example", "550 5.7.1 "),
        ("acme-conversions-x7@elsewhere.example", "550 5.7.1 "),
        ("acme-conversions-x7%intake.localhost@elsewhere.example", "550 5.7.1 "),
        (f"@{DOMAIN}:someone@elsewhere.example", "550 5.7.1 "),
        (f'"{ADDRESS}"@elsewhere.example', "550 5.7.1 "),
        (f"acme-conversions-x7@sub.{DOMAIN}", "550 5.7.1 "),
        ("acme-conversions-x7@[127.0.0.1]", "550 5.7.1 "),
        (ADDRESS, "250 "),
        (ADDRESS.upper(), "250 "),
        (f"ACME-Conversions-x7@{DOMAIN}", "250 "),
        (f'"acme-conversions-x7"@{DOMAIN}', "250 "),
        (f"@relay.example:{ADDRESS}", "250 "),  # RFC 5321 appendix C: a source route is ignored
    ],
)
def test_whom_we_take_mail_for(house: Inside, address: str, answer: str) -> None:
    with wire(house.port) as client:
        client.say(f"MAIL FROM:<{SENDER}>")
        assert client.say(f"RCPT TO:<{address}>").startswith(answer)


def test_only_the_good_recipient_of_two_gets_the_mail(house: Inside) -> None:
    content = conversions()
    with wire(house.port) as client:
        client.say(f"MAIL FROM:<{SENDER}>")
        assert client.say(f"RCPT TO:<nobody@{DOMAIN}>").startswith("550 5.1.1 ")
        assert client.say(f"RCPT TO:<{ADDRESS}>").startswith("250 ")
        assert client.say("DATA").startswith("354 ")
        client.send(stuffed(mail([(NAME, content)])))
        assert client.reply().startswith("250 2.0.0 accepted ")
    only_upload(house, content)


@pytest.mark.parametrize(("tag", "dry_run"), [("november", False), ("dryrun", True), ("DryRun", True), ("a+b", False)])
def test_a_tag_is_recorded_and_dryrun_is_a_dry_run(house: Inside, tag: str, dry_run: bool) -> None:
    content, address = conversions(), f"acme-conversions-x7+{tag}@{DOMAIN}"
    with wire(house.port) as client:
        assert client.deliver(mail([(NAME, content)]), [address]).startswith("250 2.0.0 accepted ")
    detail = house.detail(str(only_upload(house, content)["trace_id"]))
    assert detail["tag"] == tag.lower()
    assert detail["dry_run"] is dry_run
    assert detail["recipient"] == address


def test_a_dry_run_does_not_stand_in_the_way_of_the_real_one(house: Inside) -> None:
    content = conversions()
    raw = mail([(NAME, content)])
    with wire(house.port) as client:
        both = [ADDRESS.replace("@", "+dryrun@"), ADDRESS]
        assert client.deliver(raw, both).count("accepted ") == 2
        assert client.deliver(raw, [ADDRESS]).startswith("250 2.0.0 duplicate ")
    assert len(house.uploads_of(digest(content))) == 2


def test_an_address_named_twice_is_one_delivery(house: Inside) -> None:
    content = conversions()
    with wire(house.port) as client:
        answer = client.deliver(mail([(NAME, content)]), [ADDRESS, ADDRESS.upper(), ADDRESS.replace("@", "+x@")])
    assert answer == f"250 2.0.0 accepted {only_upload(house, content)['trace_id']}"


# --- what is out of order


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (["MAIL FROM:<a@b.example>"], "503"),
        (["EHLO a", "DATA"], "503"),
        (["EHLO a", f"RCPT TO:<{ADDRESS}>"], "503"),
        (["EHLO a", "MAIL FROM:<a@b.example>", "DATA"], "503"),
        (["EHLO a", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>"], "503"),
        (["EHLO a", "MAIL FROM:<a@b.example>", f"RCPT TO:<{ADDRESS}>", "RSET", "DATA"], "503"),
        (["EHLO a", "MAIL FROM:<a@b.example>", f"RCPT TO:<{ADDRESS}>", "EHLO b", "DATA"], "503"),
        (["EHLO a", "MAIL FROM:<a@b.example>", f"RCPT TO:<{ADDRESS}>", "DATA now"], "501"),
        (["EHLO a", "MAIL FROM:a b@"], "553"),
        (["EHLO a", "MAIL FROM:<a@b.example> SIZE=x"], "501"),
        (["EHLO a", "MAIL FROM:<a@b.example> FUTURE=1"], "555"),
        (["EHLO a", "MAIL FROM:<a@b.example> BODY=BINARYMIME"], "501"),
        (["EHLO a", "XCLIENT ADDR=1.2.3.4"], "500"),
        (["EHLO a", "\x7f\x01"], "500"),
        (["EHLO a", "NOOP " + "x" * 600], "500"),
        (["EHLO a", "NOOP " + "x" * 6000], "500"),
    ],
)
def test_what_is_out_of_order_is_said_so_and_the_session_goes_on(house: Inside, commands: list[str], code: str) -> None:
    with wire(house.port, greet=False) as client:
        assert client.reply().startswith("220 ")
        answers = [client.say(command) for command in commands]
        assert answers[-1].startswith(code)
        client.say("EHLO a")
        assert client.envelope().startswith("354 ")


def test_the_null_sender_may_begin_a_mail(house: Inside) -> None:
    with wire(house.port) as client:
        assert client.envelope(sender="").startswith("354 ")


def test_an_empty_mail_is_answered(house: Inside) -> None:
    with wire(house.port) as client:
        assert client.envelope().startswith("354 ")
        client.send(b".\r\n")
        assert client.reply().startswith("250 2.0.0 ignored NO_ATTACHMENT ")


def test_many_mails_in_one_session(house: Inside) -> None:
    with wire(house.port) as client:
        answers = [client.deliver(mail([(NAME, conversions())])) for _ in range(10)]
    assert all(one.startswith("250 2.0.0 accepted ") for one in answers)
    assert len({one.split()[-1] for one in answers}) == 10

"""What one session, one address and one mail may take, with limits small enough to reach.

Times are only ever waited for: a bound that is given is generous.
"""

import contextlib
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.house import ADDRESS, DOMAIN, SENDER, conversions, digest, inside, mail, wait_until
from tests.smtp.wire import free_port, stuffed, wire

NAME = "Conversions_2026_a.csv"
TOO_LARGE = "552 5.3.4 FILE_TOO_LARGE"
TOO_MANY = "421 4.7.0 too many connections, please try again later"


# --- size


def test_a_size_announced_as_too_large_is_refused_at_once(folder: Path) -> None:
    with inside(folder, smtp={"max_message_bytes": 100_000}) as house, wire(house.port) as client:
        assert client.say(f"MAIL FROM:<{SENDER}> SIZE=100001") == TOO_LARGE
        assert client.say(f"MAIL FROM:<{SENDER}> BODY=8BITMIME size=99999999999999999999") == TOO_LARGE
        assert client.say(f"MAIL FROM:<{SENDER}> SIZE=100000").startswith("250 ")
        assert house.uploads() == []


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("most", [2000, 100_000, 3_000_000])
def test_a_mail_over_the_limit_is_read_to_its_end_and_refused(folder: Path, most: int, over_tls: bool) -> None:
    with inside(folder, smtp={"max_message_bytes": most}) as house, wire(house.port) as client:
        if over_tls:
            client.start_tls()
            client.say("EHLO a")
        content = conversions()
        # The announced size may be a lie.
        assert client.envelope(options=" SIZE=1").startswith("354 ")
        client.send(stuffed(mail([(NAME, b"x" * (most + 1))])))
        assert client.reply() == TOO_LARGE
        # The next mail of the session is a new one.
        assert client.deliver(mail([(NAME, content)])).startswith("250 2.0.0 accepted ")
        kept, *_ = house.uploads()[::-1]
        assert (kept["delivery_verdict"], kept["code"], kept["bytes"]) == ("rejected", "FILE_TOO_LARGE", None)
        assert house.spooled() == []
        assert len(house.stored()) == 1


def test_a_mail_of_just_the_limit_is_taken(folder: Path) -> None:
    raw = mail([(NAME, conversions(100))])
    with inside(folder, smtp={"max_message_bytes": len(raw)}) as house, wire(house.port) as client:
        assert client.deliver(raw).startswith("250 2.0.0 accepted ")
        assert client.deliver(raw.replace(b"See the file.", b"See the file.!")) == TOO_LARGE


def test_of_a_mail_over_the_limit_the_header_block_is_kept(folder: Path) -> None:
    with inside(folder, smtp={"max_message_bytes": 2_000_000}) as house, wire(house.port) as client:
        raw = mail([(NAME, b"x" * 2_500_000)], Subject="Too much")
        assert client.deliver(raw) == TOO_LARGE
        ((block, size),) = house.rows("select header_block, size from delivery")
        assert b"Subject: Too much\r\n" in block
        assert len(block) <= 65536
        assert size <= 2_000_000 + 1_500_000


def test_more_than_twice_the_limit_is_cut_off(folder: Path) -> None:
    with inside(folder, smtp={"max_message_bytes": 100_000}) as house, wire(house.port) as client:
        client.envelope()
        line = b"x" * 998 + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(20_000):  # 20 MB, were they taken
                client.send(line)
            pytest.fail("nobody cut the sender off")
        assert client.at_end()
        assert house.uploads() == []
        wait_until(lambda: house.spooled() == [])
        with wire(house.port) as another:
            assert another.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")


def test_one_file_over_its_limit_is_refused_for_good(folder: Path) -> None:
    with inside(folder, limits={"max_file_bytes": 1000}) as house, wire(house.port) as client:
        content = conversions()
        assert client.deliver(mail([(NAME, b"x" * 1001), ("Conversions_2026_b.csv", content)])) == TOO_LARGE
        assert {one["status"] for one in house.uploads()} == {"upload_failed"}
        assert house.stored() == []


# --- numbers


def test_more_recipients_than_one_mail_may_have(folder: Path) -> None:
    with inside(folder, limits={"smtp_recipients": 3}) as house, wire(house.port) as client:
        client.say(f"MAIL FROM:<{SENDER}>")
        tags = [ADDRESS.replace("@", f"+{number}@") for number in range(4)]
        assert [client.say(f"RCPT TO:<{one}>")[:9] for one in tags] == ["250 2.1.5"] * 3 + ["452 4.5.3"]
        assert client.say("DATA").startswith("354 ")  # those that were taken get the mail (RFC 5321 section 4.5.3.1.10)


def test_connections_of_one_address_and_in_total(folder: Path) -> None:
    limits = {"smtp_connections": 5, "smtp_connections_per_address": 3}
    with inside(folder, limits=limits) as house, contextlib.ExitStack() as stack:
        first = [stack.enter_context(wire(house.port)) for _ in range(3)]
        refused = stack.enter_context(wire(house.port, greet=False))
        assert refused.reply().startswith("421 4.7.0 ")
        assert refused.at_end()
        other = [stack.enter_context(wire(house.port, source="127.0.0.2")) for _ in range(2)]
        over = stack.enter_context(wire(house.port, greet=False))
        assert over.reply().startswith("421 4.7.0 ")  # in total, and nobody has more than this one
        # Those inside are not disturbed, also behind STARTTLS; and who leaves makes room.
        first[0].start_tls()
        first[0].say("EHLO a")
        assert first[0].deliver(mail([(NAME, conversions())])).startswith("250 ")
        assert other[0].say("NOOP").startswith("250 ")
        first[0].hang_up()
        first[1].say("QUIT")
        assert first[1].at_end()

        def comes_in() -> bool:
            newcomer = stack.enter_context(wire(house.port, greet=False))
            return newcomer.reply().startswith("220 ")

        assert wait_until(comes_in)


def test_commands_of_one_session(folder: Path) -> None:
    with inside(folder, limits={"smtp_commands": 10}) as house, wire(house.port) as client:
        answers = [client.say("NOOP" if number % 2 else "RSET")[:3] for number in range(10)]
        assert answers == ["250"] * 9 + ["421"]  # EHLO was the first
        assert client.at_end()


def test_commands_that_there_are_not_end_the_session_too(folder: Path) -> None:
    with inside(folder) as house, wire(house.port) as client:
        for _ in range(100):
            answer = client.say("XYZ")
            if not answer.startswith("500 "):
                break
        assert answer.startswith("502 ")
        assert client.at_end()


# --- time


def test_who_is_silent_is_closed(folder: Path) -> None:
    with inside(folder, limits={"smtp_idle": "1s"}) as house:
        with wire(house.port) as client:
            assert client.reply().startswith("421 4.4.2 ")
            assert client.at_end()
        with wire(house.port, greet=False) as client:
            assert client.reply().startswith("220 ")
            client.send(b"NOO")
            assert client.reply().startswith("421 4.4.2 ")
        with wire(house.port) as client:
            client.send(b"STARTTLS\r\n")
            assert client.reply().startswith("220 ")
            assert client.at_end()  # no handshake came


def test_a_mail_that_comes_too_slowly_is_cut_off(folder: Path) -> None:
    limits = {"smtp_minimum_rate": 1000, "smtp_rate_window": "1s"}
    with inside(folder, limits=limits) as house, wire(house.port) as client:
        client.envelope()
        client.send(b"From: someone\r\n")
        assert client.reply().startswith("421 4.4.2 ")
        assert client.at_end()
        assert house.uploads() == []


def test_a_mail_that_never_ends_is_cut_off(folder: Path) -> None:
    limits = {"smtp_minimum_rate": 1, "smtp_rate_window": "1s", "smtp_data_total": "2s", "smtp_idle": "1s"}
    with inside(folder, limits=limits) as house, wire(house.port) as client:
        client.envelope()
        began = time.monotonic()

        def cut_off() -> bool:
            try:
                client.send(b"x" * 70 + b"\r\n")
            except OSError:
                return True
            return False

        wait_until(cut_off)
        assert time.monotonic() - began > 1.5  # the idle time does not bound DATA
        assert house.uploads() == []
        wait_until(lambda: house.spooled() == [])


def test_a_session_that_goes_on_too_long_is_closed(folder: Path) -> None:
    with inside(folder, limits={"smtp_session_total": "1s"}) as house, wire(house.port) as client:
        assert wait_until(lambda: client.say("NOOP").startswith("421 4.7.0 "))
        assert client.at_end()


def test_those_who_do_nothing_do_not_hold_up_those_who_send(folder: Path) -> None:
    with inside(folder) as house, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(wire(house.port)) for _ in range(60)]
        for client in idle[:20]:
            client.envelope()
            client.send(b"From: someone\r\n")
        with wire(house.port, source="127.0.0.2") as good:
            began = time.monotonic()
            for _ in range(5):
                assert good.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")
            assert time.monotonic() - began < 10


# --- room


def test_no_mail_is_begun_when_the_disk_is_too_full(folder: Path) -> None:
    with inside(folder, limits={"minimum_free_bytes": 2**62}) as house, wire(house.port) as client:
        assert client.say(f"MAIL FROM:<{SENDER}>").startswith("452 4.3.1 ")
        assert client.say(f"RCPT TO:<{ADDRESS}>").startswith("503 ")
        assert client.say("DATA").startswith("503 ")
        assert house.uploads() == []


def test_a_disk_that_fills_up_meanwhile_refuses_for_now_and_keeps_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = conversions()
    with inside(folder) as house, wire(house.port) as client:
        raw = mail([(NAME, content)])
        client.envelope()
        with monkeypatch.context() as full:
            full.setattr(type(house.house.blobs), "commit", _no_space)
            client.send(stuffed(raw))
            assert client.reply().startswith("452 4.3.1 ")
        assert (house.uploads(), house.spooled(), house.stored()) == ([], [], [])
        assert client.deliver(raw).startswith("250 2.0.0 accepted ")
        assert len(house.uploads_of(digest(content))) == 1


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_spool_that_cannot_be_written_refuses_for_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch, over_tls: bool
) -> None:
    with inside(folder, limits={"smtp_rate_window": "5s"}) as house, wire(house.port) as client:
        if over_tls:
            client.start_tls()
            client.say("EHLO a")
        client.envelope()
        with monkeypatch.context() as full:
            full.setattr("intake.spool._write_all", _no_space)
            client.send(stuffed(mail([(NAME, conversions(200_000))])))  # 9 MB: it comes while the first write fails
            assert client.reply().startswith("452 4.3.1 ")
        assert (house.uploads(), house.spooled(), house.stored()) == ([], [], [])
        assert client.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")


def _no_space(*_: object) -> None:
    time.sleep(0.2)  # a disk that fails takes its time
    raise OSError(28, "No space left on device")


def test_a_recipient_list_beyond_the_reply_of_one_line_is_answered_in_several(folder: Path) -> None:
    connections = """
[[account]]
name = "acme"
""" + "".join(
        f"""
[[connection]]
name = "acme-{number}"
account = "acme"
data_type = "conversions"
pattern = "Conversions_*.csv"
address = "acme-{number}"
"""
        for number in range(20)
    )
    content = conversions()
    with inside(folder, connections) as house, wire(house.port) as client:
        answer = client.deliver(mail([(NAME, content)]), [f"acme-{number}@{DOMAIN}" for number in range(20)])
        assert answer.startswith("250-2.0.0 accepted ")
        assert answer.count("accepted ") == 20
        assert {one["connection"] for one in house.uploads_of(digest(content))} == {f"acme-{n}" for n in range(20)}
        assert client.say("NOOP").startswith("250 ")


def test_when_the_door_is_full_who_has_most_makes_room_for_who_has_less(folder: Path) -> None:
    limits = {"smtp_connections": 4}
    smtp = {"trusted_proxies": ["127.0.0.4/32"]}
    with inside(folder, limits=limits, smtp=smtp) as house, contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(wire(house.port)) for _ in range(3)]
        greedy[0].envelope()  # brings a mail: never sent away
        relay = stack.enter_context(wire(house.port, source="127.0.0.4"))
        good = stack.enter_context(wire(house.port, source="127.0.0.2"))
        assert greedy[1].reply() == TOO_MANY  # the oldest of those that bring nothing
        assert good.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")
        third = stack.enter_context(wire(house.port, source="127.0.0.3"))
        assert greedy[2].reply() == TOO_MANY
        # Each has one now, and who has none comes in; a mail under way and our own server stay, whoever comes.
        newest = [stack.enter_context(wire(house.port, source=f"127.0.0.{number}")) for number in (5, 6, 7, 8)]
        assert [one.reply() for one in (good, third, *newest[:-2])] == [TOO_MANY] * 4
        greedy[0].send(stuffed(mail([(NAME, conversions())])))
        assert greedy[0].reply().startswith("250 2.0.0 accepted ")
        assert all(one.say("NOOP").startswith("250 ") for one in (relay, *newest[-2:]))


def test_a_client_that_hangs_up_at_once_leaves_nothing_behind(folder: Path) -> None:
    with inside(folder) as house:
        for _ in range(200):
            socket.create_connection(("127.0.0.1", house.port), 20).close()
        wait_until(lambda: len(house.door._shared.gate) == 0)


def test_a_silent_client_of_implicit_tls_makes_room_too(folder: Path) -> None:
    smtp = {"tls_port": free_port()}
    with inside(folder, limits={"smtp_connections": 2}, smtp=smtp) as house, contextlib.ExitStack() as stack:
        address = ("127.0.0.1", house.ports["smtps"])
        silent = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(2)]
        with wire(house.port, source="127.0.0.2") as good:
            assert good.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")
            assert silent[0].recv(1) == b""


def test_silent_clients_of_implicit_tls_count_and_are_cut_off(folder: Path) -> None:
    port = free_port()
    limits = {"smtp_connections_per_address": 3, "smtp_tls_handshake": timedelta(seconds=1)}
    with inside(folder, limits=limits, smtp={"tls_port": port}), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(3)]
        over = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        assert over.recv(1) == b""  # before any handshake: the first three count
        assert [one.recv(1) for one in silent] == [b""] * 3  # none is kept for longer than the limit
        with wire(port, tls=True, greet=False) as client:  # and they have made room
            client.greet()

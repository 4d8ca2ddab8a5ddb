"""Servers that lie, stall, flood and hang up: bounded memory and time, a verdict for every mail, no other held up."""

import resource
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailgate.imap.faults import Kind, MailboxError, Step
from models.tables import Answer, MailboxMessage
from tests.house import conversions, mail
from tests.imap.hostile import HangUp, Scripted, Talk, scripted
from tests.imap.support import Rig, connection, open_rig

NAME = "Conversions_1.csv"
MOVES = 'processed_folder = "Done"\nignored_folder = "Other"'
QUICK = {
    "imap_silence": timedelta(seconds=0.4), "imap_command_total": timedelta(seconds=1),
    "imap_connect": timedelta(seconds=2),
}  # fmt: skip


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("sesame\n")
    return path


@pytest.fixture
def rig(tmp_path: Path, template: Path) -> Any:
    with open_rig(tmp_path / "data", template, limits=QUICK) as opened:
        yield opened


def good() -> bytes:
    return mail([(NAME, conversions())])


def say(*lines: bytes, end: bool = False) -> Callable[[Talk, str, str], bool]:
    def answer(talk: Talk, tag: str, rest: str) -> bool:
        for line in lines:
            talk.send(line.replace(b"TAG", tag.encode()))
        if end:
            raise HangUp
        return True

    return answer


def silent(talk: Talk, tag: str, rest: str) -> bool:
    talk.server.stopping.wait(30)
    raise HangUp


def flood(talk: Talk, tag: str, rest: str) -> bool:
    while True:
        talk.send(b"* 1 EXISTS\r\n" * 1000)


def flood_without_end(talk: Talk, tag: str, rest: str) -> bool:
    while True:
        talk.send(b"x" * 65536)


def drip(talk: Talk, tag: str, rest: str) -> bool:
    while not talk.server.stopping.wait(0.2):
        talk.send(b"x")
    raise HangUp


ODDITIES: dict[str, Callable[[Talk, str, str], bool]] = {
    "a literal of two gigabytes": say(b"* 1 FETCH (UID 1 BODY[]<0> {2147483647}\r\n" + b"x" * 100),
    "a literal beyond all numbers": say(b"* 1 FETCH (UID 1 BODY[]<0> {" + b"9" * 5000 + b"}\r\n"),
    "endless untagged lines": flood,
    "a line without end": flood_without_end,
    "silence": silent,
    "a byte now and then": drip,
    "a hang-up": say(end=True),
    "a hang-up amid a literal": say(b"* 1 FETCH (UID 1 BODY[]<0> {500}\r\nabc", end=True),
    "no tagged line": say(b"* OK nothing\r\n", end=True),
    "garbage": say(b"\x00\xff\x13\x37 garbage\r\n"),
    "ten thousand brackets": say(b"* 1 FETCH " + b"(" * 10_000 + b"\r\n", b"TAG OK done\r\n"),
    "a number that is none": say(b"* 1 FETCH (UID x BODY[]<0> NIL)\r\n", b"TAG OK done\r\n"),
    "half an answer": say(b"* 1 FETCH (UID 1 BODY[]<0>\r\n", b"TAG OK done\r\n"),
    "a foreign tag": say(b"other OK done\r\n"),
    "no": say(b"TAG NO not now\r\n"),
    "bad": say(b"TAG BAD what\r\n"),
    "goodbye": say(b"* BYE shutting down\r\n", end=True),
}  # fmt: skip
_COMMANDS = ("CAPABILITY", "LOGIN", "SELECT", "UID SEARCH", "UID FETCH", "UID MOVE")
_OF_FETCH_ALONE = {"ten thousand brackets", "a number that is none", "half an answer"}  # others look at no FETCH
_CASES = [
    (command, oddity)
    for command in _COMMANDS
    for oddity in ODDITIES
    if command == "UID FETCH" or oddity not in _OF_FETCH_ALONE
]


@pytest.mark.parametrize(("command", "oddity"), _CASES)
def test_every_command_ends_in_a_reason(command: str, oddity: str, rig: Rig, secret: Path) -> None:
    with scripted({1: good()}, overrides={command: ODDITIES[oddity]}) as server:
        rig.apply(connection("me", server.port, secret, remote=MOVES))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(MailboxError) as caught:
            rig.look()
        assert caught.value.reason
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes
        server.overrides.clear()
        rig.store.clock.forward(minutes=2)
        rig.look()  # nothing is held against a server that has come to its senses
    assert rig.verdicts() == [("accepted", None)]
    assert server.moved == {1: "Done"}
    assert rig.spooled() == []


@pytest.mark.parametrize("greeting", [None, b"", b"220 mail ESMTP\r\n", b"* BYE full\r\n", b"* PREAUTH hello\r\n"])
def test_a_strange_greeting_ends_in_a_reason(greeting: bytes | None, rig: Rig, secret: Path) -> None:
    with scripted({1: good()}, greeting=greeting) as server:
        rig.apply(connection("me", server.port, secret))
        with pytest.raises(MailboxError):
            rig.look()
    assert rig.history() == []


def refuse(uid: int, how: Callable[[Talk, str, str], bool]) -> Callable[[Talk, str, str], bool]:
    def answer(talk: Talk, tag: str, rest: str) -> bool:
        return how(talk, tag, rest) if rest.startswith(f"UID FETCH {uid} (BODY") else False

    return answer


@pytest.mark.parametrize("oddity", ["no", "a hang-up amid a literal", "half an answer", "a literal of two gigabytes"])
def test_a_mail_that_cannot_be_fetched_gets_a_verdict_and_holds_up_none(oddity: str, rig: Rig, secret: Path) -> None:
    mails = {1: good(), 2: good(), 3: good()}
    with scripted(mails, overrides={"UID FETCH": refuse(2, ODDITIES[oddity])}) as server:
        rig.apply(connection("me", server.port, secret, remote=MOVES))
        for _ in range(2):
            try:
                rig.look()
            except MailboxError as error:
                assert error.step is Step.FETCH  # noqa: PT017 - both ways are right, this is the usual one
        assert rig.verdicts() == [("accepted", None)] * 2  # 3 was not held up, 2 waits for its next try
        tries = 0
        while len(rig.history()) < 3:
            rig.store.clock.forward(hours=4)
            tries += 1
            assert tries < 10
            try:
                rig.look()
            except MailboxError:
                continue
        assert rig.verdicts()[-1] == ("incomplete", "INCOMPLETE")
        assert server.moved == {1: "Done", 3: "Done"} or server.moved[2] == "Other"
        fetched = len([one for one in server.commands if one.startswith("UID FETCH 2 (BODY")])
        assert fetched == rig.store.settings.limits.imap_message_tries
        rig.store.clock.forward(days=1)
        rig.look()
        assert server.moved == {1: "Done", 3: "Done", 2: "Other"}
        assert len([one for one in server.commands if one.startswith("UID FETCH 2 (BODY")]) == fetched
    receipts = [answer for answer in rig.store.all(Answer) if answer.kind == "receipt"]
    assert len(receipts) == 3


def test_answers_for_messages_nobody_asked_for_are_left_out(rig: Rig, secret: Path) -> None:
    other = good()

    def also(talk: Talk, tag: str, rest: str) -> bool:
        if "BODY" not in rest:
            return False
        Scripted.body(talk, 77, 0, other)
        talk.server.fetch(talk, rest)
        Scripted.body(talk, 99, 0, other)
        talk.line(f"{tag} OK done")
        return True

    mine = conversions()
    with scripted({5: mail([(NAME, mine)])}, overrides={"UID FETCH": also}) as server:
        rig.apply(connection("me", server.port, secret))
        rig.look()
    (row,) = rig.history()
    assert row["bytes"] == len(mine)
    assert [message.uid for message in rig.store.all(MailboxMessage)] == [5]


@pytest.mark.parametrize("factor", [0, 0.5, 1.5, 3])
def test_a_lie_about_the_size_changes_nothing_for_a_mail_that_is_whole(factor: float, rig: Rig, secret: Path) -> None:
    def lie(talk: Talk, tag: str, rest: str) -> bool:
        if "RFC822.SIZE" not in rest:
            return False
        talk.line(f"* 1 FETCH (UID 1 RFC822.SIZE {int(len(talk.server.mails[1]) * factor)})")
        talk.line(f"{tag} OK done")
        return True

    with scripted({1: good()}, overrides={"UID FETCH": lie}) as server:
        rig.apply(connection("me", server.port, secret))
        rig.look()
    assert rig.verdicts() == [("accepted", None)]


def cut(keep: float) -> Callable[[Talk, str, str], bool]:
    def answer(talk: Talk, tag: str, rest: str) -> bool:
        if "BODY" not in rest:
            return False
        whole = talk.server.mails[1]
        offset = int(rest.partition("<")[2].partition(".")[0])
        Scripted.body(talk, 1, offset, whole[: int(len(whole) * keep)][offset:])
        talk.line(f"{tag} OK done")
        return True

    return answer


def test_a_body_cut_short_is_never_half_a_file(rig: Rig, secret: Path) -> None:
    plain = (
        b'Content-Type: text/csv; name="Conversions_1.csv"\r\nContent-Disposition: attachment\r\n\r\n' + conversions(50)
    )
    for number, whole in enumerate((good(), plain), 1):
        with scripted({1: whole}, overrides={"UID FETCH": cut(0.8)}) as server:
            rig.apply(connection(f"me{number}", server.port, secret))
            rig.look()
        assert rig.verdicts() == [("rejected", "ATTACHMENT_DAMAGED")] * number
    assert "announced" in rig.history()[-1]["message"]


def test_small_pieces_are_put_together(rig: Rig, secret: Path) -> None:
    def small(talk: Talk, tag: str, rest: str) -> bool:
        if "BODY" not in rest:
            return False
        offset = int(rest.partition("<")[2].partition(".")[0])
        Scripted.body(talk, 1, offset, talk.server.mails[1][offset : offset + 100])
        talk.line(f"{tag} OK done")
        return True

    data = conversions()
    with scripted({1: mail([(NAME, data)])}, overrides={"UID FETCH": small}) as server:
        rig.apply(connection("me", server.port, secret))
        rig.look()
    (row,) = rig.history()
    assert (row["delivery_verdict"], row["bytes"]) == ("accepted", len(data))


def test_a_mail_without_end_stops_at_the_limit(tmp_path: Path, template: Path, secret: Path) -> None:
    def endless(talk: Talk, tag: str, rest: str) -> bool:
        if "BODY" not in rest:
            return False
        offset, length = map(int, rest.partition("<")[2].rstrip(">)").split("."))
        Scripted.body(talk, 1, offset, b"x" * length)
        talk.line(f"{tag} OK done")
        return True

    from mailgate.settings import Smtp

    with open_rig(tmp_path / "d", template, smtp=Smtp(max_message_bytes=5_000_000)) as rig:
        with scripted({1: good()}, overrides={"UID FETCH": endless}) as server:
            rig.apply(connection("me", server.port, secret))
            rig.look()
        assert len(server.commands) < 20
        assert rig.verdicts() == [("rejected", "FILE_TOO_LARGE")]


@pytest.mark.parametrize("uidvalidity", ["", "0", "x", "99999999999999999999999"])
def test_without_uidvalidity_nothing_is_taken(uidvalidity: str, rig: Rig, secret: Path) -> None:
    with scripted({1: good()}, uidvalidity=uidvalidity) as server:
        rig.apply(connection("me", server.port, secret))
        with pytest.raises(MailboxError) as caught:
            rig.look()
        assert caught.value.step is Step.FOLDER
        assert server.mails
    assert rig.history() == []


def test_a_uidvalidity_that_keeps_changing_doubles_nothing_and_grows_nothing(rig: Rig, secret: Path) -> None:
    mails = {number: good() for number in range(1, 6)}
    with scripted(mails) as server:
        rig.apply(connection("me", server.port, secret))
        refused = 0
        for number in range(1, 9):
            server.uidvalidity = str(number)
            rig.store.clock.forward(minutes=20)
            try:
                rig.look()
            except MailboxError as error:
                refused += error.kind is Kind.NO_FOLDER
        assert refused >= 5
    assert rig.verdicts() == [("accepted", None)] * 5
    assert len(rig.store.all(MailboxMessage)) == 5
    assert len(rig.store.queue.jobs) == 5


def test_a_folder_that_cannot_be_read_holds_up_no_other_folder(rig: Rig, secret: Path) -> None:
    def only_the_second(talk: Talk, tag: str, rest: str) -> bool:
        if "First" not in rest:
            return False
        talk.line("* OK [UIDVALIDITY 0] none")
        talk.line(f"{tag} OK done")
        return True

    with scripted({1: good()}, overrides={"SELECT": only_the_second}) as server:
        rig.apply(
            connection("me", server.port, secret, name="one", remote='folder = "First"'),
            connection("me", server.port, secret, name="two", remote='folder = "Second"'),
        )
        with pytest.raises(MailboxError, match="First"):
            rig.look()
    assert [one["connection"] for one in rig.history()] == ["two"]


def test_uids_that_do_not_ascend_are_all_taken_at_last(rig: Rig, secret: Path) -> None:
    with scripted({50: good(), 10: good()}) as server:
        rig.apply(connection("me", server.port, secret))
        poller = rig.poller()
        assert len(rig.look(poller)) == 2
        server.mails[30] = good()  # below what was seen before
        assert rig.look(poller) == []
        rig.store.clock.forward(hours=1)
        assert len(rig.look(poller)) == 1
    assert len(rig.history()) == 3


def test_a_server_that_echoes_the_password_does_not_bring_it_to_our_logs(rig: Rig, secret: Path) -> None:
    with scripted({}, overrides={"LOGIN": say(b"TAG NO sesame is wrong\r\n")}) as server:
        rig.apply(connection("me", server.port, secret))
        with pytest.raises(MailboxError) as caught:
            rig.look()
    assert "sesame" not in str(caught.value)
    assert "*** is wrong" in caught.value.reason


@pytest.mark.parametrize("word", ["a\r\nb", "a\nb", "a\0b"])
def test_line_ends_reach_no_command(word: str, rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(f"{word}x".encode())
    with scripted({1: good()}) as server:
        rig.apply(connection("me", server.port, tmp_path / "bad"))
        with pytest.raises(MailboxError, match="line end or NUL"):
            rig.look()
    assert not any("b" in one and "LOGIN" in one for one in server.commands)


def test_starttls_with_bytes_in_clear_behind_it_is_refused(rig: Rig, secret: Path) -> None:
    sneaky = say(b"TAG OK begin\r\n* CAPABILITY IMAP4rev1\r\n")
    with scripted({}, capabilities="IMAP4rev1 STARTTLS", overrides={"STARTTLS": sneaky}) as server:
        rig.apply(connection("me", server.port, secret, tls="starttls"))
        with pytest.raises(MailboxError, match="in clear"):
            rig.look()
    assert not any("LOGIN" in one for one in server.commands)


def test_a_server_without_starttls_hears_no_password(rig: Rig, secret: Path) -> None:
    with scripted({}) as server:
        rig.apply(connection("me", server.port, secret, tls="starttls"))
        with pytest.raises(MailboxError):
            rig.look()
    assert not any("LOGIN" in one for one in server.commands)

"""Lines, replies, listings, and the decision whether a file is whole: no socket."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes import Code
from models.faults import TemporaryError
from transfer.ftp_completion import Came, Pace, why_not_whole
from transfer.ftp_line import Command, Endless, LineBuffer, LineTooLong, NotUtf8, parse, reply
from transfer.ftp_verbs import VERBS, Takes
from transfer.ftp_wire import Ending, plain_address
from transfer.ftp_words import (
    BadPath,
    absolute,
    facts_line,
    list_line,
    matching,
    numbered,
    refusal,
    without_options,
)
from transfer.view import Entry, Kind, NameTaken, NoRoom, NoSuchName, NotAllowed, NotNow, TooLarge

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


# --- lines


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=6), st.data())
def test_lines_are_the_same_however_they_come(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    buffer, got, position = LineBuffer(), [], 0
    while position < len(stream):
        step = data.draw(st.integers(1, len(stream) - position))
        buffer.feed(stream[position : position + step])
        position += step
        while (line := buffer.take()) is not None:
            got.append(line)
    assert got == lines
    assert not buffer.pending


def test_a_line_that_is_too_long_is_dropped_whole() -> None:
    buffer = LineBuffer(10)
    buffer.feed(b"a" * 11)
    assert buffer.take() is None
    assert buffer.pending
    buffer.feed(b"b" * 5 + b"\r\nNOOP\r\n")
    with pytest.raises(LineTooLong):
        buffer.take()
    assert buffer.take() == b"NOOP"
    buffer.feed(b"c" * 11 + b"\n")
    with pytest.raises(LineTooLong):
        buffer.take()


def test_a_line_without_end_is_not_kept() -> None:
    buffer = LineBuffer(10)
    for _ in range(65):
        buffer.feed(b"x" * 1000)
        assert buffer.take() is None
        assert len(buffer._bytes) <= 1000
    buffer.feed(b"x" * 1000)
    with pytest.raises(Endless):
        buffer.take()


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"NOOP", Command(verb="NOOP")),
        (b"stor a b.csv", Command(verb="STOR", argument="a b.csv")),
        (b"STOR  a ", Command(verb="STOR", argument=" a ")),
        (b"\xff\xf4\xff\xf2ABOR", Command(verb="ABOR")),
        (b"\xf4abor", Command(verb="ABOR")),
        ("STOR é.csv".encode(), Command(verb="STOR", argument="é.csv")),
        (b"PASS caf\xe9", Command(verb="PASS", argument="café")),
        ("PASS café".encode(), Command(verb="PASS", argument="café")),
        (b"", Command(verb="")),
        (b"\x80\x81 x", Command(verb="\ufffd\ufffd", argument="x")),
    ],
)
def test_commands(line: bytes, command: Command) -> None:
    assert parse(line) == command


def test_a_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(NotUtf8) as caught:
        parse(b"STOR caf\xe9.csv")
    assert caught.value.verb == "STOR"


@given(st.integers(100, 599), st.lists(st.text(), min_size=1, max_size=5))
def test_nobody_adds_a_line_to_a_reply(code: int, lines: list[str]) -> None:
    said = reply(code, *lines)
    assert said.endswith(b"\r\n")
    got = said.decode().removesuffix("\r\n").split("\r\n")
    assert len(got) == len(lines)
    assert all(character.isprintable() for line in got for character in line)
    assert got[-1].startswith(f"{code} ")
    assert all(line.startswith((" ", f"{code}-")) for line in got[:-1])


# --- paths and listings


@pytest.mark.parametrize(
    ("here", "path", "result"),
    [
        ("/", "a", "/a"), ("/a", "b/c", "/a/b/c"), ("/a", "/b", "/b"), ("/a", "..", "/"), ("/a/b", "../../../..", "/"),
        ("/a", ".", "/a"), ("/a", "", "/a"), ("/a", "//b//c/", "/b/c"), ("/a", "~", "/"), ("/a", "~/b", "/b"),
        ("/a", "~b", "/a/~b"), ("/a", "./-l", "/a/-l"),
    ],
)  # fmt: skip
def test_absolute(here: str, path: str, result: str) -> None:
    assert absolute(here, path) == result


@given(st.text())
def test_a_path_is_absolute_and_clean_or_refused(path: str) -> None:
    try:
        found = absolute("/upload", path)
    except BadPath:
        return
    assert found.startswith("/")
    assert not found.startswith("//")
    assert ".." not in found.split("/")


@pytest.mark.parametrize(
    ("given_", "path"),
    [("", ""), ("-al", ""), ("-a -l results", "results"), ("-la /x y", "/x y"), ("-- -x", "-x"), ("a -l", "a -l")],
)
def test_options_of_listings(given_: str, path: str) -> None:
    assert without_options(given_) == path


def entry(name: str, **more: Any) -> Entry:
    return Entry(**{"name": name, "kind": Kind.FILE, "size": 3, "modified_at": NOW, "writable": True, **more})


def test_list_lines() -> None:
    assert list_line(entry("a b.csv"), "a b.csv", NOW) == (
        "-rw-r--r--    1 mailgate mailgate          3 Nov 26 08:00 a b.csv"
    )
    old = entry("x", modified_at=NOW - timedelta(days=400), writable=False)
    assert list_line(old, "x", NOW) == "-r--r--r--    1 mailgate mailgate          3 Oct 22  2025 x"
    folder = entry("d", kind=Kind.FOLDER, size=0, writable=False)
    assert list_line(folder, "d", NOW).startswith("dr-xr-xr-x    2 ")


def test_facts() -> None:
    assert facts_line(entry("a"), "/a", "a", {"type", "size", "modify"}) == "type=file;size=3;modify=20261126080000; a"
    assert facts_line(entry("a"), "/a", "/a", ()) == " /a"
    assert facts_line(entry("a"), "/a", "a", {"unique"}) != facts_line(entry("a"), "/b", "a", {"unique"})


def test_patterns_and_numbers() -> None:
    names = [entry(name) for name in ("a.csv", "b.csv", "b.txt", "[a].csv")]
    assert [one.name for one in matching(names, "?.csv")] == ["a.csv", "b.csv"]
    assert [one.name for one in matching(names, "[a]*")] == ["[a].csv"]
    assert matching(names, "*" * 400) == []
    assert [numbered(name, 2) for name in ("a.csv", "a", ".a", "a.b.c")] == ["a.2.csv", "a.2", ".a.2", "a.b.2.c"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (NoSuchName("there is no /x"), 550, "No such file or directory: there is no /x"),
        (NameTaken("x is there"), 550, "File exists: x is there"),
        (NotAllowed("no", Code.NAME_INVALID), 550, "NAME_INVALID: no"),
        (TooLarge("big", Code.FILE_TOO_LARGE), 552, "FILE_TOO_LARGE: big"),
        (NoRoom("no space"), 452, "no space"),
        (NotNow("busy"), 451, "this cannot be done now, please try again: busy"),
        (TemporaryError("locked"), 451, "this cannot be done now, please try again: locked"),
        (RuntimeError("a secret"), 451, "this cannot be done now, please try again"),
    ],
)
def test_refusals(error: Exception, code: int, words: str) -> None:
    assert refusal(error) == (code, words)


def test_addresses() -> None:
    assert [plain_address(one) for one in ("::ffff:192.0.2.1", "192.0.2.1", "::1")] == ["192.0.2.1", "192.0.2.1", "::1"]


# --- whether a file is whole

CLEAN, TORN, LOST = Ending.CLEAN, Ending.TORN, Ending.LOST


@pytest.mark.parametrize(
    ("came", "why"),
    [
        (Came(ending=CLEAN, got=10), ""),
        (Came(ending=CLEAN, got=0), ""),
        (Came(ending=LOST, got=10), "cut off"),
        (Came(ending=LOST, got=10, allocated=10, lenient=True), "cut off"),
        (Came(ending=TORN, got=10), "close_notify"),
        (Came(ending=TORN, got=10, lenient=True), ""),
        (Came(ending=TORN, got=10, allocated=10), ""),
        (Came(ending=TORN, got=10, allocated=11, lenient=True), "ALLO announced 11 bytes, and 10 came"),
        (Came(ending=CLEAN, got=10, allocated=10), ""),
        (Came(ending=CLEAN, got=10, allocated=11), "ALLO"),
        (Came(ending=CLEAN, got=10, allocated=9), "ALLO"),
        (Came(ending=CLEAN, got=10, allocated=9, ascii=True), ""),  # line ends have grown
        (Came(ending=CLEAN, got=10, allocated=11, ascii=True), "ALLO"),
        (Came(ending=TORN, got=10, allocated=9, ascii=True), "close_notify"),
        (Came(ending=CLEAN, got=10, start=5, allocated=15), ""),  # of the whole, as lftp says it
        (Came(ending=CLEAN, got=10, start=5, allocated=10), ""),  # of what is left
        (Came(ending=CLEAN, got=10, start=5, allocated=12), "ALLO"),
        (Came(ending=Ending.OPEN, got=10), "cut off"),
    ],
)
def test_whole(came: Came, why: str) -> None:
    told = why_not_whole(came)
    assert (why in told) if why else not told


def test_pace() -> None:
    pace = Pace(0.0, minimum_rate=100, window=10.0)
    assert not pace.too_slow(1, 9.9)
    assert pace.too_slow(1, 10.0)
    assert not pace.too_slow(5000, 20.0)
    assert not pace.too_slow(1000, 30.0)
    assert pace.too_slow(999, 40.0)


# --- the table


def test_every_verb_of_the_issue_is_there() -> None:
    wanted = """USER PASS ACCT REIN QUIT PORT PASV TYPE STRU MODE RETR STOR STOU APPE ALLO REST RNFR RNTO ABOR DELE
    RMD MKD PWD LIST NLST SITE SYST STAT HELP NOOP CWD CDUP XCWD XCUP XPWD XMKD XRMD FEAT OPTS SIZE MDTM MFMT MLSD MLST
    EPSV EPRT AUTH PBSZ PROT"""
    assert set(wanted.split()) <= set(VERBS)
    assert all(verb.help.startswith(name) for name, verb in VERBS.items())
    assert {name for name, verb in VERBS.items() if not verb.login} == {
        "ACCT", "AUTH", "CLNT", "FEAT", "HELP", "NOOP", "PASS", "PBSZ", "PROT", "QUIT", "SITE", "SITE HELP",
        "STAT", "SYST", "USER",
    }  # fmt: skip
    assert all(verb.takes is not Takes.MUST for name, verb in VERBS.items() if name in ("LIST", "NLST", "MLSD", "CWD"))

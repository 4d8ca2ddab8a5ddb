"""The end of DATA against a reference that sees the whole stream at once."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailgate.smtp.framing import DataFraming

ALPHABET = [b"\r", b"\n", b".", b"\0", b"a", b"\r\n", b"\r\n.", b"\r\n.\r\n", b".\r\n", b"\r\n..\r\n", b"bc", b"\xff"]
STREAMS = st.lists(st.sampled_from(ALPHABET), max_size=24).map(b"".join)


def reference(stream: bytes) -> tuple[bytes, bytes, bool, bool, bool]:
    """Give mail, rest, ended, bare line end and NUL of a stream, by looking at its lines one after the other."""
    lines, rest, ended = [], b"", False
    left = stream
    while True:
        line, end, left = left.partition(b"\r\n")
        if end and line == b".":
            ended, rest = True, left
            break
        lines.append((line, end))
        if not end:
            break
    mail = b"".join(line.removeprefix(b".") + end for line, end in lines)
    bare = any(b"\r" in line or b"\n" in line for line, _ in lines)
    return mail, rest, ended, bare, any(b"\0" in line for line, _ in lines)


def fed(pieces: list[bytes]) -> tuple[bytes, bytes, bool, bool, bool]:
    framing, mail, rest = DataFraming(), b"", b""
    for piece in pieces:
        if framing.ended:  # the session keeps what comes behind the dot
            rest += piece
        else:
            mail += framing.feed(piece)
    return mail, framing.rest + rest, framing.ended, framing.bare_line_end, framing.nul


@settings(deadline=None)
@given(STREAMS)
@example(b".\r\n")
@example(b"..\r\n.\r\n")
@example(b"a\r\n.\r\nb\r\n.\r\n")
@example(b"\r\n.\r\r\n.\r\n")
def test_a_stream_fed_whole_is_framed_as_by_lines(stream: bytes) -> None:
    stream += b"\r\n.\r\n"
    assert fed([stream]) == reference(stream)


@settings(deadline=None)
@given(STREAMS)
def test_a_stream_fed_byte_by_byte_is_framed_as_by_lines(stream: bytes) -> None:
    stream += b"\r\n.\r\nQUIT\r\n"
    assert fed([stream[place : place + 1] for place in range(len(stream))]) == reference(stream)


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(min_value=1, max_value=7), min_size=1))
def test_a_stream_cut_anywhere_is_framed_as_by_lines(stream: bytes, lengths: list[int]) -> None:
    stream += b"\r\n.\r\nNOOP\r\n"
    pieces, place, turn = [], 0, 0
    while place < len(stream):
        length = lengths[turn % len(lengths)]
        pieces.append(stream[place : place + length])
        place, turn = place + length, turn + 1
    assert fed(pieces) == reference(stream)


@settings(deadline=None)
@given(STREAMS)
def test_bytes_before_the_dot_are_only_held_back_while_they_may_begin_it(stream: bytes) -> None:
    framing = DataFraming()
    given_so_far = framing.feed(stream)
    mail, _, ended, _, _ = reference(stream)
    if not ended:
        assert mail.startswith(given_so_far)
        assert len(mail) - len(given_so_far) <= 4


@pytest.mark.parametrize(
    ("stream", "mail", "rest"),
    [
        (b".\r\n", b"", b""),
        (b".\r\nQUIT\r\n", b"", b"QUIT\r\n"),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"..a\r\n.\r\n", b".a\r\n", b""),
        (b"...\r\n.\r\n", b"..\r\n", b""),
        (b".a\r\n.\r\n", b"a\r\n", b""),
        (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", b""),
        (b"a\n.\n.\r\n\r\n.\r\n", b"a\n.\n.\r\n\r\n", b""),
    ],
)
def test_dots_are_unstuffed_and_the_rest_is_kept(stream: bytes, mail: bytes, rest: bytes) -> None:
    assert fed([stream])[:3] == (mail, rest, True)


@pytest.mark.parametrize("length", [1, 2, 4095, 4096, 65536])
def test_a_long_mail_is_whole_in_pieces_of_any_length(length: int) -> None:
    mail = b"".join(b"%08d,.%s\r\n" % (n, b"x" * (n % 50)) for n in range(300))
    stream = mail.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    pieces = [stream[place : place + length] for place in range(0, len(stream), length)]
    assert fed(pieces) == (mail, b"", True, False, False)

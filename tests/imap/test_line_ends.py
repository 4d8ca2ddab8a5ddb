"""Line ends of fetched mails: the same however the mail is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailgate.imap.line_ends import LineEnds

CASES = [
    (b"a\r\nb\r\n", b"a\r\nb\r\n", False),
    (b"a\nb\n", b"a\r\nb\r\n", False),
    (b"a\r\nb\nc", b"a\r\nb\r\nc", False),
    (b"\n\n", b"\r\n\r\n", False),
    (b"a\rb\r\n", b"a\rb\r\n", True),
    (b"a\r", b"a\r", True),
    (b"\r\r\n", b"\r\r\n", True),
    (b"\n\r", b"\r\n\r", True),
    (b"", b"", False),
]


def mended(data: bytes, cuts: list[int]) -> tuple[bytes, bool, bool]:
    machine, out, at = LineEnds(), b"", 0
    for cut in [*sorted(cuts), len(data)]:
        out += machine.feed(data[at:cut])
        at = max(at, cut)
    return out + machine.end(), machine.bare_cr, machine.nul


@pytest.mark.parametrize(("data", "wanted", "bare"), CASES)
def test_bare_line_feeds_become_pairs_and_bare_returns_stay(data: bytes, wanted: bytes, bare: bool) -> None:
    for cuts in ([], list(range(len(data)))):
        assert mended(data, cuts) == (wanted, bare, False)


@given(st.text("ab\r\n\0").map(str.encode), st.lists(st.integers(0, 40), max_size=8))
def test_the_cuts_make_no_difference(data: bytes, cuts: list[int]) -> None:
    cuts = [min(cut, len(data)) for cut in cuts]
    whole = mended(data, [])
    assert mended(data, cuts) == whole
    out, bare, nul = whole
    assert nul == (b"\0" in data)
    assert out.count(b"\n") == out.count(b"\r\n")
    assert out.replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")
    assert bare == (data.count(b"\r") != data.count(b"\r\n"))

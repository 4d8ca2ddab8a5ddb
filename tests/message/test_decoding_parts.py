"""The decoder: the same bytes whatever the run, and nothing written for sound that is not."""

import base64
import binascii
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailgate.message import BytesSource, decode
from models.codes import Code
from models.faults import Fault, PermanentError, TemporaryError
from models.message import Part
from tests.message.mime_helpers import body, body_or_code

RUNS = st.integers(min_value=1, max_value=40)


def leaf(raw: bytes, encoding: str) -> Part:
    return Part(number=1, path="1", content_type="text/csv", transfer_encoding=encoding, start=0, end=len(raw))


@given(data=st.binary(max_size=300), width=st.integers(min_value=1, max_value=80), run=RUNS)
def test_base64_round_trip(data: bytes, width: int, run: int) -> None:
    packed = base64.b64encode(data)
    raw = b"\r\n".join(packed[i : i + width] for i in range(0, len(packed), width)) + b"\r\n"
    assert body(raw, leaf(raw, "base64"), run=run) == data


@given(raw=st.text("AQxg=/+ \r\n-", max_size=40).map(str.encode), run=RUNS)
def test_base64_agrees_with_the_strict_standard_library(raw: bytes, run: int) -> None:
    packed = raw.translate(None, b"\r\n ")
    expected: bytes | Code
    try:
        expected = binascii.a2b_base64(packed, strict_mode=True)
        if len(packed) % 4:  # Python 3.11 takes "AAAA=" for sound
            expected = Code.ATTACHMENT_DAMAGED
    except binascii.Error:
        expected = Code.ATTACHMENT_DAMAGED
    assert body_or_code(raw, leaf(raw, "base64"), run=run) == expected


@given(data=st.binary(max_size=300), run=RUNS)
def test_quoted_printable_agrees_with_the_standard_library(data: bytes, run: int) -> None:
    raw = quopri.encodestring(data, quotetabs=True)
    # The encoder of the standard library loses some line ends, so its decoder says what is in there.
    assert body(raw, leaf(raw, "quoted-printable"), run=run) == quopri.decodestring(raw)


@given(raw=st.text("=4dDzZ \r\n", max_size=40).map(str.encode), run=RUNS)
def test_quoted_printable_does_not_depend_on_the_run(raw: bytes, run: int) -> None:
    outcome = body_or_code(raw, leaf(raw, "quoted-printable"), run=run)
    assert outcome == body_or_code(raw, leaf(raw, "quoted-printable"))
    if isinstance(outcome, bytes):
        assert outcome == binascii.a2b_qp(raw)


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary"])
def test_identity(encoding: str) -> None:
    raw = bytes(range(256))
    assert body(raw, leaf(raw, encoding), run=7) == raw


def test_runs_are_written_as_they_come() -> None:
    raw = base64.b64encode(bytes(3_000_000))
    sizes: list[int] = []
    decode(BytesSource(raw), leaf(raw, "base64"), lambda data: sizes.append(len(data)))
    assert sum(sizes) == 3_000_000
    assert max(sizes) <= 1024 * 1024


def test_fault_of_the_part_is_raised() -> None:
    fault = Fault(code=Code.ATTACHMENT_DAMAGED, message="x")
    part = Part(number=1, path="1", content_type="a/b", fault=fault)
    with pytest.raises(PermanentError) as caught:
        decode(BytesSource(b""), part, print)
    assert caught.value.fault is fault


def test_unknown_encoding_is_damage() -> None:
    assert body_or_code(b"x", leaf(b"x", "x-uuencode")) is Code.ATTACHMENT_DAMAGED


def test_source_that_ends_early_is_no_fault_of_the_sender() -> None:
    with pytest.raises(TemporaryError):
        decode(BytesSource(b"abc"), leaf(b"abcd", "7bit"), lambda _data: None)

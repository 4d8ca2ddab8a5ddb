"""Mails made to cost much: the limits come first, and the work is counted, not timed."""

import inspect
import sys

import pytest

from mailgate.message import BytesSource, Limits, split
from models.codes import Code
from models.message import Message
from tests.message.mime_helpers import codes, crlf, split_bytes
from tests.message.mime_mails import PLAIN, mixed, single

MB = 1024 * 1024


class CountingSource(BytesSource):
    """Count what is read of a mail."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.taken = 0

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        self.taken += len(data)
        return data


def nested(depth: int) -> bytes:
    opening = "".join(f"Content-Type: multipart/mixed; boundary=b{n}x\n\n--b{n}x\n" for n in range(depth))
    return crlf(opening + "\nA\n" + "".join(f"--b{n}x--\n" for n in reversed(range(depth))))


def forwarded(depth: int) -> bytes:
    return crlf("Content-Type: message/rfc822\n\n" * depth + "Subject: x\n\nA\n")


LIMITED = {
    "1 MB of empty parts": single("Content-Type: multipart/mixed; boundary=b", "--b\n\n" * (MB // 5)),
    "201 entities": mixed(*[PLAIN] * 200),
    "depth 21": nested(21),
    "depth 1000": nested(1000),
    "header block": single("\n".join(f"X-{n}: {'x' * 1000}" for n in range(300))),
    "header without an end": b"X: " + b"a" * 300_000,
    "header field": single("Subject: " + "x" * 33_000),
    "folded header field": single("Subject: x\n" + " x\n" * 20_000 + "To: x"),
    "20,000 encoded words": single("Subject: " + "=?utf-8?Q?a?= " * 20_000),
    "fields": single("\n".join("a:" for _ in range(3000))),
    "headers of all parts": mixed(*["X: " + "\n ".join(["x" * 900] * 30) + "\n\nA"] * 60),
    "look-alikes inside lines": single("Content-Type: multipart/mixed; boundary=a", "x--a" * 100_000),
    "look-alikes": single("Content-Type: multipart/mixed; boundary=a", "--ab\n" * 100_000),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limit(name: str) -> None:
    found = split_bytes(LIMITED[name])
    assert found.fault is not None
    # Of several faults the first is kept; a look-alike is one before there are too many.
    assert found.fault.code is (Code.MESSAGE_AMBIGUOUS if name == "look-alikes" else Code.MESSAGE_LIMIT)
    assert len(found.parts) <= 200


@pytest.mark.parametrize(
    "raw",
    [
        mixed(*[PLAIN] * 199),
        nested(20),
        forwarded(20),
        single("Subject: " + "x" * 32_000),
        single("Subject: " + "=?utf-8?Q?a?= " * 2_000),
        single("Content-Type: multipart/mixed; boundary=a", "x--a" * 900 + "\n--a\n\nA\n--a--"),
        single('Content-Type: multipart/mixed; boundary="' + "b" * 999 + '"', f"--{'b' * 999}\n\nA\n--{'b' * 999}--"),
    ],
)
def test_just_within(raw: bytes) -> None:
    assert codes(raw) == set()


def innermost(message: Message) -> Message:
    while message.parts and message.parts[0].inner is not None:
        message = message.parts[0].inner
    return message


@pytest.mark.parametrize("depth", [21, 10_000])
def test_depth_of_forwarded_mails(depth: int) -> None:
    message = split_bytes(forwarded(depth))
    assert message.fault is None
    fault = innermost(message).fault
    assert fault is not None
    assert fault.code is Code.MESSAGE_LIMIT


def test_parts_of_forwarded_mails_count() -> None:
    inner = mixed(*[PLAIN] * 120, boundary="i", close="\n--i--\n").decode()
    message = split_bytes(mixed(*[f"Content-Type: message/rfc822\n\n{inner}"] * 2))
    assert message.fault is None
    faults = [p.inner.fault.code if p.inner and p.inner.fault else None for p in message.parts]
    assert faults == [None, Code.MESSAGE_LIMIT]


@pytest.mark.parametrize(
    "value",
    [
        '"' * 30_000,
        '"' + "\\" * 30_000,
        '"a' * 15_000,
        ";" * 30_000,
        ";a=" * 10_000,
        "(" * 30_000,
        "; " + "".join(f";filename*{n}=a" for n in range(2000)),
        "; filename=" + "=?" * 15_000,
        "; filename=" + "=?utf-8?Q?" * 3_000,
        '; filename="' + "=?utf-8?B?" + "A" * 30_000 + '?="',
        '; filename="' + "a\u0308\u0301" * 5_000 + '"',
    ],
)
def test_costly_values_end(value: str) -> None:
    for name in ("Content-Disposition", "Content-Type", "From", "Subject", "Content-ID"):
        split_bytes(single(f"{name}: {value}"))


@pytest.mark.parametrize(
    ("raw", "most"),
    [
        (mixed(PLAIN, "\n" + "x" * 8 * MB), 1.6),
        (mixed(*[PLAIN + "x" * 40_000] * 199), 1.6),
        (mixed(PLAIN, "\n" + "--x\n" * (2 * MB)), 1.6),
        (mixed("Content-Type: multipart/mixed; boundary=i\n\n--i\n\n" + "x" * 8 * MB + "\n--i--"), 1.6),
        (mixed("Content-Type: message/rfc822\n\nSubject: a\n\n" + "x" * 8 * MB), 1.6),
        (single("Content-Type: multipart/mixed; boundary=b", "x" * 8 * MB), 1.6),
    ],
    ids=["large part", "many parts", "lines of dashes", "nested", "forwarded", "no boundary"],
)
def test_bytes_are_read_about_once(raw: bytes, most: float) -> None:
    source = CountingSource(raw)
    split(source)
    assert source.taken <= most * len(raw) + 2 * MB


def test_limits_can_be_changed() -> None:
    message = split(BytesSource(mixed(*[PLAIN] * 3)), Limits(parts=3))
    assert message.fault is not None
    assert message.fault.code is Code.MESSAGE_LIMIT


def test_recursion_stays_shallow() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 150)
    try:
        split_bytes(forwarded(20))
        split_bytes(nested(1000))
    finally:
        sys.setrecursionlimit(before)

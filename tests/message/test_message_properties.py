"""What must hold for every mail: no exception, no dependence on the window, nothing lost by a cut."""

import base64
import email
import email.policy
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailgate.message import parse_headers
from models.message import Message
from tests.message.mime_helpers import body, body_or_code, codes, crlf, split_bytes
from tests.message.mime_mails import APPLE, EXCHANGE_FORWARD, GMAIL, MUTT, OUTLOOK

MAILS = [OUTLOOK, APPLE, GMAIL, MUTT, EXCHANGE_FORWARD]
FRAGMENTS = [
    *(
        "--b",
        "--b--",
        "--c",
        "--c--",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "\0",
        "é",
        "x",
        "=",
        "=41",
        "eA==",
        ";",
        '"',
        "(",
        ":",
    ),
    *(
        "Content-Type: multipart/mixed; boundary=b",
        "Content-Type: multipart/mixed; boundary=c",
        "Content-Type: text/html",
    ),
    *("Content-Type: message/rfc822", "Content-Disposition: attachment; filename=a.csv", "Content-ID: <x>", "cid:x"),
    *("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "Subject: =?utf-8?Q?a?="),
    *("; filename*0*=utf-8''%41", "; filename*1=b", "; name=", "From: a@x", "multipart/digest"),
]
SOUP = st.lists(st.sampled_from(FRAGMENTS) | st.sampled_from(["\n", "\r\n"]), max_size=60).map(
    lambda f: "".join(f).encode()
)
NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\\"=?'"), min_size=1, max_size=20)
PARTS = st.lists(
    st.tuples(NAMES, st.binary(max_size=200), st.sampled_from(["base64", "quoted-printable"])), min_size=1, max_size=5
)


def everything(raw: bytes, **limits: int) -> tuple[Message, list[object]]:
    message = split_bytes(raw, **limits)
    outcomes: list[object] = []
    pending = [message]
    while pending:
        for part in pending.pop().parts:
            outcomes.append(body_or_code(raw, part, run=limits.get("run", 1024)))
            assert 0 <= part.start <= part.end <= len(raw)
            if part.inner is not None:
                pending.append(part.inner)
    return message, outcomes


@settings(max_examples=300)
@given(raw=SOUP | st.binary(max_size=300))
def test_any_bytes_never_raise(raw: bytes) -> None:
    everything(raw)
    parse_headers(raw)


@settings(max_examples=300)
@given(raw=SOUP, run=st.integers(min_value=1, max_value=50))
def test_the_window_does_not_matter(raw: bytes, run: int) -> None:
    assert everything(raw, run=run) == everything(raw)


@pytest.mark.parametrize("run", [1, 7, 100, 511])
@pytest.mark.parametrize("raw", MAILS)
def test_the_window_does_not_matter_for_real_mails(raw: bytes, run: int) -> None:
    assert everything(raw, run=run) == everything(raw)


def test_headers_of_a_large_mail_in_a_small_window() -> None:
    filler = "\n".join("x" * 70 for _ in range(200))
    raw = crlf(
        f"Content-Type: multipart/mixed; boundary=b\n\n{filler}\n--b\n\n{filler}\n--b\n\n{filler}\n--b--\n{filler}"
    )
    assert everything(raw, run=7, header_block=50) == everything(raw)


@given(parts=PARTS, charset=st.sampled_from(["rfc2231", "rfc2047", "raw"]))
def test_well_formed_mails_round_trip(parts: list[tuple[str, bytes, str]], charset: str) -> None:
    raw = b'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\n'
    for name, data, encoding in parts:
        raw += b"--=_b\r\nContent-Disposition: attachment; " + _filename(name, charset) + b"\r\n"
        raw += b"Content-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n"
        raw += (base64.encodebytes(data) if encoding == "base64" else _quoted(data)) + b"\r\n"
    raw += b"--=_b--\r\n"
    message = split_bytes(raw)
    assert message.fault is None
    assert [p.names[0].text for p in message.parts] == [_nfc(name) for name, _, _ in parts]
    assert [body(raw, p) for p in message.parts] == [data for _, data, _ in parts]


@given(parts=PARTS)
def test_mails_of_the_standard_library_round_trip(parts: list[tuple[str, bytes, str]]) -> None:
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail.set_content("Hello")
    for name, data, encoding in parts:
        mail.add_attachment(data, maintype="text", subtype="csv", filename=name, cte=encoding)
    raw = mail.as_bytes()
    message = split_bytes(raw)
    assert message.fault is None
    attached = message.parts[1:]
    assert [p.names[0].text for p in attached] == [_nfc(name) for name, _, _ in parts]
    assert [body(raw, p) for p, (_, _, encoding) in zip(attached, parts, strict=True) if encoding == "base64"] == [
        data for _, data, encoding in parts if encoding == "base64"
    ]


@pytest.mark.parametrize("raw", MAILS)
def test_a_cut_is_never_sound(raw: bytes) -> None:
    whole, _ = everything(raw)
    bodies = {p.path: body(raw, p) for p in whole.parts}
    assert codes(raw) == set()
    end = raw.rindex(b"--", 0, len(raw.rstrip()) - 2)  # where the last boundary begins
    complete = len(raw.rstrip())
    for cut in range(len(raw)):
        message = split_bytes(raw[:cut])
        if cut >= complete:
            assert {p.path: body(raw[:cut], p) for p in message.parts} == bodies
        elif cut > whole.header_end and cut <= end:
            assert message.fault is not None


def _filename(name: str, charset: str) -> bytes:
    if charset == "rfc2231":
        return b"filename*=utf-8''" + "".join(f"%{b:02X}" for b in name.encode()).encode()
    if charset == "rfc2047":
        return b'filename="=?utf-8?B?' + base64.b64encode(name.encode()) + b'?="'
    return f'filename="{name}"'.encode()


def _quoted(data: bytes) -> bytes:
    return b"=\r\n".join(b"".join(b"=%02X" % byte for byte in data[i : i + 25]) for i in range(0, len(data), 25))


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()

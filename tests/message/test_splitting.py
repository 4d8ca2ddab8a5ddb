"""The mails that clients' programs make: every leaf with its facts and its bytes."""

import pytest

from mailgate.message import BytesSource, FileSource, split
from models.codes import Code
from models.message import NameSource
from tests.message.mime_helpers import body, crlf, split_bytes
from tests.message.mime_mails import (
    APPLE,
    CSV,
    EXCHANGE_FORWARD,
    GMAIL,
    MUTT,
    OUTLOOK,
    PLAIN,
    SCRIPT,
    mixed,
    part,
    single,
)

# mail -> (path, type, disposition, name, ancestors, position, last, decoded bytes)
CASES = {
    "outlook": (
        OUTLOOK,
        [
            ("1.1", "text/plain", "", "", ("multipart/related", "multipart/alternative"), 0, False, b"Gr\xfc\xdfe\r\n"),
            (
                *("1.2", "text/html", "", "", ("multipart/related", "multipart/alternative"), 1, True),
                b'<img src="cid:image001.png@01D9.ABCD">\r\n',
            ),
            ("2", "image/png", "inline", "image001.png", ("multipart/related",), 1, False, b"ABC"),
            (
                *("3", "application/vnd.ms-excel", "attachment", "Umsätze.csv", ("multipart/related",), 2, True),
                b"x,y\r\n1,2",
            ),
        ],
    ),
    "apple": (
        APPLE,
        [
            ("1", "text/plain", "", "", ("multipart/alternative",), 0, False, b"Hi"),
            ("2.1", "text/html", "", "", ("multipart/alternative", "multipart/mixed"), 0, False, b"<p>Hi"),
            (
                *("2.2", "text/csv", "inline", "Conversions März.csv", ("multipart/alternative", "multipart/mixed")),
                *(1, True, b"a,b,c"),
            ),
        ],
    ),
    "gmail": (
        GMAIL,
        [
            ("1.1", "text/plain", "", "", ("multipart/mixed", "multipart/alternative"), 0, False, b"Hi\r\n"),
            (
                *("1.2", "text/html", "", "", ("multipart/mixed", "multipart/alternative"), 1, True),
                b'<div dir="ltr">Hi</div>\r\n',
            ),
            ("2", "text/csv", "attachment", "Conversions_2026.csv", ("multipart/mixed",), 1, True, b"x,y"),
        ],
    ),
    "mutt": (
        MUTT,
        [
            ("1.1", "text/plain", "inline", "", ("multipart/signed", "multipart/mixed"), 0, False, b"Hi"),
            ("1.2", "text/csv", "attachment", "über.csv", ("multipart/signed", "multipart/mixed"), 1, True, b"1"),
            (
                *("2", "application/pgp-signature", "", "signature.asc", ("multipart/signed",), 1, True),
                b"-----BEGIN PGP SIGNATURE-----",
            ),
        ],
    ),
    "script": (SCRIPT, [("1", "text/plain", "attachment", "x.csv", (), 0, True, b"a,b\n1,2\n")]),
    "empty parts": (
        crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\n\n--b--"),
        [
            ("1", "text/plain", "", "", ("multipart/mixed",), 0, False, b""),
            ("2", "text/plain", "", "", ("multipart/mixed",), 1, True, b""),
        ],
    ),
    "header only part": (
        crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/csv; name=a.csv\n--b--\n"),
        [("1", "text/csv", "", "a.csv", ("multipart/mixed",), 0, True, b"")],
    ),
    "preamble, epilogue and blanks behind boundaries": (
        crlf("Content-Type: multipart/mixed; boundary=b\n\npre\n--x\n--b \t\n\nA\n--b-- \nepilogue\n--x\n"),
        [("1", "text/plain", "", "", ("multipart/mixed",), 0, True, b"A")],
    ),
    "closing boundary twice": (
        mixed(PLAIN, close="\n--b--\n\n--b--\n"),
        [("1", "text/plain", "", "", ("multipart/mixed",), 0, True, b"Hello")],
    ),
    "one boundary begins another": (
        crlf(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n"
            "--bb\n\nA\n--bb--\n--b\n\nB\n--b--\n"
        ),
        [
            ("1.1", "text/plain", "", "", ("multipart/mixed", "multipart/mixed"), 0, True, b"A"),
            ("2", "text/plain", "", "", ("multipart/mixed",), 1, True, b"B"),
        ],
    ),
    "no header at all": (b"\r\nHello\r\n", [("1", "text/plain", "", "", (), 0, True, b"Hello\r\n")]),
    "nothing": (b"", [("1", "text/plain", "", "", (), 0, True, b"")]),
    "mbox line": (b"From a Sat\nSubject: x\n\nHi", [("1", "text/plain", "", "", (), 0, True, b"Hi")]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("ends", [b"\r\n", b"\n"])
def test_client_mail(name: str, ends: bytes) -> None:
    raw, expected = CASES[name]
    raw = raw.replace(b"\r\n", b"\n").replace(b"\n", ends)
    message = split_bytes(raw)
    assert message.fault is None
    assert message.size == len(raw)
    assert [p.number for p in message.parts] == list(range(1, len(expected) + 1))
    found = [
        (
            *(
                p.path,
                p.content_type,
                p.disposition,
                p.names[0].text if p.names else "",
                p.ancestors,
                p.position,
                p.last,
            ),
            body(raw, p),
        )
        for p in message.parts
    ]
    assert found == [
        (*facts, data if p.transfer_encoding == "base64" else data.replace(b"\r\n", b"\n").replace(b"\n", ends))
        for (*facts, data), p in zip(expected, message.parts, strict=True)
    ]


def test_embedded_image_is_referenced_and_the_attachment_is_not() -> None:
    parts = split_bytes(OUTLOOK).parts
    assert [(p.content_id, p.referenced) for p in parts if p.content_id] == [("image001.png@01D9.ABCD", True)]
    assert [(p.content_id, p.referenced) for p in split_bytes(GMAIL).parts if p.content_id] == [("f_1", False)]


@pytest.mark.parametrize("reference", ["cid:a@b", "CID:a@b", "cid:a%40b"])
def test_reference_spellings(reference: str) -> None:
    html = part(content_type="text/html", body=f"<img src='{reference}'>")
    image = part(content_type="image/png\nContent-ID: <a@b>")
    assert [p.referenced for p in split_bytes(mixed(html, image)).parts] == [False, True]


def test_reference_in_an_attached_html_or_behind_the_bound_does_not_count() -> None:
    image = part(content_type="image/png\nContent-ID: <a@b>")
    attached = part("attachment", "text/html", body="<img src='cid:a@b'>")
    assert not split_bytes(mixed(attached, image)).parts[1].referenced
    late = part(content_type="text/html", body=" " * 500 + "<img src='cid:a@b'>")
    assert split_bytes(mixed(late, image)).parts[1].referenced
    assert not split_bytes(mixed(late, image), html=100).parts[1].referenced


def test_names_keep_their_source() -> None:
    names = split_bytes(APPLE).parts[2].names
    assert [(n.source, n.text) for n in names] == [(NameSource.FILENAME_EXTENDED, "Conversions März.csv")]


def test_forwarded_mail_is_one_leaf_with_a_mail_inside() -> None:
    message = split_bytes(EXCHANGE_FORWARD)
    assert message.fault is None
    assert [(p.path, p.content_type) for p in message.parts] == [
        ("1", "text/plain"),
        ("2", "message/rfc822"),
        ("3", "text/plain"),
    ]
    forwarded = message.parts[1]
    inner = forwarded.inner
    assert inner is not None
    assert (inner.headers.subject, inner.fault) == ("inner", None)
    assert [(p.number, p.path, p.ancestors) for p in inner.parts] == [
        (1, "2.1", ("multipart/mixed",)),
        (2, "2.2", ("multipart/mixed",)),
    ]
    assert body(EXCHANGE_FORWARD, inner.parts[1]) == b"x,y"
    assert body(EXCHANGE_FORWARD, forwarded).startswith(b"From: b@example.com")


def test_forwarded_single_part_mail_and_default_type_of_a_digest() -> None:
    raw = crlf("Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\nA\n--b--\n")
    leaf = split_bytes(raw).parts[0]
    assert leaf.content_type == "message/rfc822"
    assert leaf.inner is not None
    assert [(p.path, body(raw, p)) for p in leaf.inner.parts] == [("1.1", b"A")]


def test_fault_inside_a_forwarded_mail_stays_there() -> None:
    inner = "Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\ncut"
    message = split_bytes(mixed(PLAIN, inner))
    assert message.fault is None
    assert message.parts[1].inner is not None
    assert message.parts[1].inner.fault is not None
    assert message.parts[1].inner.fault.code is Code.ATTACHMENT_DAMAGED


def test_encoded_forwarded_mail_can_be_taken_but_not_opened() -> None:
    raw = mixed(PLAIN, part("attachment", "message/rfc822", "base64", "U3ViamVjdDogeA0KDQpBDQo="))
    message = split_bytes(raw)
    assert message.fault is None
    assert body(raw, message.parts[1]) == b"Subject: x\r\n\r\nA\r\n"
    assert message.parts[1].inner is not None
    assert message.parts[1].inner.fault is not None
    assert message.parts[1].inner.fault.code is Code.MESSAGE_AMBIGUOUS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("attachment", "attachment"),
        ("INLINE", "inline"),
        ("form-data; name=x", "attachment"),
        ("", ""),
        ("filename=x.csv", "attachment"),
    ],
)
def test_disposition(value: str, expected: str) -> None:
    assert split_bytes(single(f"Content-Disposition: {value}")).parts[0].disposition == expected


@pytest.mark.parametrize(
    ("value", "expected", "charset"),
    [
        ("TEXT/CSV; Charset=UTF-8", "text/csv", "utf-8"),
        ('text/csv; charset="ISO-8859-1"', "text/csv", "iso-8859-1"),
        ("text", "text/plain", ""),
        ("", "text/plain", ""),
        ("a/b/c", "text/plain", ""),
        ("; charset=x", "text/plain", "x"),
        ("text/csv;; charset=x;", "text/csv", "x"),
        ("text/plain; charset*=us-ascii'en'utf-8", "text/plain", "utf-8"),
    ],
)
def test_content_type(value: str, expected: str, charset: str) -> None:
    leaf = split_bytes(single(f"Content-Type: {value}")).parts[0]
    assert (leaf.content_type, leaf.charset) == (expected, charset)


def test_whole_mail_of_one_attachment() -> None:
    raw = single('Content-Type: text/csv; name="a.csv"\nContent-Transfer-Encoding: BASE64', "eCx5\n")
    message = split_bytes(raw)
    assert [(p.path, p.transfer_encoding, p.names[0].source) for p in message.parts] == [
        ("1", "base64", NameSource.NAME)
    ]
    assert body(raw, message.parts[0]) == b"x,y"
    assert raw[message.header_end :] == b"eCx5\r\n"


def test_files_and_bytes_give_the_same(tmp_path) -> None:
    path = tmp_path / "mail.eml"
    path.write_bytes(OUTLOOK)
    with path.open("rb") as file:
        assert split(FileSource(file.fileno(), len(OUTLOOK))) == split(BytesSource(OUTLOOK))


def test_parts_found_before_a_fault_are_listed() -> None:
    message = split_bytes(mixed(PLAIN, CSV, close=""))
    assert message.fault is not None
    assert [p.path for p in message.parts] == ["1", "2"]

"""Mails that two readers would take differently: each must be refused, with the code that says why."""

import pytest

from models.codes import Code
from tests.message.mime_helpers import body_or_code, codes, crlf, split_bytes
from tests.message.mime_mails import CSV, PLAIN, mixed, part, single

AMBIGUOUS, MALFORMED, DAMAGED = Code.MESSAGE_AMBIGUOUS, Code.MESSAGE_MALFORMED, Code.ATTACHMENT_DAMAGED


def with_type(value: str, body: str = "--b\n\nA\n--b--\n") -> bytes:
    return single(f"Content-Type: {value}", body)


def with_disposition(value: str) -> bytes:
    return mixed(PLAIN, part(value, "text/csv"))


def encoded(encoding: str, body: str) -> bytes:
    return mixed(PLAIN, part("attachment; filename=a.csv", "text/csv", encoding, body))


NESTED = "Content-Type: multipart/mixed; boundary={}\n\n--{}\n\nA\n--{}--"

CASES: dict[str, tuple[bytes, Code]] = {
    # fields that are given twice
    "content type twice": (mixed(PLAIN, top="Content-Type: text/plain\n"), AMBIGUOUS),
    "content type twice in other case": (mixed(PLAIN, top="CONTENT-TYPE: text/plain\n"), AMBIGUOUS),
    "content type twice, the same": (single("Content-Type: text/csv\nContent-Type: text/csv"), AMBIGUOUS),
    "content type of a part twice": (mixed(PLAIN, "Content-Type: text/csv\n" + CSV), AMBIGUOUS),
    "disposition twice": (mixed(PLAIN, "Content-Disposition: inline\n" + CSV), AMBIGUOUS),
    "encoding twice": (mixed("Content-Transfer-Encoding: 7bit\n" + part(encoding="base64", body="eA==")), AMBIGUOUS),
    "encoding of the mail twice": (
        single("Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit", "eA=="),
        AMBIGUOUS,
    ),
    # boundary parameters
    "boundary twice": (with_type("multipart/mixed; boundary=b; boundary=c"), AMBIGUOUS),
    "boundary twice, the same": (with_type("multipart/mixed; boundary=b; boundary=b"), AMBIGUOUS),
    "boundary twice in other case": (with_type("multipart/mixed; boundary=b; BOUNDARY=c"), AMBIGUOUS),
    "boundary extended": (with_type("multipart/mixed; boundary*=utf-8''b"), AMBIGUOUS),
    "boundary in sections": (with_type("multipart/mixed; boundary*0=b"), AMBIGUOUS),
    "boundary plain and extended": (with_type("multipart/mixed; boundary=b; boundary*=''c"), AMBIGUOUS),
    "no boundary": (with_type("multipart/mixed"), AMBIGUOUS),
    "empty boundary": (with_type('multipart/mixed; boundary=""'), AMBIGUOUS),
    "boundary of blanks": (with_type('multipart/mixed; boundary="  "'), AMBIGUOUS),
    "boundary with a backslash": (with_type(r'multipart/mixed; boundary="b\x"'), AMBIGUOUS),
    "boundary with an escaped quote": (with_type(r'multipart/mixed; boundary="b\"x"'), AMBIGUOUS),
    "boundary with a comment": (with_type("multipart/mixed; boundary=b (c)"), AMBIGUOUS),
    "boundary with a blank and no quotes": (with_type("multipart/mixed; boundary=b c"), AMBIGUOUS),
    "boundary that begins with a blank": (with_type('multipart/mixed; boundary=" b"'), AMBIGUOUS),
    "boundary behind a comment": (with_type("multipart/mixed; (x) boundary=b"), AMBIGUOUS),
    "multipart without a subtype": (with_type("multipart; boundary=b"), AMBIGUOUS),
    "boundary of something that is no type": (with_type("mixed; boundary=b"), AMBIGUOUS),
    # parameters of names
    "file name twice": (with_disposition("attachment; filename=a.csv; filename=b.csv"), AMBIGUOUS),
    "extended file name twice": (with_disposition("attachment; filename*=''a.csv; filename*=''b.csv"), AMBIGUOUS),
    "extended file name and sections": (with_disposition("attachment; filename*=''a.csv; filename*0=b.csv"), AMBIGUOUS),
    "name twice": (mixed(part("attachment", "text/csv; name=a.csv; name=b.csv")), AMBIGUOUS),
    "section twice": (with_disposition("attachment; filename*0=a; filename*0=b; filename*1=.csv"), AMBIGUOUS),
    "section plain and encoded": (with_disposition("attachment; filename*0=a; filename*0*=''b"), AMBIGUOUS),
    "section missing": (with_disposition("attachment; filename*0=a; filename*2=.csv"), AMBIGUOUS),
    "first section missing": (with_disposition("attachment; filename*1=a.csv"), AMBIGUOUS),
    "section with a leading zero": (with_disposition("attachment; filename*00=a.csv"), AMBIGUOUS),
    "section that is no number": (with_disposition("attachment; filename*x=a.csv"), AMBIGUOUS),
    "quote never closed": (with_disposition('attachment; filename="a.csv'), AMBIGUOUS),
    "text behind a quote": (with_disposition('attachment; filename="a.csv".exe'), AMBIGUOUS),
    "quote in the middle": (with_disposition('attachment; filename=a".csv"'), AMBIGUOUS),
    "semicolon missing": (with_disposition('attachment; filename="a.csv" size="1"'), AMBIGUOUS),
    "semicolon missing behind the disposition": (with_disposition("attachment filename=a.csv"), AMBIGUOUS),
    "semicolon missing without quotes": (with_disposition("attachment; size=1 filename=a.csv"), AMBIGUOUS),
    "semicolon missing behind a multipart": (with_type("multipart/mixed boundary=b"), AMBIGUOUS),
    "extended name with one apostrophe": (with_disposition("attachment; filename*=utf-8'a.csv"), AMBIGUOUS),
    "extended name with a blank and no quotes": (with_disposition("attachment; filename*=utf-8''a b.csv"), AMBIGUOUS),
    "comment around a semicolon": (with_type("multipart/mixed; micalg=a(b; boundary=b; x=c)"), AMBIGUOUS),
    "blank before the star": (with_disposition("attachment; filename *=''a.csv"), AMBIGUOUS),
    "semicolon missing before a name": (mixed(part("attachment", 'text/csv; charset=x name="a.csv"')), AMBIGUOUS),
    "file name with a blank and no quotes": (with_disposition("attachment; filename=a b.csv"), AMBIGUOUS),
    "file name with a comment": (with_disposition("attachment; filename=a.csv(b)"), AMBIGUOUS),
    "comment before a name": (with_disposition("attachment; (x) filename=a.csv"), AMBIGUOUS),
    "comment in a disposition": (with_disposition("attachment (x); filename=a.csv"), AMBIGUOUS),
    "comment in a type": (mixed(part(content_type="text/csv (x)")), AMBIGUOUS),
    "quoted disposition": (with_disposition('"attachment"; filename=a.csv'), AMBIGUOUS),
    # boundaries in bodies
    "line that begins with the boundary": (mixed(PLAIN + "\n--bx", CSV), AMBIGUOUS),
    "line that begins with the closing boundary": (mixed(PLAIN + "\n--b--x", CSV), AMBIGUOUS),
    "boundary with text behind a blank": (mixed(PLAIN + "\n--b x", CSV), AMBIGUOUS),
    "boundary with far too many blanks": (mixed(PLAIN + "\n--b" + " " * 300, CSV), AMBIGUOUS),
    "look-alike in the preamble": (
        single("Content-Type: multipart/mixed; boundary=b", "--bx\n--b\n\nA\n--b--"),
        AMBIGUOUS,
    ),
    "look-alike in the epilogue": (mixed(PLAIN, close="\n--b--\n--bx\n"), AMBIGUOUS),
    "part behind the closing boundary": (mixed(PLAIN, close=f"\n--b--\n--b\n{CSV}\n--b--\n"), AMBIGUOUS),
    "bare carriage return before a boundary": (mixed(PLAIN).replace(b"Hello\r\n--b", b"Hello\r--b"), AMBIGUOUS),
    "bare carriage return behind a boundary": (mixed(PLAIN, CSV).replace(b"--b\r\n", b"--b\r"), AMBIGUOUS),
    "one boundary at two levels": (mixed(NESTED.format("b", "b", "b")), AMBIGUOUS),
    "boundary that looks like a closing one": (mixed(NESTED.format("b--", "b--", "b--")), AMBIGUOUS),
    "boundary whose closing one is in force": (mixed(NESTED.format("b", "b", "b"), boundary="b--"), AMBIGUOUS),
    "boundary line twice": (mixed(PLAIN + "\n--b", CSV), AMBIGUOUS),
    "boundary line and closing one": (mixed(PLAIN, close=f"\n--b\n--b--\n{CSV}\n--b--\n"), AMBIGUOUS),
    "no closing boundary": (mixed(PLAIN, CSV, close=""), DAMAGED),
    "no closing boundary inside": (mixed("Content-Type: multipart/mixed; boundary=i\n\n--i\n\nA"), DAMAGED),
    "no boundary line at all": (single("Content-Type: multipart/mixed; boundary=b"), DAMAGED),
    "closed before the first part": (single("Content-Type: multipart/mixed; boundary=b", "--b--\n"), DAMAGED),
    # header blocks
    "bare carriage return in a header": (single("Subject: a\rContent-Type: text/csv"), MALFORMED),
    "line of blanks in a header": (single("Subject: a\n \t\nContent-Type: text/csv"), AMBIGUOUS),
    "line of blanks in the header of a part": (mixed("Content-Type: text/csv\n \n" + CSV[23:]), AMBIGUOUS),
    "NUL in a header": (single("Subject: a\0b"), MALFORMED),
    "line without a colon": (single("Subject: a\nHello"), MALFORMED),
    "space before the colon": (single("Content-Type : text/csv"), MALFORMED),
    "field name that is not ASCII": (single("Contént-Type: text/csv"), MALFORMED),
    "field without a name": (single(": x"), MALFORMED),
    "first line is a continuation": (crlf(" a\nSubject: b\n\nHello"), MALFORMED),
    "part without a blank line": (mixed(PLAIN, "Hello"), MALFORMED),
    # transfer encodings
    "multipart in base64": (mixed(PLAIN, top="Content-Transfer-Encoding: base64\n"), AMBIGUOUS),
    "multipart in quoted-printable": (mixed(PLAIN, top="Content-Transfer-Encoding: quoted-printable\n"), AMBIGUOUS),
    "multipart in an unknown encoding": (mixed(PLAIN, top="Content-Transfer-Encoding: x\n"), AMBIGUOUS),
    "forwarded mail in base64": (mixed(part("", "message/rfc822", "base64", "U3ViamVjdDogeA0KDQpBDQo=")), AMBIGUOUS),
    "unknown encoding": (encoded("x-uuencode", "begin 644 a"), DAMAGED),
    "encoding with a comment": (encoded("base64 (x)", "eCx5"), DAMAGED),
    "encoding in quotes": (encoded('"base64"', "eCx5"), DAMAGED),
    "encoding with a parameter": (encoded("base64;", "eCx5"), DAMAGED),
    "two encodings": (encoded("base64, 7bit", "eCx5"), DAMAGED),
    "base64 with junk": (encoded("base64", "eC*x5"), DAMAGED),
    "base64 with text behind": (encoded("base64", "eCx5\n\n-- \nscanned by x"), DAMAGED),
    "base64 with padding inside": (encoded("base64", "eA==eCx5"), DAMAGED),
    "base64 with padding inside, on lines": (encoded("base64", "eA==\neCx5"), DAMAGED),
    "base64 with too much padding": (encoded("base64", "eA======"), DAMAGED),
    "base64 with nothing but padding": (encoded("base64", "===="), DAMAGED),
    "base64 without padding": (encoded("base64", "eA"), DAMAGED),
    "base64 cut": (encoded("base64", "eCx5e"), DAMAGED),
    "base64 of the other alphabet": (encoded("base64", "-_-_"), DAMAGED),
    "base64 with a NUL": (encoded("base64", "eC\0x5"), DAMAGED),
    "quoted-printable with a bad escape": (encoded("quoted-printable", "a=ZZ"), DAMAGED),
    "quoted-printable with half an escape": (encoded("quoted-printable", "a=4"), DAMAGED),
    "quoted-printable with a bare sign": (encoded("quoted-printable", "a=b c"), DAMAGED),
    "quoted-printable with two signs": (encoded("quoted-printable", "a==41"), DAMAGED),
    "quoted-printable with a blank behind a soft break": (encoded("quoted-printable", "a= \nb"), DAMAGED),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    raw, code = CASES[name]
    assert code in codes(raw)


def test_there_are_enough() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize(
    "raw",
    [
        with_disposition("attachment; filename=a.csv; filename=a.csv"),
        with_disposition("attachment; filename*0=a; filename*0=a; filename*1=.csv"),
        with_disposition('attachment; filename="a.csv" (comment)'),
        with_disposition("attachment; filename==?utf-8?Q?a?= =?utf-8?Q?.csv?="),
        with_disposition("attachment; foo; ; size=1; filename=a.csv"),
        mixed(PLAIN + " --b --bx", CSV),
        mixed(PLAIN + "\n --b", CSV),
        mixed(PLAIN + "\n--c\n-- \n--", CSV),
        encoded("base64", " eC x5\t\n\n"),
        encoded("base64", ""),
        encoded("quoted-printable", "a=\n"),
        encoded("quoted-printable", "a=3d=3D="),
    ],
)
def test_odd_but_clear(raw: bytes) -> None:
    message = split_bytes(raw)
    assert message.fault is None
    assert all(isinstance(body_or_code(raw, p), bytes) for p in message.parts)

"""Every way in which mailers write the name of a part, and what is read."""

import pytest

from mailgate.message.names import base_name
from mailgate.message.words import decode_words
from models.message import NameSource
from tests.message.mime_helpers import split_bytes
from tests.message.mime_mails import part, single

FE, F, NE, N = NameSource

# (Content-Disposition, Content-Type) -> names with their sources
CASES: list[tuple[str, str, list[tuple[NameSource, str]]]] = [
    ("attachment; filename=a.csv", "", [(F, "a.csv")]),
    ('attachment; filename="a b.csv"', "", [(F, "a b.csv")]),
    ('attachment; FileName="a;b.csv"', "", [(F, "a;b.csv")]),
    (r'attachment; filename="a\"b.csv"', "", [(F, 'a"b.csv')]),
    ('attachment; filename=" a.csv "', "", [(F, "a.csv")]),
    ('attachment; filename=""', "", []),
    ("attachment; filename=", "text/csv; name=a.csv", [(N, "a.csv")]),
    ("", "text/csv; name=a.csv", [(N, "a.csv")]),
    ("attachment; filename=a.csv", "text/csv; name=a.csv", [(F, "a.csv")]),
    ("attachment; filename=a.csv", "text/csv; name=b.csv", [(F, "a.csv"), (N, "b.csv")]),
    ("attachment; filename*=utf-8''b.csv; filename=a.csv", "", [(FE, "b.csv"), (F, "a.csv")]),
    ("attachment; filename=a.csv", "text/csv; name*=utf-8''%C3%A4.csv", [(F, "a.csv"), (NE, "ä.csv")]),
    # RFC 2231
    ("attachment; filename*=utf-8''%E2%82%AC.csv", "", [(FE, "€.csv")]),
    ("attachment; filename*=UTF-8'en'%E2%82%AC.csv", "", [(FE, "€.csv")]),
    ("attachment; filename*=iso-8859-1''%E4.csv", "", [(FE, "ä.csv")]),
    ("attachment; filename*=\"utf-8''%E2%82%AC.csv\"", "", [(FE, "€.csv")]),
    ("attachment; filename*=a%20b.csv", "", [(FE, "a b.csv")]),
    ("attachment; filename*=''a.csv", "", [(FE, "a.csv")]),
    ("attachment; filename*=utf-8''it's.csv", "", [(FE, "it's.csv")]),
    ("attachment; filename*=utf-8''100%.csv", "", [(FE, "100%.csv")]),
    ("attachment; filename*0=a; filename*1=b.csv", "", [(FE, "ab.csv")]),
    ('attachment; filename*1=".csv"; filename*0="a b"', "", [(FE, "a b.csv")]),
    ("attachment; filename*0*=utf-8''%E2%82; filename*1*=%AC; filename*2=.csv", "", [(FE, "€.csv")]),
    ("attachment; filename*0*=utf-8''a; filename*1=%41.csv", "", [(FE, "a%41.csv")]),
    ("attachment; " + "; ".join(f"filename*{n}={n % 10}" for n in range(12)), "", [(FE, "012345678901")]),
    ("attachment; filename*0==?utf-8?Q?=C3=A4?=; filename*1=.csv", "", [(FE, "ä.csv")]),
    # RFC 2047
    ('attachment; filename="=?utf-8?Q?=E2=82=AC_1=2Ecsv?="', "", [(F, "€ 1.csv")]),
    ('attachment; filename="=?UTF-8?b?4oKsLmNzdg==?="', "", [(F, "€.csv")]),
    ('attachment; filename="=?utf-8?B?4oI=?= =?utf-8?B?rC5jc3Y=?="', "", [(F, "€.csv")]),
    ('attachment; filename="=?utf-8?Q?a?=\r\n\t=?utf-8?Q?.csv?="', "", [(F, "a.csv")]),
    ('attachment; filename="=?utf-8?Q?a?=.csv"', "", [(F, "a.csv")]),
    ('attachment; filename="x =?utf-8?Q?a?= y.csv"', "", [(F, "x a y.csv")]),
    ('attachment; filename="=?utf-8*en?Q?a?=.csv"', "", [(F, "a.csv")]),
    ('attachment; filename="=?iso-2022-jp?B?GyRCRnxLXBsoQi5jc3Y=?="', "", [(F, "日本.csv")]),
    ('attachment; filename="=?windows-1252?Q?=80.csv?="', "", [(F, "€.csv")]),
    ("attachment; filename==?utf-8?Q?a.csv?=", "", [(F, "a.csv")]),
    ('attachment; filename="=?utf-8?B?YS5jc3Y?="', "", [(F, "a.csv")]),
    # raw UTF-8, folding, normal form
    ('attachment; filename="€.csv"', "", [(F, "€.csv")]),
    ('attachment; filename="a\u0308.csv"', "", [(F, "ä.csv")]),
    ('attachment;\r\n\tfilename="a\r\n b.csv"', "", [(F, "a b.csv")]),
    ('attachment; filename="a\r\n\tb.csv"', "", [(F, "a b.csv")]),
    # base names
    ('attachment; filename="/tmp/a.csv"', "", [(F, "a.csv")]),
    (r'attachment; filename="C:\temp\a.csv"', "", [(F, "a.csv")]),
    (r'attachment; filename="C:\\temp\\a.csv"', "", [(F, "a.csv")]),
    ('attachment; filename="dir/ a.csv "', "", [(F, "a.csv")]),
    # left for the judge of names to refuse
    ("attachment; filename*=utf-8''a.csv%0A", "", [(FE, "a.csv\n")]),
    ("attachment; filename*=utf-8''a%00.csv", "", [(FE, "a\0.csv")]),
    ("attachment; filename*=utf-8''a%E2%80%AEvsc.exe", "", [(FE, "a\u202evsc.exe")]),
    ("attachment; filename*=utf-8''..%2F..%5Ca.csv", "", [(FE, "a.csv")]),
    ('attachment; filename=".."', "", [(F, "..")]),
    ('attachment; filename="a/"', "", [(F, "")]),
    # unreadable names give way to readable ones, and never vanish
    ('attachment; filename="=?x-none?Q?b.csv?="', "text/csv; name=a.csv", [(N, "a.csv")]),
    ('attachment; filename="=?x-none?Q?b.csv?="', "", [(F, "b.csv")]),
    ('attachment; filename="=?utf-8?Q?=E4.csv?="', "", [(F, "\ufffd.csv")]),
    ('attachment; filename="=?zlib?Q?a?="', "", [(F, "a")]),
    ("attachment; filename*=utf-8''%E4.csv", "text/csv; name=a.csv", [(N, "a.csv")]),
    ("attachment; filename*=utf-8''%E4.csv", "", [(FE, "\ufffd.csv")]),
    ('attachment; filename="=?utf-8?B?a?="', "", [(F, "=?utf-8?B?a?=".rpartition("/")[2])]),
]


@pytest.mark.parametrize(("disposition", "content_type", "expected"), CASES)
def test_names(disposition: str, content_type: str, expected: list[tuple[NameSource, str]]) -> None:
    message = split_bytes(single(part(disposition, content_type).partition("\n\n")[0]))
    assert message.fault is None
    assert [(n.source, n.text) for n in message.parts[0].names] == expected


def test_raw_bytes_that_are_no_utf8() -> None:
    raw = b'Content-Disposition: attachment; filename="M\xfcnchen.csv"\r\n'
    assert [n.text for n in split_bytes(raw + b"\r\n").parts[0].names] == ["M\ufffdnchen.csv"]
    raw += b"Content-Type: text/csv; name=m.csv\r\n\r\n"
    assert [n.text for n in split_bytes(raw).parts[0].names] == ["m.csv"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("=?utf-8?Q?a?= =?utf-8?Q?b?= c", "ab c"),
        ("a =?utf-8?Q?b?=", "a b"),
        ("=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        ("=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "ä"),
        ("=?utf-8?Q?a?= =?iso-8859-1?Q?=E4?=", "aä"),
        ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
        ("=?utf-8?Q?a", "=?utf-8?Q?a"),
        ("=?utf-8?Q??=", ""),
        ("1=?2", "1=?2"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert decode_words(text).text == expected


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "unicode_escape", "undefined", "zlib", "rot13", "x" * 40, "a.b"]
)
def test_codecs_that_are_no_character_sets(charset: str) -> None:
    assert not decode_words(f"=?{charset}?Q?a?=").sound


def test_base_name_of_a_base_name() -> None:
    assert base_name(base_name(" /x\\ä ")) == "ä"

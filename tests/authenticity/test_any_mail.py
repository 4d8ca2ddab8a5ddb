"""Whatever a mail or DNS holds, the check ends with a value, and its words are harmless."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.authenticity.support import MAIL, TROUBLE, Zone, check, record, signed

SIGNED = signed()
HEADS = st.lists(
    st.sampled_from(
        [
            "From: ",
            "From : ",
            "DKIM-Signature: ",
            "DKIM-Signature: v=1; a=rsa-sha256; d=acme.example; s=s; h=from; ",
            "Authentication-Results: mx.example; ",
            "Authentication-Results: ",
            "b=AAAA; ",
            "bh=AAAA; ",
            "l=1; ",
            "x=1; ",
            "dmarc=pass ",
            "header.from=",
            "acme.example",
            "a@acme.example",
            "<",
            ">",
            '"',
            "(",
            ")",
            "\\",
            ";",
            ":",
            "=",
            ",",
            "@",
            " ",
            "\t",
            "\r\n",
            "\r\n ",
            "\u00fc",
            "\udcff",
            "\x7f",
            "=?utf-8?q?=40?=",
            "h=from:",
            "c=relaxed",
            "i=@x",
        ]
    ),
    max_size=40,
).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogateescape"))
TEXTS = st.lists(
    st.sampled_from(
        [
            "v=spf1 ",
            "v=DMARC1; ",
            "v=DKIM1; ",
            "p=",
            "reject; ",
            "none",
            "a",
            "mx ",
            "ptr ",
            "include:",
            "redirect=",
            "exp=",
            "exists:",
            "%{i}",
            "%{l}",
            "%{p}",
            "%{d2r}",
            "%",
            "{",
            "acme.example ",
            "x.acme.example ",
            "ip4:",
            "192.0.2.1",
            "/24 ",
            "ip6:",
            "::1 ",
            "-all",
            "~all",
            "+",
            ";",
            "=",
            " ",
            "k=rsa; ",
            "\x00",
            "\xff",
            "..",
            ":",
            "//",
            "sp=",
            "adkim=s",
        ]
    ),
    max_size=15,
).map("".join)


@given(HEADS, st.sampled_from([MAIL, SIGNED]), st.sampled_from([(), ("mx.example",)]))
def test_any_header(head: bytes, mail: bytes, trusted: tuple[str, ...]) -> None:
    found = check(head + b"\r\n" + mail, trusted=trusted)
    written = found.to_json("intake.test")
    assert all(" " <= letter <= "~" for letter in written["header"] + found.summary())
    assert json.loads(json.dumps(written)) == written


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_any_record(spf: str, dmarc: str, key: str, other: str) -> None:
    records = {
        ("acme.example", "TXT"): ["v=spf1 " + spf, TROUBLE][spf == "..":], ("x.acme.example", "TXT"): other,
        ("_dmarc.acme.example", "TXT"): dmarc, ("s._domainkey.acme.example", "TXT"): [key, record()],
        ("acme.example", "MX"): "10 x.acme.example", ("1.2.0.192.in-addr.arpa", "PTR"): other or "acme.example",
        ("acme.example", "A"): "192.0.2.9",
    }  # fmt: skip
    found = check(SIGNED, Zone(records))
    assert all(" " <= letter <= "~" for letter in found.header("intake.test") + found.summary())


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_any_envelope(sender: str, helo: str, client: str) -> None:
    found = check(
        MAIL, Zone({("acme.example", "TXT"): "v=spf1 exists:%{l}.%{h}.x.example -all"}), sender=sender, helo=helo
    )
    assert found.header("intake.test").isascii()
    assert check(MAIL, client=client).header("intake.test").isascii()

"""The word of another server: how its field is read, and whose word counts."""

import pytest

from mailgate.authenticity.results import read_results
from models.authenticity import Outcome
from tests.authenticity.support import MAIL, Zone, check, signed, zone

GMAIL = (
    "mx.google.com;\r\n       dkim=pass header.i=@acme.example header.s=s1 header.b=AbC+d/e=;\r\n"
    "       spf=pass (google.com: domain of batch@acme.example designates 192.0.2.1 as permitted sender)"
    " smtp.mailfrom=batch@acme.example;\r\n       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=acme.example"
)
MICROSOFT = (
    "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=acme.example; dkim=pass (signature was verified)"
    " header.d=acme.example;dmarc=pass action=none header.from=acme.example;compauth=pass reason=100"
)
READ = {
    "as Gmail writes it": (GMAIL, "mx.google.com", ["dkim", "spf", "dmarc"]),
    "as Microsoft 365 writes it, without a name": (MICROSOFT, None, []),
    "no results": ("mx.acme.example; none", "mx.acme.example", []),
    "a version": ("mx.acme.example 1; dkim=pass", "mx.acme.example", ["dkim"]),
    "versions of methods": ("mx.acme.example/1; dkim/1=pass", "mx.acme.example/1", ["dkim"]),
    "capitals": ("MX.Acme.Example; DMARC=PASS header.from=x", "mx.acme.example", ["dmarc"]),
    "a quoted name": ('"mx.acme.example"; dkim=pass', "mx.acme.example", ["dkim"]),
    "comments, nested and escaped": (
        "mx.acme.example (a (b) \\) c); dkim (x) = (;) pass (dmarc=pass) header.d=a.example",
        "mx.acme.example",
        ["dkim"],
    ),
    "a semicolon in quotes": ('mx; dkim=pass reason="a; dmarc=pass" header.d=x', "mx", ["dkim"]),
    "a quote in a comment": ('mx; dkim=pass (5" wide); spf=pass', "mx", ["dkim", "spf"]),
    "a last semicolon": ("mx; dkim=pass;", "mx", ["dkim"]),
    "an open comment": ("mx; dkim=pass (oh; dmarc=pass", None, []),
    "an open quote": ('mx; dkim=pass reason="oh; dmarc=pass', None, []),
    "a comment closed twice": ("mx; dkim=pass ); dmarc=pass", None, []),
    "junk": ("mx; hello", None, []),
    "a property twice": ("mx; dmarc=pass header.from=a header.from=b", None, []),
    "empty": ("", None, []),
    "no name": ("; dkim=pass", None, []),
    "too long": ("mx; dkim=pass" + " " * 40_000, None, []),
    "too many": ("mx" + "; dkim=pass" * 60, None, []),
}


@pytest.mark.parametrize("name", READ)
def test_a_field_is_read(name: str) -> None:
    value, server, methods = READ[name]
    found = read_results(value)
    assert (found.server if found else None) == server
    assert [method for method, _, _ in found.methods] == methods if found else methods == []


@pytest.mark.parametrize(
    "value",
    [
        "(" * 30_000,
        '"' * 30_000,
        '"\\' * 15_000,
        "(\\" * 15_000,
        "mx; " + "a=b " * 8_000,
        "mx;" + ";" * 30_000,
        " = " * 9_000,
    ],
    ids=["comments", "quotes", "escapes", "escapes in comments", "properties", "semicolons", "equals"],
)
def test_a_hostile_field_is_nothing(value: str) -> None:
    found = read_results(value)
    assert found is None or found.methods == ()


# --- whose word counts: fields top down, authserv-ids that the door trusts; server used, fields ignored, DMARC
MINE = "mx.acme-relay.example"
PASSED = f"{MINE}; dmarc=pass header.from=acme.example"
TRUST: dict[str, tuple[list[str], tuple[str, ...], str, int, str]] = {
    "the trusted server's": ([PASSED], (MINE,), MINE, 0, "pass"),
    "in other letters": ([PASSED.upper()], (MINE,), MINE, 0, "pass"),
    "of a door that trusts nobody": ([PASSED], (), "", 1, "fail"),
    "of another server": ([PASSED.replace(MINE, "mx.evil.example")], (MINE,), "", 1, "fail"),
    "a name that only begins so": ([PASSED.replace(MINE, MINE + ".evil.example")], (MINE,), "", 1, "fail"),
    "not the topmost": (["mx.evil.example; none", PASSED], (MINE,), "", 2, "fail"),
    "a forged one below": ([f"{MINE}; dmarc=fail header.from=acme.example", PASSED], (MINE,), MINE, 1, "fail"),
    "one that does not say": ([f"{MINE}; none", PASSED], (MINE,), MINE, 1, "fail"),
    "one that cannot be read": ([PASSED + " (", PASSED], (MINE,), "", 2, "fail"),
    "two of two": ([PASSED, PASSED], (MINE,), MINE, 1, "pass"),
    "another From domain": ([f"{MINE}; dmarc=pass header.from=evil.example"], (MINE,), MINE, 0, "fail"),
    "no From domain": ([f"{MINE}; dmarc=pass"], (MINE,), MINE, 0, "fail"),
    "two results": ([f"{PASSED}; dmarc=fail header.from=acme.example"], (MINE,), MINE, 0, "fail"),
    "SPF without DMARC": ([f"{MINE}; spf=pass smtp.mailfrom=a@acme.example"], (MINE,), MINE, 0, "pass"),
    "SPF of a domain": ([f"{MINE}; spf=pass smtp.mailfrom=bounce.acme.example"], (MINE,), MINE, 0, "pass"),
    "SPF of a stranger": ([f"{MINE}; spf=pass smtp.mailfrom=evil.example"], (MINE,), MINE, 0, "fail"),
    "two of SPF": ([f"{MINE}; spf=pass smtp.mailfrom=acme.example; spf=fail"], (MINE,), MINE, 0, "fail"),
    "DKIM without DMARC": (
        [f"{MINE}; dkim=fail header.d=x.example; dkim=pass header.d=acme.example"],
        (MINE,),
        MINE,
        0,
        "pass",
    ),
    "DKIM by identity alone": ([f"{MINE}; dkim=pass header.i=@acme.example"], (MINE,), MINE, 0, "fail"),
    "an odd word": ([f"{MINE}; spf=hardpass smtp.mailfrom=acme.example"], (MINE,), MINE, 0, "fail"),
}


@pytest.mark.parametrize("name", TRUST)
def test_whose_word_counts(name: str) -> None:
    values, trusted, server, ignored, outcome = TRUST[name]
    head = "".join(f"Authentication-Results: {value}\r\n" for value in values).encode()
    found = check(head + MAIL, trusted=trusted, client="", sender="a@evil.example")
    assert (found.server, found.ignored, found.dmarc.result) == (server, ignored, outcome)


def test_a_trusted_pass_asks_dns_nothing() -> None:
    dns = zone()
    found = check(f"Authentication-Results: {PASSED}\r\n".encode() + MAIL, dns, trusted=(MINE,))
    assert found.aligned
    assert found.dmarc.reason == f"said by {MINE}"
    assert dns.asked == []


def test_our_own_pass_counts_where_the_trusted_server_says_fail() -> None:
    told = f"Authentication-Results: {MINE}; dmarc=fail header.from=acme.example\r\n".encode()
    assert check(told + signed(), trusted=(MINE,), client="").aligned


def test_a_trusted_word_does_not_help_two_from_addresses() -> None:
    mail = f"Authentication-Results: {PASSED}\r\nFrom: x@evil.example\r\n".encode() + MAIL
    assert check(mail, trusted=(MINE,)).dmarc.result is Outcome.PERMERROR


def test_results_of_arc_are_no_results() -> None:
    mail = f"ARC-Authentication-Results: i=1; {PASSED}\r\n".encode() + MAIL
    found = check(mail, Zone({}), trusted=(MINE,))
    assert (found.server, found.ignored, found.dmarc.result) == ("", 0, "none")

"""SPF through our seam: every mechanism that asks DNS, the bounds of RFC 7208 section 4.6.4, and odd senders."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from models.authenticity import Spf
from tests.authenticity.support import CLIENT, MAIL, TROUBLE, Zone, check

Records = Mapping[tuple[str, str], Sequence[str] | str]


def spf(records: Records, **more: Any) -> Spf:
    return check(MAIL, Zone(records), **more).spf


def acme(text: Sequence[str] | str, **more: Sequence[str] | str) -> dict[tuple[str, str], Sequence[str] | str]:
    """Give the records of acme.example and others, named ``KIND name``."""
    others = {(name.partition(" ")[2], name.partition(" ")[0]): value for name, value in more.items()}
    return {("acme.example", "TXT"): text, **others}


CHAIN = {f"TXT c{n}.example": f"v=spf1 include:c{n + 1}.example -all" for n in range(30)}
WIDE = {f"TXT w{n}.example": "v=spf1 ?all" for n in range(30)}
MX = {"MX acme.example": [f"10 m{n}.example" for n in range(11)]}
CASES: dict[str, tuple[Records, str]] = {
    "an address": (acme(f"v=spf1 ip4:{CLIENT} -all"), "pass"),
    "a network": (acme("v=spf1 ip4:192.0.2.0/24 -all"), "pass"),
    "a": (acme("v=spf1 a -all", **{"A acme.example": CLIENT}), "pass"),
    "a of another": (acme("v=spf1 a:mail.acme.example/24 -all", **{"A mail.acme.example": "192.0.2.77"}), "pass"),
    "mx": (acme("v=spf1 mx -all", **{"MX acme.example": "10 mx.acme.example", "A mx.acme.example": CLIENT}), "pass"),
    "no mx fits": (
        acme("v=spf1 mx -all", **{"MX acme.example": "10 mx.acme.example", "A mx.acme.example": "192.0.2.9"}),
        "fail",
    ),
    "ptr": (
        acme("v=spf1 ptr -all", **{"PTR 1.2.0.192.in-addr.arpa": "m.acme.example", "A m.acme.example": CLIENT}),
        "pass",
    ),
    "a ptr that lies": (acme("v=spf1 ptr -all", **{"PTR 1.2.0.192.in-addr.arpa": "m.acme.example"}), "fail"),
    "exists with a macro": (
        acme("v=spf1 exists:%{ir}.%{l}.allow.example -all", **{"A 1.2.0.192.batch.allow.example": "127.0.0.2"}),
        "pass",
    ),
    "include": (acme("v=spf1 include:b.example -all", **{"TXT b.example": f"v=spf1 ip4:{CLIENT} -all"}), "pass"),
    "an include that fails is no fail": (
        acme("v=spf1 include:b.example ~all", **{"TXT b.example": "v=spf1 -all"}),
        "softfail",
    ),
    "an include of nothing": (acme("v=spf1 include:b.example -all"), "permerror"),
    "redirect": (acme("v=spf1 redirect=b.example", **{"TXT b.example": f"v=spf1 ip4:{CLIENT} -all"}), "pass"),
    "redirect to nothing": (acme("v=spf1 redirect=b.example"), "permerror"),
    "no record": ({}, "none"),
    "another text": (acme("hello"), "none"),
    "two records": (acme(["v=spf1 -all", "v=spf1 +all"]), "permerror"),
    "no answer": (acme(TROUBLE), "temperror"),
    "no answer of an include": (acme("v=spf1 include:b.example -all", **{"TXT b.example": TROUBLE}), "temperror"),
    "an include of itself": (acme("v=spf1 include:acme.example -all"), "permerror"),
    "includes in a circle": (
        acme("v=spf1 include:b.example -all", **{"TXT b.example": "v=spf1 include:acme.example -all"}),
        "permerror",
    ),
    "redirects in a circle": (
        acme("v=spf1 redirect=b.example", **{"TXT b.example": "v=spf1 redirect=acme.example"}),
        "permerror",
    ),
    "too deep": (acme("v=spf1 include:c0.example -all", **CHAIN), "permerror"),
    "too wide": (acme("v=spf1 " + " ".join(f"include:w{n}.example" for n in range(11)) + " -all", **WIDE), "permerror"),
    "just not too wide": (
        acme("v=spf1 " + " ".join(f"include:w{n}.example" for n in range(10)) + " -all", **WIDE),
        "fail",
    ),
    "too many mail servers": (acme("v=spf1 mx -all", **MX), "permerror"),
    "too many questions in vain": (acme("v=spf1 a:x.example a:y.example a:z.example -all"), "permerror"),
    "two questions in vain": (acme("v=spf1 a:x.example a:y.example -all"), "fail"),
    "a huge record": (acme("v=spf1 " + "ip4:192.0.2.9 " * 1000 + "+all"), "none"),
    "no ASCII": (acme("v=spf1 a:\u00e9.example -all"), "permerror"),
    "a macro that is none": (acme("v=spf1 a:%{q}.example -all"), "permerror"),
    "an odd network": (acme("v=spf1 ip4:192.0.2.1/99 -all"), "permerror"),
    "an explanation asks nothing": (acme("v=spf1 -all exp=e.example"), "fail"),
}


@pytest.mark.parametrize("name", CASES)
def test_spf(name: str) -> None:
    records, outcome = CASES[name]
    dns = Zone(records)
    found = check(MAIL, dns)
    assert (found.spf.result, found.spf.domain) == (outcome, "acme.example")
    assert len(dns.asked) <= 25
    assert ("e.example", "TXT") not in dns.asked


@pytest.mark.parametrize("client", ["2001:db8::1", "2001:DB8:0:0:0:0:0:1"])
def test_an_address_of_version_6(client: str) -> None:
    assert spf(acme("v=spf1 ip6:2001:db8::/32 -all"), client=client).result == "pass"
    assert spf(acme("v=spf1 a -all", **{"AAAA acme.example": "2001:db8::1"}), client=client).result == "pass"
    assert spf(acme("v=spf1 ip6:2001:db9::/32 -all"), client=client).result == "fail"


def test_the_zone_of_an_address_does_not_count() -> None:
    assert spf(acme("v=spf1 ip6:fe80::/10 -all"), client="fe80::1%eth0").result == "pass"


def test_an_address_of_version_4_in_one_of_6() -> None:
    assert spf(acme(f"v=spf1 ip4:{CLIENT} -all"), client=f"::ffff:{CLIENT}").result == "pass"


@pytest.mark.parametrize("client", ["", "localhost", "/run/socket", "192.0.2.300"])
def test_a_client_without_an_address_is_no_result(client: str) -> None:
    found = spf(acme("v=spf1 +all"), client=client)
    assert (found.result, found.domain) == ("none", "acme.example")


SENDERS = {
    "": ("mail.acme.example", "mail.acme.example"),
    "batch": ("mail.acme.example", ""),
    "batch@": ("mail.acme.example", ""),
    "batch@B\u00fccher.example": ("x", "xn--bcher-kva.example"),
    '"a@acme.example"@evil.example': ("x", "evil.example"),
    "a@acme.example@evil.example": ("x", "evil.example"),
    "a@[192.0.2.1]": ("x", ""),
    "a@evil.example.": ("x", "evil.example"),
}


@pytest.mark.parametrize("sender", SENDERS)
def test_the_domain_that_is_asked_about(sender: str) -> None:
    helo, domain = SENDERS[sender]
    records = {(name, "TXT"): "v=spf1 +all" for name in ("acme.example", "evil.example", "mail.acme.example")}
    records["xn--bcher-kva.example", "TXT"] = "v=spf1 +all"
    found = spf(records, sender=sender, helo=helo)
    assert (found.domain, found.result) == (domain, "pass" if domain else "none")


@pytest.mark.parametrize("helo", ["", "localhost", "[192.0.2.1]", "\u00e9", "x" * 300, "a..b"])
def test_any_helo(helo: str) -> None:
    assert spf(acme("v=spf1 exists:%{h}.x.example +all"), helo=helo).result == "pass"


def test_a_mail_may_ask_only_so_much() -> None:
    dns = Zone(acme("v=spf1 " + " ".join(f"include:w{n}.example" for n in range(10)) + " -all", **WIDE))
    found = check(MAIL, dns, lookups=5)
    assert found.spf.result == "permerror"
    assert "asks too much of DNS" in found.spf.reason
    assert len(dns.asked) == 5

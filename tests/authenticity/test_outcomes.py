"""The outcomes as tables: SPF x DKIM x policy (RFC 7489 section 6.6.2), and alignment (section 3.1)."""

import pytest

from models.authenticity import Outcome
from tests.authenticity.support import CLIENT, MAIL, TROUBLE, Zone, check, record, signed

# For one From domain with which SPF and DKIM are aligned; columns are DKIM.
TABLE = """
spf        pass  fail       none       temperror
pass       pass  pass       pass       pass
fail       pass  fail       fail       temperror
softfail   pass  fail       fail       temperror
neutral    pass  fail       fail       temperror
none       pass  fail       fail       temperror
temperror  pass  temperror  temperror  temperror
permerror  pass  fail       fail       temperror
"""
_ROWS = [line.split() for line in TABLE.strip().splitlines()]
POLICIES = ("none", "quarantine", "reject")
CASES = [
    pytest.param(row[0], dkim, policy, outcome, id=f"spf {row[0]}, dkim {dkim}, p={policy}")
    for row in _ROWS[1:]
    for dkim, outcome in zip(_ROWS[0][1:], row[1:], strict=True)
    for policy in POLICIES
]
SPF = {
    "pass": f"v=spf1 ip4:{CLIENT} -all", "fail": "v=spf1 -all", "softfail": "v=spf1 ~all", "neutral": "v=spf1 ?all",
    "none": (), "temperror": TROUBLE, "permerror": "v=spf1 nonsense:x -all",
}  # fmt: skip


def test_the_table_has_at_least_the_48_cases() -> None:
    assert len(CASES) == 7 * 4 * 3


@pytest.mark.parametrize(("spf", "dkim", "policy", "outcome"), CASES)
def test_dmarc(spf: str, dkim: str, policy: str, outcome: str) -> None:
    records = {
        ("acme.example", "TXT"): SPF[spf],
        ("_dmarc.acme.example", "TXT"): f"v=DMARC1; p={policy}",
        ("s._domainkey.acme.example", "TXT"): TROUBLE if dkim == "temperror" else record(),
    }
    mail = MAIL if dkim == "none" else signed()
    found = check(mail.replace(b"Here", b"There") if dkim == "fail" else mail, Zone(records))
    assert found.short() == {"spf": spf, "dkim": dkim, "dmarc": outcome}
    assert (found.dmarc.domain, found.dmarc.policy) == ("acme.example", policy)
    assert found.aligned is (outcome == "pass")
    assert found.undecided is (outcome == "temperror")


# From domain, envelope domain (SPF passes), signing domain (verifies; empty: no signature), record, DMARC
ALIGNMENT = [
    ("acme.example", "acme.example", "", "", "pass"),
    ("acme.example", "bounce.acme.example", "", "", "pass"),
    ("acme.example", "bounce.acme.example", "", "aspf=s", "fail"),
    ("acme.example", "bounce.acme.example", "", "aspf=r", "pass"),
    ("acme.example", "bounce.acme.example", "", "adkim=s", "pass"),
    ("acme.example", "evil.example", "", "", "fail"),
    ("acme.example", "notacme.example", "", "", "fail"),
    ("acme.example", "acme.example.evil.example", "", "", "fail"),
    ("acme.example", "evil.example", "acme.example", "", "pass"),
    ("acme.example", "evil.example", "mail.acme.example", "", "pass"),
    ("acme.example", "evil.example", "mail.acme.example", "adkim=s", "fail"),
    ("acme.example", "evil.example", "mail.acme.example", "aspf=s", "pass"),
    ("acme.example", "evil.example", "evil.example", "", "fail"),
    ("mail.acme.example", "acme.example", "", "", "pass"),
    ("mail.acme.example", "acme.example", "", "aspf=s", "fail"),
    ("mail.acme.example", "evil.example", "acme.example", "", "pass"),
    ("mail.acme.example", "evil.example", "acme.example", "adkim=s", "fail"),
    ("one.acme.co.uk", "two.acme.co.uk", "", "", "pass"),
    ("acme.co.uk", "evil.co.uk", "", "", "fail"),
    ("acme.co.uk", "evil.example", "evil.co.uk", "", "fail"),
    ("acme.github.io", "evil.github.io", "", "", "fail"),
    ("xn--bcher-kva.example", "bücher.example", "", "", "pass"),
    ("bücher.example", "xn--bcher-kva.example", "", "", "pass"),
    ("bücher.example", "evil.example", "xn--bcher-kva.example", "", "pass"),
    ("faß.example", "fass.example", "", "", "fail"),  # IDNA 2008: two domains, one of 2003
    ("ACME.example", "acme.EXAMPLE", "", "", "pass"),
]


@pytest.mark.parametrize(("sender", "envelope", "signer", "words", "outcome"), ALIGNMENT)
def test_alignment(sender: str, envelope: str, signer: str, words: str, outcome: str) -> None:
    class Everywhere(Zone):
        def ask(self, name: str, kind: str, seconds: float) -> tuple[str, ...]:  # type: ignore[override]
            if name.startswith("_dmarc."):
                return (f"v=DMARC1; p=reject; {words}",)
            return (record(),) if "._domainkey." in name else (f"v=spf1 ip4:{CLIENT} -all",)

    mail = MAIL.replace(b"batch@acme.example", f"batch@{sender}".encode())
    mail = signed(mail, signer) if signer else mail
    found = check(mail, Everywhere({}), sender=f"batch@{envelope}")
    assert found.spf.result is Outcome.PASS
    assert [one.result for one in found.dkim] == ([Outcome.PASS] if signer else [])
    assert found.dmarc.result == outcome


# domains' records, From domain: DMARC of a mail without any proof, and the policy
DISCOVERY = {
    "none at all": ({}, "acme.example", "none", ""),
    "of the domain": ({"acme.example": "v=DMARC1; p=quarantine"}, "acme.example", "fail", "quarantine"),
    "of the organisation": ({"acme.example": "v=DMARC1; p=reject"}, "a.b.acme.example", "fail", "reject"),
    "of the organisation, for what is below": (
        {"acme.example": "v=DMARC1; p=reject; sp=none"}, "b.acme.example", "fail", "none",
    ),
    "sp does not concern the domain itself": (
        {"acme.example": "v=DMARC1; p=reject; sp=none"}, "acme.example", "fail", "reject",
    ),
    "the nearer one counts": (
        {"acme.example": "v=DMARC1; p=reject", "b.acme.example": "v=DMARC1; p=none"}, "b.acme.example", "fail", "none",
    ),
    "nothing between the two": (
        {"b.acme.example": "v=DMARC1; p=reject"}, "a.b.acme.example", "none", "",
    ),
    "two records": ({"acme.example": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}, "acme.example", "none", ""),
    "two records below do not look above": (
        {"acme.example": "v=DMARC1; p=reject", "b.acme.example": ["v=DMARC1; p=none"] * 2},
        "b.acme.example", "none", "",
    ),
    "another text beside it": ({"acme.example": ["hello", "v=DMARC1; p=reject"]}, "acme.example", "fail", "reject"),
    "another version": ({"acme.example": "v=DMARC2; p=reject"}, "acme.example", "none", ""),
    "version in small letters": ({"acme.example": "v=dmarc1; p=reject"}, "acme.example", "none", ""),
    "version not first": ({"acme.example": "p=reject; v=DMARC1"}, "acme.example", "none", ""),
    "no policy": ({"acme.example": "v=DMARC1"}, "acme.example", "none", ""),
    "no policy but reports": ({"acme.example": "v=DMARC1; rua=mailto:a@b.example"}, "acme.example", "fail", "none"),
    "a policy that is none": ({"acme.example": "v=DMARC1; p=maybe"}, "acme.example", "none", ""),
    "blanks, capitals and junk": (
        {"acme.example": "v = DMARC1 ;P= Reject;; x; adkim=?"}, "acme.example", "fail", "reject",
    ),
    "a huge record": ({"acme.example": "v=DMARC1; p=reject; x=" + "y" * 5000}, "acme.example", "none", ""),
    "no answer": ({"acme.example": TROUBLE}, "acme.example", "temperror", ""),
    "no answer above": ({"acme.example": TROUBLE}, "b.acme.example", "temperror", ""),
    "a public suffix": ({"co.uk": "v=DMARC1; p=reject"}, "co.uk", "fail", "reject"),
}  # fmt: skip


@pytest.mark.parametrize("name", DISCOVERY)
def test_discovery_of_the_record(name: str) -> None:
    records, sender, outcome, policy = DISCOVERY[name]
    dns = Zone({(f"_dmarc.{domain}", "TXT"): text for domain, text in records.items()})
    found = check(MAIL.replace(b"batch@acme.example", f"batch@{sender}".encode()), dns)
    assert (found.dmarc.result, found.dmarc.policy) == (outcome, policy)


# the From line, the From domain, and what DMARC says of it (SPF passes for every domain)
FROM = {
    "one": ("From: a@acme.example", "acme.example", "pass"),
    "a display name": ("From: Acme <a@acme.example>", "acme.example", "pass"),
    "an address as display name": ('From: "ceo@bank.example" <a@acme.example>', "acme.example", "pass"),
    "an address as bare display name": ("From: ceo@bank.example <a@acme.example>", "acme.example", "pass"),
    "a comment": ("From: a@acme.example (ceo@bank.example)", "acme.example", "pass"),
    "a comment inside": ("From: a@(bank.example)acme.example", "acme.example", "pass"),
    "an encoded word": ("From: =?utf-8?q?ceo=40bank.example?= <a@acme.example>", "acme.example", "pass"),
    "an encoded word as address": ("From: =?utf-8?q?ceo=40bank.example?=", "", "permerror"),
    "folded": ("From: Acme\r\n <a@acme.example>", "acme.example", "pass"),
    "in capitals": ("FROM: A@ACME.EXAMPLE", "acme.example", "pass"),
    "a last dot": ("From: a@acme.example.", "acme.example", "pass"),
    "a subdomain": ("From: a@x.acme.example", "x.acme.example", "pass"),
    "U-labels": ("From: a@b\u00fccher.example", "xn--bcher-kva.example", "pass"),
    "A-labels": ("From: a@XN--BCHER-KVA.example", "xn--bcher-kva.example", "pass"),
    "full-width letters": ("From: a@\uff41cme.example", "acme.example", "pass"),
    "a quoted local part": ('From: "a@bank.example"@acme.example', "acme.example", "pass"),
    "a group of one": ("From: acme: a@acme.example;", "acme.example", "pass"),
    "an empty group": ("From: undisclosed:;", "", "permerror"),
    "a group of two": ("From: acme: a@acme.example, b@acme.example;", "", "permerror"),
    "two addresses": ("From: a@acme.example, b@bank.example", "", "permerror"),
    "two in angle brackets": ("From: <a@acme.example> <b@bank.example>", "", "permerror"),
    "two fields": ("From: a@acme.example\r\nFrom: b@acme.example", "", "permerror"),
    "the same field twice": ("From: a@acme.example\r\nFrom: a@acme.example", "", "permerror"),
    "two fields in other letters": ("From: a@acme.example\r\nfROM: b@bank.example", "", "permerror"),
    "no field": ("X-From: a@acme.example", "", "permerror"),
    "empty": ("From:", "", "permerror"),
    "no domain": ("From: a", "", "permerror"),
    "an empty domain": ("From: a@", "", "permerror"),
    "a literal": ("From: a@[192.0.2.1]", "", "permerror"),
    "an address as domain": ("From: a@192.0.2.1", "", "permerror"),
    "a name without a dot": ("From: a@localhost", "", "permerror"),
    "two dots": ("From: a@acme..example", "", "permerror"),
    "a very long domain": ("From: a@" + "\u00fc" * 20_000 + ".example", "", "permerror"),
    "a long label": ("From: a@" + "x" * 64 + ".example", "", "permerror"),
    "letters that no domain has": ("From: a@ac\u0378me.example", "", "permerror"),
    "bytes that are no text": ("From: a@ac\udcffme.example", "", "permerror"),
}


@pytest.mark.parametrize("name", FROM)
def test_from(name: str) -> None:
    line, domain, outcome = FROM[name]

    class Everywhere(Zone):
        def ask(self, name: str, kind: str, seconds: float) -> tuple[str, ...]:  # type: ignore[override]
            assert name.isascii()
            return ("v=DMARC1; p=reject",) if name.startswith("_dmarc.") else (f"v=spf1 ip4:{CLIENT} -all",)

    head = line.encode("utf-8", "surrogateescape")
    mail = MAIL.replace(b"From: Batch <batch@acme.example>", head)
    found = check(mail, Everywhere({}), sender=f"batch@{domain or 'acme.example'}")
    assert (found.dmarc.domain, found.dmarc.result) == (domain, outcome)
    assert found.header("me.example").isascii()


def test_an_unaligned_failure_of_dns_delays_nothing() -> None:
    dns = Zone({
        ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=reject",
        ("evil.example", "TXT"): TROUBLE,
        ("s._domainkey.evil.example", "TXT"): TROUBLE,
    })  # fmt: skip
    found = check(signed(domain="evil.example"), dns, sender="a@evil.example")
    assert found.short() == {"spf": "temperror", "dkim": "temperror", "dmarc": "fail"}


def test_the_written_forms() -> None:
    found = check(signed(), authenticated_as='the "batch"')
    assert found.header("intake.test") == (
        "intake.test; spf=pass smtp.mailfrom=acme.example; dkim=pass header.d=acme.example header.s=s; "
        'dmarc=pass header.from=acme.example; auth=pass smtp.auth="the \\"batch\\""'
    )
    written = found.to_json("intake.test")
    assert {key: written[key] for key in ("spf", "dkim", "dmarc", "from_domain", "policy", "ignored_results")} == {
        "spf": "pass", "dkim": "pass", "dmarc": "pass", "from_domain": "acme.example", "policy": "reject",
        "ignored_results": 0,
    }  # fmt: skip
    assert found.summary() == "DMARC pass for acme.example."


def test_why_is_told() -> None:
    found = check(MAIL, sender="a@evil.example")
    assert found.summary() == "DMARC fail for acme.example: SPF none for evil.example, no DKIM signature."

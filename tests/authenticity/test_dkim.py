"""DKIM: what verifies, what does not and why, and how little a hostile mail can cost."""

import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import dkim as dkimpy
import pytest

from mailgate.authenticity import Checker
from mailgate.message import BytesSource, split
from models.authenticity import Dkim, Origin, Outcome
from tests.authenticity.support import (
    MAIL,
    NOW,
    TROUBLE,
    Zone,
    check,
    ed25519_key,
    hand_signed,
    record,
    rsa_key,
    signed,
    zone,
)  # fmt: skip

S = "s._domainkey.acme.example"
MULTIPART = MAIL.partition(b"\r\n\r\n")[0] + (
    b'\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\ntext\t \r\n--b\r\n'
    b"Content-Type: text/csv\r\n\r\na, b\r\n\r\n--b--\r\n"
)


def one(mail: bytes, dns: Zone | None = None, *, now: datetime = NOW) -> Dkim:
    (found,) = check(mail, dns, now=now).dkim
    return found


@pytest.mark.parametrize("form", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize(
    "mail",
    [
        MAIL,
        MULTIPART,
        MAIL.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        MAIL + b"\r\n" * 1000,
        MAIL + b" \t" * 99 + b"\r\n",
        MAIL.replace(b"Subject: the file", b"Subject:  the\r\n\t file \t"),
        MAIL + "schön grüße".encode() + b"\r\n",
    ],
    ids=["plain", "multipart", "no body", "empty lines", "a line of blanks", "folded", "8 bit"],
)
def test_what_another_signer_signs_verifies(mail: bytes, kind: str, form: str) -> None:
    key = ed25519_key() if kind == "ed25519" else rsa_key()
    dns = zone(key=record(key))
    assert one(signed(mail, key=key, form=form), dns) == Dkim(result=Outcome.PASS, domain="acme.example", selector="s")


def changed(before: bytes, after: bytes) -> bytes:
    mail = signed()
    assert before in mail
    return mail.replace(before, after)


BROKEN: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "a changed body": (lambda: changed(b"Here", b"There"), "fail", "the body was changed"),
    "a body with more": (lambda: signed() + b"more\r\n", "fail", "the body was changed"),
    "a body cut short": (lambda: changed(b"it is.", b"it"), "fail", "the body was changed"),
    "a changed subject": (lambda: changed(b"the file", b"another"), "fail", "the header was changed"),
    "a changed From": (lambda: changed(b"batch@", b"other@"), "fail", "the header was changed"),
    "a second From": (lambda: b"From: b@acme.example\r\n" + signed(), "fail", "the header was changed"),
    "a changed tag": (lambda: changed(b"q=dns/txt", b"q=dns/txt:x"), "fail", "the header was changed"),
    "another algorithm": (lambda: hand_signed(a="rsa-sha1"), "permerror", "algorithm is not taken"),
    "another version": (lambda: hand_signed(v="2"), "permerror", "unknown version"),
    "another key store": (lambda: hand_signed(q="dns/other"), "permerror", "unknown version or key store"),
    "another canonical form": (lambda: hand_signed(c="nofws"), "permerror", "canonical form"),
    "From not signed": (lambda: hand_signed(h="subject:to"), "permerror", "From is not signed"),
    "no domain": (lambda: hand_signed(d=""), "permerror", "lacks"),
    "a domain that is none": (lambda: hand_signed(d="acme..example"), "permerror", "lacks"),
    "a selector that is none": (lambda: hand_signed(s="a b"), "permerror", "lacks"),
    "a tag twice": (lambda: hand_signed(tags="; d=evil.example"), "permerror", "stands twice"),
    "tags that are none": (lambda: hand_signed(tags="; nonsense"), "permerror", "malformed"),
    "i= of a stranger": (lambda: hand_signed(i="@evil.example"), "permerror", "i= is not of the domain"),
    "i= of a lookalike": (lambda: hand_signed(i="@notacme.example"), "permerror", "i= is not of the domain"),
    "no base64": (lambda: hand_signed(bh="!"), "permerror", "no base64"),
    "l= of nothing": (lambda: hand_signed(l="0"), "none", "counts as none"),
    "l= of all": (lambda: signed(length=True), "none", "counts as none"),
    "expired": (lambda: hand_signed(t="1700000000", x="1700000001"), "fail", "has expired"),
    "expired before it was made": (lambda: hand_signed(t="1700000002", x="1700000001"), "permerror", "before it was"),
    "a time that is none": (lambda: hand_signed(x="soon"), "permerror", "no time"),
    "a time without end": (lambda: hand_signed(x="9" * 400), "permerror", "no time"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_verify(name: str) -> None:
    make, outcome, reason = BROKEN[name]
    found = one(make())
    assert found.result == outcome
    assert reason in found.reason


FINE: dict[str, dict[str, Any]] = {
    "the usual": {}, "i= of a subdomain": {"i": "batch@mail.acme.example"}, "an unknown tag": {"zz": "1"},
    "signed in the future": {"t": "1900000000"}, "not expired": {"x": str(int(NOW.timestamp()) + 1)},
    "capitals": {"d": "ACME.example", "h": "FROM : Subject"}, "two key stores": {"q": "dns/other:dns/txt"},
    "fields that are not there": {"h": "from:from:subject:reply-to:reply-to"},
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine(name: str) -> None:
    assert one(hand_signed(**FINE[name])).result is Outcome.PASS


@pytest.mark.parametrize(("later", "outcome"), [(0, "pass"), (299, "pass"), (301, "fail")])
def test_clocks_may_differ_by_five_minutes(later: int, outcome: str) -> None:
    mail = hand_signed(x=str(int(NOW.timestamp())))
    assert one(mail, now=NOW + timedelta(seconds=later)).result == outcome


KEYS: dict[str, tuple[Any, str, str]] = {
    "no record": ((), "permerror", "no key of this name"),
    "no answer": (TROUBLE, "temperror", "no answer for"),
    "revoked": ("v=DKIM1; p=", "permerror", "revoked"),
    "no p=": ("v=DKIM1; k=rsa", "permerror", "holds no key"),
    "another version": ("v=DKIM2; p=AAAA", "permerror", "another version"),
    "no tags": ("hello", "permerror", "cannot be read"),
    "no key": ("v=DKIM1; p=AAAA", "permerror", "cannot be read"),
    "no base64": ("v=DKIM1; p=!!!!", "permerror", "cannot be read"),
    "an unknown kind": ("v=DKIM1; k=dsa; p=AAAA", "permerror", "not known"),
    "not for mail": (record(more="s=tlsrpt; "), "permerror", "not meant for mail"),
    "another hash": (record(more="h=sha1; "), "permerror", "does not allow SHA-256"),
    "of the other kind": (record(ed25519_key()), "permerror", "another kind"),
    "of somebody else": (record(rsa_key(3072)), "fail", "not the key's"),
    "too long a record": (record(more="n=" + "x" * 5000 + "; "), "permerror", "no key of this name"),
    "good": (record(), "pass", ""),
    "good without v=": (record().removeprefix("v=DKIM1; "), "pass", ""),
    "good for mail and SHA-256": (record(more="s=email; h=sha1:sha256; t=y:s; n=a note; "), "pass", ""),
    "good beside another text": (["v=spf1 -all", record()], "pass", ""),
    "good with blanks inside": (record().replace("AQ", "A Q", 1), "pass", ""),
    "1024 bits": (record(rsa_key(1024)), "pass", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_the_key_in_dns(name: str) -> None:
    records, outcome, reason = KEYS[name]
    mail = signed(key=rsa_key(1024)) if name == "1024 bits" else signed()
    found = one(mail, zone(key=records))
    assert found.result == outcome
    assert reason in found.reason


def test_a_key_that_signs_for_its_own_domain_only() -> None:
    dns = zone(key=record(more="t=s; "))
    assert one(hand_signed(i="@acme.example"), dns).result is Outcome.PASS
    assert one(hand_signed(i="@mail.acme.example"), dns).reason == "the key does not sign for subdomains"


# --- several signatures


def test_one_good_signature_of_several_is_enough() -> None:
    dns = Zone({
        ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=reject", (S, "TXT"): record(),
        ("s._domainkey.list.example", "TXT"): record(),
    })  # fmt: skip
    mail = signed(signed(), "list.example")
    mail = hand_signed(MAIL, x="1").partition(b"From:")[0] + mail
    found = check(mail, dns)
    assert [(one.domain, one.result) for one in found.dkim] == [
        ("acme.example", "fail"), ("list.example", "pass"), ("acme.example", "pass"),
    ]  # fmt: skip
    assert found.short()["dkim"] == "pass"
    assert found.aligned


def test_at_most_five_signatures_are_checked_and_those_of_the_sender_first() -> None:
    dns = zone()
    mail = signed()
    for number in range(50):
        mail = b"DKIM-Signature: v=1; a=rsa-sha256; d=x%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n" % number + mail
    found = check(mail, dns)
    assert [one.domain for one in found.dkim] == [*(f"x{49 - n}.example" for n in range(4)), "acme.example"]
    assert found.aligned
    assert len(dns.asked) == 1 + 5 + 1  # the policy, five keys, SPF


def test_five_hundred_signatures_ask_no_more() -> None:
    dns = zone()
    mail = signed()
    head = mail[: mail.index(b"From:")]
    found = check(head.replace(b"s=s;", b"s=t;") * 400 + mail, dns)
    assert len(found.dkim) == 5
    assert len(dns.asked) == 3  # the policy, the one key, SPF: the same question is asked once


def test_the_body_is_read_once_for_each_form_however_many_signatures() -> None:
    class Counting(BytesSource):
        read_bytes = 0

        def read(self, offset: int, length: int) -> bytes:
            self.read_bytes += length
            return super().read(offset, length)

    mail = MAIL + b"x" * 75 + b"\r\n" * 50_000
    for form in ("relaxed/relaxed", "relaxed/simple", "relaxed/relaxed"):
        mail = signed(mail, form=form)
    source = Counting(mail)
    message = split(BytesSource(mail))
    found = Checker(zone()).check(source, message, Origin(), now=NOW, seconds=5)
    assert [one.result for one in found.dkim] == [Outcome.PASS] * 3
    assert source.read_bytes < 2 * len(mail) + message.header_end


def test_a_large_body_is_hashed_in_constant_memory() -> None:
    class Large(BytesSource):
        """A small mail whose body goes on for 64 MB that exist only while they are read."""

        size = 64_000_000

        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length) or b"a line of text \t with blanks\r\n" * (length // 30)

    mail = signed(form="relaxed/relaxed")
    message = split(BytesSource(mail))
    source = Large(mail)
    source.size = Large.size
    tracemalloc.start()
    found = Checker(zone()).check(source, message, Origin(), now=NOW, seconds=5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.dkim[0].reason == "the body was changed"
    assert peak < 10_000_000


def test_a_body_is_not_hashed_for_a_signature_that_is_wrong_anyway() -> None:
    class Refusing(BytesSource):
        def read(self, offset: int, length: int) -> bytes:
            assert offset == 0
            return super().read(offset, length)

    mail = changed(b"the file", b"another")
    found = Checker(zone()).check(Refusing(mail), split(BytesSource(mail)), Origin(), now=NOW, seconds=5)
    assert found.dkim[0].result is Outcome.FAIL


HOSTILE = {
    "a header of blanks": b"DKIM-Signature: v=1; b=" + b"\r\n " * 10_000 + b"!",
    "blanks before b": b"DKIM-Signature: v=1; b" + b" " * 30_000 + b"!=",
    "a thousand tags": b"DKIM-Signature: " + b"; ".join(b"t%d=1" % n for n in range(1000)),
    "nothing": b"DKIM-Signature:",
    "only semicolons": b"DKIM-Signature: " + b";" * 30_000,
    "every byte": b"DKIM-Signature: " + bytes(set(range(1, 256)) - {10, 13}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_field_is_a_permanent_error(name: str) -> None:
    # dkimpy reads the first two in minutes; the suite would show it.
    assert one(HOSTILE[name] + b"\r\n" + MAIL).result is Outcome.PERMERROR


def test_a_long_list_of_fields_costs_what_it_is_long() -> None:
    names = "from:" + ":".join(["subject", "x"] * 5000)
    assert one(hand_signed(names=names)).result is Outcome.PASS


def test_the_other_signer_verifies_its_own_mail_too() -> None:
    """Hold the helper against dkimpy: the mails of these tests are signed as others sign."""

    def ask(name: bytes, timeout: int = 5) -> bytes:
        assert (name.rstrip(b"."), timeout) == (S.encode(), 5)
        return record().encode()

    assert dkimpy.verify(signed(), dnsfunc=ask)
    assert dkimpy.verify(hand_signed(), dnsfunc=ask)

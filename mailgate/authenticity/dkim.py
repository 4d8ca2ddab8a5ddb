"""DKIM: which signatures of a mail verify (RFC 6376, RFC 8301, RFC 8463).

What lives here: the checks, at most a few of a mail's signatures, the body hashed once over the source. Whether a
signature helps the From domain is DMARC's matter.
"""

import binascii
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from mailgate.authenticity.canonical import FIELDS, Body
from mailgate.authenticity.domains import normal_domain
from mailgate.authenticity.keys import PublicKey, UnusableKey, read_key
from mailgate.authenticity.resolver import DnsTrouble, Questions, TooManyQuestions
from mailgate.authenticity.tags import BadTags, read_tags, without_blanks
from models.authenticity import Dkim, Outcome

CHECKED = 5  #: signatures of one mail that are looked at
_KINDS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
_NEEDED = ("v", "a", "b", "bh", "d", "h", "s")
_CLOCKS = timedelta(minutes=5)  # that the signer's clock and ours may differ
_RUN = 1 << 20  # bytes of the body hashed at once


class Source(Protocol):
    """Give any range of a mail's bytes."""

    @property
    def size(self) -> int:
        """Say how many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end."""


class _NotVerified(Exception):
    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signature:
    """One DKIM-Signature field, read and sound as far as it can be told without the key."""

    field: bytes
    kind: str
    domain: str
    identity: str  # the domain of i=
    selector: str
    names: tuple[bytes, ...]  # h=, lower case
    form: str  # of the fields
    body_form: str
    body_hash: bytes
    signature: bytes


def check_signatures(
    source: Source, body_at: int, fields: Sequence[tuple[bytes, bytes]], questions: Questions, *,
    now: datetime, prefer: Callable[[str], bool] = lambda _domain: False,
) -> tuple[Dkim, ...]:  # fmt: skip
    """Check the first signatures of a mail, those of a preferred domain before all others; in the mail's order.

    ``fields``: the header block as ``raw_fields`` gives it. ``body_at``: offset of the body's first byte.
    """
    found = [_read(field, now) for name, field in fields if name == b"dkim-signature"]
    chosen = sorted(range(len(found)), key=lambda place: (not prefer(_domain(found[place])), place))[:CHECKED]
    bodies = _Bodies(source, body_at)
    by_name: dict[bytes, list[bytes]] = defaultdict(list)
    for name, field in fields:
        by_name[name].append(field)
    return tuple(_check(found[place], by_name, bodies, questions) for place in sorted(chosen))


def _domain(one: _Signature | Dkim) -> str:
    return one.domain


def _check(one: _Signature | Dkim, by_name: dict[bytes, list[bytes]], bodies: "_Bodies", questions: Questions) -> Dkim:
    if isinstance(one, Dkim):
        return one
    outcome, reason = Outcome.PASS, ""
    try:
        key = _key(one, questions)
        if not key.verifies(one.signature, header_digest(one.field, one.names, one.form, by_name)):
            raise _NotVerified(Outcome.FAIL, "the signature is not the key's, or the header was changed")
        if bodies.digest(one.body_form) != one.body_hash:
            raise _NotVerified(Outcome.FAIL, "the body was changed")
    except _NotVerified as problem:
        outcome, reason = problem.outcome, problem.reason
    return Dkim(result=outcome, domain=one.domain, selector=one.selector, reason=reason)


def _key(one: _Signature, questions: Questions) -> PublicKey:
    """Give the key that a signature names; of several records the first that can be used."""
    try:
        records = questions.ask(f"{one.selector}._domainkey.{one.domain}", "TXT")
    except DnsTrouble as trouble:
        raise _NotVerified(Outcome.TEMPERROR, str(trouble)) from None
    except TooManyQuestions as trouble:
        raise _NotVerified(Outcome.PERMERROR, str(trouble)) from None
    reason = "there is no key of this name"
    for record in records[:CHECKED]:
        try:
            key = read_key(record)
        except UnusableKey as problem:
            reason = str(problem)
            continue
        if key.kind != one.kind:
            reason = "the key is of another kind than the signature"
        elif key.same_domain and one.identity != one.domain:
            reason = "the key does not sign for subdomains"
        else:
            return key
    raise _NotVerified(Outcome.PERMERROR, reason)


def header_digest(field: bytes, names: Sequence[bytes], form: str, by_name: dict[bytes, list[bytes]]) -> bytes:
    """Hash the signed fields and the signature's own without its b= (RFC 6376 section 3.7).

    Of several fields of one name the last is signed first; a name without a field signs that there is none.
    """
    canonical = FIELDS[form]
    digest = sha256()
    taken: dict[bytes, int] = {}
    for name in names:
        there = by_name.get(name, ())
        taken[name] = taken.get(name, 0) + 1
        if taken[name] <= len(there):
            digest.update(canonical(there[-taken[name]]) + b"\r\n")
    digest.update(canonical(_without_signature(field)))
    return digest.digest()


def _without_signature(field: bytes) -> bytes:
    head, colon, value = field.partition(b":")
    pieces = value.split(b";")
    for place, piece in enumerate(pieces):
        name, equals, _ = piece.partition(b"=")
        if name.strip() == b"b":
            pieces[place] = name + equals
    return head + colon + b";".join(pieces)


class _Bodies:
    """The body's hash in each form, made when it is first asked for."""

    def __init__(self, source: Source, start: int) -> None:
        self._source = source
        self._start = start
        self._known: dict[str, bytes] = {}

    def digest(self, form: str) -> bytes:
        if form not in self._known:
            digest = sha256()
            body = Body(form, digest)
            for offset in range(self._start, self._source.size, _RUN):
                body.feed(self._source.read(offset, min(_RUN, self._source.size - offset)))
            body.finish()
            self._known[form] = digest.digest()
        return self._known[form]


def _read(field: bytes, now: datetime) -> _Signature | Dkim:
    """Read one DKIM-Signature field; where it cannot pass, its result."""
    text = field.partition(b":")[2].decode("utf-8", "replace")
    try:
        tags = read_tags(text)
    except BadTags as error:
        return Dkim(result=Outcome.PERMERROR, reason=f"the signature cannot be read: {error}")
    domain = normal_domain(tags.get("d", ""))
    selector = _selector(tags.get("s", ""))
    try:
        return _signature(field, tags, domain, selector, now)
    except _NotVerified as problem:
        return Dkim(result=problem.outcome, domain=domain, selector=selector, reason=problem.reason)


def _signature(field: bytes, tags: dict[str, str], domain: str, selector: str, now: datetime) -> _Signature:
    lacking = [name for name in _NEEDED if name not in tags]
    if lacking or not domain or not selector:
        raise _NotVerified(Outcome.PERMERROR, f"the signature lacks a usable {(lacking or ['d or s'])[0]}=")
    if "l" in tags:
        raise _NotVerified(Outcome.NONE, "a signature of only a part of the body (l=) counts as none")
    if tags["v"] != "1" or "dns/txt" not in {word.strip() for word in tags.get("q", "dns/txt").split(":")}:
        raise _NotVerified(Outcome.PERMERROR, "the signature is of an unknown version or key store")
    if tags["a"].lower() not in _KINDS:
        raise _NotVerified(Outcome.PERMERROR, "the signature's algorithm is not taken (rsa-sha256, ed25519-sha256)")
    form, _, body_form = tags.get("c", "simple/simple").lower().partition("/")
    body_form = body_form or "simple"
    if form not in FIELDS or body_form not in FIELDS:
        raise _NotVerified(Outcome.PERMERROR, "the canonical form is not known")
    names = tuple(name.strip().lower().encode("utf-8", "replace") for name in tags["h"].split(":"))
    if b"from" not in names:
        raise _NotVerified(Outcome.PERMERROR, "From is not signed")
    identity = normal_domain(tags["i"].rpartition("@")[2]) if "i" in tags else domain
    if identity != domain and not identity.endswith("." + domain):
        raise _NotVerified(Outcome.PERMERROR, "i= is not of the domain of d=")
    _check_times(tags, now)
    return _Signature(
        field=field, kind=_KINDS[tags["a"].lower()], domain=domain, identity=identity, selector=selector, names=names,
        form=form, body_form=body_form, body_hash=_base64(tags["bh"]), signature=_base64(tags["b"]),
    )  # fmt: skip


def _check_times(tags: dict[str, str], now: datetime) -> None:
    times = {name: tags[name] for name in ("t", "x") if name in tags}
    if any(not (value.isascii() and value.isdigit() and len(value) <= 12) for value in times.values()):
        raise _NotVerified(Outcome.PERMERROR, "t= or x= is no time")
    if "x" not in times:
        return
    if "t" in times and int(times["x"]) < int(times["t"]):
        raise _NotVerified(Outcome.PERMERROR, "the signature expires before it was made")
    if int(times["x"]) < (now - _CLOCKS).timestamp():
        raise _NotVerified(Outcome.FAIL, "the signature has expired")


def _selector(text: str) -> str:
    """Give a selector in its one spelling, empty where it is none (RFC 6376 section 3.1)."""
    return normal_domain(f"{text}.x.example").removesuffix(".x.example") if text else ""


def _base64(text: str) -> bytes:
    try:
        return b64decode(without_blanks(text), validate=True)
    except (binascii.Error, ValueError):
        raise _NotVerified(Outcome.PERMERROR, "the signature is no base64") from None

"""What the tests of authenticity share: a DNS that is a dict, keys, and mails signed by dkimpy."""

import functools
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from mailgate.authenticity import Checker, DnsTrouble, Kind
from mailgate.message import BytesSource, split
from models.authenticity import Authenticity, Origin

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLIENT = "192.0.2.1"
TROUBLE = "trouble"  # stands in a zone for what cannot be answered now
MAIL = (
    b"From: Batch <batch@acme.example>\r\nTo: x@intake.test\r\nSubject: the file\r\n"
    b"Message-ID: <1@acme.example>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\nHere  it is. \r\n\r\n\r\n"
)


@dataclass
class Zone:
    """A DNS that knows what it was told and remembers what it was asked."""

    records: Mapping[tuple[str, str], Sequence[str] | str]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, name: str, kind: Kind, seconds: float) -> tuple[str, ...]:
        assert seconds > 0
        self.asked.append((name, kind))
        found = self.records.get((name, kind), ())
        if found == TROUBLE:
            raise DnsTrouble(f"no answer for {name}")
        return (found,) if isinstance(found, str) else tuple(found)


@functools.cache
def rsa_key(bits: int = 2048) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ed25519_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def pem(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    form = serialization.PrivateFormat
    chosen = form.TraditionalOpenSSL if isinstance(key, RSAPrivateKey) else form.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, chosen, serialization.NoEncryption())


def record(key: RSAPrivateKey | Ed25519PrivateKey | None = None, more: str = "") -> str:
    """Give the key record that DNS has."""
    key = key or rsa_key()
    public = key.public_key()
    if isinstance(public, Ed25519PrivateKey | RSAPrivateKey):
        raise AssertionError
    if isinstance(key, Ed25519PrivateKey):
        data = key.public_key().public_bytes_raw()
        return f"v=DKIM1; k=ed25519; {more}p={b64encode(data).decode()}"
    data = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    return f"v=DKIM1; {more}p={b64encode(data).decode()}"


def signed(
    mail: bytes = MAIL, domain: str = "acme.example", *, selector: str = "s", key: Any = None,
    form: str = "relaxed/relaxed", **more: Any,
) -> bytes:  # fmt: skip
    """Sign a mail with dkimpy."""
    key = key or rsa_key()
    kind = b"ed25519-sha256" if isinstance(key, Ed25519PrivateKey) else b"rsa-sha256"
    secret = b64encode(key.private_bytes_raw()) if isinstance(key, Ed25519PrivateKey) else pem(key)
    canonical = tuple(part.encode() for part in form.split("/"))
    signature = dkim.sign(
        mail, selector.encode(), domain.encode(), secret, canonicalize=canonical, signature_algorithm=kind, **more
    )
    return bytes(signature) + mail


def hand_signed(mail: bytes = MAIL, tags: str = "", *, names: str = "from:subject", **replaced: str) -> bytes:
    """Sign with tags that dkimpy would not write; ``replaced`` are tags in the place of the usual ones."""
    from hashlib import sha256

    from mailgate.authenticity.canonical import Body, raw_fields
    from mailgate.authenticity.dkim import header_digest
    from mailgate.authenticity.signing import Signer

    head, _, body = mail.partition(b"\r\n\r\n")
    digest = sha256()
    hashed = Body("relaxed", digest)
    hashed.feed(body)
    hashed.finish()
    usual = {
        "v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "acme.example", "s": "s", "h": names,
        "bh": b64encode(digest.digest()).decode(), **replaced,
    }  # fmt: skip
    field_ = ("DKIM-Signature: " + "; ".join(f"{k}={v}" for k, v in usual.items()) + tags + "; b=").encode()
    by_name: dict[bytes, list[bytes]] = {}
    for name, one in raw_fields(head + b"\r\n"):
        by_name.setdefault(name, []).append(one)
    wanted = [name.strip().lower().encode() for name in usual["h"].split(":")]
    signature = Signer("x", "y", rsa_key())._signature(header_digest(field_, wanted, "relaxed", by_name))
    return field_ + b64encode(signature) + b"\r\n" + mail


def zone(
    *, spf: Sequence[str] | str = f"v=spf1 ip4:{CLIENT} -all", dmarc: Sequence[str] | str = "v=DMARC1; p=reject",
    key: Sequence[str] | str | None = None, more: Mapping[tuple[str, str], Sequence[str] | str] | None = None,
) -> Zone:  # fmt: skip
    """Give a DNS where all is well with acme.example, but for what is told otherwise."""
    return Zone({
        ("acme.example", "TXT"): spf, ("_dmarc.acme.example", "TXT"): dmarc,
        ("s._domainkey.acme.example", "TXT"): record() if key is None else key, **(more or {}),
    })  # fmt: skip


def check(
    mail: bytes, dns: Zone | None = None, *, client: str = CLIENT, sender: str = "batch@acme.example",
    helo: str = "mail.acme.example", trusted: tuple[str, ...] = (), lookups: int = 60, now: datetime = NOW,
    authenticated_as: str = "",
) -> Authenticity:  # fmt: skip
    source = BytesSource(mail)
    origin = Origin(client=client, helo=helo, sender=sender, trusted=trusted, authenticated_as=authenticated_as)
    checker = Checker(zone() if dns is None else dns, lookups=lookups)
    return checker.check(source, split(source), origin, now=now, seconds=5.0)

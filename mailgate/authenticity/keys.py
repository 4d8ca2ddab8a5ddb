"""Public keys of DKIM as DNS holds them (RFC 6376 section 3.6.1, RFC 8463).

What lives here: from the text of a record to a key that verifies. Nothing is asked.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailgate.authenticity.tags import BadTags, read_tags, without_blanks

_RSA_BITS = range(1024, 8193)  # the least: RFC 8301 section 3.2; the most bounds the work


class UnusableKey(Exception):
    """Say why a record holds no key that can verify."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """One published key."""

    kind: str  #: rsa or ed25519
    key: RSAPublicKey | Ed25519PublicKey
    same_domain: bool = False  #: flag s: i= must have the very domain of d=

    def verifies(self, signature: bytes, digest: bytes) -> bool:
        """Say whether this is the key's signature of a SHA-256 digest."""
        try:
            if isinstance(self.key, RSAPublicKey):
                self.key.verify(signature, digest, PKCS1v15(), Prehashed(SHA256()))
            else:
                self.key.verify(signature, digest)
        except InvalidSignature:
            return False
        return True


def read_key(record: str) -> PublicKey:
    """Read a key record; UnusableKey says why it does not do."""
    try:
        tags = read_tags(record)
    except BadTags as error:
        raise UnusableKey(f"the key's record cannot be read: {error}") from None
    if tags.get("v", "DKIM1") != "DKIM1":
        raise UnusableKey("the key's record is of another version")
    if "p" not in tags:
        raise UnusableKey("the key's record holds no key")
    if "h" in tags and "sha256" not in _words(tags["h"]):
        raise UnusableKey("the key does not allow SHA-256")
    if not {"*", "email"} & _words(tags.get("s", "*")):
        raise UnusableKey("the key is not meant for mail")
    encoded = without_blanks(tags["p"])
    if not encoded:
        raise UnusableKey("the key is revoked")
    kind = tags.get("k", "rsa").lower()
    return PublicKey(kind=kind, key=_load(kind, encoded), same_domain="s" in _words(tags.get("t", "")))


def _words(value: str) -> set[str]:
    return {word.strip() for word in value.split(":")}


def _load(kind: str, encoded: str) -> RSAPublicKey | Ed25519PublicKey:
    try:
        data = b64decode(encoded, validate=True)
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(data)
        key = load_der_public_key(data) if kind == "rsa" else None
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise UnusableKey("the key cannot be read") from None
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey(f"keys of the kind {kind[:20]} are not known")
    if key.key_size not in _RSA_BITS:
        raise UnusableKey(f"a key of {key.key_size} bits is not taken")
    return key

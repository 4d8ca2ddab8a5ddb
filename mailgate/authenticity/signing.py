"""The DKIM signature under our own mail: relaxed/relaxed, by an RSA or an Ed25519 key (RFC 6376, RFC 8463).

What lives here: reading the key file and making the field. The same mail and moment always give the same signature.
"""

import textwrap
from base64 import b64encode
from collections import defaultdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailgate.authenticity.canonical import Body, raw_fields
from mailgate.authenticity.dkim import header_digest

# Signed where they are there, and once more: nobody can add a second one (RFC 6376 section 8.15).
_ONCE = (b"from", b"to", b"cc", b"reply-to", b"subject", b"date", b"message-id", b"in-reply-to", b"references")
_IF_THERE = (b"mime-version", b"content-type", b"auto-submitted", b"mailgate-trace-id")
_LEAST_BITS = 1024  # RFC 8301 section 3.2


class BadKey(Exception):
    """Say in one sentence why a key file cannot sign."""


class Signer:
    """Sign mails for one domain with one key."""

    def __init__(self, domain: str, selector: str, key: RSAPrivateKey | Ed25519PrivateKey) -> None:
        self._domain = domain
        self._selector = selector
        self._key = key

    @classmethod
    def from_file(cls, domain: str, selector: str, path: Path) -> "Signer":
        """Read the private key, PEM without a password; BadKey where the file is unfit or open to others."""
        try:
            mode, data = path.stat().st_mode, path.read_bytes()
        except OSError as error:
            raise BadKey(f"{path} cannot be read: {error.strerror}") from None
        if mode & 0o007:
            raise BadKey(f"{path} can be read by everybody on this machine: chmod 600 {path}")
        try:
            key = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise BadKey(f"{path} holds no private key in PEM without a password") from None
        if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
            raise BadKey(f"{path} holds a key that is neither RSA nor Ed25519")
        if isinstance(key, RSAPrivateKey) and key.key_size < _LEAST_BITS:
            raise BadKey(f"{path} holds an RSA key of {key.key_size} bits; {_LEAST_BITS} are the least, 2048 the usual")
        return cls(domain, selector, key)

    @property
    def weak(self) -> bool:
        """Say whether the key is shorter than RFC 8301 advises."""
        return isinstance(self._key, RSAPrivateKey) and self._key.key_size < 2048

    def sign(self, message: bytes, moment: datetime) -> bytes:
        """Give the mail with a DKIM-Signature on top; lines of the mail end with CRLF."""
        head, _, body = message.partition(b"\r\n\r\n")
        fields = raw_fields(head + b"\r\n")
        by_name: dict[bytes, list[bytes]] = defaultdict(list)
        for name, field in fields:
            by_name[name].append(field)
        names = [name for name in _ONCE + _IF_THERE for _ in by_name.get(name, ())] + list(_ONCE)
        unsigned = self._field(names, _body_hash(body), moment)
        signature = self._signature(header_digest(unsigned, names, "relaxed", by_name))
        encoded = textwrap.wrap(b64encode(signature).decode(), 72)
        return unsigned + "\r\n\t".join(encoded).encode() + b"\r\n" + message

    def _field(self, names: list[bytes], body_hash: bytes, moment: datetime) -> bytes:
        kind = "rsa-sha256" if isinstance(self._key, RSAPrivateKey) else "ed25519-sha256"
        signed = textwrap.wrap(
            " ".join(f"{name.decode()}:" for name in names).removesuffix(":"), 72, break_on_hyphens=False
        )
        lines = [
            f"DKIM-Signature: v=1; a={kind}; c=relaxed/relaxed; d={self._domain};",
            f"s={self._selector}; t={int(moment.timestamp())};",
            "h=" + "\r\n\t".join(signed) + ";",
            f"bh={b64encode(body_hash).decode()};",
            "b=",
        ]
        return "\r\n\t".join(lines).encode()

    def _signature(self, digest: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(digest, PKCS1v15(), Prehashed(SHA256()))
        return self._key.sign(digest)


def _body_hash(body: bytes) -> bytes:
    digest = sha256()
    canonical = Body("relaxed", digest)
    canonical.feed(body)
    canonical.finish()
    return digest.digest()

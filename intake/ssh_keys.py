"""Public SSH keys of clients: one line as ``ssh-keygen`` writes it, checked and turned into a value.

What lives here: which keys are taken, and their fingerprints. Pure; no protocol, no file.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

_LEAST_BITS, _GOOD_BITS = 2048, 3072
_KINDS = ("ssh-ed25519", "ssh-rsa")


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """A public key that may log in."""

    kind: str  #: ssh-ed25519 or ssh-rsa
    data: str  #: base64 of the key as SSH sends it
    comment: str
    warning: str  #: what an operator should know; empty where all is well

    @property
    def line(self) -> str:
        """Give the line as it is stored."""
        return f"{self.kind} {self.data} {self.comment}".rstrip()

    @property
    def fingerprint(self) -> str:
        """Give the fingerprint as ``ssh-keygen -lf`` prints it."""
        return fingerprint(base64.b64decode(self.data))


def fingerprint(data: bytes) -> str:
    """Give the SHA-256 fingerprint of a public key as SSH sends it."""
    return "SHA256:" + base64.b64encode(sha256(data).digest()).decode().rstrip("=")


def read_public_key(line: str) -> PublicKey:
    """Read one line of a public key file. Raises ValueError with a sentence for the operator."""
    words = line.strip().split(None, 2)
    if "PRIVATE KEY" in line:
        raise ValueError("this is a private key: give the line of the .pub file, and make a new key pair")
    if "BEGIN SSH2 PUBLIC KEY" in line:
        raise ValueError("this is a key in RFC 4716 form: `ssh-keygen -i -f FILE` turns it into one line")
    if len(words) < 2 or "\n" in line.strip():
        raise ValueError("a public key is one line: ssh-ed25519 AAAA… comment")
    if words[0] not in _KINDS:
        raise ValueError(f"{words[0][:60]} is not taken: make an ED25519 key (ssh-keygen -t ed25519) or an RSA key")
    comment = words[2] if len(words) > 2 else ""
    try:
        data = base64.b64decode(words[1], validate=True)
        key = load_ssh_public_key(f"{words[0]} {words[1]}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("the key is damaged: copy the line of the .pub file whole") from None
    warning = ""
    if isinstance(key, RSAPublicKey):
        if key.key_size < _LEAST_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits is too weak: make one of {_GOOD_BITS}, or ED25519")
        if key.key_size < _GOOD_BITS:
            warning = f"an RSA key of {key.key_size} bits is weak: better {_GOOD_BITS}, or ED25519"
    return PublicKey(
        kind=words[0], data=base64.b64encode(data).decode(), comment="".join(filter(str.isprintable, comment)),
        warning=warning,
    )  # fmt: skip


def check_keys(lines: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the lines of public keys as they are stored, each once, and what to warn of. Raises ValueError."""
    keys = {key.data: key for key in map(read_public_key, lines)}
    return tuple(key.line for key in keys.values()), tuple(key.warning for key in keys.values() if key.warning)

"""The host keys of the SFTP door: made once, kept, and their fingerprints.

What lives here: files of private keys. A client that has seen a fingerprint must never see another by accident.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from models.faults import MailgateError

_RSA_BITS = 3072
_KINDS = {"ed25519": ("ssh-ed25519", {}), "rsa": ("ssh-rsa", {"key_size": _RSA_BITS})}


class HostKeyFault(MailgateError):
    """Say which host key cannot be used, and why."""


def make_host_keys(paths: Sequence[Path]) -> list[Path]:
    """Make those keys that are missing, mode 600, durable before they are used; gives the new ones.

    The kind is told by the name: ``…_ed25519_key`` or ``…_rsa_key``.
    """
    made = []
    for path in paths:
        if path.exists():
            continue
        kind = next((kind for kind in _KINDS if kind in path.name), "")
        if not kind:
            raise HostKeyFault(f"there is no host key at {path}")
        algorithm, options = _KINDS[kind]
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, asyncssh.generate_private_key(algorithm, "mailgate", **options).export_private_key("openssh"))
        made.append(path)
    return made


def read_host_keys(paths: Sequence[Path]) -> list[asyncssh.SSHKey]:
    """Read the private keys; raises HostKeyFault."""
    return [_read(path) for path in paths]


def host_key_fingerprints(paths: Sequence[Path]) -> dict[str, str]:
    """Give algorithm → fingerprint as ``ssh-keygen -lf`` prints it, the best first; keys that are missing are left out.

    For ``connection apply`` and ``show``: nothing is made. Raises HostKeyFault for a key that cannot be read.
    """
    keys = [_read(path) for path in paths if path.exists()]
    return {key.get_algorithm(): key.get_fingerprint() for key in keys}


def public_lines(paths: Sequence[Path]) -> list[str]:
    """Give the public keys as lines for ``known_hosts``, without the host."""
    return [_read(path).export_public_key("openssh").decode().strip() for path in paths if path.exists()]


def _read(path: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError) as error:
        raise HostKeyFault(f"the host key {path} cannot be read: {error}") from None


def _write(path: Path, text: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

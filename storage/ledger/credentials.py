"""Credentials in the ledger: who may log in, and how a secret is changed or taken away.

What lives here: their transactions. How a file of credentials is applied stands in ``storage.ledger.applying``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from models.tables import Credential


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """What proves a credential now: hashes of passwords and lines of public keys; none of either once revoked."""

    credential: str  #: its name
    password_hash: str | None
    former_hash: str | None  #: still good, for the overlap of a rotation
    ssh_keys: tuple[str, ...]
    lenient: bool = False  #: its FTP clients end TLS without close_notify


def secrets_of(session: Session, username: str, now: datetime) -> Secrets | None:
    """Find what proves a user name, in any case."""
    statement = select(Credential).where(Credential.username_key == username.casefold())
    credential = session.exec(statement).first()
    return None if credential is None else _secrets(credential, now)


def secrets_by_name(session: Session, names: Iterable[str], now: datetime) -> dict[str, Secrets]:
    """Give what proves each of some credentials, by name."""
    found = session.exec(select(Credential).where(col(Credential.name).in_(list(names))))
    return {credential.name: _secrets(credential, now) for credential in found}


def find(session: Session, name: str) -> Credential | None:
    """Find a credential by its name, in any case."""
    return session.exec(select(Credential).where(Credential.name_key == name.casefold())).first()


def rotate(session: Session, name: str, new_hash: str, former_until: datetime | None) -> Credential | None:
    """Give a credential a new password; the old one stays good until a moment, or ends at once. None: no such name.

    A revoked credential is brought back with the new password alone.
    """
    credential = find(session, name)
    if credential is None:
        return None
    keep = former_until is not None and credential.revoked_at is None and credential.password_hash is not None
    credential.former_hash = credential.password_hash if keep else None
    credential.former_until = former_until if keep else None
    credential.password_hash, credential.revoked_at = new_hash, None
    session.add(credential)
    return credential


def revoke(session: Session, name: str, now: datetime) -> Credential | None:
    """Take every secret of a credential away: nobody proves it any more. None: no such name."""
    credential = find(session, name)
    if credential is None:
        return None
    credential.password_hash = credential.former_hash = credential.former_until = None
    credential.ssh_keys = []
    credential.revoked_at = credential.revoked_at or now
    session.add(credential)
    return credential


def _secrets(credential: Credential, now: datetime) -> Secrets:
    overlap = credential.former_until is not None and now < credential.former_until
    return Secrets(
        credential=credential.name, password_hash=credential.password_hash,
        former_hash=credential.former_hash if overlap else None, ssh_keys=tuple(credential.ssh_keys),
        lenient=credential.lenient,
    )  # fmt: skip

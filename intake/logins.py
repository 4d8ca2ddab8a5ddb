"""Logins: does this password belong to this user name?

What lives here: hashing and checking of passwords, the same time for unknown users. Bans and delays are the
defender's.
"""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from storage.ledger import Ledger
from storage.ledger.connections import credential_for_login

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("no user has this password")


def hash_password(password: str) -> str:
    """Give the argon2id hash of a password; slow on purpose."""
    return _hasher.hash(password)


def password_matches(password: str, stored: str) -> bool:
    """Tell whether a password has this hash; slow on purpose."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def check_login(ledger: Ledger, username: str, password: str) -> str | None:
    """Give the name of the credential that user name and password prove, or None."""
    found = await ledger.read(credential_for_login, username)
    name, stored = found if found is not None else (None, None)
    matches = await asyncio.to_thread(password_matches, password, stored or _NOBODY)
    return name if matches and stored is not None else None

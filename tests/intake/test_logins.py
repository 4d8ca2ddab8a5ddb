"""Logins: who is proved, and that an unknown user costs as much work as a known one."""

import pytest

from intake import logins
from intake.logins import check_login, hash_password, password_matches
from storage.ledger.applying import CredentialPlan, Plan, apply_plan
from tests.storage.support import Store

KNOWN = hash_password("hunter2")


@pytest.fixture
def hashed(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the stored hashes that passwords are held against; two users exist, one without a password."""
    credentials = tuple(
        CredentialPlan(name=name, account="acme", username=username, return_address="", password_hash=stored)
        for name, username, stored in (
            ("acme-batch", "acme", KNOWN),
            ("keys only", "keys", None),
            ("mail", None, KNOWN),
        )
    )
    plan = Plan(accounts=("acme",), credentials=credentials, rules=(), proposed={})
    store.ledger.write_now(apply_plan, plan, store.clock())
    seen: list[str] = []
    real = logins._hasher

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            seen.append(stored)
            return real.verify(stored, password)

    monkeypatch.setattr(logins, "_hasher", Counting())
    return seen


@pytest.mark.parametrize(
    ("username", "password", "proved"),
    [
        ("acme", "hunter2", "acme-batch"),
        ("ACME", "hunter2", "acme-batch"),
        ("acme", "Hunter2", None),
        ("acme", "", None),
        ("acme", "hunter2\0", None),
        ("acme", "x" * 100_000, None),
        ("nobody", "hunter2", None),
        ("nobody", "no user has this password", None),
        ("", "", None),
        ("keys", "", None),
        ("keys", "no user has this password", None),
        ("' OR 1=1 --", "hunter2", None),
        ("acme\0", "hunter2", None),
    ],
)
async def test_who_is_proved(store: Store, hashed: list[str], username: str, password: str, proved: str | None) -> None:
    login = await check_login(store.ledger, username, password, store.clock())
    assert (login.credential if login is not None else None) == proved
    assert len(hashed) == 1  # whoever asks, one hash is computed
    assert hashed[0] == (KNOWN if username.lower() == "acme" else logins._NOBODY)


def test_a_hash_is_argon2id_and_salted() -> None:
    assert KNOWN.startswith("$argon2id$")
    assert hash_password("hunter2") != KNOWN


NO_HASHES = {
    "nothing": "",
    "plain": "hunter2",
    "empty": "$argon2id$",
    "cut": KNOWN[:-1],
    "bcrypt": "$2b$12$" + "a" * 53,
}


@pytest.mark.parametrize("stored", NO_HASHES.values(), ids=NO_HASHES)
def test_a_stored_value_that_is_no_hash_matches_nothing(stored: str) -> None:
    assert not password_matches("hunter2", stored)

"""The defender over the ledger: many at once, restarts, lifted bans, and what a flood leaves in memory."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from intake import defender as module
from intake.bans import Ruling
from intake.defender import Defender
from intake.logins import Login, Logins, hash_password
from mailgate.settings import Limits
from models.tables import Alarm, Defence, KnownLogin
from storage.ledger.applying import CredentialPlan, Plan, apply_plan
from storage.ledger.credentials import revoke, rotate
from storage.ledger.defence import lift_ban, list_bans
from tests.storage.support import Store

DATABASES = ["sqlite"]  # its memory is this process's; what nodes share is tried in test_defenders

KNOWN = hash_password("hunter2")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVleGFtcGxlZXhhbXBsZWV4YW1wbGVleGFt acme"
LIMITS = Limits(login_delay=timedelta(0))


@pytest.fixture
async def defender(store: Store) -> Defender:
    credential = CredentialPlan(
        name="acme-batch", account="acme", username="acme", return_address="", password_hash=KNOWN, ssh_keys=(KEY,)
    )
    plan = Plan(accounts=("acme",), credentials=(credential,), rules=(), proposed={})
    await store.ledger.write(apply_plan, plan, store.clock())
    return Defender(store.ledger, LIMITS, clock=store.clock)


async def restarted(store: Store) -> Defender:
    again = Defender(store.ledger, LIMITS, clock=store.clock)
    await again.load()
    return again


async def guess(defender: Defender, address: str, username: str = "acme", *, right: bool = False) -> Ruling:
    async with defender.password(address, username) as one:
        if one.ruling is Ruling.LOOK:
            one.right = right
        return one.ruling


async def test_guesses_reach_the_hash_seven_times_from_an_address_and_the_true_client_gets_in(
    store: Store, defender: Defender, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[str, str]] = []

    async def check(_ledger: Any, username: str, password: str, _now: Any) -> Login | None:
        looked.append((username, password))
        await asyncio.sleep(0)
        return Login(credential="acme-batch", proof=KNOWN) if password == "hunter2" else None

    monkeypatch.setattr("intake.logins.check_login", check)
    logins = Logins(store.ledger, defender, LIMITS, clock=store.clock)
    assert await logins.by_password("acme", "hunter2", "192.0.2.200")
    guesses = [
        logins.by_password(f"user{n % 7}" if n % 3 else "acme", f"guess {n}", f"198.51.100.{n % 50}")
        for n in range(10_000)
    ]
    assert not any(await asyncio.gather(*guesses))
    assert len(looked) - 1 <= 7 * 50
    assert await logins.by_password("acme", "hunter2", "192.0.2.200"), "from where it came before"
    assert await logins.by_password("acme", "hunter2", "192.0.2.201"), "from where nobody failed"
    assert await logins.by_key("acme", KEY), "a key is not guessed"


async def test_right_passwords_at_once_all_pass(store: Store, defender: Defender) -> None:
    rulings = await asyncio.gather(*(guess(defender, "192.0.2.1", right=True) for _ in range(100)))
    assert rulings == [Ruling.LOOK] * 100


async def test_a_ban_survives_a_restart_and_covers_the_whole_64(store: Store, defender: Defender) -> None:
    for number in range(7):
        assert await guess(defender, f"2001:db8::{number:x}") is Ruling.LOOK
    await defender.keep()
    again = await restarted(store)
    assert again.banned("2001:db8::ffff")
    assert not again.banned("2001:db8:0:1::1")
    assert await guess(again, "2001:db8::9") is Ruling.BANNED
    store.clock.forward(minutes=30)
    assert await guess(again, "2001:db8::9") is Ruling.LOOK


async def test_a_lifted_ban_is_obeyed_by_the_running_service(store: Store, defender: Defender) -> None:
    for _ in range(7):
        await guess(defender, "192.0.2.1")
    await defender.keep()
    assert [ban.address for ban in store.ledger.read_now(list_bans, store.clock())] == ["192.0.2.1"]
    assert await store.ledger.write(lift_ban, "address:192.0.2.1", store.clock())
    assert not await store.ledger.write(lift_ban, "address:192.0.2.1", store.clock())
    await defender.keep()
    assert not defender.banned("192.0.2.1")
    assert await guess(defender, "192.0.2.1") is Ruling.LOOK
    await defender.keep()
    assert (await restarted(store)).banned("192.0.2.1") is False


async def test_operators_hear_of_a_ban_that_may_be_a_clients_own_and_of_no_other(
    store: Store, defender: Defender
) -> None:
    await guess(defender, "192.0.2.1", right=True)
    for address in ("192.0.2.1", "198.51.100.1"):
        for _ in range(7):
            await guess(defender, address)
    await defender.keep()
    (alarm,) = store.all(Alarm)
    assert (alarm.kind, alarm.subject, alarm.cleared_at) == ("ADDRESS_BANNED", "192.0.2.1", None)
    store.clock.forward(minutes=31)
    await guess(defender, "203.0.113.1")
    await defender.keep()
    assert store.all(Alarm)[0].cleared_at is not None


async def test_user_names_are_not_kept_in_clear(store: Store, defender: Defender) -> None:
    await guess(defender, "192.0.2.1", "my secret password")
    await guess(defender, "192.0.2.2", "my secret password", right=True)
    await defender.keep()
    kept = repr([row.model_dump() for table in (Defence, KnownLogin) for row in store.all(table)])
    assert "192.0.2.1" in kept
    assert "secret" not in kept


async def test_a_flood_of_addresses_leaves_a_bounded_memory(
    store: Store, defender: Defender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 50)
    for _ in range(7):
        await guess(defender, "192.0.2.1")
    for number in range(200):
        store.clock.forward(milliseconds=10)
        await guess(defender, f"198.51.{number}.1", f"user {number}")
    await defender.keep()
    assert len(store.all(Defence)) == 50
    assert defender.banned("192.0.2.1"), "a ban is not pushed out"
    assert not defender._turns
    assert not defender._under_way


async def test_a_try_that_nobody_could_look_at_costs_nothing(store: Store, defender: Defender) -> None:
    for _ in range(20):
        async with defender.password("192.0.2.1", "acme") as one:
            assert one.ruling is Ruling.LOOK
    assert not defender.banned("192.0.2.1")


async def test_a_client_that_hangs_up_has_guessed_all_the_same(store: Store, defender: Defender) -> None:
    logins = Logins(store.ledger, defender, LIMITS, clock=store.clock)
    for _ in range(7):
        asking = asyncio.create_task(logins.by_password("acme", "guess", "192.0.2.1"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
    assert await logins.by_password("acme", "hunter2", "192.0.2.1") is None
    assert defender.banned("192.0.2.1")


async def test_what_is_taken_away_ends_and_what_overlaps_does_not(store: Store, defender: Defender) -> None:
    logins = Logins(store.ledger, defender, LIMITS, clock=store.clock)
    by_password = await logins.by_password("acme", "hunter2", "192.0.2.1")
    by_key = await logins.by_key("acme", KEY.rpartition(" ")[0])
    assert by_password is not None
    assert by_key is not None
    both = {by_password, by_key}
    assert await logins.ended(both) == set()
    until = store.clock() + timedelta(hours=24)
    await store.ledger.write(rotate, "ACME-batch", hash_password("new"), until)
    assert await logins.ended(both) == set()
    assert await logins.by_password("acme", "hunter2", "192.0.2.1")
    assert await logins.by_password("acme", "new", "192.0.2.1")
    store.clock.forward(hours=24)
    assert await logins.ended(both) == {by_password}
    assert not await logins.by_password("acme", "hunter2", "192.0.2.1")
    await store.ledger.write(revoke, "acme-batch", store.clock())
    assert await logins.ended(both) == both
    assert not await logins.by_key("acme", KEY)
    assert not await logins.by_password("acme", "new", "192.0.2.2")
